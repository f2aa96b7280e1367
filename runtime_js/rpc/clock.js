/**
 * A timer for a page in the background, whose own are slowed down: answers a number of milliseconds
 * after them.
 *
 * @module
 */

self.onmessage = ({ data }) => void setTimeout(() => self.postMessage(data), data);
