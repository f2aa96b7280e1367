/**
 * Runs a program on its devices.
 *
 * Everything that does not change from call to call is prepared once: code is compiled, constants
 * are placed, and what moves between devices is known. Calls on one executor run one after another,
 * since they share its memory.
 *
 * @module
 */

import { allocate, dtypeOf, findNaN, isFloat, sizeOf } from './dtype.js';
import { DisposedError, NumericError, checkAborted } from './errors.js';
import { FlowRun } from './flowrun.js';
import { Layout } from './layout.js';
import { makePlan } from './plan.js';
import { Profile, randomFeeds } from './profile.js';
import { kindOf } from './program.js';
import { Queue } from './queue.js';
import { Tensor, bind } from './tensor.js';

/** @typedef {import('./devices/device.js').Device} Device */
/** @typedef {import('./devices/device.js').Codes} Codes */
/** @typedef {import('./dtype.js').TypedArray} TypedArray */
/** @typedef {import('./flags.js').Flags} Flags */
/** @typedef {import('./params.js').Params} Params */
/** @typedef {import('./profile.js').ProfileRow} ProfileRow */
/** @typedef {import('./program.js').Program} Program */
/** @typedef {import('./source.js').Progress} Progress */
/** @typedef {import('./tensor.js').TensorLike} TensorLike */
/** @typedef {import('./tensor.js').TensorSpec} TensorSpec */

/**
 * @typedef {object} RunOptions
 * @property {AbortSignal} [signal] stops waiting; what a device already started runs to its end
 *   before the next call
 */

/**
 * One run: milliseconds of each step, how often it ran, and what moved between devices before which
 * step.
 *
 * @typedef {object} Measured
 * @property {Float64Array} times
 * @property {Int32Array} counts
 * @property {{before: number, slot: number, from: string, to: string, ms: number}[]} moves
 */

export class Executor {
  /**
   * @param {Program} program
   * @param {Readonly<Record<string, Codes>>} codes by kind of device
   * @param {Params} params
   * @param {readonly Device[]} devices those that are available; the executor owns and disposes
   *   them
   * @param {Flags} flags
   * @throws {import('./errors.js').BundleError} when the program's steps do not fit together
   */
  constructor(program, codes, params, devices, flags) {
    this.program = program;
    this.flags = flags;
    this.plan = makePlan(
      program,
      devices.map((d) => d.kind),
    );
    this.inputs = specsOf(program, program.inputs);
    this.outputs = specsOf(program, program.outputs);
    /** @type {Map<string, Device>} */
    this.devices = new Map();
    for (const d of devices) {
      if (this.plan.devices.has(d.kind)) this.devices.set(d.kind, d);
      else d.dispose();
    }
    this.#codes = codes;
    this.#params = params;
  }

  /** @type {Readonly<Record<string, Codes>>} */
  #codes;
  /** @type {Params | null} dropped when no device can lose the constants */
  #params;
  /** @type {Map<number, TypedArray>} constants that are outputs */
  #published = new Map();
  /** @type {Set<Device>} those that have their code and their constants, if they were not lost */
  #ready = new Set();
  #prepared = false;
  #disposed = false;
  #queue = new Queue(() => this.#checkDisposed());

  /**
   * Compile, allocate, and place the constants.
   *
   * @param {{signal?: AbortSignal, onProgress?: (p: Progress) => void}} [options]
   * @returns {Promise<void>}
   */
  async prepare(options = {}) {
    return this.#queue.run(() => this.#makeReady(options), options.signal, 'preparing the model');
  }

  /**
   * Outputs by name, for inputs by name.
   *
   * @param {Readonly<Record<string, TensorLike>>} feeds
   * @param {RunOptions} [options]
   * @returns {Promise<Record<string, Tensor>>} tensors of the caller's own
   */
  async run(feeds, { signal } = {}) {
    let arrays = bind(this.inputs, feeds, this.program.name);
    // Whoever calls may change the arrays again as soon as `run` returns its promise.
    const late = this.#queue.busy || !this.#isReady();
    if (late) arrays = arrays.map((a) => a.slice());
    return this.#queue.run(
      async () => {
        if (late) await this.#makeReady({ signal });
        return this.#run(arrays, signal);
      },
      signal,
      'the run',
    );
  }

  /**
   * The time of each kernel call: the median of `repeat` runs, after one to warm up. What loops call
   * again counts again.
   *
   * @param {Readonly<Record<string, TensorLike>>} [feeds] by default floats are random and all else
   *   is zero
   * @param {{repeat?: number, signal?: AbortSignal}} [options]
   * @returns {Promise<ProfileRow[]>}
   */
  async profile(feeds, { repeat = 10, signal } = {}) {
    const profile = new Profile();
    const { slots, steps } = this.program;
    const own = kindOf(this.program.target);
    await this.#measure(feeds ?? randomFeeds(this.inputs), repeat, signal, ({ times, moves }) => {
      const moved = (/** @type {number} */ k) => {
        for (const [i, { before, slot, from, to, ms }] of moves.entries()) {
          const label = `${slots[slot].name}: ${from} to ${to}`;
          if (before === k) profile.add(`m${i}`, { label, kernel: '', device: to, ms });
        }
      };
      for (const [k, { label, kernel, device }] of steps.entries()) {
        moved(k);
        profile.add(`s${k}`, { label, kernel, device: device || own, ms: times[k] });
      }
      moved(steps.length);
    });
    return profile.rows();
  }

  /**
   * The milliseconds of each step in each of `repeat` runs, after one to warm up; without the moves
   * between devices. `counts`: how often each step ran in the last of them.
   *
   * @param {Readonly<Record<string, TensorLike>>} feeds
   * @param {{repeat: number, signal?: AbortSignal}} options
   * @returns {Promise<{rows: Float64Array[], counts: Int32Array}>}
   */
  async time(feeds, { repeat, signal }) {
    /** @type {Float64Array[]} */
    const rows = [];
    /** @type {Int32Array} */
    let counts = new Int32Array(this.program.steps.length);
    await this.#measure(feeds, repeat, signal, (run) => {
      rows.push(run.times);
      counts = run.counts;
    });
    return { rows, counts };
  }

  /**
   * @param {Readonly<Record<string, TensorLike>>} feeds
   * @param {number} repeat
   * @param {AbortSignal | undefined} signal
   * @param {(run: Measured) => void} onRun
   */
  async #measure(feeds, repeat, signal, onRun) {
    const arrays = bind(this.inputs, feeds, this.program.name);
    return this.#queue.run(
      async () => {
        await this.#makeReady({ signal });
        await this.#run(arrays, signal);
        for (let k = 0; k < Math.max(1, repeat); k++) onRun(await this.#measured(signal));
      },
      signal,
      'the profile',
    );
  }

  /**
   * One run with the inputs of the last one.
   *
   * @param {AbortSignal | undefined} signal
   * @returns {Promise<Measured>}
   */
  async #measured(signal) {
    const { program, plan } = this;
    const times = new Float64Array(program.steps.length);
    const counts = new Int32Array(program.steps.length);
    /** @type {Measured['moves']} */
    const moves = [];
    const add = (/** @type {number} */ begin, /** @type {Float64Array} */ some) => {
      for (const [j, ms] of some.entries()) {
        times[begin + j] += ms;
        counts[begin + j]++;
      }
    };
    if (program.flow.length) await new FlowRun(program, plan, this.devices, signal).all(add);
    let before = 0;
    for (const action of plan.actions) {
      if (action.op !== 'move') {
        const { device, begin, end } = action;
        add(begin, await this.#device(device).time(begin, end));
        before = end;
        continue;
      }
      const { slot, from, to } = action;
      const begin = performance.now();
      await this.#move(action, signal);
      moves.push({ before, slot, from, to, ms: performance.now() - begin });
    }
    return { times, counts, moves };
  }

  /** What the devices hold now. */
  memory() {
    const total = { buffers: 0, bytes: 0 };
    for (const device of this.devices.values()) {
      const { buffers, bytes } = device.memory();
      total.buffers += buffers;
      total.bytes += bytes;
    }
    return total;
  }

  /** Free everything; later calls reject with DisposedError. */
  dispose() {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#params = null;
    this.#published.clear();
    for (const device of this.devices.values()) device.dispose();
  }

  #checkDisposed() {
    if (this.#disposed) {
      throw new DisposedError('the model was disposed of.', { where: this.program.name });
    }
  }

  /**
   * @param {string} kind
   * @returns {Device}
   */
  #device(kind) {
    return /** @type {Device} */ (this.devices.get(kind));
  }

  #isReady() {
    const devices = [...this.devices.values()];
    return this.#prepared && devices.every((d) => this.#ready.has(d) && !d.lost);
  }

  /** @param {{signal?: AbortSignal, onProgress?: (p: Progress) => void}} options */
  async #makeReady({ signal, onProgress }) {
    const { program, plan, flags } = this;
    if (this.#isReady()) return;
    const params = /** @type {Params} */ (this.#params);
    if (!this.#prepared) {
      for (const slot of Object.values(program.outputs)) {
        const root = plan.roots[slot];
        if (program.slots[root].kind !== 'constant') continue;
        this.#published.set(root, params.constant(program.slots[root]).slice());
      }
    }
    for (const [kind, part] of plan.devices) {
      const device = this.#device(kind);
      if (this.#ready.has(device) && !device.lost) continue;
      checkAborted(signal, 'preparing the model');
      this.#ready.delete(device); // what is stopped half-way is begun anew by the next call
      await device.init(program, this.#codes[kind], {
        ...part,
        roots: plan.roots,
        flags,
        signal,
        onCompile: (loaded, total) => onProgress?.({ phase: 'compile', loaded, total }),
      });
      const constants = part.slots.filter((k) => program.slots[k].kind === 'constant');
      let lastPause = performance.now();
      for (const [done, k] of constants.entries()) {
        this.#checkDisposed();
        device.upload(k, params.constant(program.slots[k]));
        onProgress?.({ phase: 'upload', loaded: done + 1, total: constants.length });
        if (performance.now() - lastPause > 12) {
          await new Promise((go) => setTimeout(go)); // the page wants to draw
          checkAborted(signal, 'preparing the model');
          lastPause = performance.now();
        }
      }
      this.#ready.add(device);
    }
    this.#prepared = true;
    if (![...this.devices.values()].some((d) => d.mayBeLost)) this.#params = null;
  }

  /**
   * @param {TypedArray[]} arrays one per input
   * @param {AbortSignal | undefined} signal
   * @returns {Promise<Record<string, Tensor>>}
   */
  async #run(arrays, signal) {
    const { program, plan, flags } = this;
    const inputs = Object.values(program.inputs);
    inputs.forEach((slot, k) => {
      const { shape, layout } = program.slots[slot];
      const packed = Layout.parse(layout, shape).pack(arrays[k]);
      for (const [kind, part] of plan.devices) {
        if (part.slots.includes(slot)) this.#device(kind).upload(slot, packed);
      }
    });
    if (flags.debug) this.#checkInputs(arrays);
    for (const action of plan.actions) {
      if (action.op === 'move') await this.#move(action, signal);
      else if (flags.debug) await this.#runChecked(action, signal);
      else {
        const done = this.#device(action.device).run(action.begin, action.end);
        if (done) await done;
      }
    }
    let holders = plan.results;
    if (program.flow.length) {
      const run = new FlowRun(program, plan, this.devices, signal);
      await run.all();
      holders = run.results();
    }
    const roots = [...holders.keys()];
    const downloads = await Promise.all(
      roots.map((root) =>
        this.#device(/** @type {string} */ (holders.get(root))).download(root, signal),
      ),
    );
    const results = new Map(roots.map((root, k) => [root, downloads[k]]));
    const fed = new Map(inputs.map((slot, k) => [slot, arrays[k]]));
    /** @type {Set<TypedArray>} */
    const owned = new Set(downloads);
    /** @type {Record<string, Tensor>} */
    const outputs = Object.create(null); // no name, not even __proto__, means anything else
    for (const [name, slot] of Object.entries(program.outputs)) {
      const root = plan.roots[slot];
      const data =
        results.get(root) ??
        this.#published.get(root) ??
        fed.get(root) ??
        // An output of no elements, or one that only a branch or a loop makes which did not run.
        allocate(dtypeOf(program.slots[root].dtype), sizeOf(program.slots[root].physical));
      outputs[name] = this.#output(data, slot, owned);
    }
    return outputs;
  }

  /**
   * A public output out of its root's elements; only the first from one root may keep them.
   *
   * @param {TypedArray} data
   * @param {number} k the output's slot
   * @param {Set<TypedArray>} owned
   */
  #output(data, k, owned) {
    const slot = this.program.slots[k];
    const dtype = dtypeOf(slot.dtype);
    const whole = owned.delete(data) ? data : data.slice();
    const size = sizeOf(slot.physical);
    const part = dtype.view(whole.buffer, whole.byteOffset, size);
    const flat = Layout.parse(slot.layout, slot.shape).unpack(part);
    return new Tensor(slot.dtype, slot.shape, flat.subarray(0, sizeOf(slot.shape)));
  }

  /**
   * @param {{slot: number, from: string, to: string}} move
   * @param {AbortSignal | undefined} signal
   */
  async #move({ slot, from, to }, signal) {
    this.#device(to).upload(slot, await this.#device(from).download(slot, signal));
    checkAborted(signal, 'the run');
  }

  /**
   * Run step by step and look at each result.
   *
   * @param {{device: string, begin: number, end: number}} action
   * @param {AbortSignal | undefined} signal
   */
  async #runChecked({ device: kind, begin, end }, signal) {
    const { program, plan } = this;
    const device = this.#device(kind);
    for (let k = begin; k < end; k++) {
      await device.run(k, k + 1);
      const step = program.steps[k];
      const params = program.kernels.find((kernel) => kernel.name === step.kernel)?.params ?? [];
      for (const [i, arg] of step.args.entries()) {
        const slot = program.slots[arg];
        if (params[i].access !== 'w' || !isFloat(dtypeOf(slot.dtype))) continue;
        const data = await device.download(plan.roots[arg], signal);
        const at = findNaN(data.subarray(0, sizeOf(slot.physical)), dtypeOf(slot.dtype));
        if (at < 0) continue;
        throw new NumericError(
          `the kernel '${step.kernel}' (${step.label}) gave NaN, at element ${at} of ` +
            `'${slot.name}' (${slot.dtype}[${slot.physical.join(', ')}]).`,
          {
            where: `${program.name}, step ${k} of ${program.steps.length} on ${kind}`,
            hint: 'all kernels before it gave numbers; look at its operators and their inputs',
          },
        );
      }
    }
  }

  /** @param {TypedArray[]} arrays */
  #checkInputs(arrays) {
    this.inputs.forEach((spec, k) => {
      const at = findNaN(arrays[k], dtypeOf(spec.dtype));
      if (at < 0) return;
      throw new NumericError(`the input '${spec.name}' has NaN at element ${at}.`, {
        where: this.program.name,
      });
    });
  }
}

/**
 * @param {Program} program
 * @param {Readonly<Record<string, number>>} table
 * @returns {readonly TensorSpec[]}
 */
function specsOf(program, table) {
  return Object.freeze(
    Object.entries(table).map(([name, k]) => {
      const { dtype, shape } = program.slots[k];
      return Object.freeze({ name, dtype, shape });
    }),
  );
}
