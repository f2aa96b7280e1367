/**
 * One run of a program with control flow: what is where is known as it goes.
 *
 * @module
 */

import { checkAborted } from './errors.js';
import { ranges } from './flow.js';
import { kindOf } from './program.js';

/** @typedef {import('./devices/device.js').Device} Device */
/** @typedef {import('./plan.js').Plan} Plan */
/** @typedef {import('./program.js').Program} Program */

export class FlowRun {
  /**
   * @param {Program} program
   * @param {Plan} plan
   * @param {ReadonlyMap<string, Device>} devices
   * @param {AbortSignal | undefined} signal
   */
  constructor(program, plan, devices, signal) {
    this.program = program;
    this.plan = plan;
    this.devices = devices;
    this.signal = signal;
    this.#kinds = program.steps.map((s) => s.device || kindOf(program.target));
    this.#kernels = new Map(program.kernels.map((k) => [k.name, k]));
  }

  #kinds;
  #kernels;
  /** @type {Map<number, Set<string>>} the devices that have a root's newest elements */
  #places = new Map();

  /**
   * Run all that there is to run.
   *
   * @param {(begin: number, times: Float64Array, device: string) => void} [onTimes] is told how many
   *   milliseconds each step took, from step `begin` on, whenever some have run; they run one by one
   */
  async all(onTimes) {
    const read = (/** @type {number} */ slot) => this.#value(slot);
    for await (const [begin, end] of ranges(this.program.flow, read)) {
      checkAborted(this.signal, 'the run');
      for (let k = begin; k < end; ) {
        let next = k + 1;
        while (next < end && this.#kinds[next] === this.#kinds[k]) next++;
        if (this.devices.size > 1) await this.#bring(k, next);
        const device = this.#device(this.#kinds[k]);
        if (onTimes) onTimes(k, await device.time(k, next), this.#kinds[k]);
        else {
          const done = device.run(k, next);
          if (done) await done;
        }
        this.#wrote(k, next);
        k = next;
      }
    }
  }

  /** The device that has each output's root, of those that a step has written. */
  results() {
    /** @type {Map<number, string>} */
    const found = new Map();
    for (const slot of Object.values(this.program.outputs)) {
      const root = this.plan.roots[slot];
      const [kind] = this.#places.get(root) ?? [];
      if (kind) found.set(root, kind);
    }
    return found;
  }

  /** @param {string} kind */
  #device(kind) {
    return /** @type {Device} */ (this.devices.get(kind));
  }

  /** @param {number} slot */
  async #value(slot) {
    const root = this.plan.roots[slot];
    const [kind] = this.#places.get(root) ?? [];
    if (!kind) throw new Error(`nothing has written '${this.program.slots[root].name}'`);
    const [value] = await this.#device(kind).download(root, this.signal);
    return Number(value);
  }

  /**
   * Let the device of some steps have what they read.
   *
   * @param {number} begin
   * @param {number} end
   */
  async #bring(begin, end) {
    const kind = this.#kinds[begin];
    for (const { root, written } of this.#touched(begin, end)) {
      const holders = this.#places.get(root);
      if (written || !holders || holders.has(kind)) continue;
      const [from] = holders;
      const data = await this.#device(from).download(root, this.signal);
      this.#device(kind).upload(root, data);
      holders.add(kind);
    }
  }

  /** @param {number} begin @param {number} end */
  #wrote(begin, end) {
    for (const { root, written } of this.#touched(begin, end)) {
      if (written) this.#places.set(root, new Set([this.#kinds[begin]]));
    }
  }

  /** @param {number} begin @param {number} end */
  *#touched(begin, end) {
    for (let k = begin; k < end; k++) {
      const { kernel, args } = this.program.steps[k];
      const params = this.#kernels.get(kernel)?.params ?? [];
      for (const [n, arg] of args.entries()) {
        yield { root: this.plan.roots[arg], written: params[n].access === 'w' };
      }
    }
  }
}
