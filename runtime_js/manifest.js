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
