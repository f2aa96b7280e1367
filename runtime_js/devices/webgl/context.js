/**
 * A WebGL2 context for computing: made, probed, and checked against what a program was compiled
 * for.
 *
 * @module
 */

import { ContextLostError, DeviceError } from '../../errors.js';
import { kindOf, optionsOf } from '../../program.js';

/**
 * What the compiler took for granted when it chose shapes and tiles.
 *
 * @typedef {object} Assumed
 * @property {number} maxTextureSize texture shapes are computed with this, whatever the device has
 * @property {number} maxDrawBuffers
 * @property {number} maxTextureUnits
 * @property {number} floatBits
 */

/**
 * What a device has.
 *
 * @typedef {object} Probe
 * @property {string} renderer
 * @property {0 | 16 | 32} floatBits of floats that can be rendered to
 * @property {Record<string, number>} limits
 */

/** The values of `ir/target.py` that a target text leaves out. */
const DEFAULTS = Object.freeze({
  max_texture_size: 4096,
  max_draw_buffers: 8,
  texture_units: 16,
  float_bits: 32,
});

/**
 * @param {string} target a target text
 * @returns {Assumed}
 */
export function assumedBy(target) {
  const options = kindOf(target) === 'webgl' ? optionsOf(target) : {};
  const value = (/** @type {keyof typeof DEFAULTS} */ key) => Number(options[key] ?? DEFAULTS[key]);
  return {
    maxTextureSize: value('max_texture_size'),
    maxDrawBuffers: value('max_draw_buffers'),
    maxTextureUnits: value('texture_units'),
    floatBits: value('float_bits'),
  };
}

/**
 * A context that draws to textures only; null where there is no WebGL2.
 *
 * @returns {WebGL2RenderingContext | null}
 */
export function makeContext() {
  /** @type {OffscreenCanvas | HTMLCanvasElement} */
  let canvas;
  if (typeof OffscreenCanvas !== 'undefined') canvas = new OffscreenCanvas(1, 1);
  else if (typeof document !== 'undefined') canvas = document.createElement('canvas');
  else return null;
  const options = {
    alpha: false,
    antialias: false,
    depth: false,
    stencil: false,
    preserveDrawingBuffer: false,
    powerPreference: 'high-performance',
  };
  const context = canvas.getContext('webgl2', options);
  return /** @type {WebGL2RenderingContext | null} */ (context);
}

/**
 * @param {WebGL2RenderingContext} gl
 * @returns {Probe} after which the extensions that it found are enabled
 */
export function probe(gl) {
  const info = gl.getExtension('WEBGL_debug_renderer_info');
  const renderer = String(gl.getParameter(info ? info.UNMASKED_RENDERER_WEBGL : gl.RENDERER));
  const full = gl.getExtension('EXT_color_buffer_float') !== null;
  const half = gl.getExtension('EXT_color_buffer_half_float') !== null;
  // An extension may be there and yet not work (old mobile drivers): a framebuffer decides.
  const works = (/** @type {number} */ format) => {
    const texture = gl.createTexture();
    const frame = gl.createFramebuffer();
    gl.bindTexture(gl.TEXTURE_2D_ARRAY, texture);
    gl.texStorage3D(gl.TEXTURE_2D_ARRAY, 1, format, 1, 1, 1);
    gl.bindFramebuffer(gl.FRAMEBUFFER, frame);
    gl.framebufferTextureLayer(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, texture, 0, 0);
    const complete = gl.checkFramebufferStatus(gl.FRAMEBUFFER) === gl.FRAMEBUFFER_COMPLETE;
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
    gl.deleteFramebuffer(frame);
    gl.deleteTexture(texture);
    return complete;
  };
  /** @type {0 | 16 | 32} */
  let floatBits = 0;
  if (full && works(gl.RGBA32F)) floatBits = 32;
  else if ((full || half) && works(gl.RGBA16F)) floatBits = 16;
  const get = (/** @type {number} */ name) => Number(gl.getParameter(name));
  return {
    renderer,
    floatBits,
    limits: {
      maxTextureSize: get(gl.MAX_TEXTURE_SIZE),
      maxLayers: get(gl.MAX_ARRAY_TEXTURE_LAYERS),
      maxDrawBuffers: Math.min(get(gl.MAX_DRAW_BUFFERS), get(gl.MAX_COLOR_ATTACHMENTS)),
      maxTextureUnits: get(gl.MAX_TEXTURE_IMAGE_UNITS),
      floatBits,
    },
  };
}

/**
 * Why a device cannot run programs of a target; '' when it can.
 *
 * @param {Probe} found
 * @param {Assumed} needs
 */
export function misfit(found, needs) {
  if (found.floatBits === 0) return 'it cannot render to floats of 16 or 32 bits';
  const { limits } = found;
  const short = [
    ['texture size', limits.maxTextureSize, needs.maxTextureSize, 'max_texture_size'],
    ['number of draw buffers', limits.maxDrawBuffers, needs.maxDrawBuffers, 'max_draw_buffers'],
    ['number of texture units', limits.maxTextureUnits, needs.maxTextureUnits, 'texture_units'],
  ]
    .filter(([, has, wants]) => has < wants)
    .map(
      ([what, has, wants, option]) =>
        `its ${what} is ${has}, the model was compiled for ${wants} (-${option})`,
    );
  return short.join('; ');
}

/**
 * @param {string} why
 * @param {Probe} [found]
 */
export function unfitError(why, found) {
  return new DeviceError(`this device cannot run the model: ${why}.`, {
    where: `webgl${found ? `, ${found.renderer}` : ''}`,
    hint: 'compile the model for smaller limits (weft compile --target "webgl -option=value"), or use wasm',
  });
}

/** @returns {ContextLostError} */
export function lostError() {
  return new ContextLostError('the browser took the WebGL context away.', {
    where: 'webgl',
    hint: 'call again: the next call builds everything anew',
  });
}
