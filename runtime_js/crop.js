/**
 * Outputs whose size only data knows: a program makes them at their bound, and says by other
 * outputs, numbers that are no results, how much of them there is.
 *
 * @module
 */

import { allocate, dtypeOf, sizeOf } from './dtype.js';
import { Tensor } from './tensor.js';

/** @typedef {import('./tensor.js').TensorSpec} TensorSpec */
/**
 * An output's name to axes, and to the outputs that say how long those are.
 *
 * @typedef {Readonly<Record<string, Readonly<Record<string, string>>>>} Crops
 */

/** @param {Crops} crops @returns {Set<string>} */
const numbersOf = (crops) => new Set(Object.values(crops).flatMap((axes) => Object.values(axes)));

/**
 * The outputs that a caller gets; `bounded` are the axes along which `shape` is a bound.
 *
 * @param {readonly TensorSpec[]} specs
 * @param {Crops} crops
 * @returns {readonly TensorSpec[]}
 */
export function croppedSpecs(specs, crops) {
  const hidden = numbersOf(crops);
  return specs
    .filter(({ name }) => !hidden.has(name))
    .map((spec) => {
      const axes = Object.keys(crops[spec.name] ?? {}).map(Number);
      return axes.length ? Object.freeze({ ...spec, bounded: axes }) : spec;
    });
}

/**
 * The results, each of its true size.
 *
 * @param {Record<string, Tensor>} outputs
 * @param {Crops} crops
 * @returns {Record<string, Tensor>}
 */
export function cropped(outputs, crops) {
  for (const [name, axes] of Object.entries(crops)) {
    for (const [axis, number] of Object.entries(axes)) {
      outputs[name] = along(outputs[name], Number(axis), Number(outputs[number].data[0]));
    }
  }
  for (const number of numbersOf(crops)) delete outputs[number];
  return outputs;
}

/**
 * The first `n` places of a tensor along an axis.
 *
 * @param {Tensor} tensor
 * @param {number} axis
 * @param {number} n
 */
function along({ dtype, shape, data }, axis, n) {
  const rows = sizeOf(shape.slice(0, axis));
  const inner = sizeOf(shape.slice(axis + 1));
  const part = allocate(dtypeOf(dtype), rows * n * inner);
  for (let r = 0; r < rows; r++) {
    const begin = r * shape[axis] * inner;
    part.set(/** @type {any} */ (data.subarray(begin, begin + n * inner)), r * n * inner);
  }
  return new Tensor(dtype, [...shape.slice(0, axis), n, ...shape.slice(axis + 1)], part);
}
