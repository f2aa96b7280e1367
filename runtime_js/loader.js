/**
 * Reads one program of a bundle with all that belongs to it: its code, its parameters, its devices.
 *
 * @module
 */

import { DEVICES, findDevice } from './devices/table.js';
import { BundleError, DeviceError } from './errors.js';
import { Executor } from './executor.js';
import { Params, parseSafetensors } from './params.js';
import { kindOf, parseProgram } from './program.js';

/** @typedef {import('./devices/device.js').Codes} Codes */
/** @typedef {import('./devices/device.js').Device} Device */
/** @typedef {import('./flags.js').Flags} Flags */
/** @typedef {import('./manifest.js').BundleProgram} BundleProgram */
/** @typedef {import('./manifest.js').Manifest} Manifest */
/** @typedef {import('./source.js').Progress} Progress */
/** @typedef {import('./source.js').Source} Source */

export class Loader {
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
    const logical = program.meta.params === 'logical';
    const parameters = new Params(params, logical, program.meta.derived);
    return makeExecutor(program, Object.fromEntries(codes), parameters, flags);
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
 * A program on the devices that its codes are for.
 *
 * @param {import('./program.js').Program} program
 * @param {Readonly<Record<string, Codes>>} codes by kind of device
 * @param {Params} params
 * @param {Readonly<Flags>} flags
 * @returns {Promise<Executor>} that has to be prepared
 * @throws {DeviceError} when a device is not there
 */
export async function makeExecutor(program, codes, params, flags) {
  /** @type {Device[]} */
  const devices = [];
  for (const kind of Object.keys(codes)) {
    const target = kind === kindOf(program.target) ? program.target : '';
    const found = await findDevice(kind, flags, target);
    if (!found.ok) throw new DeviceError(`the model needs ${kind}: ${found.reason}.`);
    devices.push((await DEVICES[kind].module()).create(flags));
  }
  return new Executor(program, codes, params, devices, flags);
}
