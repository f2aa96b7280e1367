/**
 * Tensors that go into a model and come out of it, and the check of what a caller passes.
 *
 * @module
 */

import { allocate, decoder, dtypeOf, encoder, isFloat, sizeOf } from './dtype.js';
import { InputError } from './errors.js';

/** @typedef {import('./dtype.js').TypedArray} TypedArray */
/** @typedef {import('./dtype.js').DType} DType */

/**
 * An input or output of a model.
 *
 * @typedef {object} TensorSpec
 * @property {string} name
 * @property {string} dtype
 * @property {readonly number[]} shape
 * @property {readonly number[]} [bounded] of an output: the axes along which `shape` is a bound
 */

/**
 * What a tensor is, as a person reads it: `int64[≤300, 3]`.
 *
 * @param {Omit<TensorSpec, 'name'>} spec
 */
export function typeText({ dtype, shape, bounded = [] }) {
  return `${dtype}[${shape.map((n, k) => (bounded.includes(k) ? `≤${n}` : `${n}`)).join(', ')}]`;
}

/**
 * What `run` takes for an input: a Tensor; a typed array of the input's dtype, with as many elements
 * as the input has, in row-major order; a number; or nested lists of numbers.
 *
 * @typedef {Tensor | TypedArray | ArrayLike<unknown> | number | bigint | boolean} TensorLike
 */

/** Elements in row-major order, with their dtype and shape. */
export class Tensor {
  /**
   * @param {string} dtype
   * @param {readonly number[]} shape
   * @param {TypedArray} data is not copied
   * @throws {InputError} when `data` is of another type or length
   */
  constructor(dtype, shape, data) {
    const d = dtypeOf(dtype);
    if (!holds(data, d) || data.length !== sizeOf(shape)) {
      throw new InputError(
        `${kindOfData(data)} of ${data?.length} elements is no ${dtype}[${shape.join(', ')}].`,
        { hint: `give ${/** @type {any} */ (d.make).name} of ${sizeOf(shape)} elements` },
      );
    }
    this.dtype = dtype;
    /** @type {readonly number[]} */
    this.shape = Object.freeze([...shape]);
    this.data = data;
  }

  /**
   * @param {string} dtype
   * @param {readonly number[]} shape
   */
  static zeros(dtype, shape) {
    return new Tensor(dtype, shape, allocate(dtypeOf(dtype), sizeOf(shape)));
  }

  get size() {
    return this.data.length;
  }

  /** The elements as numbers: float16 and bfloat16 decoded, 64-bit integers rounded. */
  toNumbers() {
    const decode = decoder(dtypeOf(this.dtype));
    return Array.from(/** @type {ArrayLike<any>} */ (this.data), (v) =>
      decode ? decode(v) : Number(v),
    );
  }

  toString() {
    return `${this.dtype}[${this.shape.join(', ')}]`;
  }
}

/**
 * Whether an array's class holds elements of a dtype.
 *
 * @param {unknown} data
 * @param {DType} dtype
 */
function holds(data, dtype) {
  if (data instanceof dtype.make) return true;
  // The pixels of an ImageData, and the half floats of newer browsers.
  if (dtype.name === 'uint8') return data instanceof Uint8ClampedArray;
  return dtype.name === 'float16' && isHalfArray(data);
}

/** @param {unknown} data */
function isHalfArray(data) {
  return Object.prototype.toString.call(data) === '[object Float16Array]';
}

/** @param {unknown} data */
function isTyped(data) {
  return ArrayBuffer.isView(data) && !(data instanceof DataView);
}

/** @param {unknown} data */
function kindOfData(data) {
  if (isTyped(data)) return Object.prototype.toString.call(data).slice(8, -1);
  return Array.isArray(data) ? 'a list' : typeof data;
}

/**
 * @param {TensorSpec} spec
 */
export function specText(spec) {
  return `${spec.name}: ${spec.dtype}[${spec.shape.join(', ')}]`;
}

/** @param {unknown} value */
function describe(value) {
  if (value instanceof Tensor) return String(value);
  if (isTyped(value)) return `${kindOfData(value)} of ${/** @type {any} */ (value).length}`;
  if (Array.isArray(value)) return `list of ${value.length}`;
  const text = typeof value === 'object' ? Object.prototype.toString.call(value) : String(value);
  return `${value === null ? 'null' : typeof value} ${text.slice(0, 40)}`;
}

/**
 * The elements of each input, in the order of `specs`, in its dtype; the caller's arrays are not
 * copied where they can be used as they are.
 *
 * @param {readonly TensorSpec[]} specs
 * @param {Readonly<Record<string, TensorLike>>} feeds
 * @param {string} where the model's name
 * @returns {TypedArray[]}
 * @throws {InputError} that lists what was expected and what came
 */
export function bind(specs, feeds, where) {
  const wrong = (/** @type {string} */ message, /** @type {string} */ hint = '') => {
    const expected = specs.map((s) => `\n    ${specText(s)}`).join('') || '\n    nothing';
    const given =
      feeds && typeof feeds === 'object'
        ? Object.entries(feeds)
            .map(([k, v]) => `\n    ${k}: ${describe(v)}`)
            .join('')
        : `\n    ${describe(feeds)}`;
    return new InputError(`${message}\n  expected:${expected}\n  given:${given || '\n    nothing'}`, {
      where,
      hint,
    });
  };
  if (typeof feeds !== 'object' || feeds === null || feeds instanceof Tensor || isTyped(feeds)) {
    const name = specs[0]?.name ?? 'x';
    throw wrong('run takes a table of inputs by name.', `model.run({ ${name}: … })`);
  }
  for (const name of Object.keys(feeds)) {
    if (!specs.some((s) => s.name === name)) {
      const near = nearest(
        name,
        specs.map((s) => s.name),
      );
      throw wrong(`there is no input '${name}'.`, near && `did you mean '${near}'?`);
    }
  }
  const missing = specs.filter((s) => !Object.hasOwn(feeds, s.name)).map((s) => `'${s.name}'`);
  if (missing.length) {
    const [plural, are] = missing.length > 1 ? ['s', 'are'] : ['', 'is'];
    throw wrong(`the input${plural} ${missing.join(', ')} ${are} missing.`);
  }
  return specs.map((s) => elements(feeds[s.name], s, wrong));
}

/**
 * @param {TensorLike} value
 * @param {TensorSpec} spec
 * @param {(message: string, hint?: string) => InputError} wrong
 * @returns {TypedArray}
 */
function elements(value, spec, wrong) {
  const dtype = dtypeOf(spec.dtype);
  const size = sizeOf(spec.shape);
  const shape = `[${spec.shape.join(', ')}]`;
  const it = `the input '${spec.name}'`;
  if (value instanceof Tensor) {
    if (value.dtype !== spec.dtype) {
      throw wrong(`${it} has dtype ${value.dtype}, not ${spec.dtype}.`);
    }
    if (String(value.shape) !== String(spec.shape)) {
      const hint =
        value.size === size
          ? `it has as many elements: new Tensor('${spec.dtype}', ${shape}, x.data)`
          : 'compile the model for this size';
      throw wrong(`${it} has shape [${value.shape.join(', ')}], not ${shape}.`, hint);
    }
    value = value.data;
  }
  if (isTyped(value)) {
    const data = /** @type {TypedArray} */ (value);
    if (!holds(data, dtype)) {
      const name = /** @type {any} */ (dtype.make).name;
      throw wrong(
        `${it} is a ${kindOfData(data)}, not ${spec.dtype}.`,
        `convert it: ${name}.from(x)`,
      );
    }
    if (data.length !== size) {
      throw wrong(`${it} has ${data.length} elements, not the ${size} of ${shape}.`);
    }
    if (isHalfArray(data)) return new Uint16Array(data.buffer, data.byteOffset, data.length);
    return data instanceof Uint8ClampedArray
      ? new Uint8Array(data.buffer, data.byteOffset, data.length)
      : data;
  }
  /** @type {unknown[]} */
  const flat = [];
  flatten(value, spec.shape, 0, flat, (why) => wrong(`${it} ${why}.`));
  const out = /** @type {any} */ (allocate(dtype, size));
  const encode = encoder(dtype);
  flat.forEach((v, k) => {
    const stored = store(v, dtype);
    if (stored === undefined) throw wrong(`${it} has the value ${v}, which ${dtype.name} is not.`);
    out[k] = encode ? encode(Number(stored)) : stored;
  });
  return out;
}

/**
 * @param {unknown} value
 * @param {readonly number[]} shape
 * @param {number} axis
 * @param {unknown[]} out
 * @param {(why: string) => InputError} wrong
 */
function flatten(value, shape, axis, out, wrong) {
  const nested = Array.isArray(value) || isTyped(value);
  if (axis === shape.length) {
    if (nested) throw wrong(`has more than ${shape.length} axes, not [${shape.join(', ')}]`);
    out.push(value);
    return;
  }
  const list = /** @type {ArrayLike<unknown>} */ (value);
  if (!nested || list.length !== shape[axis]) {
    const got = nested ? `${list.length} elements` : describe(value);
    throw wrong(`has ${got} along axis ${axis}, not the ${shape[axis]} of [${shape.join(', ')}]`);
  }
  for (let k = 0; k < list.length; k++) flatten(list[k], shape, axis + 1, out, wrong);
}

/**
 * A JavaScript value as an element, or undefined when the dtype does not hold it.
 *
 * @param {unknown} v
 * @param {DType} dtype
 * @returns {number | bigint | undefined}
 */
function store(v, dtype) {
  if (dtype.kind === 'bool') return v === true || v === false ? Number(v) : undefined;
  if (typeof v !== 'number' && typeof v !== 'bigint') return undefined;
  if (isFloat(dtype)) return Number(v);
  if (typeof v === 'number' && !Number.isInteger(v)) return undefined;
  const bits = 8 * dtype.bytes;
  const whole = BigInt(v);
  const wrapped = dtype.kind === 'int' ? BigInt.asIntN(bits, whole) : BigInt.asUintN(bits, whole);
  if (wrapped !== whole) return undefined;
  return bits === 64 ? whole : Number(whole);
}

/**
 * The name that is nearest by edit distance, if one is near; '' otherwise.
 *
 * @param {string} name
 * @param {readonly string[]} names
 */
function nearest(name, names) {
  const ranked = names
    .map((n) => ({ n, d: distance(name.toLowerCase(), n.toLowerCase()) }))
    .sort((a, b) => a.d - b.d);
  const best = ranked[0];
  return best && best.d <= Math.max(name.length, best.n.length) * 0.6 ? best.n : '';
}

/**
 * Levenshtein's distance.
 *
 * @param {string} a
 * @param {string} b
 */
function distance(a, b) {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const swap = row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(swap, row[j] + 1, next[j - 1] + 1));
    }
    row = next;
  }
  return row[b.length];
}
