/**
 * Kernel calls as dispatches: what each step binds, prepared once, and how a run's commands reach
 * the device, as one submission.
 *
 * A kernel's buffers are the bindings 0, 1, … of group 0 in their order, its numbers the one after
 * them: a uniform with a word of 32 bits for each.
 *
 * @module
 */

import { convert, dtypeOf } from '../../dtype.js';
import { numbersOf } from '../../program.js';
import { checkFits, wordOf } from '../words.js';
import { geometry } from './adapter.js';

/** @typedef {import('../../program.js').Program} Program */
/** @typedef {import('../device.js').InitOptions} InitOptions */
/** @typedef {import('./buffers.js').Buffers} Buffers */
/** @typedef {import('./faults.js').Faults} Faults */
/** @typedef {import('./kernels.js').Compiled} Compiled */

/**
 * One kernel call, ready to be dispatched.
 *
 * @typedef {object} Dispatch
 * @property {GPUComputePipeline} pipeline
 * @property {GPUBindGroup} group
 * @property {readonly [number, number, number]} blocks
 */

/** Commands for one device. */
export class Commands {
  /**
   * @param {GPUDevice} device
   * @param {Buffers} buffers
   * @param {Faults} faults
   */
  constructor(device, buffers, faults) {
    this.#device = device;
    this.#buffers = buffers;
    this.#faults = faults;
  }

  #device;
  #buffers;
  #faults;
  /** @type {Map<number, Dispatch>} by step */
  #dispatches = new Map();
  /** @type {Map<number, {buffer: GPUBuffer, offset: number}[]>} where a number goes, by its slot */
  #numbers = new Map();
  /** @type {GPUCommandEncoder | null} what was recorded and not yet submitted */
  #pending = null;

  /**
   * @param {Program} program
   * @param {InitOptions} options
   * @param {ReadonlyMap<string, Compiled>} compiled by kernel
   */
  async prepare(program, { roots, steps }, compiled) {
    const kernels = new Map(program.kernels.map((k) => [k.name, k]));
    const scopes = steps.map((k) => {
      const { kernel, args } = program.steps[k];
      const { pipeline, layout } = /** @type {Compiled} */ (compiled.get(kernel));
      const { params } = /** @type {import('../../program.js').Kernel} */ (kernels.get(kernel));
      this.#faults.open();
      const resources = args
        .filter((_, n) => params[n].access !== 's')
        .map((slot) => ({
          buffer: this.#buffers.of(roots[slot]),
          size: this.#buffers.bytesOf(slot),
        }));
      const numbers = numbersOf(/** @type {any} */ (kernels.get(kernel)), program.steps[k]);
      if (numbers.length) {
        const size = Math.ceil(numbers.length / 4) * 16;
        const usage = GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST;
        const buffer = this.#device.createBuffer({ size, usage });
        resources.push({ buffer, size });
        numbers.forEach((slot, n) => {
          this.#numbers.set(slot, [...(this.#numbers.get(slot) ?? []), { buffer, offset: 4 * n }]);
        });
      }
      const group = this.#device.createBindGroup({
        label: kernel,
        layout,
        entries: resources.map((resource, binding) => ({ binding, resource })),
      });
      const { blocks } = geometry(kernels.get(kernel)?.launch ?? {});
      this.#dispatches.set(k, { pipeline, group, blocks });
      this.#faults.add(k);
      return this.#faults.close(k);
    });
    await Promise.all(scopes);
  }

  /**
   * Let kernels have the value of a number from now on.
   *
   * @param {number} k
   * @param {import('../../program.js').Slot} slot
   * @param {import('../../dtype.js').TypedArray} data
   */
  setNumber(k, slot, data) {
    const places = this.#numbers.get(k);
    if (!places) return;
    checkFits(data, slot, 'webgpu');
    const dtype = dtypeOf(slot.dtype);
    const word = convert(data, dtype, wordOf(dtype));
    for (const { buffer, offset } of places) {
      this.#device.queue.writeBuffer(buffer, offset, /** @type {any} */ (word));
    }
  }

  /**
   * @param {number} begin
   * @param {number} end
   */
  run(begin, end) {
    if (this.#faults.unproven(begin, end)) return this.#runApart(begin, end);
    const pass = this.#encoder().beginComputePass();
    for (let k = begin; k < end; k++) this.#dispatch(pass, k);
    pass.end();
  }

  /**
   * The first run, step by step, so that an error says which step it is of.
   *
   * @param {number} begin
   * @param {number} end
   */
  #runApart(begin, end) {
    this.submit();
    for (let k = begin; k < end; k++) {
      this.#faults.open();
      const encoder = this.#device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      this.#dispatch(pass, k);
      pass.end();
      this.#device.queue.submit([encoder.finish()]);
      this.#faults.submitted(k);
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
   * Copy a buffer to one that the page can read.
   *
   * @param {GPUBuffer} buffer
   * @param {number} size
   * @returns {GPUBuffer} the staging buffer
   */
  readBack(buffer, size) {
    const staging = this.#buffers.stage(size);
    this.#encoder().copyBufferToBuffer(buffer, 0, staging, 0, size);
    return staging;
  }

  /**
   * Run steps one by one alone, so that each can be measured.
   *
   * @param {number} k
   */
  runAlone(k) {
    const pass = this.#encoder().beginComputePass();
    this.#dispatch(pass, k);
    pass.end();
  }

  /**
   * Run steps with time stamps of the device's own clock around each.
   *
   * @param {number} begin
   * @param {number} end
   * @param {(staging: GPUBuffer) => Promise<ArrayBuffer>} read
   * @returns {Promise<Float64Array>} milliseconds of each step
   */
  async stamps(begin, end, read) {
    const device = this.#device;
    const count = 2 * (end - begin);
    const querySet = device.createQuerySet({ type: 'timestamp', count });
    const usage = GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC;
    const resolved = device.createBuffer({ size: 8 * count, usage });
    try {
      const encoder = this.#encoder();
      for (let k = begin; k < end; k++) {
        const at = 2 * (k - begin);
        const timestampWrites = {
          querySet,
          beginningOfPassWriteIndex: at,
          endOfPassWriteIndex: at + 1,
        };
        const pass = encoder.beginComputePass({ timestampWrites });
        this.#dispatch(pass, k);
        pass.end();
      }
      encoder.resolveQuerySet(querySet, 0, count, resolved, 0);
      const stamps = new BigUint64Array(await read(this.readBack(resolved, 8 * count)));
      // Clocks of some drivers jump backwards between passes.
      return Float64Array.from({ length: end - begin }, (_, k) =>
        Math.max(0, Number(BigInt.asIntN(64, stamps[2 * k + 1] - stamps[2 * k])) / 1e6),
      );
    } finally {
      querySet.destroy();
      resolved.destroy();
    }
  }

  /**
   * Where commands are recorded. What one task of the page asks for, the steps of a run and the
   * copies of its results, becomes one submission.
   */
  #encoder() {
    if (!this.#pending) {
      this.#pending = this.#device.createCommandEncoder();
      queueMicrotask(() => this.submit());
    }
    return this.#pending;
  }

  /** Submit what was recorded. */
  submit() {
    const encoder = this.#pending;
    this.#pending = null;
    if (!encoder) return;
    this.#faults.open();
    this.#device.queue.submit([encoder.finish()]);
    this.#faults.submitted();
  }

  /** Forget what was recorded: the device is gone. */
  drop() {
    this.#pending = null;
  }
}
