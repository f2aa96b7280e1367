/**
 * Layouts: how the elements of a tensor are ordered in storage. The mirror of `ir/layout.py`: a
 * physical axis is a mixed-radix number of digits, a digit is `index[axis] / stride % extent` of one
 * logical axis. The text `[a0:1 | a1/16:4 | a2:7 | a3:7 | a1:16]` is NCHW16c.
 *
 * @module
 */

import { BundleError } from './errors.js';
import { sizeOf } from './dtype.js';

/** @typedef {import('./dtype.js').TypedArray} TypedArray */
/** @typedef {{axis: number, stride: number, extent: number}} Digit */

export class Layout {
  /**
   * @param {readonly number[]} shape logical extents
   * @param {readonly (readonly Digit[])[]} axes physical axes, outermost first, each its digits
   *   from most to least significant
   */
  constructor(shape, axes) {
    this.shape = shape;
    this.axes = axes;
    /** @type {readonly Digit[]} */
    this.digits = axes.flat();
    this.size = this.digits.reduce((n, d) => n * d.extent, 1);
  }

  /**
   * The layout that a text describes, for a tensor of `shape`; '' is row major.
   *
   * @param {string} text
   * @param {readonly number[]} shape
   * @throws {BundleError} when the text is malformed or does not fit the shape
   */
  static parse(text, shape) {
    if (text === '') {
      return new Layout(
        shape,
        shape.map((extent, axis) => [{ axis, stride: 1, extent }]),
      );
    }
    const axes = text
      .replace(/^\[|\]$/g, '')
      .split('|')
      .map((part) =>
        [...part.matchAll(/a(\d+)(?:\/(\d+))?:(\d+)/g)].map((m) => ({
          axis: Number(m[1]),
          stride: Number(m[2] ?? 1),
          extent: Number(m[3]),
        })),
      );
    const layout = new Layout(shape, axes);
    if (String(layout) !== text || !layout.#covers()) {
      throw new BundleError(`the layout ${text} does not fit the shape [${shape.join(', ')}].`);
    }
    return layout;
  }

  /** Whether the digits of every logical axis cover it without gaps. */
  #covers() {
    return (
      this.digits.every((d) => d.axis < this.shape.length) &&
      this.shape.every((extent, axis) => {
        let step = 1;
        const own = this.digits.filter((d) => d.axis === axis);
        for (const d of own.sort((a, b) => a.stride - b.stride || a.extent - b.extent)) {
          if (d.stride !== step) return false;
          step = d.stride * d.extent;
        }
        return step >= extent;
      })
    );
  }

  /** Whether storage order is the logical order, without padding. */
  get isRowMajor() {
    const plain = Layout.parse('', this.shape).digits.filter((d) => d.extent > 1);
    const own = this.digits.filter((d) => d.extent > 1);
    return (
      this.size === sizeOf(this.shape) &&
      own.length === plain.length &&
      own.every((d, k) => d.axis === plain[k].axis && d.stride === plain[k].stride)
    );
  }

  /**
   * Of every index of every axis, what it adds to the place of an element in storage.
   *
   * @returns {Int32Array[]}
   */
  places() {
    const tables = this.shape.map((extent) => new Int32Array(extent));
    let weight = 1;
    for (const { axis, stride, extent } of [...this.digits].reverse()) {
      const table = tables[axis];
      for (let i = 0; i < table.length; i++) {
        table[i] += (Math.floor(i / stride) % extent) * weight;
      }
      weight *= extent;
    }
    return tables;
  }

  /**
   * Calls `copy(physical, logical, count, step)` for runs of the innermost digit: `count` elements
   * lie from `physical` on side by side, in logical order at `logical`, `logical + step`, …
   * Padding is in no run. Storage is walked in its own order, so that one side is read or written
   * in sequence and the other in as many streams as a block has lanes.
   *
   * @param {(physical: number, logical: number, count: number, step: number) => void} copy
   */
  #walk(copy) {
    const { shape } = this;
    if (shape.includes(0)) return;
    const strides = new Array(shape.length).fill(1);
    for (let k = shape.length - 2; k >= 0; k--) strides[k] = strides[k + 1] * shape[k + 1];
    const digits = this.digits.filter((d) => d.extent > 1);
    const inner = digits.pop();
    if (!inner) {
      copy(0, 0, 1, 1);
      return;
    }
    const { axis, extent: lanes } = inner;
    const step = inner.stride * strides[axis];
    const value = new Array(digits.length).fill(0); // of each outer digit
    const index = new Array(shape.length).fill(0); // of each axis, without the inner digit
    let outside = 0; // outer digits may lead an axis beyond its end
    for (let physical = 0, logical = 0; ; physical += lanes) {
      if (outside === 0) {
        const room = Math.ceil((shape[axis] - index[axis]) / inner.stride);
        if (room > 0) copy(physical, logical, Math.min(lanes, room), step);
      }
      let k = digits.length - 1;
      for (; k >= 0; k--) {
        const { axis: a, stride, extent } = digits[k];
        const before = index[a] >= shape[a] ? 1 : 0;
        const next = value[k] + 1 < extent;
        const by = next ? stride : -stride * value[k];
        value[k] = next ? value[k] + 1 : 0;
        index[a] += by;
        logical += by * strides[a];
        outside += (index[a] >= shape[a] ? 1 : 0) - before;
        if (next) break;
      }
      if (k < 0) return;
    }
  }

  /**
   * Logical row-major elements in storage order; padding is zero.
   *
   * @template {TypedArray} T
   * @param {T} data
   * @returns {T} a new array, or `data` when nothing changes
   */
  pack(data) {
    if (this.isRowMajor) return data;
    const Array = /** @type {any} */ (data.constructor);
    const out = new Array(this.size);
    this.#walk((to, from, count, step) => {
      for (const end = to + count; to < end; to++, from += step) out[to] = data[from];
    });
    return out;
  }

  /**
   * Elements in storage order as logical row-major elements; padding is dropped.
   *
   * @template {TypedArray} T
   * @param {T} data
   * @returns {T} a new array, or `data` when nothing changes
   */
  unpack(data) {
    if (this.isRowMajor) return data;
    const Array = /** @type {any} */ (data.constructor);
    const out = new Array(sizeOf(this.shape));
    this.#walk((from, to, count, step) => {
      for (const end = from + count; from < end; from++, to += step) out[to] = data[from];
    });
    return out;
  }

  toString() {
    const digit = (/** @type {Digit} */ d) =>
      `a${d.axis}${d.stride > 1 ? `/${d.stride}` : ''}:${d.extent}`;
    return `[${this.axes.map((ax) => ax.map(digit).join(' ')).join(' | ')}]`;
  }
}
