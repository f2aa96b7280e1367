/**
 * Elements on graphics hardware, which computes in words of 32 bits: the mirror of `texel_dtype` in
 * `runtime/texture.py`.
 *
 * @module
 */

import { DTYPES, isFloat } from '../dtype.js';
import { InputError } from '../errors.js';

/** @typedef {import('../dtype.js').DType} DType */
/** @typedef {import('../dtype.js').TypedArray} TypedArray */

/**
 * The dtype that stands for another one on the device.
 *
 * @param {DType} dtype
 * @param {boolean} [half] whether the device has 16-bit floats of its own
 * @returns {DType}
 */
export function wordOf(dtype, half = false) {
  if (isFloat(dtype)) return half && dtype === DTYPES.float16 ? dtype : DTYPES.float32;
  return dtype.kind === 'uint' ? DTYPES.uint32 : DTYPES.int32;
}

/**
 * 64-bit integers are 32 bits wide on the device: refuse those that do not fit.
 *
 * @param {TypedArray} data
 * @param {{name: string, dtype: string}} slot
 * @param {string} where the device
 * @throws {InputError}
 */
export function checkFits(data, { name, dtype }, where) {
  if (dtype !== 'int64' && dtype !== 'uint64') return;
  const narrow = dtype === 'int64' ? BigInt.asIntN : BigInt.asUintN;
  for (const v of /** @type {BigInt64Array} */ (data)) {
    if (narrow(32, v) === v) continue;
    throw new InputError(`'${name}' has the value ${v}, which 32 bits do not hold.`, {
      where,
      hint: 'the wasm backend computes with 64-bit integers',
    });
  }
}
