/**
 * The parameters of a program, out of safetensors shards
 * (https://github.com/huggingface/safetensors#format): an 8-byte little-endian length, that many
 * bytes of JSON, the data. Nothing in a file is trusted.
 *
 * A tensor may be stored in fewer bits than its slot has: F16 or BF16 for a float, or I8 with a
 * second tensor `NAME#scale` of F32, of the same rank with extents that are the tensor's or 1; then
 * the value is the product. A slot's parameter may be stored not at all, but derived from another
 * one (`program.meta.derived`): transformed weights of a convolution are many more numbers than the
 * weights.
 *
 * @module
 */

import { BundleError } from './errors.js';
import { DTYPES, convert, dtypeOf, isFloat, sizeOf } from './dtype.js';
import { Layout } from './layout.js';

/** @typedef {import('./dtype.js').TypedArray} TypedArray */
/** @typedef {import('./dtype.js').DType} DType */
/** @typedef {import('./program.js').Slot} Slot */

/**
 * @typedef {object} Stored
 * @property {DType} dtype
 * @property {readonly number[]} shape
 * @property {TypedArray} data a view of the shard where alignment allows
 */

/**
 * How a parameter is made of another one: see `compiler/web/derived.py`.
 *
 * @typedef {object} Derived
 * @property {string} source
 * @property {readonly (readonly number[])[]} matrix [n, 3]
 */

/** @type {Readonly<Record<string, DType>>} */
const TAGS = Object.freeze({
  F64: DTYPES.float64,
  F32: DTYPES.float32,
  F16: DTYPES.float16,
  BF16: DTYPES.bfloat16,
  I8: DTYPES.int8,
  I16: DTYPES.int16,
  I32: DTYPES.int32,
  I64: DTYPES.int64,
  U8: DTYPES.uint8,
  U16: DTYPES.uint16,
  U32: DTYPES.uint32,
  U64: DTYPES.uint64,
  BOOL: DTYPES.bool,
});

/**
 * The tensors of a safetensors file.
 *
 * @param {Uint8Array} bytes
 * @param {string} where for messages
 * @returns {Map<string, Stored>}
 * @throws {BundleError} when the bytes are no such file
 */
export function parseSafetensors(bytes, where) {
  const damaged = (/** @type {string} */ why) =>
    new BundleError(`the parameters are damaged: ${why}.`, { where });
  if (bytes.length < 8) throw damaged('the file ends before its header');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = view.getUint32(0, true) + view.getUint32(4, true) * 2 ** 32;
  if (length > bytes.length - 8) throw damaged(`a header of ${length} bytes does not fit`);
  /** @type {Record<string, any>} */
  let header;
  try {
    header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
  } catch (e) {
    throw damaged(`the header is not JSON (${/** @type {Error} */ (e).message})`);
  }
  const room = bytes.length - 8 - length;
  /** @type {Map<string, Stored>} */
  const tensors = new Map();
  let covered = 0;
  for (const [name, entry] of Object.entries(header ?? {})) {
    if (name === '__metadata__') continue;
    const dtype = Object.hasOwn(TAGS, entry?.dtype) ? TAGS[entry.dtype] : undefined;
    const shape = entry?.shape;
    const [begin, end] = Array.isArray(entry?.data_offsets) ? entry.data_offsets : [];
    const sizes = Array.isArray(shape) ? [...shape, begin, end] : [NaN];
    const good = sizes.every((n) => Number.isSafeInteger(n) && n >= 0);
    if (!dtype || !good || end > room || end - begin !== sizeOf(shape) * dtype.bytes) {
      throw damaged(`'${name}' does not fit its place`);
    }
    covered += end - begin;
    tensors.set(name, { dtype, shape, data: slice(bytes, 8 + length + begin, dtype, shape) });
  }
  if (covered !== room) throw damaged('tensors overlap, leave gaps or are missing');
  return tensors;
}

/**
 * @param {Uint8Array} bytes
 * @param {number} begin
 * @param {DType} dtype
 * @param {readonly number[]} shape
 * @returns {TypedArray}
 */
function slice(bytes, begin, dtype, shape) {
  const at = bytes.byteOffset + begin;
  const count = sizeOf(shape);
  if (at % dtype.bytes === 0) return dtype.view(bytes.buffer, at, count);
  return dtype.view(bytes.slice(begin, begin + count * dtype.bytes).buffer, 0, count);
}

/** The parameters of a bundle, by name, and how they become the constants of a program. */
export class Params {
  /**
   * @param {ReadonlyMap<string, Stored>} tensors
   * @param {boolean} logical whether they are in logical row-major order, so that a slot's layout
   *   packs them, or in the order of storage already
   * @param {Readonly<Record<string, Derived>>} [derived] those that are computed, by name
   */
  constructor(tensors, logical, derived = {}) {
    this.tensors = tensors;
    this.logical = logical;
    this.derived = derived;
  }

  /**
   * The physical elements of a constant slot.
   *
   * @param {Slot} slot
   * @returns {TypedArray}
   * @throws {BundleError} when the parameter is missing or does not fit
   */
  constant(slot) {
    const { source, dtype, shape, physical } = slot;
    const derived = Object.hasOwn(this.derived, source) ? this.derived[source] : undefined;
    if (!this.logical && !derived) return this.#stored(source, physical, dtypeOf(dtype));
    const layout = Layout.parse(slot.layout, shape);
    if (layout.size !== sizeOf(physical)) {
      throw new BundleError(`the layout of '${slot.name}' does not fit its storage.`);
    }
    if (derived) return this.#transformed(slot, derived, layout);
    return layout.pack(this.#stored(source, shape, dtypeOf(dtype)));
  }

  /**
   * @param {string} name
   * @param {readonly number[]} shape
   * @param {DType} dtype
   * @returns {TypedArray}
   */
  #stored(name, shape, dtype) {
    const stored = this.tensors.get(name);
    if (!stored) throw new BundleError(`the parameter '${name}' is missing.`);
    if (stored.data.length !== sizeOf(shape)) {
      throw new BundleError(
        `the parameter '${name}' has ${stored.data.length} elements, ` +
          `not the ${sizeOf(shape)} of [${shape.join(', ')}].`,
      );
    }
    return this.#decoded(name, stored, dtype);
  }

  /**
   * Weights [n, n, channel, filter] of a convolution by minimal filtering, `G g Gᵀ` of the weights
   * [filter, channel, 3, 3]; summed in float64, rounded once, and put where they lie in storage.
   *
   * @param {Slot} slot
   * @param {Derived} derived
   * @param {Layout} layout
   * @returns {Float32Array}
   */
  #transformed(slot, { source, matrix }, layout) {
    const n = matrix?.length;
    const [rows, columns, channels, filters] = slot.shape;
    const fits =
      n > 0 && rows === n && columns === n && slot.shape.length === 4 && slot.dtype === 'float32';
    if (!fits || !matrix.every((row) => row?.length === 3 && row.every(Number.isFinite))) {
      throw new BundleError(`the parameter '${slot.source}' cannot be derived from '${source}'.`);
    }
    const g = /** @type {Float32Array} */ (
      this.#stored(source, [filters, channels, 3, 3], DTYPES.float32)
    );
    const out = new Float32Array(layout.size);
    const [onA, onB, onC, onF] = layout.places();
    const m = Float64Array.from(matrix.flat());
    const half = new Float64Array(3 * n); // G g of one pair of channels, [n, 3]
    const row = new Float32Array(n * n * filters); // of one channel
    for (let c = 0; c < channels; c++) {
      for (let f = 0; f < filters; f++) {
        const from = (f * channels + c) * 9;
        for (let x = 0; x < 3; x++) {
          const [p, q, r] = [g[from + x], g[from + 3 + x], g[from + 6 + x]];
          for (let a = 0; a < 3 * n; a += 3) {
            half[a + x] = m[a] * p + m[a + 1] * q + m[a + 2] * r;
          }
        }
        for (let a = 0, to = f; a < 3 * n; a += 3) {
          const [p, q, r] = [half[a], half[a + 1], half[a + 2]];
          for (let b = 0; b < 3 * n; b += 3, to += filters) {
            row[to] = m[b] * p + m[b + 1] * q + m[b + 2] * r;
          }
        }
      }
      for (let k = 0, from = 0; k < n * n; k++) {
        const base = onA[Math.floor(k / n)] + onB[k % n] + onC[c];
        for (let f = 0; f < filters; f++, from++) out[base + onF[f]] = row[from];
      }
    }
    return out;
  }

  /**
   * @param {string} name
   * @param {Stored} stored
   * @param {DType} dtype
   * @returns {TypedArray}
   */
  #decoded(name, stored, dtype) {
    if (stored.dtype.name === dtype.name) return stored.data;
    const scale = this.tensors.get(`${name}#scale`);
    const coded = stored.dtype.name === 'int8' && scale !== undefined;
    if (!isFloat(dtype) || !(coded || isFloat(stored.dtype))) {
      throw new BundleError(
        `the parameter '${name}' is stored as ${stored.dtype.name}, its slot is ${dtype.name}.`,
      );
    }
    if (!coded) return convert(stored.data, stored.dtype, dtype);
    return convert(rescaled(name, stored, scale), DTYPES.float32, dtype);
  }
}

/**
 * @param {string} name
 * @param {Stored} stored int8
 * @param {Stored} scale
 * @returns {Float32Array}
 */
function rescaled(name, stored, scale) {
  const { shape } = stored;
  const fits =
    scale.dtype.name === 'float32' &&
    scale.shape.length === shape.length &&
    scale.shape.every((n, a) => n === 1 || n === shape[a]);
  if (!fits) throw new BundleError(`the scale of the parameter '${name}' does not fit it.`);
  const out = new Float32Array(stored.data.length);
  const index = new Array(shape.length).fill(0);
  const strides = new Array(shape.length).fill(0);
  for (let a = shape.length - 1, n = 1; a >= 0; a--) {
    strides[a] = scale.shape[a] === 1 ? 0 : n;
    n *= scale.shape[a];
  }
  for (let i = 0, at = 0; i < out.length; i++) {
    out[i] = Number(stored.data[i]) * Number(scale.data[at]);
    for (let a = shape.length - 1; a >= 0; a--) {
      at += strides[a];
      if (++index[a] < shape[a]) break;
      at -= strides[a] * shape[a];
      index[a] = 0;
    }
  }
  return out;
}
