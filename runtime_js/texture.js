/**
 * How a flat tensor lies in a texture: the mirror of `runtime/texture.py`. A tensor is
 * `ceil(size / 4)` RGBA texels; texel t lies in layer t % L at x = t / L % W, y = t / L / W.
 *
 * @module
 */

import { DeviceError } from './errors.js';

/** @typedef {import('./dtype.js').TypedArray} TypedArray */

/**
 * @typedef {object} TextureShape
 * @property {number} width a power of two
 * @property {number} height
 * @property {number} layers
 */

/**
 * The shape of the texture of a tensor: about square, so that neither side meets the limit before
 * the other.
 *
 * @param {number} size elements
 * @param {number} layers a power of two
 * @param {number} maxTextureSize
 * @returns {TextureShape}
 * @throws {DeviceError} when no shape fits
 */
export function textureShape(size, layers, maxTextureSize) {
  const fragments = Math.max(1, Math.ceil(size / (4 * layers)));
  let width = 1;
  while (width * width < fragments && 2 * width <= maxTextureSize) width *= 2;
  const height = Math.ceil(fragments / width);
  if (height > maxTextureSize) {
    throw new DeviceError(
      `a tensor of ${size} elements does not fit a texture of ${layers} layers of ` +
        `${maxTextureSize} by ${maxTextureSize}.`,
      { hint: 'compile for a larger -max_texture_size, or use the wasm backend' },
    );
  }
  return { width, height, layers };
}

/**
 * Flat elements in the order of a texture's memory: layer, y, x, RGBA.
 *
 * @param {TypedArray} flat
 * @param {TextureShape} shape
 * @param {TypedArray} out of at least 4 * width * height * layers elements; what `flat` does not
 *   fill becomes zero
 */
export function toTexels(flat, shape, out) {
  const { width, height, layers } = shape;
  const plane = 4 * width * height;
  if (layers === 1) {
    /** @type {any} */ (out).set(flat);
    out.fill(/** @type {never} */ (0), flat.length, plane);
    return;
  }
  out.fill(/** @type {never} */ (0), 0, plane * layers);
  for (let layer = 0; layer < layers; layer++) {
    let to = layer * plane;
    for (let i = 4 * layer; i < flat.length; i += 4 * layers, to += 4) {
      for (let k = 0; k < 4 && i + k < flat.length; k++) out[to + k] = flat[i + k];
    }
  }
}

/**
 * The flat elements of a texture's memory; the inverse of `toTexels`.
 *
 * @template {TypedArray} T
 * @param {T} texels
 * @param {TextureShape} shape
 * @param {number} size elements
 * @returns {T} a view of `texels` where that is possible, else a new array
 */
export function fromTexels(texels, shape, size) {
  const { width, height, layers } = shape;
  if (layers === 1) return /** @type {T} */ (texels.subarray(0, size));
  const plane = 4 * width * height;
  const Array = /** @type {any} */ (texels.constructor);
  const flat = new Array(size);
  for (let layer = 0; layer < layers; layer++) {
    let from = layer * plane;
    for (let i = 4 * layer; i < size; i += 4 * layers, from += 4) {
      for (let k = 0; k < 4 && i + k < size; k++) flat[i + k] = texels[from + k];
    }
  }
  return flat;
}
