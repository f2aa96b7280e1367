/**
 * Errors of the device's own time line, which come after the calls that caused them: which kernel
 * is to blame, and which steps are known to run without one.
 *
 * @module
 */

import { DeviceError } from '../../errors.js';

/** @typedef {import('../../program.js').Program} Program */

/** The faults of one device. */
export class Faults {
  /**
   * @param {GPUDevice} device
   * @param {Program} program
   * @param {string} where the device, for messages
   */
  constructor(device, program, where) {
    this.#device = device;
    this.#program = program;
    this.#where = where;
  }

  #device;
  #program;
  #where;
  /** @type {Set<number>} all steps */
  #steps = new Set();
  /** @type {Set<number>} steps that did not yet run without an error */
  #unproven = new Set();
  /** @type {number[]} those among them that are running now */
  #tried = [];
  /** @type {DeviceError | null} the first that was not yet reported */
  #failure = null;
  /** @type {Promise<void>[]} error scopes whose answers are to come */
  #scopes = [];

  /**
   * Look after a step.
   *
   * @param {number} step
   */
  add(step) {
    this.#steps.add(step);
    this.#unproven.add(step);
  }

  /**
   * Whether there is a step among [begin, end) that did not yet run without an error.
   *
   * @param {number} begin
   * @param {number} end
   */
  unproven(begin, end) {
    for (let k = begin; k < end && this.#unproven.size > 0; k++) {
      if (this.#unproven.has(k)) return true;
    }
    return false;
  }

  /** Begin an error scope. */
  open() {
    this.#device.pushErrorScope('validation');
  }

  /**
   * End an error scope in which one step was worked on, or a whole run.
   *
   * @param {number} [step]
   */
  async close(step) {
    try {
      const error = await this.#device.popErrorScope();
      if (error) this.blame(error.message, step);
    } catch {
      // The device is gone, which is found out otherwise.
    }
  }

  /**
   * End an error scope of commands that were submitted; `settle` waits for what it says.
   *
   * @param {number} [step] that they try
   */
  submitted(step) {
    this.#scopes.push(this.close(step));
    if (step !== undefined) this.#tried.push(step);
  }

  /**
   * Remember the first error. Messages name the objects that they are about: pipelines and bind
   * groups have the names of their kernels.
   *
   * @param {string} message
   * @param {number} [k] the step, if it is known
   */
  blame(message, k) {
    this.#unproven = new Set(this.#steps); // the next run says of which step it is
    this.#tried = [];
    if (this.#failure) return;
    const program = this.#program;
    const step = k === undefined ? undefined : program.steps[k];
    const named = program.kernels.find((kernel) => message.includes(`"${kernel.name}"`))?.name;
    const kernel = step?.kernel ?? named;
    const who = kernel ? `the kernel '${kernel}'${step ? ` (${step.label})` : ''}` : 'the device';
    this.#failure = new DeviceError(`${who} failed: ${message.trim()}`, {
      where: `${program.name}, ${this.#where}`,
      hint: 'this is a fault of weft or of the graphics driver; wasm will work',
    });
  }

  /** @throws {DeviceError} what failed since the last call */
  check() {
    const failure = this.#failure;
    this.#failure = null; // the next call tries again
    if (failure) throw failure;
  }

  /**
   * Wait for what error scopes say; steps that ran without an error are known good.
   *
   * @param {() => void} check throws when something failed
   */
  async settle(check) {
    const scopes = this.#scopes;
    if (scopes.length) {
      this.#scopes = [];
      await Promise.all(scopes);
    }
    check();
    for (const k of this.#tried.splice(0)) this.#unproven.delete(k);
  }
}
