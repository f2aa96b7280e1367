/**
 * Control flow of a program: which of its steps run, in which order, how often. The mirror of
 * `runtime/flow.py`, which describes it.
 *
 * @module
 */

import { InputError } from './errors.js';

/**
 * @typedef {{kind: 'run', begin: number, end: number}} Run
 * @typedef {{kind: 'if', cond: number, then: Flow[], other: Flow[]}} Branch
 * @typedef {{kind: 'loop', count: number, trips: number, conds: readonly [number, number],
 *   even: Flow[], odd: Flow[], last: Flow[]}} Loop
 * @typedef {{kind: 'fail', why: string, where: string}} Fail the call ends with an InputError
 * @typedef {Run | Branch | Loop | Fail} Flow
 */

/**
 * The steps that belong to a loop or a branch, and the slots that are read where they begin.
 *
 * @typedef {{begin: number, end: number, loops: boolean, slots: number[]}} Extent
 */

/** @typedef {import('./program.js').Slot} Slot */

/**
 * What a program's JSON says, checked.
 *
 * @param {any} data
 * @param {number} steps
 * @param {readonly Slot[]} slots
 * @param {(why: string) => Error} wrong
 * @returns {readonly Flow[]}
 */
export function parseFlow(data, steps, slots, wrong) {
  let at = 0;
  const slot = (/** @type {any} */ k, /** @type {string} */ dtype) => {
    if (k !== -1 && slots[k]?.dtype !== dtype) throw wrong(`slot ${k} is no ${dtype}`);
    return k;
  };
  /** @param {any} list @returns {Flow[]} */
  const read = (list) => {
    if (!Array.isArray(list)) throw wrong('the control flow is not a list');
    return list.map((f) => {
      const [kind, ...rest] = Array.isArray(f) ? f : [];
      if (kind === 'run') {
        const [begin, end] = rest;
        if (begin !== at || !Number.isSafeInteger(end) || end < begin) {
          throw wrong(`the steps ${begin} to ${end} are not in order`);
        }
        at = end;
        return { kind, begin, end };
      }
      if (kind === 'if') {
        const [cond, then, other] = rest;
        if (slot(cond, 'bool') < 0) throw wrong('a branch has no condition');
        return { kind, cond, then: read(then), other: read(other) };
      }
      if (kind === 'fail') return { kind, why: String(rest[0]), where: String(rest[1]) };
      if (kind !== 'loop') throw wrong(`there is no flow '${kind}'`);
      const [count, trips, conds, even, odd, last] = rest;
      if (!Number.isSafeInteger(count) || conds?.length !== 2) throw wrong('a loop is malformed');
      slot(trips, 'int64');
      for (const c of conds) slot(c, 'bool');
      if (count < 0 && trips < 0 && conds[0] < 0) throw wrong('a loop never ends');
      const parts = { even: read(even), odd: read(odd), last: read(last) };
      return { kind, count, trips, conds, ...parts };
    });
  };
  const flow = read(data ?? []);
  if (flow.length && at !== steps) throw wrong(`${steps - at} steps are in no part of the flow`);
  return Object.freeze(flow);
}

/**
 * The ranges of steps to run, in order.
 *
 * @param {readonly Flow[]} flow
 * @param {(slot: number) => Promise<number>} read the value of a slot of one element, after all
 *   that was started
 * @returns {AsyncGenerator<[number, number]>}
 * @throws {InputError} where the inputs lead to a branch that fails
 */
export async function* ranges(flow, read) {
  for (const f of flow) {
    if (f.kind === 'run') yield [f.begin, f.end];
    else if (f.kind === 'fail') {
      const hint = 'compile the model for shapes that both branches can take, or give other inputs';
      throw new InputError(f.why, { where: f.where, hint });
    } else if (f.kind === 'if') yield* ranges((await read(f.cond)) ? f.then : f.other, read);
    else {
      let most = f.count < 0 ? Infinity : f.count;
      if (f.trips >= 0) most = Math.min(most, await read(f.trips));
      let k = 0;
      for (; k < most; k++) {
        const cond = f.conds[k % 2];
        if (cond >= 0 && !(await read(cond))) break;
        yield* ranges(k % 2 ? f.odd : f.even, read);
      }
      if (k % 2) yield* ranges(f.last, read);
    }
  }
}

/**
 * All loops and branches, inner ones before outer ones.
 *
 * @param {readonly Flow[]} flow
 * @returns {Extent[]}
 */
export function extents(flow) {
  /** @type {Extent[]} */
  const found = [];
  let at = 0;
  const visit = (/** @type {readonly Flow[]} */ list) => {
    for (const f of list) {
      if (f.kind === 'run') {
        at = f.end;
        continue;
      }
      if (f.kind === 'fail') continue;
      const begin = at;
      const loops = f.kind === 'loop';
      const parts = loops ? [f.even, f.odd, f.last] : [f.then, f.other];
      parts.forEach(visit);
      const slots = loops ? [f.trips, ...f.conds] : [f.cond];
      found.push({ begin, end: at, loops, slots: slots.filter((s) => s >= 0) });
    }
  };
  visit(flow);
  return found;
}

/**
 * The roots that must keep their storage although no later step in the order of the program reads
 * them: conditions, and what comes into a loop from before it.
 *
 * @param {readonly Flow[]} flow
 * @param {readonly number[]} roots
 * @param {ReadonlyMap<number, {first: number, last: number}>} lives of roots
 * @returns {Set<number>}
 */
export function kept(flow, roots, lives) {
  /** @type {Set<number>} */
  const found = new Set();
  for (const { begin, end, loops, slots } of extents(flow)) {
    for (const slot of slots) found.add(roots[slot]);
    if (!loops) continue;
    for (const [root, { first, last }] of lives) {
      if (first < begin && begin <= last && last < end) found.add(root);
    }
  }
  return found;
}
