/**
 * Which program of a bundle runs here: in what order they are tried, which is fastest, and what was
 * found out about that on an earlier visit.
 *
 * @module
 */

import { sha256 } from './sha256.js';

/** @typedef {import('./devices/device.js').Availability} Availability */
/** @typedef {import('./executor.js').Executor} Executor */
/** @typedef {import('./flags.js').Flags} Flags */
/** @typedef {import('./manifest.js').BundleProgram} BundleProgram */
/** @typedef {import('./manifest.js').Manifest} Manifest */

/**
 * A program and what was found of the device that it wants.
 *
 * @typedef {object} Candidate
 * @property {BundleProgram} entry
 * @property {string} kind
 * @property {Availability} found
 */

/**
 * What is kept between visits.
 *
 * @typedef {object} Choice
 * @property {string} environment what was measured; when it changed, the times mean nothing
 * @property {string} target of the fastest program
 * @property {Readonly<Record<string, number>>} times milliseconds by target
 */

const CACHE = 'weft-choices-1';
const RUNS = 3;

/** @type {Map<string, Choice>} what this page found, also where there is no storage */
const session = new Map();

/**
 * The candidates that can run, in the order in which 'auto' tries them: the bundle's, but software
 * that emulates a graphics processor comes after WebAssembly. Both run on the same cores, and there
 * compiled code with vectors is several times faster than shaders (`make bench` has the numbers).
 *
 * @param {readonly Candidate[]} candidates
 */
export function preferred(candidates) {
  const able = candidates.filter((c) => c.found.ok);
  return [...able.filter((c) => !c.found.software), ...able.filter((c) => c.found.software)];
}

/**
 * Why 'auto' took one of them.
 *
 * @param {readonly Candidate[]} candidates
 * @param {Candidate} chosen
 */
export function whyPreferred(candidates, chosen) {
  const before = candidates.slice(0, candidates.indexOf(chosen));
  const why = before.map(({ kind, found }) => {
    if (!found.ok) return `${kind} is not possible: ${found.reason}`;
    return `${kind} is software here (${found.reason}), which ${chosen.kind} outruns`;
  });
  return [chosen.found.reason, ...why].join('; ');
}

/**
 * The milliseconds of an inference, the best of a few after one to warm up; fewer of what is slow.
 *
 * @param {() => Promise<unknown>} run
 * @param {number} best of the others
 */
export async function measure(run, best) {
  await run();
  let least = Infinity;
  for (let k = 0; k < RUNS; k++) {
    const begin = performance.now();
    await run();
    least = Math.min(least, performance.now() - begin);
    if (least > 3 * best) break;
  }
  return least;
}

/**
 * What the measured times depend on, apart from the bundle.
 *
 * @param {readonly Candidate[]} candidates
 * @param {Readonly<Flags>} flags
 */
export function environmentOf(candidates, flags) {
  const { userAgent = '', hardwareConcurrency = 0 } = globalThis.navigator ?? {};
  const found = candidates.map(({ entry, found: f }) => [entry.target, f.ok, f.reason]);
  return JSON.stringify([userAgent, hardwareConcurrency, found, flags.threads, flags.forceHalfFloat]);
}

/** Choices for one bundle: its programs and all of their bytes. */
export class Choices {
  /**
   * @param {Manifest} manifest
   * @param {string} folder of the bundle
   * @param {boolean} keep between visits, too
   */
  constructor(manifest, folder, keep) {
    this.#text = JSON.stringify([manifest.programs, manifest.files]);
    this.#folder = folder;
    this.#keep = keep && /^https?:/.test(folder);
  }

  #text;
  #folder;
  #keep;

  async #key() {
    return `weft-choice/${await sha256(new TextEncoder().encode(this.#text))}`;
  }

  /**
   * @param {string} environment
   * @returns {Promise<Choice | undefined>} none when there is none for this environment
   */
  async get(environment) {
    const key = await this.#key();
    const choice = session.get(key) ?? (await this.#stored(key));
    if (!choice || choice.environment !== environment) return undefined;
    return choice;
  }

  /** @param {string} key @returns {Promise<Choice | undefined>} */
  async #stored(key) {
    if (!this.#keep) return undefined;
    try {
      const cache = await globalThis.caches?.open(CACHE);
      const json = await (await cache?.match(new URL(key, this.#folder)))?.json();
      const fits =
        typeof json?.environment === 'string' &&
        typeof json.target === 'string' &&
        Object.values(json.times ?? { none: '' }).every((t) => typeof t === 'number');
      return fits ? json : undefined;
    } catch {
      return undefined; // private windows and sandboxed frames may refuse storage
    }
  }

  /** @param {Choice} choice */
  async put(choice) {
    const key = await this.#key();
    session.set(key, choice);
    if (!this.#keep) return;
    try {
      const cache = await globalThis.caches?.open(CACHE);
      await cache?.put(new URL(key, this.#folder), new Response(JSON.stringify(choice)));
    } catch {
      // No room, or no storage: the next visit measures again.
    }
  }

  async forget() {
    const key = await this.#key();
    session.delete(key);
    try {
      const cache = this.#keep ? await globalThis.caches?.open(CACHE) : undefined;
      await cache?.delete(new URL(key, this.#folder));
    } catch {
      // There is nothing to forget then.
    }
  }
}

/**
 * Forget all choices.
 *
 * @returns {Promise<boolean>} whether there were any
 */
export async function clearChoices() {
  const some = session.size > 0;
  session.clear();
  return (await globalThis.caches?.delete(CACHE)) || some;
}

/** @param {Readonly<Record<string, number>>} times milliseconds by target */
export function timesText(times) {
  return Object.entries(times)
    .sort(([, a], [, b]) => a - b)
    .map(([target, ms]) => `${target} ${ms < 10 ? ms.toFixed(1) : ms.toFixed(0)} ms`)
    .join(', ');
}
