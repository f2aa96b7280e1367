/**
 * Frames: how messages travel over a stream of bytes. The mirror of `runtime/rpc/protocol.py`, which
 * describes them.
 *
 * @module
 */

import { ALIGNMENT, MAGIC, MOST_HEADER, MOST_PAYLOAD, PREFIX } from './numbers.js';

/** @typedef {import('../dtype.js').TypedArray} TypedArray */

/**
 * @typedef {object} Message
 * @property {Record<string, any>} header `kind`, `id` and what belongs to that kind
 * @property {readonly Uint8Array[]} parts
 */

/** @param {number} n */
const padded = (n) => Math.ceil(n / ALIGNMENT) * ALIGNMENT;

/**
 * The bytes of a message, as chunks that share the memory of its parts.
 *
 * @param {Record<string, any>} header
 * @param {readonly (Uint8Array | TypedArray)[]} [parts]
 * @returns {Uint8Array[]}
 */
export function encode(header, parts = []) {
  const views = parts.map((p) => new Uint8Array(p.buffer, p.byteOffset, p.byteLength));
  const text = new TextEncoder().encode(
    JSON.stringify({ ...header, parts: views.map((v) => v.length) }),
  );
  const begin = new Uint8Array(padded(PREFIX + text.length)).fill(0x20);
  begin.set(text, PREFIX);
  const words = new DataView(begin.buffer);
  words.setUint32(0, MAGIC, true);
  words.setUint32(4, begin.length - PREFIX, true);
  words.setBigUint64(8, BigInt(views.reduce((n, v) => n + padded(v.length), 0)), true);
  /** @type {Uint8Array[]} */
  const chunks = [begin];
  for (const v of views) {
    if (v.length) chunks.push(v);
    if (v.length % ALIGNMENT) chunks.push(new Uint8Array(padded(v.length) - v.length));
  }
  return chunks;
}

/** Puts messages together out of chunks that are cut anywhere. */
export class FrameReader {
  /** @param {(message: Message) => void} onMessage */
  constructor(onMessage) {
    this.#onMessage = onMessage;
  }

  #onMessage;
  #buffer = new Uint8Array(PREFIX);
  #filled = 0;
  /** @type {'prefix' | 'header' | 'payload'} */
  #state = 'prefix';
  #payload = 0;
  /** @type {Record<string, any>} */
  #header = {};

  /**
   * @param {Uint8Array} chunk
   * @throws {Error} when the bytes are no frame: the stream is of no use any more
   */
  push(chunk) {
    for (let at = 0; at < chunk.length; ) {
      const room = this.#buffer.length - this.#filled;
      const part = chunk.subarray(at, at + room);
      this.#buffer.set(part, this.#filled);
      this.#filled += part.length;
      at += part.length;
      while (this.#filled === this.#buffer.length && this.#advance());
    }
  }

  /** @param {'prefix' | 'header' | 'payload'} state @param {number} bytes */
  #expect(state, bytes) {
    this.#state = state;
    this.#buffer = new Uint8Array(bytes);
    this.#filled = 0;
    return bytes === 0;
  }

  /** What is expected is there; returns whether what comes next is there, too. */
  #advance() {
    const buffer = this.#buffer;
    if (this.#state === 'prefix') {
      const words = new DataView(buffer.buffer);
      const bytes = words.getUint32(4, true);
      this.#payload = Number(words.getBigUint64(8, true));
      if (
        words.getUint32(0, true) !== MAGIC ||
        bytes > MOST_HEADER ||
        this.#payload > MOST_PAYLOAD
      ) {
        throw new Error('this is no message of weft');
      }
      return this.#expect('header', bytes);
    }
    if (this.#state === 'header') {
      this.#header = JSON.parse(new TextDecoder().decode(buffer));
      return this.#expect('payload', this.#payload);
    }
    let at = 0;
    const parts = /** @type {number[]} */ (this.#header.parts).map((n) => {
      const part = buffer.subarray(at, at + n);
      at += padded(n);
      return part;
    });
    if (at !== buffer.length) throw new Error('the parts of a message do not fill it');
    this.#expect('prefix', PREFIX);
    this.#onMessage({ header: this.#header, parts });
    return false;
  }
}
