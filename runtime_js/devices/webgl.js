/**
 * WebGL2: tensors are textures, kernels are fragment shaders, a kernel call is one draw of a
 * full-screen triangle into up to 8 layers at once.
 *
 * A kernel's read parameters are its samplers (uniforms of the parameters' names), its written ones
 * its draw buffers: the layers of the first, then those of the second, and so on.
 *
 * @module
 */

import { convert, dtypeOf, sizeOf } from '../dtype.js';
import { DeviceError, checkAborted } from '../errors.js';
import { sharePool } from '../plan.js';
import { fromTexels, textureShape, toTexels } from '../texture.js';
import { assumedBy, makeContext, misfit, probe, unfit } from './webgl_context.js';
import { compileAll, lost } from './webgl_shaders.js';
import { checkFits, wordOf } from './words.js';

/** @typedef {import('./device.js').Availability} Availability */
/** @typedef {import('./device.js').Codes} Codes */
/** @typedef {import('./device.js').Device} Device */
/** @typedef {import('./device.js').DeviceClass} DeviceClass */
/** @typedef {import('./device.js').InitOptions} InitOptions */
/** @typedef {import('./webgl_context.js').Assumed} Assumed */
/** @typedef {import('./webgl_context.js').Probe} Probe */
/** @typedef {import('../dtype.js').DType} DType */
/** @typedef {import('../dtype.js').TypedArray} TypedArray */
/** @typedef {import('../flags.js').Flags} Flags */
/** @typedef {import('../program.js').Program} Program */
/** @typedef {import('../program.js').Slot} Slot */
/** @typedef {import('../texture.js').TextureShape} TextureShape */

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

/**
 * One kernel call, ready to be drawn.
 *
 * @typedef {object} Draw
 * @property {WebGLProgram} program
 * @property {readonly Texture[]} reads
 * @property {WebGLFramebuffer} frame
 * @property {TextureShape} shape
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
  /** @type {WebGL2RenderingContext | null} */
  #gl = null;
  #lost = false;
  #disposed = false;
  #suspect = true; // until a run ended without a GL error
  /** @type {Program | null} */
  #program = null;
  /** @type {Assumed} */
  #assumed = assumedBy('');
  /** @type {Map<number, Texture>} by root slot */
  #textures = new Map();
  /** @type {Texture[]} */
  #pool = [];
  /** @type {Map<string, WebGLFramebuffer>} */
  #frames = new Map();
  /** @type {Map<number, Draw>} by step */
  #draws = new Map();
  /** @type {Map<string, WebGLProgram>} */
  #programs = new Map();
  /** @type {WebGLBuffer[]} pixel-pack buffers that no download uses now */
  #packs = [];
  /** @type {Map<string, TypedArray>} staging arrays by channel type */
  #staging = new Map();

  get lost() {
    return this.#lost || (this.#gl?.isContextLost() ?? false);
  }

  /**
   * @param {Program} program
   * @param {Codes} codes
   * @param {InitOptions} options
   */
  async init(program, codes, options) {
    this.#forget();
    const gl = makeContext();
    if (!gl) throw unfit('this browser has no WebGL2');
    this.#gl = gl;
    this.#lost = false;
    this.#suspect = true;
    gl.canvas.addEventListener('webglcontextlost', () => {
      if (this.#gl === gl) this.#lost = true;
    });
    const found = probe(gl);
    this.#assumed = assumedBy(program.target);
    const why = misfit(found, this.#assumed);
    if (gl.isContextLost()) throw lost();
    if (why) throw unfit(why, found);
    const half = found.floatBits < 32 || this.#flags.forceHalfFloat || this.#assumed.floatBits < 32;
    this.limits = { ...found.limits, floatBits: half ? 16 : 32 };
    this.description = `webgl, ${found.renderer}, ${half ? 16 : 32}-bit floats`;
    this.#program = program;
    gl.disable(gl.DITHER);
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 4);
    this.#programs = await this.#compile(gl, program, codes, options, found);
    this.#allocate(gl, program, options, half);
    this.#prepareDraws(gl, program, options);
    this.#checkErrors(gl, 'preparing textures');
  }

  /**
   * @param {WebGL2RenderingContext} gl
   * @param {Program} program
   * @param {Codes} codes
   * @param {InitOptions} options
   * @param {Probe} found
   */
  #compile(gl, program, codes, { steps, signal, onCompile }, found) {
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
          throw unfit(`the kernel '${name}' reads ${samplers.length} textures, of ${has}`, found);
        }
        return { name, text, samplers };
      });
    return compileAll(gl, sources, signal, (done, total) => onCompile?.(done, total));
  }

  /**
   * @param {WebGL2RenderingContext} gl
   * @param {Program} program
   * @param {InitOptions} options
   * @param {boolean} half
   */
  #allocate(gl, program, { roots, steps, slots, pinned }, half) {
    const max = this.#assumed.maxTextureSize;
    const formatOf = (/** @type {Slot} */ s) => {
      // Constants need not be renderable. Inputs are rounded as results are: a kernel may look for
      // the maximum of its input, which another kernel found and stored.
      const small = half && (s.kind !== 'constant' || this.#assumed.floatBits < 32);
      return format(gl, dtypeOf(s.dtype), small);
    };
    const shapeOf = (/** @type {number} */ k) =>
      textureShape(sizeOf(program.slots[k].physical), program.slots[k].layers, max);
    const key = (/** @type {number} */ k) => {
      const { width, height, layers } = shapeOf(k);
      return `${width}x${height}x${layers} ${formatOf(program.slots[k]).internal}`;
    };
    const { place, sizes } = sharePool(program, roots, steps, slots, pinned, key);
    this.#pool = new Array(sizes.length);
    for (const [slot, index] of place) {
      this.#pool[index] ??= makeTexture(gl, shapeOf(slot), formatOf(program.slots[slot]));
      this.#textures.set(slot, this.#pool[index]);
    }
    program.slots.forEach((s, k) => {
      const texture = this.#textures.get(roots[k]);
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
   * @param {WebGL2RenderingContext} gl
   * @param {Program} program
   * @param {InitOptions} options
   */
  #prepareDraws(gl, program, { roots, steps, pinned }) {
    const kernels = new Map(program.kernels.map((k) => [k.name, k]));
    for (const k of steps) {
      const step = program.steps[k];
      /** @type {Texture[]} */
      const reads = [];
      /** @type {Texture[]} */
      const writes = [];
      kernels.get(step.kernel)?.params.forEach((p, i) => {
        const texture = /** @type {Texture} */ (this.#textures.get(roots[step.args[i]]));
        (p.access === 'w' ? writes : reads).push(texture);
      });
      const shape = writes[0]?.shape;
      const even = writes.every(
        (t) => t.shape.width === shape.width && t.shape.height === shape.height,
      );
      const buffers = writes.reduce((n, t) => n + t.shape.layers, 0);
      if (!shape || !even || buffers > this.limits.maxDrawBuffers) {
        throw new DeviceError(`the results of '${step.kernel}' cannot be drawn at once.`, {
          where: program.name,
        });
      }
      const draw = {
        program: /** @type {WebGLProgram} */ (this.#programs.get(step.kernel)),
        reads,
        frame: this.#frame(gl, writes),
        shape,
      };
      this.#draws.set(k, draw);
    }
    // What is downloaded: checking a framebuffer waits for the draws before it, so it is done now.
    for (const slot of pinned) {
      const { kind } = program.slots[slot];
      if (kind === 'input' || kind === 'constant') continue;
      this.#frame(gl, [/** @type {Texture} */ (this.#textures.get(slot))]);
    }
  }

  /**
   * The framebuffer that draws into the layers of some textures.
   *
   * @param {WebGL2RenderingContext} gl
   * @param {readonly Texture[]} textures
   */
  #frame(gl, textures) {
    const key = textures.map((t) => this.#pool.indexOf(t)).join();
    const known = this.#frames.get(key);
    if (known) return known;
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
    if (gl.isContextLost()) throw lost();
    if (status !== gl.FRAMEBUFFER_COMPLETE) {
      throw new DeviceError(`a framebuffer of ${buffers.length} layers was refused (${status}).`, {
        where: this.description,
      });
    }
    this.#frames.set(key, frame);
    return frame;
  }

  /**
   * @param {number} slot
   * @param {TypedArray} data
   */
  upload(slot, data) {
    const gl = this.#context();
    const texture = /** @type {Texture} */ (this.#textures.get(slot));
    const description = /** @type {Program} */ (this.#program).slots[slot];
    const { shape, format } = texture;
    const size = 4 * shape.width * shape.height * shape.layers;
    checkFits(data, description, 'webgl');
    const channels = convert(data, dtypeOf(description.dtype), format.channel);
    let pixels = channels;
    if (shape.layers > 1 || channels.length !== size) {
      pixels = this.#stage(format.channel, size);
      toTexels(channels, shape, pixels);
    }
    gl.bindTexture(gl.TEXTURE_2D_ARRAY, texture.handle);
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
   * @param {number} slot
   * @param {AbortSignal} [signal]
   * @returns {Promise<TypedArray>}
   */
  async download(slot, signal) {
    const gl = this.#context();
    const texture = /** @type {Texture} */ (this.#textures.get(slot));
    const { dtype, physical } = /** @type {Program} */ (this.#program).slots[slot];
    const { shape, format } = texture;
    const { width, height, layers } = shape;
    const texels = new format.channel.make(4 * width * height * layers);
    const pack = this.#packs.pop() ?? gl.createBuffer();
    gl.bindBuffer(gl.PIXEL_PACK_BUFFER, pack);
    gl.bufferData(gl.PIXEL_PACK_BUFFER, texels.byteLength, gl.STREAM_READ);
    gl.bindFramebuffer(gl.READ_FRAMEBUFFER, this.#frame(gl, [texture]));
    for (let layer = 0; layer < layers; layer++) {
      const offset = (texels.byteLength / layers) * layer;
      gl.readBuffer(gl.COLOR_ATTACHMENT0 + layer);
      gl.readPixels(0, 0, width, height, format.format, format.type, offset);
    }
    gl.bindBuffer(gl.PIXEL_PACK_BUFFER, null);
    try {
      await this.#fence(gl, signal);
      gl.bindBuffer(gl.PIXEL_PACK_BUFFER, pack);
      gl.getBufferSubData(gl.PIXEL_PACK_BUFFER, 0, texels);
      gl.bindBuffer(gl.PIXEL_PACK_BUFFER, null);
      if (this.lost) throw lost();
      if (this.#suspect) this.#checkErrors(gl, 'the first run');
      this.#suspect = false;
    } finally {
      // Another context may have come meanwhile, and then this buffer is none of ours.
      if (this.#gl === gl && pack) this.#packs.push(pack);
    }
    const flat = fromTexels(texels, shape, sizeOf(physical));
    return convert(flat, format.channel, dtypeOf(dtype));
  }

  /**
   * Wait until everything before has ended, without blocking the page.
   *
   * @param {WebGL2RenderingContext} gl
   * @param {AbortSignal} [signal]
   */
  async #fence(gl, signal) {
    const sync = gl.fenceSync(gl.SYNC_GPU_COMMANDS_COMPLETE, 0);
    gl.flush();
    if (!sync || gl.isContextLost()) throw lost();
    try {
      for (let looks = 0; ; looks++) {
        await pause(looks < 3 ? 0 : this.#flags.pollMs);
        if (this.#disposed || this.#gl !== gl || gl.isContextLost()) throw lost();
        const status = gl.clientWaitSync(sync, 0, 0);
        if (status === gl.ALREADY_SIGNALED || status === gl.CONDITION_SATISFIED) return;
        if (status === gl.WAIT_FAILED) throw lost();
        checkAborted(signal, 'the run');
      }
    } finally {
      gl.deleteSync(sync);
    }
  }

  /**
   * @param {number} begin
   * @param {number} end
   */
  run(begin, end) {
    const gl = this.#context();
    for (let k = begin; k < end; k++) this.#draw(gl, k);
    gl.flush();
  }

  /**
   * @param {WebGL2RenderingContext} gl
   * @param {number} k the step
   */
  #draw(gl, k) {
    const { program, reads, frame, shape } = /** @type {Draw} */ (this.#draws.get(k));
    gl.bindFramebuffer(gl.DRAW_FRAMEBUFFER, frame);
    gl.viewport(0, 0, shape.width, shape.height);
    gl.useProgram(program);
    // A texture that stays bound to a unit beyond these may be the target of this draw; that is no
    // feedback loop, since only units that the program samples count.
    for (let unit = 0; unit < reads.length; unit++) {
      gl.activeTexture(gl.TEXTURE0 + unit);
      gl.bindTexture(gl.TEXTURE_2D_ARRAY, reads[unit].handle);
    }
    gl.drawArrays(gl.TRIANGLES, 0, 3);
  }

  async finish() {
    await this.#fence(this.#context());
  }

  /**
   * @param {number} begin
   * @param {number} end
   * @returns {Promise<Float64Array>}
   */
  async time(begin, end) {
    const gl = this.#context();
    const timer = gl.getExtension('EXT_disjoint_timer_query_webgl2');
    await this.#fence(gl);
    const measured = timer && (await this.#timeQueries(gl, timer, begin, end));
    if (measured) return measured;
    const times = new Float64Array(end - begin);
    for (let k = begin; k < end; k++) {
      const start = performance.now();
      this.#draw(gl, k);
      await this.#fence(gl);
      times[k - begin] = performance.now() - start;
    }
    return times;
  }

  /**
   * @param {WebGL2RenderingContext} gl
   * @param {any} timer
   * @param {number} begin
   * @param {number} end
   * @returns {Promise<Float64Array | null>} null when the clock was disturbed
   */
  async #timeQueries(gl, timer, begin, end) {
    gl.getParameter(timer.GPU_DISJOINT_EXT); // reading it resets it
    /** @type {WebGLQuery[]} */
    const queries = [];
    for (let k = begin; k < end; k++) {
      const query = /** @type {WebGLQuery} */ (gl.createQuery());
      gl.beginQuery(timer.TIME_ELAPSED_EXT, query);
      this.#draw(gl, k);
      gl.endQuery(timer.TIME_ELAPSED_EXT);
      queries.push(query);
    }
    try {
      await this.#fence(gl);
      const times = new Float64Array(queries.length);
      const deadline = performance.now() + 2000;
      for (const [k, query] of queries.entries()) {
        while (!gl.getQueryParameter(query, gl.QUERY_RESULT_AVAILABLE)) {
          await pause(this.#flags.pollMs);
          if (this.lost) throw lost();
          if (performance.now() > deadline) return null;
        }
        times[k] = Number(gl.getQueryParameter(query, gl.QUERY_RESULT)) / 1e6;
      }
      return gl.getParameter(timer.GPU_DISJOINT_EXT) ? null : times;
    } finally {
      for (const query of queries) gl.deleteQuery(query);
    }
  }

  memory() {
    const live = this.lost ? [] : this.#pool;
    return { buffers: live.length, bytes: live.reduce((n, t) => n + t.bytes, 0) };
  }

  dispose() {
    this.#forget();
    this.#disposed = true;
  }

  /** The context, if it is to be used at all. */
  #context() {
    if (this.#disposed || !this.#gl || this.lost) throw lost();
    return this.#gl;
  }

  /** Gives back the context and everything in it. */
  #forget() {
    const gl = this.#gl;
    this.#gl = null;
    if (gl && !gl.isContextLost()) {
      for (const t of this.#pool) gl.deleteTexture(t.handle);
      for (const f of this.#frames.values()) gl.deleteFramebuffer(f);
      for (const p of this.#programs.values()) gl.deleteProgram(p);
      for (const b of this.#packs) gl.deleteBuffer(b);
      // Browsers allow few contexts at a time and collect them late.
      gl.getExtension('WEBGL_lose_context')?.loseContext();
    }
    this.#textures.clear();
    this.#frames.clear();
    this.#draws.clear();
    this.#programs.clear();
    this.#staging.clear();
    this.#pool = [];
    this.#packs = [];
  }

  /**
   * @param {WebGL2RenderingContext} gl
   * @param {string} when
   */
  #checkErrors(gl, when) {
    const code = gl.getError();
    if (code === gl.NO_ERROR) return;
    if (code === gl.CONTEXT_LOST_WEBGL || gl.isContextLost()) throw lost();
    const memory = code === gl.OUT_OF_MEMORY;
    throw new DeviceError(
      memory
        ? `there is too little graphics memory for the ${(this.memory().bytes / 2 ** 20).toFixed(1)} MiB of the model.`
        : `WebGL reported error 0x${code.toString(16)} at ${when}.`,
      { where: this.description, hint: memory ? 'close other pages, or use wasm' : 'use wasm' },
    );
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

/**
 * Let the page do other things. Timers of 0 are made to wait 4 ms after a few; messages are not.
 *
 * @param {number} ms
 */
function pause(ms) {
  if (ms > 0 || typeof MessageChannel === 'undefined') {
    return new Promise((go) => setTimeout(go, ms));
  }
  return new Promise((go) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      go(undefined);
    };
    port2.postMessage(0);
  });
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
    return { ok: true, software, reason: `WebGL2, ${found.renderer}, ${bits}-bit floats` };
  },

  create: (flags) => new WebGLDevice(flags),
};
