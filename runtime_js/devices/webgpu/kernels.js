/**
 * Compiles the kernels of a program, all at once and off the page's thread.
 *
 * @module
 */

import { DeviceError, checkAborted, messageOf } from '../../errors.js';

/** @typedef {import('../../program.js').Kernel} Kernel */

/**
 * @typedef {object} Compiled
 * @property {GPUComputePipeline} pipeline
 * @property {GPUBindGroupLayout} layout
 */

/**
 * @param {GPUDevice} device
 * @param {readonly {kernel: Kernel, text: string}[]} sources
 * @param {AbortSignal | undefined} signal
 * @param {(done: number, total: number) => void} onDone
 * @returns {Promise<Map<string, Compiled>>} by kernel name
 * @throws {DeviceError} with the compiler's words and the lines that it means
 */
export async function compileAll(device, sources, signal, onDone) {
  /** @type {Map<string, GPUShaderModule>} */
  const modules = new Map();
  /** @type {Map<string, {layout: GPUBindGroupLayout, all: GPUPipelineLayout}>} */
  const layouts = new Map();
  let done = 0;
  let failed = false;
  device.pushErrorScope('validation'); // a module's errors come with the pipeline's, too
  const waiting = sources.map(async ({ kernel, text: code }) => {
    let module = modules.get(code);
    if (!module) modules.set(code, (module = device.createShaderModule({ label: kernel.name, code })));
    const letters = kernel.params.map((p) => p.access).join('');
    const buffers = letters.replaceAll('s', '');
    const access = buffers.length < letters.length ? `${buffers}s` : buffers;
    let known = layouts.get(access);
    if (!known) layouts.set(access, (known = layoutOf(device, access)));
    const { layout, all } = known;
    try {
      const pipeline = await device.createComputePipelineAsync({
        label: kernel.name,
        layout: all,
        compute: { module, entryPoint: kernel.name },
      });
      if (!failed && !signal?.aborted) onDone(++done, sources.length);
      return /** @type {const} */ ([kernel.name, { pipeline, layout }]);
    } catch (e) {
      failed = true;
      throw await compileError(kernel.name, code, module, e);
    }
  });
  const scope = device.popErrorScope();
  // All of them end before anything is said: the device may be destroyed then.
  const ends = await Promise.allSettled([...waiting]);
  await scope.catch(() => null);
  checkAborted(signal, 'compiling kernels');
  /** @type {Map<string, Compiled>} */
  const compiled = new Map();
  for (const end of ends) {
    if (end.status === 'rejected') throw end.reason;
    compiled.set(...end.value);
  }
  return compiled;
}

/**
 * Buffers are bindings in the order of the parameters, whether a kernel's text uses them or not; all
 * numbers are one uniform behind them.
 *
 * @param {GPUDevice} device
 * @param {string} access a letter a binding
 */
function layoutOf(device, access) {
  const layout = device.createBindGroupLayout({
    entries: [...access].map((a, binding) => ({
      binding,
      visibility: GPUShaderStage.COMPUTE,
      buffer: { type: a === 'r' ? 'read-only-storage' : a === 's' ? 'uniform' : 'storage' },
    })),
  });
  return { layout, all: device.createPipelineLayout({ bindGroupLayouts: [layout] }) };
}

/**
 * @param {string} name of the kernel
 * @param {string} code
 * @param {GPUShaderModule} module
 * @param {unknown} error
 */
async function compileError(name, code, module, error) {
  /** @type {readonly GPUCompilationMessage[]} */
  let messages = [];
  try {
    ({ messages } = await module.getCompilationInfo());
  } catch {
    // The device is gone; the error says so.
  }
  const lines = code.split('\n');
  const said = messages
    .filter((m) => m.type === 'error')
    .slice(0, 5)
    .map(({ message, lineNum: n }) => {
      const line = lines[n - 1];
      return line === undefined ? message : `${message}\n    ${n}: ${line.trim()}`;
    });
  const why = said.length ? said.join('\n') : messageOf(error);
  return new DeviceError(`the shader of the kernel '${name}' was refused: ${why}`, {
    where: 'webgpu',
    hint: 'this is a fault of weft or of the graphics driver; wasm will work',
    cause: error,
  });
}
