/**
 * A loaded model, and what all of them hold.
 *
 * @module
 */

import { cropped, croppedSpecs } from './crop.js';

/** @typedef {import('./devices/table.js').Reason} Reason */
/** @typedef {import('./executor.js').Executor} Executor */
/** @typedef {import('./executor.js').RunOptions} RunOptions */
/** @typedef {import('./manifest.js').Manifest} Manifest */
/** @typedef {import('./profile.js').ProfileRow} ProfileRow */
/** @typedef {import('./tensor.js').Tensor} Tensor */
/** @typedef {import('./tensor.js').TensorLike} TensorLike */

/** @type {Set<Model>} */
const live = new Set();

/** A loaded model. Made by `load`. */
export class Model {
  /**
   * @param {Executor} executor
   * @param {string} backend
   * @param {string} reason
   * @param {readonly Reason[]} reasons
   * @param {Manifest} manifest
   */
  constructor(executor, backend, reason, reasons, manifest) {
    this.#executor = executor;
    this.backend = backend;
    /** Why that one was chosen, in words. */
    this.reason = reason;
    /** What was found of each backend that came into question. */
    this.reasons = reasons;
    this.name = manifest.name;
    /** What the bundle says of the model: card, labels, pre- and post-processing. */
    this.meta = manifest.meta;
    live.add(this);
  }

  #executor;

  /** Name, dtype and shape of each input. */
  get inputs() {
    return this.#executor.inputs;
  }

  /** Name, dtype and shape of each output; `bounded`: the axes along which only data knows how long
   * it is, and `shape` says how long at most. */
  get outputs() {
    return croppedSpecs(this.#executor.outputs, this.#executor.program.cropped);
  }

  /** The devices that the model runs on, in words. */
  get devices() {
    return [...this.#executor.devices.values()].map((d) => d.description);
  }

  /**
   * Outputs by name, for inputs by name.
   *
   * @param {Readonly<Record<string, TensorLike>>} feeds
   * @param {RunOptions} [options]
   * @returns {Promise<Record<string, Tensor>>}
   */
  async run(feeds, options) {
    const outputs = await this.#executor.run(feeds, options);
    return cropped(outputs, this.#executor.program.cropped);
  }

  /**
   * The time of each kernel call: the median of `repeat` runs.
   *
   * @param {Readonly<Record<string, TensorLike>>} [feeds]
   * @param {{repeat?: number, signal?: AbortSignal}} [options]
   * @returns {Promise<ProfileRow[]>}
   */
  profile(feeds, options) {
    return this.#executor.profile(feeds, options);
  }

  /** Textures, or blocks of memory, and bytes that the model holds on its devices. */
  memory() {
    return this.#executor.memory();
  }

  /** Give everything back; later calls reject with DisposedError. */
  dispose() {
    live.delete(this);
    this.#executor.dispose();
  }
}

/**
 * What all models hold now.
 *
 * @returns {{models: number, buffers: number, bytes: number}}
 */
export function memory() {
  const total = { models: live.size, buffers: 0, bytes: 0 };
  for (const model of live) {
    const { buffers, bytes } = model.memory();
    total.buffers += buffers;
    total.bytes += bytes;
  }
  return total;
}
