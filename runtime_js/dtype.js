/**
 * Element types, and the typed arrays that hold them in JavaScript.
 *
 * bool is a Uint8Array of 0 and 1; float16 and bfloat16 are Uint16Arrays of their bits, since not
 * every browser has a Float16Array; 64-bit integers are BigInt64Arrays and BigUint64Arrays.
 *
 * @module
 */

import { BundleError, DeviceError } from './errors.js';

/**
 * @typedef {Float32Array | Float64Array | Int8Array | Int16Array | Int32Array | Uint8Array |
 *   Uint8ClampedArray | Uint16Array | Uint32Array | BigInt64Array | BigUint64Array} TypedArray
 */

/**
 * @typedef {object} DType
 * @property {string} name
 * @property {'float' | 'bfloat' | 'int' | 'uint' | 'bool'} kind
 * @property {number} bytes of one element
 * @property {new (length: number) => TypedArray} make
 * @property {(buffer: ArrayBufferLike, offset: number, length: number) => TypedArray} view of
 *   bytes at an offset that is a multiple of `bytes`
 */

/**
 * @param {string} name
 * @param {DType['kind']} kind
 * @param {any} ArrayType a class of typed arrays
 * @returns {Readonly<DType>}
 */
function entry(name, kind, ArrayType) {
  return Object.freeze({
    name,
    kind,
    bytes: ArrayType.BYTES_PER_ELEMENT,
    make: ArrayType,
    view: (/** @type {ArrayBufferLike} */ b, /** @type {number} */ o, /** @type {number} */ n) =>
      new ArrayType(b, o, n),
  });
}

/** @type {Readonly<Record<string, Readonly<DType>>>} */
export const DTYPES = Object.freeze({
  float64: entry('float64', 'float', Float64Array),
  float32: entry('float32', 'float', Float32Array),
  float16: entry('float16', 'float', Uint16Array),
  bfloat16: entry('bfloat16', 'bfloat', Uint16Array),
  int8: entry('int8', 'int', Int8Array),
  int16: entry('int16', 'int', Int16Array),
  int32: entry('int32', 'int', Int32Array),
  int64: entry('int64', 'int', BigInt64Array),
  uint8: entry('uint8', 'uint', Uint8Array),
  uint16: entry('uint16', 'uint', Uint16Array),
  uint32: entry('uint32', 'uint', Uint32Array),
  uint64: entry('uint64', 'uint', BigUint64Array),
  bool: entry('bool', 'bool', Uint8Array),
});

/**
 * @param {string} name
 * @returns {Readonly<DType>}
 * @throws {BundleError} when there is no such dtype
 */
export function dtypeOf(name) {
  if (!Object.hasOwn(DTYPES, name)) throw new BundleError(`there is no dtype '${name}'.`);
  return DTYPES[name];
}

/**
 * Memory for elements, all zero.
 *
 * @param {DType} dtype
 * @param {number} count
 * @returns {TypedArray}
 * @throws {DeviceError} when there is none, or no array is so long
 */
export function allocate(dtype, count) {
  try {
    return new dtype.make(count);
  } catch (cause) {
    throw new DeviceError(`there is no memory for ${count} elements of ${dtype.name}.`, {
      hint: 'close other pages, or use a smaller model',
      cause,
    });
  }
}

/** @param {DType} dtype */
export function isFloat(dtype) {
  return dtype.kind === 'float' || dtype.kind === 'bfloat';
}

const FLOAT = new Float32Array(1);
const BITS = new Uint32Array(FLOAT.buffer);

/**
 * The number that the bits of a float16 stand for.
 *
 * @param {number} h
 */
export function halfToNumber(h) {
  const sign = h & 0x8000 ? -1 : 1;
  const exponent = (h >> 10) & 31;
  const mantissa = h & 1023;
  if (exponent === 0) return sign * mantissa * 2 ** -24;
  if (exponent === 31) return mantissa ? NaN : sign * Infinity;
  return sign * (1 + mantissa / 1024) * 2 ** (exponent - 15);
}

/**
 * The bits of the float16 nearest to a number, ties to even, as IEEE 754 rounds.
 *
 * @param {number} value is rounded to float32 first
 */
export function numberToHalf(value) {
  FLOAT[0] = value;
  const bits = BITS[0];
  const sign = (bits >>> 16) & 0x8000;
  const exponent = ((bits >>> 23) & 255) - 127 + 15;
  const mantissa = bits & 0x7fffff;
  if (exponent >= 143) return sign | 0x7c00 | (mantissa ? 0x200 : 0); // infinity and NaN
  if (exponent >= 31) return sign | 0x7c00;
  if (exponent < -10) return sign;
  // Subnormals shift the hidden one in; rounding may carry into the exponent, which is right.
  const whole = exponent > 0 ? (exponent << 23) | mantissa : mantissa | 0x800000;
  const shift = exponent > 0 ? 13 : 14 - exponent;
  const rest = whole & ((1 << shift) - 1);
  const half = 1 << (shift - 1);
  let result = whole >>> shift;
  if (rest > half || (rest === half && result & 1)) result += 1;
  return sign | result;
}

/**
 * The number that the bits of a bfloat16 stand for.
 *
 * @param {number} b
 */
export function bfloatToNumber(b) {
  BITS[0] = b << 16;
  return FLOAT[0];
}

/**
 * The bits of the bfloat16 nearest to a number, ties to even.
 *
 * @param {number} value is rounded to float32 first
 */
export function numberToBfloat(value) {
  FLOAT[0] = value;
  const bits = BITS[0];
  if (Number.isNaN(FLOAT[0])) return ((bits >>> 16) & 0x8000) | 0x7fc0;
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff;
}

/**
 * How one element is read as a number, when the array does not hold plain numbers.
 *
 * @param {DType} dtype
 * @returns {((bits: number) => number) | null} null when elements are numbers or bigints already
 */
export function decoder(dtype) {
  if (dtype.name === 'float16') return halfToNumber;
  return dtype.name === 'bfloat16' ? bfloatToNumber : null;
}

/**
 * How a number is written as one element, when the array does not hold plain numbers.
 *
 * @param {DType} dtype
 * @returns {((value: number) => number) | null} null when elements are numbers or bigints already
 */
export function encoder(dtype) {
  if (dtype.name === 'float16') return numberToHalf;
  return dtype.name === 'bfloat16' ? numberToBfloat : null;
}

/**
 * Elements of one dtype as elements of another, into an array of the caller's if there is one:
 * floats round, integers wrap, anything becomes bool by being other than zero.
 *
 * @param {TypedArray} data
 * @param {DType} from
 * @param {DType} to
 * @param {TypedArray} [out] by default a new array
 * @returns {TypedArray} `data` itself when the dtypes are the same and there is no `out`
 */
export function convert(data, from, to, out) {
  const n = data.length;
  const decode = decoder(from);
  const encode = encoder(to);
  if (from.name === to.name) {
    if (!out) return data;
    /** @type {any} */ (out).set(data);
    return out;
  }
  const source = /** @type {any} */ (data);
  const result = /** @type {any} */ (out ?? new to.make(n));
  const fromBig = data instanceof BigInt64Array || data instanceof BigUint64Array;
  const toBig = result instanceof BigInt64Array || result instanceof BigUint64Array;
  if (!decode && !encode && fromBig === toBig && to.kind !== 'bool') {
    result.set(source);
    return result;
  }
  for (let i = 0; i < n; i++) {
    let v = decode ? decode(source[i]) : source[i];
    if (to.kind === 'bool') v = v ? 1 : 0;
    if (fromBig && !toBig) v = to.kind === 'int' || to.kind === 'uint' ? low(v) : Number(v);
    if (toBig && !fromBig) v = BigInt(Math.trunc(v));
    result[i] = encode ? encode(v) : v;
  }
  return result;
}

/**
 * The low 32 bits of a bigint, signed; a typed array that is narrower wraps them on.
 *
 * @param {bigint | number} v
 */
function low(v) {
  return Number(BigInt.asIntN(32, BigInt(v)));
}

/**
 * Where the first NaN is, or -1.
 *
 * @param {TypedArray} data
 * @param {DType} dtype
 */
export function findNaN(data, dtype) {
  if (!isFloat(dtype)) return -1;
  const decode = decoder(dtype);
  for (let i = 0; i < data.length; i++) {
    const v = /** @type {number} */ (data[i]);
    if (Number.isNaN(decode ? decode(v) : v)) return i;
  }
  return -1;
}

/** @param {readonly number[]} shape */
export function sizeOf(shape) {
  return shape.reduce((n, k) => n * k, 1);
}
