/**
 * Where a bundle's files come from: a web server, or a folder under Node. Every file that the
 * manifest names is checked against its size and SHA-256; what is wrong is said in words.
 *
 * @module
 */

import { BundleError, checkAborted } from './errors.js';
import { sha256 } from './sha256.js';

/**
 * @typedef {object} Progress
 * @property {'download' | 'compile' | 'upload' | 'warm-up' | 'measure'} phase
 * @property {number} loaded bytes, or kernels, or tensors, or programs
 * @property {number} total
 * @property {string} [file] that is being downloaded
 */

/**
 * What is known of a file beforehand.
 *
 * @typedef {{bytes: number, sha256: string}} Expected
 */

/**
 * @typedef {object} ReadOptions
 * @property {Expected} [expected]
 * @property {AbortSignal} [signal]
 * @property {boolean} [keep] in the browser's Cache storage, under its hash
 * @property {(bytes: number) => void} [onBytes] how many have come since the last call
 */

const CACHE = 'weft-files-1';
const UPLOAD_AGAIN = 'upload the whole bundle again; every file must come from the same `weft compile`';

/** The files of one bundle. */
export class Source {
  /**
   * @param {string | URL} location of the bundle's folder or of its bundle.json: a URL, absolute or
   *   relative to the page, or under Node a path
   */
  constructor(location) {
    const page = globalThis.document?.baseURI ?? globalThis.location?.href;
    const text = String(location);
    this.isFile = page === undefined && !/^https?:/.test(text);
    let folder = text.replace(/bundle\.json$/, '');
    if (!/[/\\]$/.test(folder) && folder !== '') folder += '/';
    /** The folder, for messages. */
    this.name = folder;
    if (!this.isFile) folder = new URL(folder || '.', page).href;
    this.folder = folder;
  }

  /**
   * @param {string} name relative to the folder
   * @param {ReadOptions} [options]
   * @returns {Promise<Uint8Array>}
   * @throws {BundleError} or AbortError
   */
  async read(name, options = {}) {
    const { expected, signal } = options;
    checkAborted(signal, `loading ${name}`);
    if (!/^[\w][\w.\-/]*$/.test(name) || name.split('/').includes('..')) {
      throw new BundleError(`'${name}' is no file of a bundle.`, { where: this.name });
    }
    const cached = options.keep && expected ? await this.#cached(expected) : undefined;
    if (cached) {
      options.onBytes?.(cached.length);
      return cached;
    }
    const bytes = this.isFile ? await this.#open(name) : await this.#fetch(name, options);
    if (this.isFile) options.onBytes?.(bytes.length);
    if (expected) await this.#check(name, bytes, expected);
    if (options.keep && expected) await this.#keep(expected, bytes);
    return bytes;
  }

  /**
   * @param {string} name
   * @param {ReadOptions} [options]
   * @returns {Promise<any>} what the JSON says
   */
  async json(name, options = {}) {
    const bytes = await this.read(name, options);
    try {
      return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
    } catch (e) {
      throw looksLikePage(bytes)
        ? this.#page(name)
        : this.#wrong(name, `it is not JSON (${/** @type {Error} */ (e).message})`);
    }
  }

  /**
   * @param {string} name
   * @param {string} why
   */
  #wrong(name, why, hint = UPLOAD_AGAIN) {
    return new BundleError(`the file ${name} is not right: ${why}.`, { where: this.name, hint });
  }

  /** @param {string} name */
  #page(name) {
    return this.#wrong(
      name,
      'the server sent a web page (HTML) instead',
      'the file is missing on the server, which answers with a page of its own; check the address ' +
        'and that all files of the bundle were uploaded',
    );
  }

  /** @param {string} name */
  #missing(name) {
    return new BundleError(`the file ${name} is missing.`, {
      where: this.name,
      hint: 'check the address, and that all files of the bundle are there',
    });
  }

  /** @param {string} name */
  async #open(name) {
    // Not literal imports: a bundler for browsers must not look for Node's modules.
    const modules = ['node:fs/promises', 'node:url'];
    const [fs, url] = await Promise.all(modules.map((m) => import(/* @vite-ignore */ m)));
    const folder = this.folder.startsWith('file:') ? url.fileURLToPath(this.folder) : this.folder;
    try {
      return new Uint8Array(await fs.readFile(folder + name));
    } catch (e) {
      const error = /** @type {{code?: string, message: string}} */ (e);
      if (error.code === 'ENOENT' || error.code === 'ENOTDIR') throw this.#missing(name);
      throw this.#wrong(name, `it cannot be read (${error.message})`, 'check its permissions');
    }
  }

  /**
   * @param {string} name
   * @param {ReadOptions} options
   */
  async #fetch(name, { expected, signal, onBytes }) {
    const what = `loading ${name}`;
    /** @type {Response} */
    let response;
    try {
      response = await fetch(new URL(name, this.folder), { signal: signal ?? null });
    } catch (e) {
      checkAborted(signal, what);
      throw new BundleError(`the file ${name} cannot be fetched (${text(e)}).`, {
        where: this.name,
        hint: 'check the connection; a page on another host needs CORS headers from this one',
        cause: e,
      });
    }
    if (response.status === 404 || response.status === 410) throw this.#missing(name);
    if (!response.ok) {
      const status = `${response.status} ${response.statusText}`.trim();
      throw this.#wrong(name, `the server answered ${status}`, 'try again later');
    }
    const limit = expected?.bytes ?? Infinity;
    const html = /text\/html/.test(response.headers.get('content-type') ?? '');
    try {
      const bytes = await drain(response, limit, onBytes);
      if (html && looksLikePage(bytes)) throw this.#page(name);
      return bytes;
    } catch (e) {
      if (e instanceof BundleError) throw e;
      checkAborted(signal, what);
      throw this.#wrong(name, `the connection ended early (${text(e)})`, 'try again');
    }
  }

  /**
   * @param {string} name
   * @param {Uint8Array} bytes
   * @param {Expected} expected
   */
  async #check(name, bytes, expected) {
    if (looksLikePage(bytes)) throw this.#page(name);
    if (bytes.length !== expected.bytes) {
      const than = bytes.length < expected.bytes ? 'is truncated: it' : 'is too long: it';
      const has = bytes.length < expected.bytes ? `${bytes.length}` : 'more than that';
      throw this.#wrong(name, `it ${than} should have ${expected.bytes} bytes and has ${has}`);
    }
    if ((await sha256(bytes)) !== expected.sha256) {
      throw this.#wrong(name, 'its SHA-256 is not the one that the manifest says');
    }
  }

  /**
   * A cached file is checked like any other: what is on a disk may be damaged too.
   *
   * @param {Expected} expected
   */
  async #cached(expected) {
    try {
      const cache = await globalThis.caches?.open(CACHE);
      const hit = await cache?.match(this.#key(expected));
      if (!hit) return undefined;
      const bytes = new Uint8Array(await hit.arrayBuffer());
      if (bytes.length === expected.bytes && (await sha256(bytes)) === expected.sha256) return bytes;
      await cache.delete(this.#key(expected));
    } catch {
      // Private windows and sandboxed frames may refuse storage; then there is no cache.
    }
    return undefined;
  }

  /**
   * @param {Expected} expected
   * @param {Uint8Array} bytes
   */
  async #keep(expected, bytes) {
    try {
      const cache = await globalThis.caches?.open(CACHE);
      const body = /** @type {Uint8Array<ArrayBuffer>} */ (bytes);
      await cache?.put(this.#key(expected), new Response(body));
    } catch {
      // No room, or no storage: the next visit downloads again.
    }
  }

  /** @param {Expected} expected */
  #key(expected) {
    return new URL(`weft-sha256/${expected.sha256}`, this.folder).href;
  }
}

/**
 * Forget all files that earlier visits kept.
 *
 * @returns {Promise<boolean>} whether there were any
 */
export async function clearFiles() {
  return (await globalThis.caches?.delete(CACHE)) ?? false;
}

/**
 * The bytes of a response, but no more than one above the limit.
 *
 * @param {Response} response
 * @param {number} limit
 * @param {((bytes: number) => void) | undefined} onBytes
 */
async function drain(response, limit, onBytes) {
  const reader = response.body?.getReader();
  if (!reader) return new Uint8Array(await response.arrayBuffer());
  /** @type {Uint8Array[]} */
  const chunks = [];
  let length = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    chunks.push(value);
    length += value.length;
    onBytes?.(value.length);
    if (length > limit) {
      await reader.cancel();
      break;
    }
  }
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}

/** @param {Uint8Array} bytes */
function looksLikePage(bytes) {
  const head = new TextDecoder().decode(bytes.subarray(0, 256)).trimStart().toLowerCase();
  return head.startsWith('<!doctype html') || head.startsWith('<html');
}

/** @param {unknown} e */
function text(e) {
  return e instanceof Error ? e.message : String(e);
}
