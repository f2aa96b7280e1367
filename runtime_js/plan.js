/**
 * What can be known before a program runs: which device runs what, which tensors move between
 * devices and when, and which tensors may share storage.
 *
 * @module
 */

import { sizeOf } from './dtype.js';
import { BundleError } from './errors.js';
import { kept } from './flow.js';
import { kindOf, rootsOf } from './program.js';

/** @typedef {import('./program.js').Program} Program */

/**
 * One thing the executor does: let a device run the steps [begin, end), or carry a slot's elements
 * from one device to another.
 *
 * @typedef {{op: 'run', device: string, begin: number, end: number} |
 *   {op: 'move', slot: number, from: string, to: string}} Action
 */

/**
 * @typedef {object} Plan
 * @property {readonly number[]} roots for each slot the one that owns its storage
 * @property {readonly Action[]} actions in order; none for a program with control flow, whose
 *   executor decides as it goes
 * @property {ReadonlyMap<string, {steps: number[], slots: number[], pinned: number[]}>} devices the
 *   steps of each device, the root slots it must hold, and those among them that others fill or
 *   read
 * @property {ReadonlyMap<number, string>} results for each output's root the device that has it at
 *   the end; none for inputs and constants
 */

/**
 * @param {Program} program
 * @param {readonly string[]} kinds the devices that are available
 * @returns {Plan}
 * @throws {BundleError} when a step wants a device that is not there, or reads what nothing wrote
 */
export function makePlan(program, kinds) {
  if (program.flow.length) return planFlow(program, kinds);
  const { slots, steps } = program;
  const roots = rootsOf(program);
  const kernels = new Map(program.kernels.map((k) => [k.name, k]));
  const { devices, takeStep } = deviceParts(program, kinds);
  /** @type {Map<number, Set<string>>} the devices that have a root's newest elements */
  const places = new Map();
  /** @type {Action[]} */
  const actions = [];
  steps.forEach((step, k) => {
    const { kind, device } = takeStep(k);
    const params = kernels.get(step.kernel)?.params ?? [];
    step.args.forEach((arg, i) => {
      const root = roots[arg];
      device.slots.add(root);
      if (params[i].access === 'w') return;
      if (slots[root].kind === 'input' || slots[root].kind === 'constant') {
        device.pinned.add(root);
        return;
      }
      const holders = places.get(root);
      if (!holders) {
        throw new BundleError(`'${step.kernel}' reads '${slots[root].name}' before it is written.`, {
          where: program.name,
        });
      }
      if (!holders.has(kind)) {
        const from = [...holders][0];
        actions.push({ op: 'move', slot: root, from, to: kind });
        holders.add(kind);
        device.pinned.add(root);
        devices.get(from)?.pinned.add(root);
      }
    });
    step.args.forEach((arg, i) => {
      if (params[i].access === 'w') places.set(roots[arg], new Set([kind]));
    });
    const last = actions.at(-1);
    if (last?.op === 'run' && last.device === kind && last.end === k) last.end = k + 1;
    else actions.push({ op: 'run', device: kind, begin: k, end: k + 1 });
  });
  /** @type {Map<number, string>} */
  const results = new Map();
  for (const [name, slot] of Object.entries(program.outputs)) {
    const root = roots[slot];
    if (slots[root].kind === 'input' || slots[root].kind === 'constant') continue;
    const holders = places.get(root);
    if (!holders && sizeOf(slots[root].shape) === 0) continue; // no kernel is made for nothing
    if (!holders) {
      throw new BundleError(`nothing writes the output '${name}'.`, { where: program.name });
    }
    const kind = [...holders][0];
    devices.get(kind)?.pinned.add(root);
    results.set(root, kind);
  }
  return { roots, actions, devices: sorted(devices), results };
}

/**
 * @typedef {{steps: number[], slots: Set<number>, pinned: Set<number>}} Part
 *
 * The parts of a program by device, empty, and what gives a step to that of its device.
 *
 * @param {Program} program
 * @param {readonly string[]} kinds
 */
function deviceParts(program, kinds) {
  const own = kindOf(program.target);
  /** @type {Map<string, Part>} */
  const devices = new Map();
  const takeStep = (/** @type {number} */ k) => {
    const step = program.steps[k];
    const kind = step.device || own;
    if (!kinds.includes(kind)) {
      throw new BundleError(`the step '${step.label}' wants the device '${kind}'.`, {
        where: program.name,
      });
    }
    const device = devices.get(kind) ?? { steps: [], slots: new Set(), pinned: new Set() };
    devices.set(kind, device);
    device.steps.push(k);
    return { kind, device };
  };
  return { devices, takeStep };
}

/**
 * What each device holds of a program with control flow.
 *
 * @param {Program} program
 * @param {readonly string[]} kinds
 * @returns {Plan}
 */
function planFlow(program, kinds) {
  const { slots, steps } = program;
  const roots = rootsOf(program);
  const { devices, takeStep } = deviceParts(program, kinds);
  /** @type {Map<number, {first: number, last: number, kinds: Set<string>}>} */
  const lives = new Map();
  steps.forEach((step, k) => {
    const { kind, device } = takeStep(k);
    for (const root of step.args.map((arg) => roots[arg])) {
      device.slots.add(root);
      const life = lives.get(root) ?? { first: k, last: k, kinds: new Set() };
      life.last = k;
      lives.set(root, life);
      life.kinds.add(kind);
    }
  });
  const pinned = kept(program.flow, roots, lives);
  for (const [root, life] of lives) {
    const given = slots[root].kind === 'input' || slots[root].kind === 'constant';
    if (given || life.kinds.size > 1) pinned.add(root);
  }
  for (const slot of Object.values(program.outputs)) pinned.add(roots[slot]);
  for (const d of devices.values()) {
    d.pinned = new Set([...d.slots].filter((root) => pinned.has(root)));
  }
  return { roots, actions: [], devices: sorted(devices), results: new Map() };
}

/**
 * @param {ReadonlyMap<string, Part>} devices
 * @returns {Map<string, {steps: number[], slots: number[], pinned: number[]}>}
 */
function sorted(devices) {
  const ascending = (/** @type {Set<number>} */ s) => [...s].sort((a, b) => a - b);
  return new Map(
    [...devices].map(([kind, d]) => [
      kind,
      { steps: d.steps, slots: ascending(d.slots), pinned: ascending(d.pinned) },
    ]),
  );
}

/**
 * Storage that is shared in time: the textures or buffers of a pool, none of which is written while
 * another tensor in it is still to be read.
 *
 * @param {Program} program
 * @param {readonly number[]} roots
 * @param {readonly number[]} steps those of one device
 * @param {readonly number[]} held root slots that need storage
 * @param {readonly number[]} pinned those that keep their own
 * @param {(slot: number) => string} shapeOf storage is shared between equal shapes only
 * @param {(slot: number) => number} [bytesOf] where storage of one shape comes in sizes: what a slot
 *   needs; a tensor takes the smallest that is large enough, or else the largest, which grows
 * @returns {{place: ReadonlyMap<number, number>, sizes: readonly number[]}} the number of the
 *   storage of each root, and the bytes of each storage
 */
export function sharePool(program, roots, steps, held, pinned, shapeOf, bytesOf = () => 0) {
  /** @type {Map<number, number>} */
  const lastUse = new Map();
  for (const k of steps) for (const arg of program.steps[k].args) lastUse.set(roots[arg], k);
  /** @type {Map<number, number>} */
  const place = new Map();
  /** @type {number[]} */
  const sizes = [];
  /** @type {Map<string, number[]>} */
  const free = new Map();
  const take = (/** @type {number} */ root) => {
    const need = bytesOf(root);
    const list = free.get(shapeOf(root)) ?? [];
    let best = -1;
    list.forEach((index, k) => {
      const [size, other] = [sizes[index], best < 0 ? -1 : sizes[list[best]]];
      if (size >= need ? other < need || size <= other : size > other) best = k;
    });
    const [index] = best < 0 ? [sizes.push(need) - 1] : list.splice(best, 1);
    sizes[index] = Math.max(sizes[index], need);
    place.set(root, index);
  };
  const own = new Set(pinned);
  for (const root of held) if (own.has(root)) take(root);
  for (const k of steps) {
    const touched = new Set(program.steps[k].args.map((arg) => roots[arg]));
    for (const root of touched) if (!place.has(root)) take(root);
    for (const root of touched) {
      if (own.has(root) || lastUse.get(root) !== k) continue;
      const shape = shapeOf(root);
      const list = free.get(shape);
      if (list) list.push(/** @type {number} */ (place.get(root)));
      else free.set(shape, [/** @type {number} */ (place.get(root))]);
    }
  }
  return { place, sizes };
}
