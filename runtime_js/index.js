/**
 * weft in JavaScript: runs bundles that `weft compile --bundle` wrote, in a page, in a worker, in
 * Node.
 *
 *     import { load } from './weft.js';
 *     const model = await load('models/resnet/');
 *     const { y } = await model.run({ x });
 *
 * @module
 */

import {
  Memory, clearChoices, measure, preferred, surroundings, timesText, whyPreferred,
} from './choose.js'; // prettier-ignore
import { BundleError, DeviceError, InputError, checkAborted } from './errors.js';
import { Executor } from './executor.js';
import { makeFlags } from './flags.js';
import { Params, parseSafetensors } from './params.js';
import { kindOf, parseProgram } from './program.js';
import { Source, clearFiles } from './source.js';
import { Tensor } from './tensor.js';

export {
  AbortError, BundleError, ContextLostError, DeviceError, DisposedError, InputError, NumericError,
  WeftError,
} from './errors.js'; // prettier-ignore
export { Tensor };

/** @typedef {import('./choose.js').Candidate} Candidate */
/** @typedef {import('./devices/device.js').BundleProgram} BundleProgram */
/** @typedef {import('./devices/device.js').Codes} Codes */
/** @typedef {import('./devices/device.js').Device} Device */
/** @typedef {import('./devices/device.js').DeviceClass} DeviceClass */
/** @typedef {import('./devices/device.js').Manifest} Manifest */
/** @typedef {import('./executor.js').ProfileRow} ProfileRow */
/** @typedef {import('./executor.js').RunOptions} RunOptions */
/** @typedef {import('./flags.js').Flags} Flags */
/** @typedef {import('./source.js').Progress} Progress */
/** @typedef {import('./tensor.js').TensorLike} TensorLike */
/** @typedef {import('./tensor.js').TensorSpec} TensorSpec */

/**
 * @typedef {object} LoadOptions
 * @property {'auto' | 'fastest' | 'webgpu' | 'webgl' | 'wasm'} [backend] 'auto': the first program
 *   of the bundle that runs here, but graphics hardware that the processor only plays comes last;
 *   'fastest': all that run here are measured, once, and the choice is kept until something changes
 * @property {(progress: Progress) => void} [onProgress]
 * @property {AbortSignal} [signal]
 * @property {Partial<Flags>} [flags]
 */

/**
 * Why a backend was chosen or not.
 *
 * @typedef {object} Reason
 * @property {string} backend
 * @property {boolean} ok
 * @property {string} reason
 */

/** The only version of bundle.json that this runtime reads. */
const VERSION = 1;

/** @type {Readonly<Record<string, () => Promise<DeviceClass>>>} */
const DEVICES = Object.freeze({
  webgpu: async () => (await import('./devices/webgpu.js')).device,
  webgl: async () => (await import('./devices/webgl.js')).device,
  wasm: async () => (await import('./devices/wasm.js')).device,
});

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

  /** Name, dtype and shape of each output. */
  get outputs() {
    return this.#executor.outputs;
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
  run(feeds, options) {
    return this.#executor.run(feeds, options);
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
 * Load a model from a bundle.
 *
 * @param {string | URL} url of the bundle's folder or of its bundle.json; under Node also a path
 * @param {LoadOptions} [options]
 * @returns {Promise<Model>}
 * @throws {WeftError} BundleError when the bundle is missing, damaged or of another version;
 *   DeviceError when no backend can run it; AbortError; InputError for options that do not exist
 */
export async function load(url, options = {}) {
  const { backend = 'auto', onProgress, signal } = options;
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
  /** @param {Candidate} c @returns {Promise<Executor | undefined>} none where it does not run */
  const build = async (c) => {
    /** @type {Executor | undefined} */
    let executor;
    try {
      const loader = new Loader(source, manifest, c.entry, flags, { signal, onProgress });
      executor = await loader.executor();
      await executor.prepare({ signal, onProgress });
      if (flags.warmUp) {
        onProgress?.({ phase: 'warm-up', loaded: 0, total: 1 });
        await executor.run(zeros(executor.inputs), { signal });
        onProgress?.({ phase: 'warm-up', loaded: 1, total: 1 });
      }
      return executor;
    } catch (e) {
      executor?.dispose();
      if (!(e instanceof DeviceError)) throw e;
      c.found = { ok: false, reason: e.detail };
      return undefined;
    }
  };
  const finish = (/** @type {Executor} */ executor, /** @type {Candidate} */ c, reason = '') => {
    const reasons = candidates.map(({ kind, found: { ok, reason: why } }) =>
      Object.freeze({ backend: kind, ok, reason: why }),
    );
    return new Model(executor, c.kind, reason, Object.freeze(reasons), manifest);
  };
  if (backend === 'fastest' && preferred(candidates).length > 1) {
    const memory = new Memory(manifest, source.folder, flags.cache);
    const { chosen, executor, reason } = await fastest(candidates, build, memory, flags, options);
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
 * Measure what can run, or take what an earlier visit found.
 *
 * @param {readonly Candidate[]} candidates
 * @param {(c: Candidate) => Promise<Executor | undefined>} build
 * @param {Memory} memory
 * @param {Readonly<Flags>} flags
 * @param {LoadOptions} options
 * @returns {Promise<{chosen?: Candidate, executor?: Executor, reason: string}>}
 */
async function fastest(candidates, build, memory, flags, { signal, onProgress }) {
  const around = surroundings(candidates, flags);
  const known = await memory.get(around);
  const before = known && candidates.find((c) => c.entry.target === known.target && c.found.ok);
  if (known && before) {
    const executor = await build(before);
    const reason = `the fastest on an earlier visit: ${timesText(known.times)}`;
    if (executor) return { chosen: before, executor, reason };
    await memory.forget();
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
    if (best) await memory.put({ around, target: best.chosen.entry.target, times });
    return { ...best, reason: `the fastest as measured: ${timesText(times)}` };
  } catch (e) {
    best?.executor.dispose();
    throw e;
  }
}

/**
 * Run a function and dispose of the models that it loaded through its scope, but for those that it
 * gives back. The scope is explicit, since several such functions may be under way at a time.
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
 * Which backends work here, and why or why not.
 *
 * @param {Partial<Flags>} [flags]
 * @returns {Promise<Reason[]>}
 */
export function backends(flags) {
  const all = makeFlags(flags);
  return Promise.all(
    Object.keys(DEVICES).map(async (kind) => {
      const { ok, reason } = await findDevice(kind, all, kind);
      return { backend: kind, ok, reason };
    }),
  );
}

/**
 * @param {string} kind
 * @param {Readonly<Flags>} flags
 * @param {string} target
 * @returns {Promise<import('./devices/device.js').Availability>}
 */
async function findDevice(kind, flags, target) {
  if (!Object.hasOwn(DEVICES, kind)) {
    return { ok: false, reason: `this version of weft has no backend '${kind}'` };
  }
  return (await DEVICES[kind]()).available(flags, target);
}

/** Reads one program of a bundle with all that belongs to it. */
class Loader {
  /**
   * @param {Source} source
   * @param {Manifest} manifest
   * @param {BundleProgram} entry
   * @param {Readonly<Flags>} flags
   * @param {{signal?: AbortSignal, onProgress?: (p: Progress) => void}} options
   */
  constructor(source, manifest, entry, flags, { signal, onProgress }) {
    this.source = source;
    this.manifest = manifest;
    this.entry = entry;
    this.flags = flags;
    this.signal = signal;
    this.onProgress = onProgress;
    this.loaded = 0;
    const names = new Set([entry.program, ...Object.values(entry.codes), ...entry.params]);
    this.total = [...names].reduce((n, name) => n + this.#expected(name).bytes, 0);
  }

  /** @param {string} name */
  #expected(name) {
    const { files } = this.manifest;
    if (!Object.hasOwn(files, name)) {
      throw new BundleError(`bundle.json does not describe the file ${name}.`, {
        where: this.source.name,
      });
    }
    return files[name];
  }

  /**
   * @param {string} file
   * @param {boolean} [keep]
   * @returns {import('./source.js').ReadOptions}
   */
  #options(file, keep = false) {
    const { signal, total } = this;
    const onBytes = (/** @type {number} */ bytes) => {
      this.loaded += bytes;
      const loaded = Math.min(this.loaded, total);
      this.onProgress?.({ phase: 'download', loaded, total, file });
    };
    return { expected: this.#expected(file), signal, keep, onBytes };
  }

  async executor() {
    const { source, entry, flags } = this;
    const [json, codes, params] = await Promise.all([
      source.json(entry.program, this.#options(entry.program)),
      Promise.all(Object.entries(entry.codes).map(([kind, file]) => this.#code(kind, file))),
      this.#params(),
    ]);
    const program = parseProgram(json, `${source.name}${entry.program}`);
    /** @type {Device[]} */
    const devices = [];
    for (const [kind] of codes) {
      const found = await findDevice(kind, flags, kind === kindOf(entry.target) ? entry.target : '');
      if (!found.ok) throw new DeviceError(`the model needs ${kind}: ${found.reason}.`);
      devices.push((await DEVICES[kind]()).create(flags));
    }
    const logical = program.meta.params === 'logical';
    const parameters = new Params(params, logical, program.meta.derived);
    return new Executor(program, Object.fromEntries(codes), parameters, devices, flags);
  }

  /**
   * @param {string} kind
   * @param {string} file
   * @returns {Promise<[string, Codes]>}
   */
  async #code(kind, file) {
    const { source } = this;
    if (!file.endsWith('.json')) {
      return [kind, { 'kernels.wasm': await source.read(file, this.#options(file)) }];
    }
    const texts = await source.json(file, this.#options(file));
    const fits = typeof texts === 'object' && texts !== null && !Array.isArray(texts);
    if (!fits || !Object.values(texts).every((t) => typeof t === 'string')) {
      throw new BundleError(`${file} is no table of shaders.`, { where: source.name });
    }
    return [kind, texts];
  }

  async #params() {
    const { source, entry, flags } = this;
    const shards = await Promise.all(
      entry.params.map(async (file) => {
        const bytes = await source.read(file, this.#options(file, flags.cache));
        return [...parseSafetensors(bytes, `${source.name}${file}`)];
      }),
    );
    return new Map(shards.flat());
  }
}

/**
 * @param {unknown} json
 * @param {string} where
 * @returns {Manifest}
 * @throws {BundleError}
 */
function parseManifest(json, where) {
  const data = /** @type {any} */ (json);
  if (typeof data !== 'object' || data === null || data.format !== 'weft-bundle') {
    throw new BundleError('bundle.json is not that of a weft bundle.', { where });
  }
  if (data.version !== VERSION) {
    throw new BundleError(
      `the bundle has version ${JSON.stringify(data.version)}, this weft reads ${VERSION}.`,
      { where, hint: 'compile the model again with the version of weft that the page uses' },
    );
  }
  const text = (/** @type {unknown} */ v) => typeof v === 'string';
  const files = Object.values(data.files ?? {});
  const fits =
    text(data.name) &&
    Array.isArray(data.programs) &&
    data.programs.every(
      (/** @type {any} */ p) =>
        text(p?.target) &&
        text(p.program) &&
        Object.values(p.codes ?? {}).every(text) &&
        Array.isArray(p.params) &&
        p.params.every(text),
    ) &&
    files.every((/** @type {any} */ f) => Number.isSafeInteger(f?.bytes) && text(f.sha256));
  if (!fits) throw new BundleError('bundle.json is malformed.', { where });
  return { ...data, meta: data.meta ?? {}, files: data.files ?? {} };
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
