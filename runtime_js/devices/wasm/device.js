/**
 * Runs kernels compiled to WebAssembly: one module per model, with its host runtime inside
 * (`codegen/templates/host.c`). Tensors are blocks of the module's memory, which grows as needed.
 *
 * A module built with threads has a shared memory; workers (`threads.js`) then share parallel
 * loops. That needs a page that is cross-origin isolated (COOP and COEP headers), or Node.
 *
 * @module
 */

import { allocate, dtypeOf, sizeOf } from '../../dtype.js';
import {
  BundleError,
  DeviceError,
  DisposedError,
  WeftError,
  checkAborted,
  messageOf,
} from '../../errors.js';
import { kindOf, optionsOf } from '../../program.js';
import { compile, hasVectors } from './module.js';
import { mayWait, sharedMemory, startWorkers } from './threads.js';

/** @typedef {import('../device.js').Codes} Codes */
/** @typedef {import('../device.js').Device} Device */
/** @typedef {import('../device.js').DeviceClass} DeviceClass */
/** @typedef {import('../device.js').InitOptions} InitOptions */
/** @typedef {import('../../dtype.js').TypedArray} TypedArray */
/** @typedef {import('../../flags.js').Flags} Flags */
/** @typedef {import('../../program.js').Program} Program */
/** @typedef {import('./module.js').Host} Host */

const PAGE = 65536;
const STEP_BYTES = 8; // number of the kernel, address of its arguments
/** @type {readonly (keyof Host)[]} */
const EXPORTS = ['weft_alloc', 'weft_names', 'weft_run'];
const ARGUMENT_BYTES = 8; // addresses are passed as 64-bit integers

/** @type {DeviceClass} */
export const device = Object.freeze({
  kind: 'wasm',
  available(/** @type {Flags} */ _flags, /** @type {string} */ target) {
    if (typeof WebAssembly !== 'object') {
      return { ok: false, reason: 'there is no WebAssembly here' };
    }
    if (!hasVectors()) {
      return { ok: false, reason: 'this WebAssembly has no vectors (SIMD128)' };
    }
    if (!wantsThreads(target)) return { ok: true, reason: 'WebAssembly with SIMD' };
    if (typeof SharedArrayBuffer !== 'function' || globalThis.crossOriginIsolated === false) {
      const reason = 'threads need a page that is cross-origin isolated (COOP and COEP headers)';
      return { ok: false, reason };
    }
    return { ok: true, reason: 'WebAssembly with SIMD and threads' };
  },
  create: (/** @type {Flags} */ flags) => new WasmDevice(flags),
});

/** @param {string} target */
function wantsThreads(target) {
  return kindOf(target) === 'wasm' && ['1', 'true'].includes(optionsOf(target).threads);
}

/**
 * What a module that weft did not make, or that is damaged, does in place of what it should.
 *
 * @param {string} code
 * @param {string} where
 * @param {unknown} cause
 */
function foreign(code, where, cause) {
  const why = messageOf(cause);
  return new BundleError(`the module '${code}' does not behave as one of weft's: ${why}.`, {
    where,
    hint: 'it is damaged, or of another version of weft; compile the model again',
    cause,
  });
}

/** @implements {Device} */
export class WasmDevice {
  kind = 'wasm';
  description = 'WebAssembly, SIMD';
  mayBeLost = false;
  lost = false;
  /** @type {Readonly<Record<string, number>>} */
  limits = Object.freeze({ memory_bytes: 65536 * PAGE });

  /** @param {Flags} flags */
  constructor(flags) {
    this.#flags = flags;
  }

  /** @type {Flags} */
  #flags;
  /** @type {Host | null} */
  #host = null;
  /** @type {WebAssembly.Memory | null} */
  #memory = null;
  /** @type {Map<number, {at: number, slot: import('../../program.js').Slot}>} */
  #slots = new Map();
  /** @type {Map<number, number>} address in the table of steps of each step of the program */
  #steps = new Map();
  /** @type {Map<number, number[]>} where in the tables of arguments a number stands, by its slot */
  #numbers = new Map();
  /** @type {{terminate: () => unknown}[]} */
  #workers = [];
  #blocks = 0;
  #disposed = false;

  /**
   * @param {Program} program
   * @param {Codes} codes
   * @param {InitOptions} options
   */
  async init(program, codes, options) {
    this.#free(); // an earlier call may have been stopped half-way
    const { signal, onCompile, steps } = options;
    const kernels = new Map(program.kernels.map((k) => [k.name, k]));
    const names = new Set(steps.map((k) => program.steps[k].kernel));
    const wanted = new Set([...names].map((n) => kernels.get(n)?.code ?? ''));
    if (wanted.size > 1) {
      throw new BundleError(`the kernels of wasm lie in ${wanted.size} modules instead of one.`, {
        where: program.name,
      });
    }
    const [code] = wanted;
    if (code !== undefined) {
      const module = await compile(codes[code], code, program.name);
      this.#checkDisposed();
      checkAborted(signal, 'compiling wasm');
      try {
        await this.#start(module, program);
        this.#allocate(program, options, code);
      } catch (e) {
        throw e instanceof WeftError ? e : foreign(code, program.name, e);
      }
    }
    onCompile?.(names.size, names.size);
  }

  /**
   * @param {WebAssembly.Module} module
   * @param {Program} program
   */
  async #start(module, { name, target }) {
    const shared = WebAssembly.Module.imports(module).some((i) => i.kind === 'memory');
    const memory = shared ? sharedMemory(name) : undefined;
    const instance = await WebAssembly.instantiate(module, memory ? { env: { memory } } : {});
    const host = /** @type {Host} */ (/** @type {unknown} */ (instance.exports));
    this.#checkDisposed();
    this.#host = host;
    this.#memory = memory ?? /** @type {WebAssembly.Memory} */ (host.memory);
    const lacks = EXPORTS.find((name) => typeof host[name] !== 'function');
    if (lacks) throw new Error(`it has no function ${lacks}`);
    host._initialize?.();
    if (!memory) return;
    const alloc = (/** @type {number} */ bytes) => this.#alloc(bytes);
    const most = Number(optionsOf(target).num_threads ?? 0);
    const threads = { wanted: this.#flags.threads, most };
    const workers = await startWorkers(module, memory, threads, alloc, this.#workers);
    this.#checkDisposed();
    host.weft_pool?.(workers, mayWait() ? 1 : 0);
    this.description = `WebAssembly, SIMD, ${workers ? `${workers + 1} threads` : '1 thread'}`;
  }

  /**
   * @param {Program} program
   * @param {InitOptions} options
   * @param {string} code
   */
  #allocate(program, { slots, steps, roots }, code) {
    const host = this.#ready();
    const own = kindOf(program.target) === 'wasm';
    const arena = own && program.arena ? this.#alloc(program.arena) : 0;
    for (const k of slots) {
      const slot = program.slots[k];
      const bytes = Math.max(slot.nbytes, sizeOf(slot.physical) * dtypeOf(slot.dtype).bytes);
      const planned = own && slot.kind === 'arena';
      this.#slots.set(k, { at: planned ? arena + slot.offset : this.#alloc(bytes), slot });
    }
    const numbers = this.#kernelNumbers(host);
    const count = steps.reduce((n, k) => n + program.steps[k].args.length, 0);
    const table = this.#alloc(steps.length * STEP_BYTES);
    let place = this.#alloc(count * ARGUMENT_BYTES);
    const words = new Uint32Array(this.#buffer());
    steps.forEach((k, i) => {
      const step = program.steps[k];
      const number = numbers.get(step.kernel);
      if (number === undefined) {
        throw new BundleError(`the module ${code} has no kernel '${step.kernel}'.`, {
          where: program.name,
          hint: 'program and code are of different compilations; compile the model again',
        });
      }
      this.#steps.set(k, table + i * STEP_BYTES);
      words.set([number, place], (table + i * STEP_BYTES) / 4);
      const params = program.kernels.find((kernel) => kernel.name === step.kernel)?.params ?? [];
      step.args.forEach((arg, n) => {
        if (params[n].access === 's') {
          this.#numbers.set(arg, [...(this.#numbers.get(arg) ?? []), place]);
        } else {
          words.set([this.#place(roots[arg]).at, 0], place / 4);
        }
        place += ARGUMENT_BYTES;
      });
    });
  }

  /**
   * @param {Host} host
   * @returns {Map<string, number>}
   */
  #kernelNumbers(host) {
    const bytes = new Uint8Array(this.#buffer());
    /** @type {Map<string, number>} */
    const numbers = new Map();
    for (let at = host.weft_names(), number = 0; bytes[at]; number++) {
      const end = bytes.indexOf(0, at);
      numbers.set(String.fromCharCode(...bytes.subarray(at, end)), number);
      at = end + 1;
    }
    return numbers;
  }

  /**
   * @param {number} slot
   * @param {TypedArray} data
   */
  upload(slot, data) {
    const { at } = this.#place(slot);
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    new Uint8Array(this.#buffer(), at, bytes.length).set(bytes);
    // A number lies in the lowest bytes of its argument; kernels look at no others.
    for (const place of this.#numbers.get(slot) ?? []) {
      new Uint8Array(this.#buffer(), place, bytes.length).set(bytes);
    }
  }

  /**
   * @param {number} slot
   * @returns {Promise<TypedArray>}
   */
  async download(slot) {
    const { at, slot: s } = this.#place(slot);
    const data = allocate(dtypeOf(s.dtype), sizeOf(s.physical));
    const bytes = new Uint8Array(data.buffer);
    bytes.set(new Uint8Array(this.#buffer(), at, bytes.length));
    return data;
  }

  /**
   * @param {number} begin
   * @param {number} end
   */
  run(begin, end) {
    const at = this.#steps.get(begin);
    if (begin < end && at !== undefined) this.#call(at, end - begin);
  }

  async finish() {
    this.#checkDisposed(); // run returns when everything has ended
  }

  /**
   * @param {number} begin
   * @param {number} end
   */
  async time(begin, end) {
    const times = new Float64Array(end - begin);
    for (let k = begin; k < end; k++) {
      const start = performance.now();
      this.run(k, k + 1);
      times[k - begin] = performance.now() - start;
    }
    return times;
  }

  memory() {
    return { buffers: this.#blocks, bytes: this.#memory?.buffer.byteLength ?? 0 };
  }

  dispose() {
    this.#disposed = true;
    this.#free();
  }

  #free() {
    for (const w of this.#workers) w.terminate();
    this.#workers = [];
    this.#host = this.#memory = null;
    this.#slots.clear();
    this.#steps.clear();
    this.#numbers.clear();
    this.#blocks = 0;
  }

  /**
   * @param {number} at
   * @param {number} count
   */
  #call(at, count) {
    try {
      this.#ready().weft_run(at, count);
    } catch (cause) {
      if (cause instanceof WeftError) throw cause;
      throw new DeviceError(`a kernel stopped: ${messageOf(cause)}.`, {
        where: 'wasm',
        hint: 'most likely its memory could not grow; close other pages, or use a smaller model',
        cause,
      });
    }
  }

  /** @param {number} bytes */
  #alloc(bytes) {
    const at = bytes < 2 ** 32 ? this.#ready().weft_alloc(bytes) >>> 0 : 0;
    if (!at) {
      const used = (this.memory().bytes / 2 ** 20).toFixed(0);
      throw new DeviceError(`there is no memory for ${bytes} bytes more than ${used} MiB.`, {
        where: 'wasm',
        hint: 'close other pages, or use a smaller model',
      });
    }
    const { byteLength } = this.#buffer();
    if (at + bytes > byteLength) throw new RangeError(`a block at ${at} of ${byteLength} bytes`);
    this.#blocks += 1;
    return at;
  }

  /** The memory as it is now: growing replaces the buffer. */
  #buffer() {
    this.#ready();
    return /** @type {WebAssembly.Memory} */ (this.#memory).buffer;
  }

  /** @param {number} slot */
  #place(slot) {
    const found = this.#slots.get(slot);
    this.#checkDisposed();
    if (!found) throw new Error(`slot ${slot} is not on this device`);
    return found;
  }

  /** @returns {Host} */
  #ready() {
    this.#checkDisposed();
    if (!this.#host) throw new Error('init comes before anything else');
    return this.#host;
  }

  #checkDisposed() {
    if (this.#disposed) throw new DisposedError('the device was disposed of.', { where: 'wasm' });
  }
}
