/**
 * Compiles the module of a model, and says what it exports.
 *
 * @module
 */

import { BundleError, DeviceError, messageOf } from '../../errors.js';

/**
 * What host.c exports. Pointers are numbers of bytes.
 *
 * @typedef {object} Host
 * @property {WebAssembly.Memory} [memory] where it is not shared
 * @property {WebAssembly.Global} [__stack_pointer]
 * @property {() => void} [_initialize]
 * @property {(bytes: number) => number} weft_alloc
 * @property {() => number} weft_names
 * @property {(steps: number, count: number) => void} weft_run
 * @property {(workers: number, mayWait: number) => void} [weft_pool]
 */

// A module with one function that counts the bits of a vector.
const SIMD_PROBE = Uint8Array.of(
  ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0], // magic, version
  ...[1, 5, 1, 0x60, 0, 1, 0x7b], // type: () -> v128
  ...[3, 2, 1, 0], // one function of it
  ...[10, 10, 1, 8, 0, 0x41, 0, 0xfd, 0x0f, 0xfd, 0x62, 0x0b], // i8x16.popcnt(i8x16.splat(0))
);

/** Whether WebAssembly has vectors here. */
export function hasVectors() {
  return WebAssembly.validate(SIMD_PROBE);
}

/**
 * The module of a code object.
 *
 * @param {string | Uint8Array | undefined} code
 * @param {string} name
 * @param {string} where the program, for messages
 * @returns {Promise<WebAssembly.Module>}
 * @throws {BundleError} when the code is missing or damaged; DeviceError when it is refused
 */
export async function compile(code, name, where) {
  const hint = 'upload the whole bundle again, and see that the server sends the file unchanged';
  if (!(code instanceof Uint8Array)) {
    throw new BundleError(`the code object '${name}' is missing.`, { where, hint });
  }
  const magic = new DataView(code.buffer, code.byteOffset, Math.min(code.byteLength, 4));
  if (code.byteLength < 8 || magic.getUint32(0) !== 0x0061736d) {
    throw new BundleError(`'${name}' is not WebAssembly.`, { where, hint });
  }
  try {
    return await WebAssembly.compile(/** @type {BufferSource} */ (code));
  } catch (cause) {
    throw new DeviceError(`'${name}' cannot be compiled: ${messageOf(cause)}.`, {
      where,
      hint: 'update the browser; it must have WebAssembly SIMD, and a policy that allows it',
      cause,
    });
  }
}
