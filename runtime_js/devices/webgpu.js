/**
 * WebGPU: tensors are storage buffers, kernels are compute shaders, all steps of a run are one
 * submission.
 *
 * A kernel's parameters are the bindings 0, 1, … of group 0 in their order, and its entry point has
 * its name. Buffers are multiples of 16 bytes, so that a kernel may read whole vectors.
 *
 * @module
 */

import { convert, dtypeOf, sizeOf } from '../dtype.js';
import { DeviceError, checkAborted } from '../errors.js';
import { sharePool } from '../plan.js';
import {
  assumedBy, findAdapter, geometry, makeDevice, misfit, neededBy, unfit,
} from './webgpu_adapter.js'; // prettier-ignore
import { compileAll, lost } from './webgpu_kernels.js';
import { checkFits, wordOf } from './words.js';

/** @typedef {import('./device.js').Availability} Availability */
/** @typedef {import('./device.js').Codes} Codes */
/** @typedef {import('./device.js').Device} Device */
/** @typedef {import('./device.js').DeviceClass} DeviceClass */
/** @typedef {import('./device.js').InitOptions} InitOptions */
/** @typedef {import('./webgpu_kernels.js').Compiled} Compiled */
/** @typedef {import('../dtype.js').DType} DType */
/** @typedef {import('../dtype.js').TypedArray} TypedArray */
/** @typedef {import('../flags.js').Flags} Flags */
/** @typedef {import('../program.js').Program} Program */

/**
 * One kernel call, ready to be dispatched.
 *
 * @typedef {object} Dispatch
 * @property {string} kernel
 * @property {GPUComputePipeline} pipeline
 * @property {GPUBindGroup} group
 * @property {readonly [number, number, number]} blocks
 */

/** Time stamps of one query set. */
const MAX_STAMPS = 4096;

/** @implements {Device} */
class WebGPUDevice {
  kind = 'webgpu';
  mayBeLost = true;
  description = 'webgpu';
  /** @type {Readonly<Record<string, number>>} */
  limits = {};

  /** @param {Flags} _flags none of which is for this device */
  constructor(_flags) {}

  /** @type {GPUDevice | null} */
  #device = null;
  #lost = false;
  #disposed = false;
  /** @type {Set<number>} steps that did not yet run without an error */
  #unproven = new Set();
  /** @type {number[]} those among them that are running now */
  #tried = [];
  #half = false;
  /** @type {Program | null} */
  #program = null;
  /** @type {Map<number, GPUBuffer>} by root slot */
  #buffers = new Map();
  /** @type {GPUBuffer[]} */
  #pool = [];
  /** @type {Map<number, Dispatch>} by step */
  #dispatches = new Map();
  /** @type {GPUCommandEncoder | null} what was recorded and not yet submitted */
  #pending = null;
  /** @type {GPUBuffer[]} read-back buffers that no download uses now */
  #staging = [];
  #stagingCount = 0;
  #stagingBytes = 0;
  /** @type {DeviceError | null} what went wrong on the device's own time line */
  #failure = null;
  /** @type {Promise<void>[]} error scopes whose answers are to come */
  #scopes = [];

  get lost() {
    return this.#lost;
  }

  /**
   * @param {Program} program
   * @param {Codes} codes
   * @param {InitOptions} options
   */
  async init(program, codes, options) {
    this.#forget();
    const found = await findAdapter();
    if ('why' in found) throw unfit(found.why);
    const { adapter, name } = found;
    const assumed = assumedBy(program.target);
    this.#half = assumed.float16;
    this.#program = program;
    const largest = Math.max(16, ...options.slots.map((k) => this.#bytesOf(k)));
    const needs = neededBy(program, options.steps, largest);
    const why = misfit(adapter, needs);
    if (why) throw unfit(why, name);
    const device = await makeDevice(adapter, needs, program.name);
    if (this.#disposed) {
      device.destroy();
      throw lost();
    }
    this.#device = device;
    this.#lost = false;
    this.#failure = null;
    device.lost.then(() => {
      if (this.#device === device) this.#lost = true;
    });
    device.addEventListener('uncapturederror', (event) => {
      event.preventDefault();
      if (this.#device === device) this.#blame(event.error.message);
    });
    this.limits = Object.fromEntries(
      Object.keys(needs.limits).map((key) => [key, Number(Reflect.get(device.limits, key))]),
    );
    this.description = `webgpu, ${name}${this.#half ? ', 16-bit floats' : ''}`;
    const compiled = await this.#compile(device, program, codes, options);
    this.#check(device);
    await this.#allocate(device, program, options);
    this.#check(device);
    await this.#prepareDispatches(device, program, options, compiled);
    this.#check(device);
  }

  /**
   * @param {GPUDevice} device
   * @param {Program} program
   * @param {Codes} codes
   * @param {InitOptions} options
   */
  async #compile(device, program, codes, { steps, signal, onCompile }) {
    const wanted = new Set(steps.map((k) => program.steps[k].kernel));
    const sources = program.kernels
      .filter((k) => wanted.has(k.name))
      .map((kernel) => {
        const code = codes[kernel.code];
        if (typeof code !== 'string') {
          throw new DeviceError(`the shader '${kernel.code}' is missing.`, { where: program.name });
        }
        return { kernel, text: code };
      });
    try {
      return await compileAll(device, sources, signal, (done, total) => onCompile?.(done, total));
    } catch (e) {
      this.#check(device); // whatever else failed, failed because of that
      throw e;
    }
  }

  /**
   * @param {GPUDevice} device
   * @param {Program} program
   * @param {InitOptions} options
   */
  async #allocate(device, program, { roots, steps, slots, pinned }) {
    const bytesOf = (/** @type {number} */ k) => this.#bytesOf(k);
    const { place, sizes } = sharePool(program, roots, steps, slots, pinned, () => '', bytesOf);
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
    device.pushErrorScope('validation');
    device.pushErrorScope('out-of-memory');
    this.#pool = sizes.map((size) => device.createBuffer({ size, usage }));
    const errors = await Promise.all([device.popErrorScope(), device.popErrorScope()]);
    const error = errors.find((e) => e);
    if (error) {
      const total = sizes.reduce((n, size) => n + size, 0);
      throw new DeviceError(
        `there is too little graphics memory for the ${(total / 2 ** 20).toFixed(1)} MiB of the ` +
          `model (${error.message}).`,
        { where: this.description, hint: 'close other pages, or use wasm' },
      );
    }
    for (const [slot, index] of place) this.#buffers.set(slot, this.#pool[index]);
  }

  /**
   * @param {GPUDevice} device
   * @param {Program} program
   * @param {InitOptions} options
   * @param {Map<string, Compiled>} compiled
   */
  async #prepareDispatches(device, program, { roots, steps }, compiled) {
    const kernels = new Map(program.kernels.map((k) => [k.name, k]));
    const scopes = steps.map((k) => {
      const { kernel, args } = program.steps[k];
      const { pipeline, layout } = /** @type {Compiled} */ (compiled.get(kernel));
      device.pushErrorScope('validation');
      const group = device.createBindGroup({
        label: kernel,
        layout,
        entries: args.map((slot, binding) => {
          const buffer = /** @type {GPUBuffer} */ (this.#buffers.get(roots[slot]));
          return { binding, resource: { buffer, size: this.#bytesOf(slot) } };
        }),
      });
      const { blocks } = geometry(kernels.get(kernel)?.launch ?? {});
      this.#dispatches.set(k, { kernel, pipeline, group, blocks });
      this.#unproven.add(k);
      return this.#scope(device, k);
    });
    await Promise.all(scopes);
  }

  /**
   * End an error scope in which one step was worked on, or a whole run.
   *
   * @param {GPUDevice} device
   * @param {number} [k] the step
   */
  async #scope(device, k) {
    try {
      const error = await device.popErrorScope();
      if (error && this.#device === device) this.#blame(error.message, k);
    } catch {
      // The device is gone, which is found out otherwise.
    }
  }

  /**
   * Remember the first error. Messages name the objects that they are about: pipelines and bind
   * groups have the names of their kernels.
   *
   * @param {string} message
   * @param {number} [k] the step, if it is known
   */
  #blame(message, k) {
    this.#unproven = new Set(this.#dispatches.keys()); // the next run says of which step it is
    this.#tried = [];
    if (this.#failure) return;
    const program = /** @type {Program} */ (this.#program);
    const step = k === undefined ? undefined : program.steps[k];
    const named = program.kernels.find((kernel) => message.includes(`"${kernel.name}"`))?.name;
    const kernel = step?.kernel ?? named;
    const who = kernel ? `the kernel '${kernel}'${step ? ` (${step.label})` : ''}` : 'the device';
    this.#failure = new DeviceError(`${who} failed: ${message.trim()}`, {
      where: `${program.name}, ${this.description}`,
      hint: 'this is a fault of weft or of the graphics driver; wasm will work',
    });
  }

  /** Bytes of a slot's elements on the device. @param {number} k */
  #bytesOf(k) {
    const { physical, dtype } = /** @type {Program} */ (this.#program).slots[k];
    const { bytes } = wordOf(dtypeOf(dtype), this.#half);
    return Math.max(16, Math.ceil((sizeOf(physical) * bytes) / 16) * 16);
  }

  /**
   * @param {number} slot
   * @param {TypedArray} data
   */
  upload(slot, data) {
    const device = this.#alive();
    const description = /** @type {Program} */ (this.#program).slots[slot];
    checkFits(data, description, 'webgpu');
    const dtype = dtypeOf(description.dtype);
    let words = convert(data, dtype, wordOf(dtype, this.#half));
    if (words.byteLength % 4) {
      const whole = new Uint16Array(words.length + 1); // an odd number of 16-bit floats
      whole.set(/** @type {Uint16Array} */ (words));
      words = whole;
    }
    this.#submit();
    const buffer = /** @type {GPUBuffer} */ (this.#buffers.get(slot));
    device.queue.writeBuffer(buffer, 0, /** @type {any} */ (words));
  }

  /**
   * @param {number} begin
   * @param {number} end
   */
  run(begin, end) {
    const device = this.#alive();
    for (let k = begin; k < end && this.#unproven.size > 0; k++) {
      if (this.#unproven.has(k)) return this.#runApart(device, begin, end);
    }
    const pass = this.#encoder(device).beginComputePass();
    for (let k = begin; k < end; k++) this.#dispatch(pass, k);
    pass.end();
  }

  /**
   * The first run, step by step, so that an error says which step it is of.
   *
   * @param {GPUDevice} device
   * @param {number} begin
   * @param {number} end
   */
  #runApart(device, begin, end) {
    this.#submit();
    for (let k = begin; k < end; k++) {
      device.pushErrorScope('validation');
      const encoder = device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      this.#dispatch(pass, k);
      pass.end();
      device.queue.submit([encoder.finish()]);
      this.#scopes.push(this.#scope(device, k));
      this.#tried.push(k);
    }
  }

  /**
   * @param {GPUComputePassEncoder} pass
   * @param {number} k the step
   */
  #dispatch(pass, k) {
    const { pipeline, group, blocks } = /** @type {Dispatch} */ (this.#dispatches.get(k));
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, group);
    pass.dispatchWorkgroups(...blocks);
  }

  /**
   * Where commands are recorded. What one task of the page asks for, the steps of a run and the
   * copies of its results, becomes one submission.
   *
   * @param {GPUDevice} device
   */
  #encoder(device) {
    if (!this.#pending) {
      this.#pending = device.createCommandEncoder();
      queueMicrotask(() => this.#submit());
    }
    return this.#pending;
  }

  #submit() {
    const [encoder, device] = [this.#pending, this.#device];
    this.#pending = null;
    if (!encoder || !device) return;
    device.pushErrorScope('validation');
    device.queue.submit([encoder.finish()]);
    this.#scopes.push(this.#scope(device));
  }

  /**
   * @param {number} slot
   * @param {AbortSignal} [signal]
   * @returns {Promise<TypedArray>}
   */
  async download(slot, signal) {
    const device = this.#alive();
    const { dtype, physical } = /** @type {Program} */ (this.#program).slots[slot];
    const word = wordOf(dtypeOf(dtype), this.#half);
    const size = this.#bytesOf(slot);
    const buffer = /** @type {GPUBuffer} */ (this.#buffers.get(slot));
    const staging = this.#stage(device, size);
    this.#encoder(device).copyBufferToBuffer(buffer, 0, staging, 0, size);
    const bytes = await this.#read(device, staging, size);
    await this.#settle(device);
    checkAborted(signal, 'the run');
    return convert(word.view(bytes, 0, sizeOf(physical)), word, dtypeOf(dtype));
  }

  /**
   * A buffer that the page can read.
   *
   * @param {GPUDevice} device
   * @param {number} size
   */
  #stage(device, size) {
    const at = this.#staging.findIndex((b) => b.size === size);
    if (at >= 0) return this.#staging.splice(at, 1)[0];
    this.#stagingCount += 1;
    this.#stagingBytes += size;
    return device.createBuffer({ size, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
  }

  /**
   * The bytes of a staging buffer, when everything before has ended; the buffer is free then.
   *
   * @param {GPUDevice} device
   * @param {GPUBuffer} staging
   * @param {number} size
   * @returns {Promise<ArrayBuffer>}
   */
  async #read(device, staging, size) {
    await Promise.resolve(); // other results of the run are asked for in this same task
    try {
      await staging.mapAsync(GPUMapMode.READ);
    } catch {
      // Mapping fails when the device is lost, or when the copy before it was not valid.
      await this.#settle(device);
      this.#lost ||= this.#device === device;
      throw lost();
    }
    const bytes = staging.getMappedRange().slice(0, size);
    staging.unmap();
    if (this.#device === device) this.#staging.push(staging);
    return bytes;
  }

  /**
   * Wait for what error scopes say; steps that ran without an error are known good.
   *
   * @param {GPUDevice} device
   */
  async #settle(device) {
    const scopes = this.#scopes;
    if (scopes.length) {
      this.#scopes = [];
      await Promise.all(scopes);
    }
    this.#check(device);
    for (const k of this.#tried.splice(0)) this.#unproven.delete(k);
  }

  async finish() {
    const device = this.#alive();
    this.#submit();
    await device.queue.onSubmittedWorkDone();
    await this.#settle(device);
  }

  /**
   * @param {number} begin
   * @param {number} end
   * @returns {Promise<Float64Array>}
   */
  async time(begin, end) {
    const device = this.#alive();
    await this.finish();
    const times = new Float64Array(end - begin);
    if (device.features.has('timestamp-query')) {
      const most = MAX_STAMPS / 2;
      for (let k = begin; k < end; k += most) {
        times.set(await this.#stamps(device, k, Math.min(end, k + most)), k - begin);
      }
      return times;
    }
    for (let k = begin; k < end; k++) {
      const start = performance.now();
      const pass = this.#encoder(device).beginComputePass();
      this.#dispatch(pass, k);
      pass.end();
      await this.finish();
      times[k - begin] = performance.now() - start;
    }
    return times;
  }

  /**
   * Milliseconds of each step by the device's own clock.
   *
   * @param {GPUDevice} device
   * @param {number} begin
   * @param {number} end
   */
  async #stamps(device, begin, end) {
    const count = 2 * (end - begin);
    const set = device.createQuerySet({ type: 'timestamp', count });
    const usage = GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC;
    const resolved = device.createBuffer({ size: 8 * count, usage });
    try {
      const encoder = this.#encoder(device);
      for (let k = begin; k < end; k++) {
        const at = 2 * (k - begin);
        const pass = encoder.beginComputePass({
          timestampWrites: {
            querySet: set,
            beginningOfPassWriteIndex: at,
            endOfPassWriteIndex: at + 1,
          },
        });
        this.#dispatch(pass, k);
        pass.end();
      }
      encoder.resolveQuerySet(set, 0, count, resolved, 0);
      const staging = this.#stage(device, 8 * count);
      encoder.copyBufferToBuffer(resolved, 0, staging, 0, 8 * count);
      const stamps = new BigUint64Array(await this.#read(device, staging, 8 * count));
      await this.#settle(device);
      // Clocks of some drivers jump backwards between passes.
      return Float64Array.from({ length: end - begin }, (_, k) =>
        Math.max(0, Number(BigInt.asIntN(64, stamps[2 * k + 1] - stamps[2 * k])) / 1e6),
      );
    } finally {
      set.destroy();
      resolved.destroy();
    }
  }

  memory() {
    if (this.lost) return { buffers: 0, bytes: 0 };
    const bytes = this.#pool.reduce((n, b) => n + b.size, this.#stagingBytes);
    return { buffers: this.#pool.length + this.#stagingCount, bytes };
  }

  dispose() {
    this.#forget();
    this.#disposed = true;
  }

  /** The device, if it is to be used at all. */
  #alive() {
    const device = this.#device;
    if (!device) throw lost();
    this.#check(device);
    return device;
  }

  /**
   * @param {GPUDevice} device
   * @throws when the device is no longer that of this model, is lost, or failed
   */
  #check(device) {
    if (this.#disposed || this.#device !== device || this.#lost) throw lost();
    const failure = this.#failure;
    this.#failure = null; // the next call tries again
    if (failure) throw failure;
  }

  /** Gives back the device and everything in it. */
  #forget() {
    const device = this.#device;
    this.#device = null;
    this.#pending = null;
    device?.destroy();
    this.#buffers.clear();
    this.#dispatches.clear();
    this.#unproven.clear();
    this.#tried = [];
    this.#pool = [];
    this.#staging = [];
    this.#stagingCount = 0;
    this.#stagingBytes = 0;
    this.#scopes = [];
    this.#failure = null;
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
    return { ok: true, software, reason: `WebGPU, ${name}` };
  },

  create: (flags) => new WebGPUDevice(flags),
};
