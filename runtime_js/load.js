/**
 * Loads models: chooses the program of a bundle that runs here, and makes it ready.
 *
 * @module
 */

import { DEVICES, findDevice } from './devices/table.js';
import {
  Choices, clearChoices, measure, preferred, environmentOf, timesText, whyPreferred,
} from './choose.js'; // prettier-ignore
import { DeviceError, InputError, checkAborted } from './errors.js';
import { makeFlags } from './flags.js';
import { Loader } from './loader.js';
import { parseManifest } from './manifest.js';
import { Model } from './model.js';
import { kindOf } from './program.js';
import { Source, clearFiles } from './source.js';
import { Tensor } from './tensor.js';

/** @typedef {import('./choose.js').Candidate} Candidate */
/** @typedef {import('./executor.js').Executor} Executor */
/** @typedef {import('./flags.js').Flags} Flags */
/** @typedef {import('./source.js').Progress} Progress */
/** @typedef {import('./tensor.js').TensorSpec} TensorSpec */

/**
 * @typedef {object} LoadOptions
 * @property {'auto' | 'fastest' | 'webgpu' | 'webgl' | 'wasm'} [backend] 'auto': the first program
 *   of the bundle that runs here, but graphics hardware that the processor only emulates comes
 *   last; 'fastest': all that run here are measured, once, and the choice is kept until something
 *   changes
 * @property {(progress: Progress) => void} [onProgress]
 * @property {AbortSignal} [signal]
 * @property {Partial<Flags>} [flags]
 */

/**
 * Load a model from a bundle.
 *
 * @param {string | URL} url of the bundle's folder or of its bundle.json; under Node also a path
 * @param {LoadOptions} [options]
 * @returns {Promise<Model>}
 * @throws {import('./errors.js').WeftError} BundleError when the bundle is missing, damaged or of
 *   another version; DeviceError when no backend can run it; AbortError; InputError for options
 *   that do not exist
 */
export async function load(url, options = {}) {
  const { backend = 'auto', signal } = options;
  const flags = makeFlags(options.flags);
  if (!['auto', 'fastest', ...Object.keys(DEVICES)].includes(backend)) {
    throw new InputError(`there is no backend '${backend}'.`, {
      hint: `backends: auto, fastest, ${Object.keys(DEVICES).join(', ')}`,
    });
  }
  const source = new Source(url);
  const manifest = parseManifest(await source.json('bundle.json', { signal }), source.name);
  const any = backend === 'auto' || backend === 'fastest';
  const wanted = manifest.programs.filter((p) => any || kindOf(p.target) === backend);
  if (wanted.length === 0) {
    const has = manifest.programs.map((p) => kindOf(p.target)).join(', ');
    throw new DeviceError(`the bundle has no program for '${backend}'; it has: ${has}.`, {
      where: source.name,
      hint: `compile it with --target ${backend}`,
    });
  }
  /** @type {Candidate[]} */
  const candidates = [];
  for (const entry of wanted) {
    const kind = kindOf(entry.target);
    candidates.push({ entry, kind, found: await findDevice(kind, flags, entry.target) });
    checkAborted(signal, 'loading the model');
  }
  const build = (/** @type {Candidate} */ c) =>
    start(c, new Loader(source, manifest, c.entry, flags, options), options);
  const finish = (/** @type {Executor} */ executor, /** @type {Candidate} */ c, reason = '') => {
    const reasons = candidates.map(({ kind, found: { ok, reason: why } }) =>
      Object.freeze({ backend: kind, ok, reason: why }),
    );
    return new Model(executor, c.kind, reason, Object.freeze(reasons), manifest);
  };
  if (backend === 'fastest' && preferred(candidates).length > 1) {
    const choices = new Choices(manifest, source.folder, flags.cache);
    const { chosen, executor, reason } = await fastest(candidates, build, choices, flags, options);
    if (chosen && executor) return finish(executor, chosen, reason);
  } else {
    for (const c of preferred(candidates)) {
      const executor = await build(c);
      if (!executor) continue;
      const reason = any ? whyPreferred(candidates, c) : `asked for; ${c.found.reason}`;
      return finish(executor, c, reason);
    }
  }
  const why = candidates.map((c) => `\n    ${c.kind}: ${c.found.reason}`).join('');
  throw new DeviceError(`no backend can run this model here.${why}`, {
    where: manifest.name,
    hint: 'use a current browser, or compile the bundle with a wasm program too',
  });
}

/**
 * The program of a candidate, ready to run; none where its device turns out not to run it, and then
 * the candidate knows why.
 *
 * @param {Candidate} candidate
 * @param {Loader} loader
 * @param {LoadOptions} options
 * @returns {Promise<Executor | undefined>}
 */
async function start(candidate, loader, { signal, onProgress }) {
  /** @type {Executor | undefined} */
  let executor;
  try {
    executor = await loader.executor();
    await executor.prepare({ signal, onProgress });
    if (loader.flags.warmUp) {
      onProgress?.({ phase: 'warm-up', loaded: 0, total: 1 });
      await executor.run(zeros(executor.inputs), { signal });
      onProgress?.({ phase: 'warm-up', loaded: 1, total: 1 });
    }
    return executor;
  } catch (e) {
    executor?.dispose();
    if (!(e instanceof DeviceError)) throw e;
    candidate.found = { ok: false, reason: e.detail };
    return undefined;
  }
}

/**
 * Measure what can run, or take what an earlier visit found.
 *
 * @param {readonly Candidate[]} candidates
 * @param {(c: Candidate) => Promise<Executor | undefined>} build
 * @param {Choices} choices
 * @param {Readonly<Flags>} flags
 * @param {LoadOptions} options
 * @returns {Promise<{chosen?: Candidate, executor?: Executor, reason: string}>}
 */
async function fastest(candidates, build, choices, flags, { signal, onProgress }) {
  const environment = environmentOf(candidates, flags);
  const known = await choices.get(environment);
  const before = known && candidates.find((c) => c.entry.target === known.target && c.found.ok);
  if (known && before) {
    const executor = await build(before);
    const reason = `the fastest on an earlier visit: ${timesText(known.times)}`;
    if (executor) return { chosen: before, executor, reason };
    await choices.forget();
  }
  const able = preferred(candidates);
  /** @type {Record<string, number>} */
  const times = {};
  /** @type {{chosen: Candidate, executor: Executor} | undefined} */
  let best;
  try {
    for (const [k, c] of able.entries()) {
      onProgress?.({ phase: 'measure', loaded: k, total: able.length });
      const executor = await build(c);
      if (!executor) continue;
      try {
        const feeds = zeros(executor.inputs);
        const least = best ? times[best.chosen.entry.target] : Infinity;
        const ms = await measure(() => executor.run(feeds, { signal }), least);
        times[c.entry.target] = ms;
        if (ms < least) {
          best?.executor.dispose();
          best = { chosen: c, executor };
        }
      } catch (e) {
        if (!(e instanceof DeviceError)) throw e;
        c.found = { ok: false, reason: e.detail };
      } finally {
        if (best?.executor !== executor) executor.dispose();
      }
    }
    onProgress?.({ phase: 'measure', loaded: able.length, total: able.length });
    if (best) await choices.put({ environment, target: best.chosen.entry.target, times });
    return { ...best, reason: `the fastest as measured: ${timesText(times)}` };
  } catch (e) {
    best?.executor.dispose();
    throw e;
  }
}

/**
 * Run a function and dispose of the models that it loaded through its scope, except those that it
 * returns. The scope is explicit, since several such functions may be under way at a time.
 *
 *     const y = await tidy(async ({ load }) => (await load('m/')).run({ x }));
 *
 * @template T
 * @param {(scope: {load: typeof load}) => T | Promise<T>} work
 * @returns {Promise<T>}
 */
export async function tidy(work) {
  /** @type {Model[]} */
  const made = [];
  /** @type {unknown} */
  let result;
  try {
    const answer = await work({
      load: async (url, options) => {
        const model = await load(url, options);
        made.push(model);
        return model;
      },
    });
    result = answer;
    return answer;
  } finally {
    const kept = new Set(Array.isArray(result) ? result : [result, ...values(result)]);
    for (const model of made) if (!kept.has(model)) model.dispose();
  }
}

/**
 * Forget all that earlier visits kept: files, and which backend was the fastest.
 *
 * @returns {Promise<boolean>} whether there was anything
 */
export async function clearCache() {
  const found = await Promise.all([clearFiles(), clearChoices()]);
  return found.some((f) => f);
}

/**
 * Inputs of zeros.
 *
 * @param {readonly TensorSpec[]} specs
 */
function zeros(specs) {
  return Object.fromEntries(specs.map((s) => [s.name, Tensor.zeros(s.dtype, s.shape)]));
}

/** @param {unknown} result */
function values(result) {
  return typeof result === 'object' && result !== null ? Object.values(result) : [];
}
