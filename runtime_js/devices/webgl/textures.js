/**
 * Tensors as textures: which slot lies in which texture array, in what format, and the framebuffers
 * that draw into their layers.
 *
 * @module
 */

import { dtypeOf, sizeOf } from '../../dtype.js';
import { DeviceError } from '../../errors.js';
import { sharePool } from '../../plan.js';
import { textureShape } from '../../texture.js';
import { wordOf } from '../words.js';
import { lostError } from './context.js';

/** @typedef {import('../../dtype.js').DType} DType */
/** @typedef {import('../../program.js').Program} Program */
/** @typedef {import('../../program.js').Slot} Slot */
/** @typedef {import('../../texture.js').TextureShape} TextureShape */
/** @typedef {import('../device.js').InitOptions} InitOptions */
/** @typedef {import('./context.js').Assumed} Assumed */

/**
 * How elements are stored in a texture and carried to and from it.
 *
 * @typedef {object} Format
 * @property {number} internal of the texture
 * @property {number} format of the pixels in transfer
 * @property {number} type of their channels in transfer
 * @property {DType} channel the dtype of `type`
 * @property {number} bytes of a texel in the texture
 */

/**
 * @typedef {object} Texture
 * @property {WebGLTexture} handle
 * @property {TextureShape} shape
 * @property {Format} format
 * @property {number} bytes
 */

/** The textures of one context. */
export class Textures {
  /**
   * @param {WebGL2RenderingContext} gl
   * @param {string} where the device, for messages
   */
  constructor(gl, where) {
    this.#gl = gl;
    this.#where = where;
  }

  #gl;
  #where;
  /** @type {Map<number, Texture>} by root slot */
  #bySlot = new Map();
  /** @type {Texture[]} */
  #pool = [];
  /** @type {Map<string, WebGLFramebuffer>} by the textures' numbers */
  #frames = new Map();

  /** What they take of the device. */
  get memory() {
    return { buffers: this.#pool.length, bytes: this.#pool.reduce((n, t) => n + t.bytes, 0) };
  }

  /**
   * Make a texture for each slot; slots that are never in use at a time share one.
   *
   * @param {Program} program
   * @param {InitOptions} options
   * @param {Assumed} assumed
   * @param {boolean} half whether floats are stored in 16 bits
   */
  allocate(program, { roots, steps, slots, pinned }, assumed, half) {
    const gl = this.#gl;
    const formatOf = (/** @type {Slot} */ s) => {
      // Constants need not be renderable. Inputs are rounded as results are: a kernel may look for
      // the maximum of its input, which another kernel found and stored.
      const small = half && (s.kind !== 'constant' || assumed.floatBits < 32);
      return format(gl, dtypeOf(s.dtype), small);
    };
    const shapeOf = (/** @type {number} */ k) => {
      const { physical, layers } = program.slots[k];
      return textureShape(sizeOf(physical), layers, assumed.maxTextureSize);
    };
    const key = (/** @type {number} */ k) => {
      const { width, height, layers } = shapeOf(k);
      return `${width}x${height}x${layers} ${formatOf(program.slots[k]).internal}`;
    };
    const { place, sizes } = sharePool(program, roots, steps, slots, pinned, key);
    this.#pool = new Array(sizes.length);
    for (const [slot, index] of place) {
      this.#pool[index] ??= makeTexture(gl, shapeOf(slot), formatOf(program.slots[slot]));
      this.#bySlot.set(slot, this.#pool[index]);
    }
    program.slots.forEach((s, k) => {
      const texture = this.#bySlot.get(roots[k]);
      if (s.kind !== 'alias' || !texture) return;
      const shape = shapeOf(k);
      const { width, layers } = texture.shape;
      if (shape.width !== width || shape.layers !== layers) {
        throw new DeviceError(`the slot '${s.name}' lies otherwise than '${s.source}'.`, {
          where: program.name,
        });
      }
    });
  }

  /**
   * @param {number} root a slot that owns its storage
   * @returns {Texture}
   */
  of(root) {
    return /** @type {Texture} */ (this.#bySlot.get(root));
  }

  /**
   * The framebuffer that draws into the layers of some textures.
   *
   * @param {readonly Texture[]} textures
   */
  frame(textures) {
    const key = textures.map((t) => this.#pool.indexOf(t)).join();
    const known = this.#frames.get(key);
    if (known) return known;
    const gl = this.#gl;
    const frame = /** @type {WebGLFramebuffer} */ (gl.createFramebuffer());
    gl.bindFramebuffer(gl.DRAW_FRAMEBUFFER, frame);
    /** @type {number[]} */
    const buffers = [];
    for (const { handle, shape } of textures) {
      for (let layer = 0; layer < shape.layers; layer++) {
        const place = gl.COLOR_ATTACHMENT0 + buffers.length;
        gl.framebufferTextureLayer(gl.DRAW_FRAMEBUFFER, place, handle, 0, layer);
        buffers.push(place);
      }
    }
    gl.drawBuffers(buffers);
    const status = gl.checkFramebufferStatus(gl.DRAW_FRAMEBUFFER);
    if (gl.isContextLost()) throw lostError();
    if (status !== gl.FRAMEBUFFER_COMPLETE) {
      throw new DeviceError(`a framebuffer of ${buffers.length} layers was refused (${status}).`, {
        where: this.#where,
      });
    }
    this.#frames.set(key, frame);
    return frame;
  }

  delete() {
    for (const t of this.#pool) this.#gl.deleteTexture(t.handle);
    for (const f of this.#frames.values()) this.#gl.deleteFramebuffer(f);
  }
}

/**
 * @param {WebGL2RenderingContext} gl
 * @param {DType} dtype
 * @param {boolean} half
 * @returns {Format}
 */
function format(gl, dtype, half) {
  const channel = wordOf(dtype);
  if (channel.kind === 'float') {
    const internal = half ? gl.RGBA16F : gl.RGBA32F;
    return { internal, format: gl.RGBA, type: gl.FLOAT, channel, bytes: half ? 8 : 16 };
  }
  const signed = channel.kind === 'int';
  return {
    internal: signed ? gl.RGBA32I : gl.RGBA32UI,
    format: gl.RGBA_INTEGER,
    type: signed ? gl.INT : gl.UNSIGNED_INT,
    channel,
    bytes: 16,
  };
}

/**
 * @param {WebGL2RenderingContext} gl
 * @param {TextureShape} shape
 * @param {Format} format
 * @returns {Texture}
 */
function makeTexture(gl, shape, format) {
  const handle = /** @type {WebGLTexture} */ (gl.createTexture());
  const { width, height, layers } = shape;
  const kind = gl.TEXTURE_2D_ARRAY;
  gl.bindTexture(kind, handle);
  gl.texStorage3D(kind, 1, format.internal, width, height, layers);
  gl.texParameteri(kind, gl.TEXTURE_MIN_FILTER, gl.NEAREST);
  gl.texParameteri(kind, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
  gl.texParameteri(kind, gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE);
  gl.texParameteri(kind, gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE);
  return { handle, shape, format, bytes: width * height * layers * format.bytes };
}
