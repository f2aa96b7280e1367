/**
 * Carries elements to textures and back: converted to the channels' type and put where the layout
 * of a texture wants them.
 *
 * @module
 */

import { convert, dtypeOf, sizeOf } from '../../dtype.js';
import { fromTexels, toTexels } from '../../texture.js';
import { checkFits } from '../words.js';
import { settled } from './sync.js';

/** @typedef {import('../../dtype.js').DType} DType */
/** @typedef {import('../../dtype.js').TypedArray} TypedArray */
/** @typedef {import('../../program.js').Slot} Slot */
/** @typedef {import('./textures.js').Texture} Texture */

const MARK = 90; // where the last element will come: any value that all channel types have

/** Transfers of one context; it keeps the buffers that they need. */
export class Transfer {
  /** @param {WebGL2RenderingContext} gl */
  constructor(gl) {
    this.#gl = gl;
  }

  #gl;
  /** @type {WebGLBuffer[]} pixel-pack buffers that no download uses now */
  #packs = [];
  /** @type {Map<string, TypedArray>} staging arrays by channel type */
  #staging = new Map();

  /**
   * @param {Texture} texture
   * @param {Slot} slot what lies in it
   * @param {TypedArray} data the slot's physical elements
   */
  upload({ handle, shape, format }, slot, data) {
    const gl = this.#gl;
    const size = 4 * shape.width * shape.height * shape.layers;
    checkFits(data, slot, 'webgl');
    const channels = convert(data, dtypeOf(slot.dtype), format.channel);
    let pixels = channels;
    if (shape.layers > 1 || channels.length !== size) {
      pixels = this.#stage(format.channel, size);
      toTexels(channels, shape, pixels);
    }
    gl.bindTexture(gl.TEXTURE_2D_ARRAY, handle);
    gl.texSubImage3D(
      gl.TEXTURE_2D_ARRAY, 0, 0, 0, 0, shape.width, shape.height, shape.layers,
      format.format, format.type, /** @type {any} */ (pixels),
    ); // prettier-ignore
  }

  /**
   * An array to put texels into, used until the next call.
   *
   * @param {DType} dtype
   * @param {number} size
   * @returns {TypedArray}
   */
  #stage(dtype, size) {
    let array = this.#staging.get(dtype.name);
    if (!array || array.length < size) {
      array = new dtype.make(size);
      // Weights come once; what is kept is for inputs, which come with every run.
      if (array.byteLength <= 1 << 22) this.#staging.set(dtype.name, array);
    }
    return array;
  }

  /**
   * The texels of a texture.
   *
   * @param {Texture} texture
   * @param {WebGLFramebuffer} frame that draws into the texture
   * @param {() => Promise<void>} fence waits until everything before has ended
   * @returns {Promise<TypedArray>}
   */
  async read({ shape, format }, frame, fence) {
    const gl = this.#gl;
    const { width, height, layers } = shape;
    const texels = new format.channel.make(4 * width * height * layers);
    const pack = this.#packs.pop() ?? gl.createBuffer();
    gl.bindBuffer(gl.PIXEL_PACK_BUFFER, pack);
    gl.bufferData(gl.PIXEL_PACK_BUFFER, texels.byteLength, gl.STREAM_READ);
    gl.bindFramebuffer(gl.READ_FRAMEBUFFER, frame);
    for (let layer = 0; layer < layers; layer++) {
      const offset = (texels.byteLength / layers) * layer;
      gl.readBuffer(gl.COLOR_ATTACHMENT0 + layer);
      gl.readPixels(0, 0, width, height, format.format, format.type, offset);
    }
    gl.bindBuffer(gl.PIXEL_PACK_BUFFER, null);
    try {
      await fence();
      texels[texels.length - 1] = MARK;
      gl.bindBuffer(gl.PIXEL_PACK_BUFFER, pack);
      gl.getBufferSubData(gl.PIXEL_PACK_BUFFER, 0, texels);
      gl.bindBuffer(gl.PIXEL_PACK_BUFFER, null);
      if (texels[texels.length - 1] === MARK) await settled();
    } finally {
      if (pack) this.#packs.push(pack);
    }
    return texels;
  }

  delete() {
    for (const pack of this.#packs) this.#gl.deleteBuffer(pack);
  }
}

/**
 * The physical elements of a slot, out of the texels of its texture.
 *
 * @param {TypedArray} texels
 * @param {Texture} texture
 * @param {Slot} slot
 * @returns {TypedArray}
 */
export function elementsOf(texels, { shape, format }, { dtype, physical }) {
  return convert(fromTexels(texels, shape, sizeOf(physical)), format.channel, dtypeOf(dtype));
}
