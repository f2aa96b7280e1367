/**
 * WebGL2: tensors are textures (`textures.js`), kernels are fragment shaders (`shaders.js`), a
 * kernel call is one draw of a full-screen triangle into up to 8 layers at once (`draws.js`).
 *
 * @module
 */

import { DeviceError } from '../../errors.js';
import { assumedBy, lostError, makeContext, misfit, probe, unfitError } from './context.js';
import { draw, prepareDraws, setNumber } from './draws.js';
import { compileAll } from './shaders.js';
import { fence, timeDraws } from './sync.js';
import { Textures } from './textures.js';
import { Transfer, elementsOf } from './transfer.js';

/** @typedef {import('../../dtype.js').TypedArray} TypedArray */
/** @typedef {import('../../flags.js').Flags} Flags */
/** @typedef {import('../../program.js').Program} Program */
/** @typedef {import('../device.js').Availability} Availability */
/** @typedef {import('../device.js').Codes} Codes */
/** @typedef {import('../device.js').Device} Device */
/** @typedef {import('../device.js').DeviceClass} DeviceClass */
/** @typedef {import('../device.js').InitOptions} InitOptions */
/** @typedef {import('./context.js').Probe} Probe */
/** @typedef {import('./draws.js').Draw} Draw */

/**
 * A context and all that was made in it for a program.
 *
 * @typedef {object} Session
 * @property {WebGL2RenderingContext} gl
 * @property {Program} program
 * @property {Textures} textures
 * @property {Transfer} transfer
 * @property {ReadonlyMap<string, WebGLProgram>} shaders by kernel
 * @property {ReadonlyMap<number, Draw>} draws by step
 */

/** @implements {Device} */
class WebGLDevice {
  kind = 'webgl';
  mayBeLost = true;
  description = 'webgl';
  /** @type {Readonly<Record<string, number>>} */
  limits = {};

  /** @param {Flags} flags */
  constructor(flags) {
    this.#flags = flags;
  }

  #flags;
  /** @type {Session | null} */
  #session = null;
  #lost = false;
  #suspect = true; // until a run ended without a GL error
  /** @type {import('./draws.js').Numbers} */
  #numbers = new Map();

  get lost() {
    return this.#lost || (this.#session?.gl.isContextLost() ?? false);
  }

  /**
   * @param {Program} program
   * @param {Codes} codes
   * @param {InitOptions} options
   */
  async init(program, codes, options) {
    this.dispose();
    const gl = makeContext();
    if (!gl) throw unfitError('this browser has no WebGL2');
    const found = probe(gl);
    /** @type {Session} */
    const session = {
      gl,
      program,
      textures: new Textures(gl, `webgl, ${found.renderer}`),
      transfer: new Transfer(gl),
      shaders: new Map(),
      draws: new Map(),
    };
    this.#session = session;
    this.#lost = false;
    this.#suspect = true;
    gl.canvas.addEventListener('webglcontextlost', () => {
      if (this.#session === session) this.#lost = true;
    });
    const assumed = assumedBy(program.target);
    const why = misfit(found, assumed);
    if (gl.isContextLost()) throw lostError();
    if (why) throw unfitError(why, found);
    const half = found.floatBits < 32 || this.#flags.forceHalfFloat || assumed.floatBits < 32;
    this.limits = { ...found.limits, floatBits: half ? 16 : 32 };
    this.description = `webgl, ${found.renderer}, ${half ? 16 : 32}-bit floats`;
    gl.disable(gl.DITHER);
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 4);
    const shaders = await compile(gl, program, codes, options, found);
    const { textures } = session;
    session.shaders = shaders;
    textures.allocate(program, options, assumed, half);
    const { maxDrawBuffers } = found.limits;
    this.#numbers.clear();
    session.draws = prepareDraws(
      program, options, shaders, textures, maxDrawBuffers, gl, this.#numbers,
    ); // prettier-ignore
    this.#checkErrors(session, 'preparing textures');
  }

  /**
   * @param {number} slot
   * @param {TypedArray} data
   */
  upload(slot, data) {
    const { textures, transfer, program } = this.#alive();
    const description = program.slots[slot];
    if (!description.shape.length) setNumber(this.#numbers, slot, description, data);
    transfer.upload(textures.of(slot), description, data);
  }

  /**
   * @param {number} slot
   * @param {AbortSignal} [signal]
   * @returns {Promise<TypedArray>}
   */
  async download(slot, signal) {
    const session = this.#alive();
    const { textures, transfer, program } = session;
    const texture = textures.of(slot);
    const { blocking } = this.#flags; // to read waits by itself, with the page
    const wait = blocking ? async () => {} : () => this.#fence(session, signal);
    const texels = await transfer.read(texture, textures.frame([texture]), wait);
    if (this.lost) throw lostError();
    if (this.#suspect) this.#checkErrors(session, 'the first run');
    this.#suspect = false;
    return elementsOf(texels, texture, program.slots[slot]);
  }

  /**
   * @param {number} begin
   * @param {number} end
   */
  run(begin, end) {
    const { gl, draws } = this.#alive();
    for (let k = begin; k < end; k++) draw(gl, /** @type {Draw} */ (draws.get(k)));
    gl.flush();
  }

  async finish() {
    await this.#fence(this.#alive());
  }

  /**
   * @param {number} begin
   * @param {number} end
   * @returns {Promise<Float64Array>}
   */
  async time(begin, end) {
    const session = this.#alive();
    const { gl } = session;
    const draws = Array.from({ length: end - begin }, (_, k) =>
      /** @type {Draw} */ (session.draws.get(begin + k)),
    );
    const wait = () => this.#fence(session);
    await wait();
    const measured = await timeDraws(gl, draws, wait, this.#flags.pollMs);
    if (measured) return measured;
    const times = new Float64Array(draws.length);
    for (const [k, d] of draws.entries()) {
      const start = performance.now();
      draw(gl, d);
      await wait();
      times[k] = performance.now() - start;
    }
    return times;
  }

  memory() {
    if (!this.#session || this.lost) return { buffers: 0, bytes: 0 };
    return this.#session.textures.memory;
  }

  /** Free the context and everything in it. */
  dispose() {
    const session = this.#session;
    this.#session = null;
    if (!session || session.gl.isContextLost()) return;
    const { gl, textures, transfer, shaders } = session;
    textures.delete();
    transfer.delete();
    for (const shader of shaders.values()) gl.deleteProgram(shader);
    // Browsers allow few contexts at a time and collect them late.
    gl.getExtension('WEBGL_lose_context')?.loseContext();
  }

  /** The session, if its context is to be used at all. */
  #alive() {
    if (!this.#session || this.lost) throw lostError();
    return this.#session;
  }

  /**
   * @param {Session} session
   * @param {AbortSignal} [signal]
   */
  #fence(session, signal) {
    return fence(session.gl, () => this.#session === session, this.#flags.pollMs, signal);
  }

  /**
   * @param {Session} session
   * @param {string} when
   */
  #checkErrors({ gl, textures }, when) {
    const code = gl.getError();
    if (code === gl.NO_ERROR) return;
    if (code === gl.CONTEXT_LOST_WEBGL || gl.isContextLost()) throw lostError();
    const memory = code === gl.OUT_OF_MEMORY;
    const size = (textures.memory.bytes / 2 ** 20).toFixed(1);
    throw new DeviceError(
      memory
        ? `there is too little graphics memory for the ${size} MiB of the model.`
        : `WebGL reported error 0x${code.toString(16)} at ${when}.`,
      { where: this.description, hint: memory ? 'close other pages, or use wasm' : 'use wasm' },
    );
  }
}

/**
 * The shaders of the kernels that some steps call.
 *
 * @param {WebGL2RenderingContext} gl
 * @param {Program} program
 * @param {Codes} codes
 * @param {InitOptions} options
 * @param {Probe} found
 */
function compile(gl, program, codes, { steps, signal, onCompile }, found) {
  const wanted = new Set(steps.map((k) => program.steps[k].kernel));
  const sources = program.kernels
    .filter((k) => wanted.has(k.name))
    .map(({ name, params, code }) => {
      const text = codes[code];
      if (typeof text !== 'string') {
        throw new DeviceError(`the shader '${code}' is missing.`, { where: program.name });
      }
      const samplers = params.filter((p) => p.access === 'r').map((p) => p.name);
      if (samplers.length > found.limits.maxTextureUnits) {
        const has = found.limits.maxTextureUnits;
        const why = `the kernel '${name}' reads ${samplers.length} textures, of ${has}`;
        throw unfitError(why, found);
      }
      return { name, text, samplers };
    });
  return compileAll(gl, sources, signal, (done, total) => onCompile?.(done, total));
}

/** @type {DeviceClass} */
export const device = {
  kind: 'webgl',

  /**
   * @param {Flags} flags
   * @param {string} target
   * @returns {Availability}
   */
  available(flags, target) {
    const gl = makeContext();
    if (!gl) return { ok: false, reason: 'there is no WebGL2 here' };
    const found = probe(gl);
    gl.getExtension('WEBGL_lose_context')?.loseContext();
    const why = misfit(found, assumedBy(target));
    if (why) return { ok: false, reason: `${found.renderer}: ${why}` };
    const bits = flags.forceHalfFloat ? 16 : found.floatBits;
    const software = /swiftshader|llvmpipe|softpipe|basic render|software/i.test(found.renderer);
    const limits = {
      max_texture_size: found.limits.maxTextureSize,
      max_draw_buffers: Math.min(8, found.limits.maxDrawBuffers),
      texture_units: found.limits.maxTextureUnits,
      float_bits: bits,
    };
    return { ok: true, software, limits, reason: `WebGL2, ${found.renderer}, ${bits}-bit floats` };
  },

  create: (flags) => new WebGLDevice(flags),
};
