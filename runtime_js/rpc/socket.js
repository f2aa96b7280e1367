/**
 * Answers the messages that come through a WebSocket.
 *
 * @module
 */

import { FrameReader, encode } from './frames.js';
import { AHEAD, CHUNK } from './numbers.js';

/** @typedef {import('./frames.js').Message} Message */
/** @typedef {import('./answer.js').Answer} Answer */

/**
 * @param {string | URL} url
 * @param {(message: Message) => Promise<Answer | null>} answer one message at a time
 * @param {(why: string) => void} [onClose] hears when it has ended, and why if that is known
 * @returns {WebSocket}
 */
export function serve(url, answer, onClose) {
  const socket = new WebSocket(url);
  socket.binaryType = 'arraybuffer';
  let turn = Promise.resolve();
  let fault = '';
  const fail = (/** @type {unknown} */ e) => {
    fault ||= `what came cannot be taken: ${e}`;
    socket.close();
  };
  const reader = new FrameReader((message) => {
    turn = turn
      .then(async () => {
        const said = await answer(message);
        if (said) for (const chunk of encode(said.header, said.parts)) await send(socket, chunk);
      })
      .catch(fail);
  });
  socket.addEventListener('message', (event) => {
    if (fault) return;
    try {
      reader.push(new Uint8Array(event.data));
    } catch (e) {
      fail(e);
    }
  });
  socket.addEventListener('close', () => onClose?.(fault));
  return socket;
}

/**
 * Sends bytes in pieces, no faster than they go.
 *
 * @param {WebSocket} socket
 * @param {Uint8Array} bytes
 */
export async function send(socket, bytes) {
  for (let at = 0; at < bytes.length; at += CHUNK) {
    while (socket.bufferedAmount > AHEAD && socket.readyState === WebSocket.OPEN) {
      await new Promise((go) => setTimeout(go));
    }
    socket.send(/** @type {BufferSource} */ (bytes.subarray(at, at + CHUNK)));
  }
}

/** The address of a WebSocket beside a page's own. @param {string} path @param {string | URL} base */
export function beside(path, base) {
  const url = new URL(path, base);
  url.protocol = url.protocol.replace('http', 'ws');
  return url;
}
