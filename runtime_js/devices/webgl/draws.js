/**
 * Kernel calls as draws: what each step binds, prepared once.
 *
 * A kernel's read parameters are its samplers (uniforms of the parameters' names), its written ones
 * its draw buffers: the layers of the first, then those of the second, and so on. Numbers are the
 * uniforms `scalar0`, `scalar1`, … in the order of the parameters.
 *
 * @module
 */

import { convert, dtypeOf } from '../../dtype.js';
import { DeviceError } from '../../errors.js';
import { checkFits, wordOf } from '../words.js';

/** @typedef {import('../../dtype.js').TypedArray} TypedArray */
/** @typedef {import('../../program.js').Program} Program */
/** @typedef {import('../../texture.js').TextureShape} TextureShape */
/** @typedef {import('../device.js').InitOptions} InitOptions */
/** @typedef {import('./textures.js').Texture} Texture */
/** @typedef {import('./textures.js').Textures} Textures */

/**
 * @typedef {object} Draw
 * @property {WebGLProgram} shader
 * @property {readonly Texture[]} reads
 * @property {WebGLFramebuffer} frame
 * @property {TextureShape} shape
 * @property {readonly Uniform[]} numbers
 */

/**
 * A number that a shader takes. `values` are those of all slots.
 *
 * @typedef {object} Uniform
 * @property {WebGLUniformLocation | null} at
 * @property {number} slot
 * @property {Numbers} values
 */

/** @typedef {Map<number, {kind: string, value: number}>} Numbers by slot, in words of 32 bits */

/**
 * Note the value of a number that draws take.
 *
 * @param {Numbers} values
 * @param {number} k
 * @param {import('../../program.js').Slot} slot
 * @param {TypedArray} data
 */
export function setNumber(values, k, slot, data) {
  checkFits(data, slot, 'webgl');
  const dtype = dtypeOf(slot.dtype);
  const word = wordOf(dtype);
  values.set(k, { kind: word.kind, value: Number(convert(data, dtype, word)[0]) });
}

/**
 * @param {Program} program
 * @param {InitOptions} options
 * @param {ReadonlyMap<string, WebGLProgram>} shaders by kernel
 * @param {Textures} textures
 * @param {number} maxDrawBuffers
 * @param {WebGL2RenderingContext} gl
 * @param {Numbers} values
 * @returns {Map<number, Draw>} by step
 */
export function prepareDraws(
  program, { roots, steps, pinned }, shaders, textures, maxDrawBuffers, gl, values,
) { // prettier-ignore
  const kernels = new Map(program.kernels.map((k) => [k.name, k]));
  /** @type {Map<number, Draw>} */
  const draws = new Map();
  for (const k of steps) {
    const step = program.steps[k];
    /** @type {Texture[]} */
    const reads = [];
    /** @type {Texture[]} */
    const writes = [];
    const slots = /** @type {number[]} */ ([]);
    kernels.get(step.kernel)?.params.forEach((p, i) => {
      if (p.access === 's') slots.push(step.args[i]);
      else (p.access === 'w' ? writes : reads).push(textures.of(roots[step.args[i]]));
    });
    const shape = writes[0]?.shape;
    const even = writes.every(
      (t) => t.shape.width === shape.width && t.shape.height === shape.height,
    );
    const buffers = writes.reduce((n, t) => n + t.shape.layers, 0);
    if (!shape || !even || buffers > maxDrawBuffers) {
      throw new DeviceError(`the results of '${step.kernel}' cannot be drawn at once.`, {
        where: program.name,
      });
    }
    const shader = /** @type {WebGLProgram} */ (shaders.get(step.kernel));
    const numbers = slots.map((slot, n) => ({
      at: gl.getUniformLocation(shader, `scalar${n}`),
      slot,
      values,
    }));
    draws.set(k, { shader, reads, frame: textures.frame(writes), shape, numbers });
  }
  // What is downloaded: checking a framebuffer waits for the draws before it, so it is done now.
  for (const slot of pinned) {
    const { kind } = program.slots[slot];
    if (kind !== 'input' && kind !== 'constant') textures.frame([textures.of(slot)]);
  }
  return draws;
}

/**
 * @param {WebGL2RenderingContext} gl
 * @param {Draw} draw
 */
export function draw(gl, { shader, reads, frame, shape, numbers }) {
  gl.bindFramebuffer(gl.DRAW_FRAMEBUFFER, frame);
  gl.viewport(0, 0, shape.width, shape.height);
  gl.useProgram(shader);
  for (const { at, slot, values } of numbers) {
    const { kind, value } = /** @type {{kind: string, value: number}} */ (values.get(slot));
    if (kind === 'float') gl.uniform1f(at, value);
    else if (kind === 'uint') gl.uniform1ui(at, value);
    else gl.uniform1i(at, value);
  }
  // A texture that stays bound to a unit beyond these may be the target of this draw; that is no
  // feedback loop, since only units that the shader samples count.
  for (let unit = 0; unit < reads.length; unit++) {
    gl.activeTexture(gl.TEXTURE0 + unit);
    gl.bindTexture(gl.TEXTURE_2D_ARRAY, reads[unit].handle);
  }
  gl.drawArrays(gl.TRIANGLES, 0, 3);
}
