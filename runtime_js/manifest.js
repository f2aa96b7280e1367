/**
 * `bundle.json`: what a bundle holds, checked when it is read.
 *
 * @module
 */

import { BundleError } from './errors.js';

/**
 * A bundle's `bundle.json`. File names are relative to it; `files` has the size and SHA-256 of
 * every file that is loaded through it.
 *
 * @typedef {object} Manifest
 * @property {'weft-bundle'} format
 * @property {number} version 1
 * @property {string} name of the model
 * @property {readonly BundleProgram[]} programs in order of preference
 * @property {Readonly<Record<string, {bytes: number, sha256: string}>>} files
 * @property {Readonly<Record<string, unknown>>} meta model card, labels, pre- and post-processing
 */

/**
 * One program of a bundle. `codes` has one file for each device that its steps run on: for "webgpu"
 * and "webgl" a JSON file {code name: shader text}, for "wasm" a .wasm file, which becomes the code
 * object "kernels.wasm". `params` are its safetensors shards, which programs may share.
 *
 * @typedef {object} BundleProgram
 * @property {string} target the target text; its first word is the device's kind
 * @property {string} program file name of the Program's JSON
 * @property {Readonly<Record<string, string>>} codes file name by device kind
 * @property {readonly string[]} params file names
 */

/** The only version of bundle.json that this runtime reads. */
export const VERSION = 1;

/**
 * The manifest of a JSON form, checked.
 *
 * @param {unknown} json
 * @param {string} where
 * @returns {Manifest}
 * @throws {BundleError}
 */
export function parseManifest(json, where) {
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
  const { files = {}, meta = {} } = data;
  const fits =
    isText(data.name) &&
    Array.isArray(data.programs) &&
    data.programs.every(isProgram) &&
    isTable(files, isFile) &&
    isTable(meta);
  if (!fits) throw new BundleError('bundle.json is malformed.', { where });
  return { ...data, meta, files };
}

/** @param {unknown} value */
function isText(value) {
  return typeof value === 'string';
}

/**
 * Whether a value is a JSON object, all of whose values are right.
 *
 * @param {unknown} value
 * @param {(item: any) => boolean} [right]
 */
function isTable(value, right = () => true) {
  const table = typeof value === 'object' && value !== null && !Array.isArray(value);
  return table && Object.values(value).every((item) => right(item));
}

/** @param {any} p */
function isProgram(p) {
  const named = isText(p?.target) && isText(p.program) && isTable(p.codes, isText);
  return named && Array.isArray(p.params) && p.params.every(isText);
}

/** @param {any} f */
function isFile(f) {
  return Number.isSafeInteger(f?.bytes) && f.bytes >= 0 && isText(f.sha256);
}
