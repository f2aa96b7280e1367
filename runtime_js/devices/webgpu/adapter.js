/**
 * What WebGPU offers here, what a program needs of it, and a device that has just that.
 *
 * @module
 */

import { ContextLostError, DeviceError, messageOf } from '../../errors.js';
import { kindOf, optionsOf } from '../../program.js';

/** @typedef {import('../../program.js').Program} Program */

/**
 * Limits of WebGPU that a kernel may come to, with what every device has
 * (https://www.w3.org/TR/webgpu/#limits); more must be asked for.
 */
const EVERYWHERE = Object.freeze({
  maxStorageBuffersPerShaderStage: 8,
  maxStorageBufferBindingSize: 2 ** 27,
  maxBufferSize: 2 ** 28,
  maxComputeWorkgroupStorageSize: 16384,
  maxComputeInvocationsPerWorkgroup: 256,
  maxComputeWorkgroupSizeX: 256,
  maxComputeWorkgroupSizeY: 256,
  maxComputeWorkgroupSizeZ: 64,
  maxComputeWorkgroupsPerDimension: 65535,
});

/** @typedef {keyof typeof EVERYWHERE} Limit */

/** @type {Readonly<Record<Limit, string>>} */
const WORDS = Object.freeze({
  maxStorageBuffersPerShaderStage: 'number of buffers of a kernel',
  maxStorageBufferBindingSize: 'size of a tensor in bytes',
  maxBufferSize: 'size of a buffer in bytes',
  maxComputeWorkgroupStorageSize: 'memory of a workgroup in bytes',
  maxComputeInvocationsPerWorkgroup: 'number of threads of a workgroup',
  maxComputeWorkgroupSizeX: 'width of a workgroup',
  maxComputeWorkgroupSizeY: 'height of a workgroup',
  maxComputeWorkgroupSizeZ: 'depth of a workgroup',
  maxComputeWorkgroupsPerDimension: 'number of workgroups along an axis',
});

/**
 * @typedef {object} Needs
 * @property {Partial<Record<Limit, number>>} limits
 * @property {boolean} float16 whether kernels compute with 16-bit floats
 */

/**
 * The adapter, or why there is none, in words for a person.
 *
 * @typedef {{adapter: GPUAdapter, name: string, software: boolean} | {why: string}} Found
 */

/** The values of `ir/target.py` that a target text leaves out. */
const DEFAULTS = Object.freeze({
  max_threads: 256,
  max_blocks: 65535,
  shared_bytes: 16384,
  max_buffers: 8,
});

/**
 * What the compiler took for granted.
 *
 * @param {string} target a target text
 * @returns {Needs}
 */
export function assumedBy(target) {
  const options = kindOf(target) === 'webgpu' ? optionsOf(target) : {};
  const value = (/** @type {keyof typeof DEFAULTS} */ key) => Number(options[key] ?? DEFAULTS[key]);
  return {
    limits: {
      maxStorageBuffersPerShaderStage: value('max_buffers'),
      maxComputeWorkgroupStorageSize: value('shared_bytes'),
      maxComputeInvocationsPerWorkgroup: value('max_threads'),
      maxComputeWorkgroupsPerDimension: value('max_blocks'),
    },
    float16: ['1', 'true'].includes((options.has_float16 ?? '').toLowerCase()),
  };
}

/**
 * What kernels and tensors really come to. Where no kernel says what memory its workgroups share, it
 * is what the compiler was told to assume.
 *
 * @param {Program} program
 * @param {readonly number[]} steps
 * @param {number} bytes of the largest buffer
 * @returns {Needs}
 */
export function neededBy(program, steps, bytes) {
  const assumed = assumedBy(program.target);
  /** @type {Record<string, number>} */
  const limits = {
    maxStorageBufferBindingSize: bytes,
    maxBufferSize: bytes,
    maxComputeWorkgroupStorageSize: 0,
  };
  const raise = (/** @type {Limit} */ key, /** @type {number} */ value) => {
    limits[key] = Math.max(limits[key] ?? 0, value);
  };
  const wanted = new Set(steps.map((k) => program.steps[k].kernel));
  for (const { name, params, launch, shared_bytes } of program.kernels) {
    if (!wanted.has(name)) continue;
    raise('maxComputeWorkgroupStorageSize', shared_bytes);
    const { blocks, threads } = geometry(launch);
    const buffers = params.filter((p) => p.access !== 's');
    raise('maxStorageBuffersPerShaderStage', buffers.length);
    raise('maxComputeInvocationsPerWorkgroup', threads[0] * threads[1] * threads[2]);
    raise('maxComputeWorkgroupSizeX', threads[0]);
    raise('maxComputeWorkgroupSizeY', threads[1]);
    raise('maxComputeWorkgroupSizeZ', threads[2]);
    raise('maxComputeWorkgroupsPerDimension', Math.max(...blocks));
  }
  limits.maxComputeWorkgroupStorageSize ||= assumed.limits.maxComputeWorkgroupStorageSize ?? 0;
  return { limits, float16: assumed.float16 };
}

/**
 * Workgroups and threads along x, y and z.
 *
 * @param {Readonly<Record<string, number>>} launch
 * @returns {{blocks: [number, number, number], threads: [number, number, number]}}
 */
export function geometry(launch) {
  const of = (/** @type {string} */ what) =>
    /** @type {[number, number, number]} */ (['x', 'y', 'z'].map((a) => launch[`${what}.${a}`] ?? 1));
  return { blocks: of('blockIdx'), threads: of('threadIdx') };
}

/**
 * The adapter of this page. An adapter makes one device, so each is asked for anew.
 *
 * @returns {Promise<Found>}
 */
export async function findAdapter() {
  const gpu = globalThis.navigator?.gpu;
  if (!gpu) {
    const insecure = globalThis.isSecureContext === false;
    return {
      why: insecure
        ? 'this page is not a secure context (WebGPU needs https or localhost)'
        : 'there is no WebGPU here',
    };
  }
  /** @type {GPUAdapter | null} */
  let adapter;
  try {
    adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
  } catch (e) {
    return { why: `the browser refused an adapter (${messageOf(e)})` };
  }
  if (!adapter) return { why: 'the browser has WebGPU, but no adapter for it' };
  const { info } = adapter;
  const parts = [info?.vendor, info?.architecture, info?.device].filter(Boolean);
  const name = info?.description || parts.join(' ') || 'an adapter without a name';
  const software =
    info?.isFallbackAdapter === true ||
    /swiftshader|llvmpipe|lavapipe|basic render|warp/i.test(`${name} ${parts.join(' ')}`);
  return { adapter, name, software };
}

/**
 * Why an adapter cannot do what is needed; '' when it can.
 *
 * @param {GPUAdapter} adapter
 * @param {Needs} needs
 */
export function misfit(adapter, needs) {
  const has = /** @type {Record<string, number>} */ (/** @type {unknown} */ (adapter.limits));
  const short = Object.entries(needs.limits)
    .filter(([key, wants]) => has[key] < wants)
    .map(([key, wants]) => `its ${WORDS[/** @type {Limit} */ (key)]} is ${has[key]}, not ${wants}`);
  if (needs.float16 && !adapter.features.has('shader-f16')) {
    short.push('it has no 16-bit floats, the model was compiled for them (-has_float16)');
  }
  return short.join('; ');
}

/**
 * @param {GPUAdapter} adapter
 * @param {Needs} needs
 * @param {string} label
 * @returns {Promise<GPUDevice>} with the limits that are needed, no more, and a clock if there is one
 */
export async function makeDevice(adapter, needs, label) {
  /** @type {Record<string, number>} */
  const requiredLimits = {};
  for (const [key, wants] of Object.entries(needs.limits)) {
    if (wants > EVERYWHERE[/** @type {Limit} */ (key)]) requiredLimits[key] = wants;
  }
  /** @type {GPUFeatureName[]} */
  const requiredFeatures = [];
  if (needs.float16) requiredFeatures.push('shader-f16');
  if (adapter.features.has('timestamp-query')) requiredFeatures.push('timestamp-query');
  try {
    return await adapter.requestDevice({ label, requiredLimits, requiredFeatures });
  } catch (e) {
    throw unfitError(`the browser refused a device (${messageOf(e)})`);
  }
}

/**
 * @param {string} why
 * @param {string} [name] of the adapter
 */
export function unfitError(why, name) {
  return new DeviceError(`this device cannot run the model: ${why}.`, {
    where: `webgpu${name ? `, ${name}` : ''}`,
    hint: 'compile the model for smaller limits (weft compile --target "webgpu -option=value"), or use wasm',
  });
}

/** @returns {ContextLostError} */
export function lostError() {
  return new ContextLostError('the browser took the WebGPU device away.', {
    where: 'webgpu',
    hint: 'call again: the next call builds everything anew',
  });
}
