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
   * Calls `visit(logical, physical, count)` for runs of elements: `count` logical elements whose
   * storage places are `physical`, `physical + step`, … with the `step` that is given back.
   *
   * @param {(logical: number, physical: number, count: number, step: number) => void} visit
   */
  #walk(visit) {
    const { shape, digits } = this;
    const rank = shape.length;
    if (shape.includes(0)) return;
    // The weight of a digit in the physical index; of every value of an axis its sum of digits.
    const weights = new Array(digits.length).fill(1);
    for (let k = digits.length - 2; k >= 0; k--) weights[k] = weights[k + 1] * digits[k + 1].extent;
    const places = shape.map((extent, axis) => {
      const table = new Float64Array(extent);
      digits.forEach((d, k) => {
        if (d.axis !== axis) return;
        for (let i = 0; i < extent; i++) {
          table[i] += (Math.floor(i / d.stride) % d.extent) * weights[k];
        }
      });
      return table;
    });
    if (rank === 0) {
      visit(0, 0, 1, 1);
      return;
    }
    const inner = places[rank - 1];
    const outer = new Array(Math.max(0, rank - 1)).fill(0);
    for (let logical = 0; ; logical += inner.length) {
      let base = 0;
      for (let a = 0; a < rank - 1; a++) base += places[a][outer[a]];
      // Runs of the innermost axis with a constant step.
      for (let i = 0; i < inner.length; ) {
        let j = i + 1;
        const step = j < inner.length ? inner[j] - inner[i] : 1;
        while (j < inner.length && inner[j] - inner[j - 1] === step) j++;
        visit(logical + i, base + inner[i], j - i, step);
        i = j;
      }
      let a = rank - 2;
      while (a >= 0 && ++outer[a] === shape[a]) outer[a--] = 0;
      if (a < 0) return;
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
    this.#walk((from, to, count, step) => {
      for (let k = 0; k < count; k++) out[to + k * step] = data[from + k];
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
    this.#walk((to, from, count, step) => {
      for (let k = 0; k < count; k++) out[to + k] = data[from + k * step];
    });
    return out;
  }

  toString() {
    const digit = (/** @type {Digit} */ d) =>
      `a${d.axis}${d.stride > 1 ? `/${d.stride}` : ''}:${d.extent}`;
    return `[${this.axes.map((ax) => ax.map(digit).join(' ')).join(' | ')}]`;
  }
}
