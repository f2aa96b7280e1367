/**
 * WebGPU: tensors are storage buffers (`buffers.js`), kernels are compute shaders (`kernels.js`),
 * all steps of a run are one submission (`commands.js`).
 *
 * @module
 */

import { DeviceError, checkAborted } from '../../errors.js';
import {
  assumedBy, findAdapter, lostError, makeDevice, misfit, neededBy, unfitError,
} from './adapter.js'; // prettier-ignore
import { Buffers, bytesOf } from './buffers.js';
import { Commands } from './commands.js';
import { Faults } from './faults.js';
import { compileAll } from './kernels.js';

/** @typedef {import('../../dtype.js').TypedArray} TypedArray */
/** @typedef {import('../../flags.js').Flags} Flags */
/** @typedef {import('../../program.js').Program} Program */
/** @typedef {import('../device.js').Availability} Availability */
/** @typedef {import('../device.js').Codes} Codes */
/** @typedef {import('../device.js').Device} Device */
/** @typedef {import('../device.js').DeviceClass} DeviceClass */
/** @typedef {import('../device.js').InitOptions} InitOptions */

/**
 * A device of the browser's and all that was made on it for a program.
 *
 * @typedef {object} Session
 * @property {GPUDevice} gpu
 * @property {Buffers} buffers
 * @property {Commands} commands
 * @property {Faults} faults
 */

/** Time stamps of one query set. */
const MAX_STAMPS = 4096;

/** @implements {Device} */
class WebGPUDevice {
  kind = 'webgpu';
  mayBeLost = true;
  lost = false;
  description = 'webgpu';
  /** @type {Readonly<Record<string, number>>} */
  limits = {};

  /** @param {Flags} _flags none of which is for this device */
  constructor(_flags) {}

  /** @type {Session | null} */
  #session = null;
  #disposed = false;

  /**
   * @param {Program} program
   * @param {Codes} codes
   * @param {InitOptions} options
   */
  async init(program, codes, options) {
    this.#forget();
    const found = await findAdapter();
    if ('why' in found) throw unfitError(found.why);
    const { adapter, name } = found;
    const half = assumedBy(program.target).float16;
    const largest = Math.max(16, ...options.slots.map((k) => bytesOf(program, k, half)));
    const needs = neededBy(program, options.steps, largest);
    const why = misfit(adapter, needs);
    if (why) throw unfitError(why, name);
    const gpu = await makeDevice(adapter, needs, program.name);
    if (this.#disposed) {
      gpu.destroy();
      throw lostError();
    }
    this.description = `webgpu, ${name}${half ? ', 16-bit floats' : ''}`;
    const faults = new Faults(gpu, program, this.description);
    const buffers = new Buffers(gpu, program, half, this.description);
    const session = { gpu, buffers, faults, commands: new Commands(gpu, buffers, faults) };
    this.#session = session;
    this.lost = false;
    gpu.lost.then(() => {
      if (this.#session === session) this.lost = true;
    });
    gpu.addEventListener('uncapturederror', (event) => {
      event.preventDefault();
      faults.blame(event.error.message);
    });
    this.limits = Object.fromEntries(
      Object.keys(needs.limits).map((key) => [key, Number(Reflect.get(gpu.limits, key))]),
    );
    const compiled = await this.#compile(session, program, codes, options);
    this.#check(session);
    await buffers.allocate(options);
    this.#check(session);
    await session.commands.prepare(program, options, compiled);
    this.#check(session);
  }

  /**
   * @param {Session} session
   * @param {Program} program
   * @param {Codes} codes
   * @param {InitOptions} options
   */
  async #compile(session, program, codes, { steps, signal, onCompile }) {
    const wanted = new Set(steps.map((k) => program.steps[k].kernel));
    const sources = program.kernels
      .filter((k) => wanted.has(k.name))
      .map((kernel) => {
        const text = codes[kernel.code];
        if (typeof text !== 'string') {
          throw new DeviceError(`the shader '${kernel.code}' is missing.`, { where: program.name });
        }
        return { kernel, text };
      });
    try {
      const onDone = (/** @type {number} */ n, /** @type {number} */ all) => onCompile?.(n, all);
      return await compileAll(session.gpu, sources, signal, onDone);
    } catch (e) {
      this.#check(session); // whatever else failed, failed because of that
      throw e;
    }
  }

  /**
   * @param {number} slot
   * @param {TypedArray} data
   */
  upload(slot, data) {
    const { gpu, buffers, commands } = this.#alive();
    const words = buffers.encode(slot, data);
    commands.submit();
    commands.setNumber(slot, buffers.slot(slot), data);
    gpu.queue.writeBuffer(buffers.of(slot), 0, /** @type {any} */ (words));
  }

  /**
   * @param {number} begin
   * @param {number} end
   */
  run(begin, end) {
    this.#alive().commands.run(begin, end);
  }

  /**
   * @param {number} slot
   * @param {AbortSignal} [signal]
   * @returns {Promise<TypedArray>}
   */
  async download(slot, signal) {
    const session = this.#alive();
    const { buffers, commands } = session;
    const staging = commands.readBack(buffers.of(slot), buffers.bytesOf(slot));
    const bytes = await this.#read(session, staging);
    checkAborted(signal, 'the run');
    return buffers.decode(slot, bytes);
  }

  /**
   * @param {Session} session
   * @param {GPUBuffer} staging
   * @returns {Promise<ArrayBuffer>} what was copied to a staging buffer
   */
  async #read(session, staging) {
    let bytes;
    try {
      bytes = await session.buffers.read(staging);
    } catch {
      // That fails when the device is lost, or when the copy was not valid.
      await this.#settle(session);
      this.lost ||= this.#session === session;
      throw lostError();
    }
    await this.#settle(session);
    return bytes;
  }

  async finish() {
    const session = this.#alive();
    session.commands.submit();
    await session.gpu.queue.onSubmittedWorkDone();
    await this.#settle(session);
  }

  /**
   * @param {number} begin
   * @param {number} end
   * @returns {Promise<Float64Array>}
   */
  async time(begin, end) {
    const session = this.#alive();
    const { gpu, commands } = session;
    await this.finish();
    const times = new Float64Array(end - begin);
    if (gpu.features.has('timestamp-query')) {
      const most = MAX_STAMPS / 2;
      const read = (/** @type {GPUBuffer} */ staging) => this.#read(session, staging);
      for (let k = begin; k < end; k += most) {
        times.set(await commands.stamps(k, Math.min(end, k + most), read), k - begin);
      }
      return times;
    }
    for (let k = begin; k < end; k++) {
      const start = performance.now();
      commands.runAlone(k);
      await this.finish();
      times[k - begin] = performance.now() - start;
    }
    return times;
  }

  memory() {
    if (!this.#session || this.lost) return { buffers: 0, bytes: 0 };
    return this.#session.buffers.memory;
  }

  dispose() {
    this.#forget();
    this.#disposed = true;
  }

  /** The session, if its device is to be used at all. */
  #alive() {
    const session = this.#session;
    if (!session) throw lostError();
    this.#check(session);
    return session;
  }

  /**
   * @param {Session} session
   * @throws when its device is no longer that of this model, is lost, or failed
   */
  #check(session) {
    if (this.#session !== session || this.lost) throw lostError();
    session.faults.check();
  }

  /** @param {Session} session */
  #settle(session) {
    return session.faults.settle(() => this.#check(session));
  }

  /** Free the browser's device and everything on it. */
  #forget() {
    const session = this.#session;
    this.#session = null;
    session?.commands.drop();
    session?.gpu.destroy();
  }
}

/** @type {DeviceClass} */
export const device = {
  kind: 'webgpu',

  /**
   * @param {Flags} _flags
   * @param {string} target
   * @returns {Promise<Availability>}
   */
  async available(_flags, target) {
    const found = await findAdapter();
    if ('why' in found) return { ok: false, reason: found.why };
    const { adapter, name, software } = found;
    const why = misfit(adapter, assumedBy(target));
    if (why) return { ok: false, reason: `${name}: ${why}` };
    const has = adapter.limits;
    const limits = {
      max_threads: has.maxComputeInvocationsPerWorkgroup,
      max_blocks: has.maxComputeWorkgroupsPerDimension,
      shared_bytes: has.maxComputeWorkgroupStorageSize,
      max_buffers: has.maxStorageBuffersPerShaderStage,
    };
    return { ok: true, software, limits, reason: `WebGPU, ${name}` };
  },

  create: (flags) => new WebGPUDevice(flags),
};
