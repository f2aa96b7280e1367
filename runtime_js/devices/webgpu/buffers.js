/**
 * Tensors as storage buffers: which slot lies in which buffer, and the buffers that the page reads.
 *
 * Buffers are multiples of 16 bytes, so that a kernel may read whole vectors.
 *
 * @module
 */

import { convert, dtypeOf, sizeOf } from '../../dtype.js';
import { DeviceError } from '../../errors.js';
import { sharePool } from '../../plan.js';
import { checkFits, wordOf } from '../words.js';

/** @typedef {import('../../dtype.js').TypedArray} TypedArray */
/** @typedef {import('../../program.js').Program} Program */
/** @typedef {import('../device.js').InitOptions} InitOptions */

/**
 * Bytes of a slot's elements on the device.
 *
 * @param {Program} program
 * @param {number} slot
 * @param {boolean} half whether the device has 16-bit floats of its own
 */
export function bytesOf(program, slot, half) {
  const { physical, dtype } = program.slots[slot];
  const { bytes } = wordOf(dtypeOf(dtype), half);
  return Math.max(16, Math.ceil((sizeOf(physical) * bytes) / 16) * 16);
}

/** The buffers of one device. */
export class Buffers {
  /**
   * @param {GPUDevice} device
   * @param {Program} program
   * @param {boolean} half
   * @param {string} where the device, for messages
   */
  constructor(device, program, half, where) {
    this.#device = device;
    this.#program = program;
    this.#half = half;
    this.#where = where;
  }

  #device;
  #program;
  #half;
  #where;
  /** @type {Map<number, GPUBuffer>} by root slot */
  #bySlot = new Map();
  /** @type {GPUBuffer[]} */
  #pool = [];
  /** @type {GPUBuffer[]} read-back buffers that no download uses now */
  #staging = [];
  #stagingCount = 0;
  #stagingBytes = 0;

  /** What they take of the device. */
  get memory() {
    const bytes = this.#pool.reduce((n, b) => n + b.size, this.#stagingBytes);
    return { buffers: this.#pool.length + this.#stagingCount, bytes };
  }

  /**
   * Make a buffer for each slot; slots that are never in use at a time share one.
   *
   * @param {InitOptions} options
   * @throws {DeviceError} when there is too little memory
   */
  async allocate({ roots, steps, slots, pinned }) {
    const device = this.#device;
    const bytes = (/** @type {number} */ k) => this.bytesOf(k);
    const { place, sizes } = sharePool(this.#program, roots, steps, slots, pinned, () => '', bytes);
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
        { where: this.#where, hint: 'close other pages, or use wasm' },
      );
    }
    for (const [slot, index] of place) this.#bySlot.set(slot, this.#pool[index]);
  }

  /** @param {number} k */
  slot(k) {
    return this.#program.slots[k];
  }

  /** @param {number} slot */
  bytesOf(slot) {
    return bytesOf(this.#program, slot, this.#half);
  }

  /**
   * @param {number} root a slot that owns its storage
   * @returns {GPUBuffer}
   */
  of(root) {
    return /** @type {GPUBuffer} */ (this.#bySlot.get(root));
  }

  /**
   * A slot's elements as they lie on the device, in whole words of 32 bits.
   *
   * @param {number} slot
   * @param {TypedArray} data the slot's physical elements
   * @returns {TypedArray}
   */
  encode(slot, data) {
    const description = this.#program.slots[slot];
    checkFits(data, description, 'webgpu');
    const dtype = dtypeOf(description.dtype);
    const words = convert(data, dtype, wordOf(dtype, this.#half));
    if (words.byteLength % 4 === 0) return words;
    const whole = new Uint16Array(words.length + 1); // an odd number of 16-bit floats
    whole.set(/** @type {Uint16Array} */ (words));
    return whole;
  }

  /**
   * A slot's physical elements, out of the bytes of its buffer.
   *
   * @param {number} slot
   * @param {ArrayBuffer} bytes
   * @returns {TypedArray}
   */
  decode(slot, bytes) {
    const { dtype, physical } = this.#program.slots[slot];
    const word = wordOf(dtypeOf(dtype), this.#half);
    return convert(word.view(bytes, 0, sizeOf(physical)), word, dtypeOf(dtype));
  }

  /**
   * A buffer that the page can read.
   *
   * @param {number} size
   */
  stage(size) {
    const at = this.#staging.findIndex((b) => b.size === size);
    if (at >= 0) return this.#staging.splice(at, 1)[0];
    this.#stagingCount += 1;
    this.#stagingBytes += size;
    const usage = GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST;
    return this.#device.createBuffer({ size, usage });
  }

  /**
   * The bytes of a staging buffer, when everything before has ended; the buffer is free then.
   *
   * @param {GPUBuffer} staging
   * @returns {Promise<ArrayBuffer>} rejects when the device is lost, or when the copy into the
   *   buffer was not valid
   */
  async read(staging) {
    await Promise.resolve(); // other results of the run are asked for in this same task
    await staging.mapAsync(GPUMapMode.READ);
    const bytes = staging.getMappedRange().slice(0);
    staging.unmap();
    this.#staging.push(staging);
    return bytes;
  }
}
