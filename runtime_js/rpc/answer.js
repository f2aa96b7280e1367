/**
 * Answers the messages of `runtime/rpc/protocol.py`: holds programs, runs them on arrays. The same in
 * a page and under Node; what carries the messages is the business of `page.js` and `node.mjs`.
 *
 * A context that the browser takes away while nothing runs is made anew without a word; in the middle
 * of a run it is an error of that run, which may be why, and the next run has a new one.
 *
 * @module
 */

import { dtypeOf, sizeOf } from '../dtype.js';
import { InputError, WeftError } from '../errors.js';
import { makeFlags } from '../flags.js';
import { makeExecutor } from '../loader.js';
import { Params } from '../params.js';
import { parseProgram } from '../program.js';
import { VERSION } from './numbers.js';

/** @typedef {import('../dtype.js').TypedArray} TypedArray */
/** @typedef {import('../executor.js').Executor} Executor */
/** @typedef {import('./frames.js').Message} Message */

/**
 * A program and the order of what goes in and comes out: tables lose it where names are numbers.
 *
 * @typedef {object} Held
 * @property {Executor} executor
 * @property {readonly string[]} inputs
 * @property {readonly string[]} outputs
 */

/**
 * @typedef {object} Answer
 * @property {Record<string, any>} header
 * @property {readonly TypedArray[]} [parts]
 */

/**
 * What answers the messages of one client.
 *
 * @param {string} platform what this is, in words
 * @returns {(message: Message) => Promise<Answer | null>} null for a message without an answer; never
 *   rejects
 */
export function answering(platform) {
  /** @type {Map<number, Held>} */
  const held = new Map();
  /** @type {Map<number, Uint8Array>} */
  const arrays = new Map();
  let last = 0;

  /** @param {Message['header']} header @returns {Held} */
  const program = ({ handle }) => {
    const found = held.get(handle);
    if (found) return found;
    throw new InputError(`there is no program ${handle}.`, { where: platform });
  };

  /** @param {number} handle */
  const array = (handle) => {
    const found = arrays.get(handle);
    if (found) return found;
    throw new InputError(`there is no array ${handle}.`, { where: platform });
  };

  /**
   * The inputs of a message: arrays that are here, and its parts.
   *
   * @param {Message} message
   * @param {Held} program
   */
  const feedsOf = ({ header, parts }, { executor, inputs }) => {
    let next = 0;
    const given = /** @type {number[]} */ (header.arrays).map((handle) =>
      handle ? array(handle) : parts[next++],
    );
    return Object.fromEntries(
      executor.inputs.map(({ name, dtype, shape }) => [
        name,
        view(given[inputs.indexOf(name)], dtypeOf(dtype), sizeOf(shape), name),
      ]),
    );
  };

  /** @param {number} handle @param {TypedArray} data */
  const keep = (handle, data) => {
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    if (bytes.length !== array(handle).length) {
      throw new InputError(`array ${handle} has ${array(handle).length} bytes, not ${bytes.length}.`);
    }
    arrays.set(handle, bytes);
  };

  /** @type {Readonly<Record<string, (m: Message) => Answer | null | Promise<Answer | null>>>} */
  const kinds = {
    hello({ header }) {
      if (header.version !== VERSION) {
        throw new InputError(`version ${header.version} is spoken there, and ${VERSION} here.`);
      }
      return { header: { kind: 'welcome', version: VERSION, platform } };
    },

    async load({ header, parts }) {
      const { inputs, outputs } = header;
      const executor = await load(header, parts);
      held.set(++last, { executor, inputs, outputs });
      const devices = [...executor.devices.values()].map((d) => d.description);
      return { header: { kind: 'loaded', handle: last, devices } };
    },

    async run(message) {
      const { into } = message.header;
      const found = program(message.header);
      const feeds = feedsOf(message, found);
      for (const handle of into) if (handle) array(handle);
      const results = await found.executor.run(feeds);
      const parts = [];
      for (const [k, name] of found.outputs.entries()) {
        const { data } = results[name];
        if (into[k]) keep(into[k], data);
        else parts.push(data);
      }
      return { header: { kind: 'results' }, parts };
    },

    async bench(message) {
      const { number, repeat } = message.header;
      const { executor } = program(message.header);
      const feeds = feedsOf(message, program(message.header));
      await executor.run(feeds);
      const times = new Float64Array(repeat);
      for (let k = 0; k < repeat; k++) {
        const begin = performance.now();
        for (let i = 0; i < number; i++) await executor.run(feeds);
        times[k] = (performance.now() - begin) / number;
      }
      return { header: { kind: 'times', rows: repeat }, parts: [times] };
    },

    async time(message) {
      const { repeat } = message.header;
      const found = program(message.header);
      const feeds = feedsOf(message, found);
      const { rows, counts } = await found.executor.time(feeds, { repeat });
      const times = new Float64Array(rows.length * counts.length);
      rows.forEach((row, k) => times.set(row, k * counts.length));
      const parts = found.executor.program.flow.length ? [times, counts] : [times];
      return { header: { kind: 'times', rows: rows.length }, parts };
    },

    put({ parts }) {
      arrays.set(++last, parts[0]);
      return { header: { kind: 'kept', handle: last } };
    },

    get({ header }) {
      return { header: { kind: 'results' }, parts: [array(header.handle)] };
    },

    close({ header }) {
      for (const handle of header.handles) {
        held.get(handle)?.executor.dispose();
        held.delete(handle);
        arrays.delete(handle);
      }
      return null;
    },

    state() {
      const total = { programs: held.size, arrays: arrays.size, buffers: 0, bytes: 0 };
      for (const { executor } of held.values()) {
        const { buffers, bytes } = executor.memory();
        total.buffers += buffers;
        total.bytes += bytes;
      }
      return { header: { kind: 'stated', ...total } };
    },
  };

  return async (message) => {
    const { kind, id } = message.header;
    try {
      if (!Object.hasOwn(kinds, kind)) throw new InputError(`there are no messages '${kind}'.`);
      const answer = await kinds[kind](message);
      return answer && { ...answer, header: { ...answer.header, id } };
    } catch (e) {
      return { header: { kind: 'error', id, ...wordsOf(e) } };
    }
  };
}

/**
 * @param {Message['header']} header
 * @param {Message['parts']} parts codes, then parameters
 */
async function load({ program: json, codes, params, flags }, parts) {
  const program = parseProgram(json, json?.name ?? '');
  /** @type {Record<string, Record<string, string | Uint8Array>>} */
  const table = {};
  /** @type {{device: string, name: string, text: boolean}[]} */ (codes).forEach((c, k) => {
    table[c.device] ??= {};
    table[c.device][c.name] = c.text ? new TextDecoder().decode(parts[k]) : parts[k];
  });
  const stored = /** @type {{name: string, dtype: string, shape: number[]}[]} */ (params).map(
    ({ name, dtype, shape }, k) => {
      const d = dtypeOf(dtype);
      const data = view(parts[codes.length + k], d, sizeOf(shape), name);
      return /** @type {const} */ ([name, { dtype: d, shape, data }]);
    },
  );
  const constants = new Params(new Map(stored), false);
  const made = await makeExecutor(program, table, constants, makeFlags(flags));
  try {
    await made.prepare();
  } catch (e) {
    made.dispose();
    throw e;
  }
  return made;
}

/**
 * @param {Uint8Array | undefined} part lies where every dtype may
 * @param {Readonly<import('../dtype.js').DType>} dtype
 * @param {number} count
 * @param {string} name
 */
function view(part, dtype, count, name) {
  if (part?.length !== count * dtype.bytes) {
    const bytes = part?.length ?? 'no';
    throw new InputError(`'${name}' has ${bytes} bytes, not ${count} of ${dtype.name}.`);
  }
  return dtype.view(part.buffer, part.byteOffset, count);
}

/** @param {unknown} e */
function wordsOf(e) {
  if (e instanceof WeftError) {
    return { name: e.name, message: e.detail, where: e.where, hint: e.hint };
  }
  const { name, message } = e instanceof Error ? e : { name: 'Error', message: String(e) };
  return { name, message, where: '', hint: '' };
}
