/**
 * Compiles the fragment shaders of a program, all at once: drivers that can, do it in parallel.
 *
 * @module
 */

import { DeviceError, checkAborted } from '../../errors.js';
import { lostError } from './context.js';

/** One triangle that covers the screen: no vertex buffers. */
const VERTEX = `#version 300 es
void main() {
  vec2 corner = vec2(gl_VertexID & 1, gl_VertexID >> 1);
  gl_Position = vec4(4.0 * corner - 1.0, 0.0, 1.0);
}
`;

/**
 * @typedef {object} Source
 * @property {string} name of the kernel
 * @property {string} text
 * @property {readonly string[]} samplers uniform names, for the texture units 0, 1, …
 */

/**
 * @param {WebGL2RenderingContext} gl
 * @param {readonly Source[]} sources
 * @param {AbortSignal | undefined} signal
 * @param {(done: number, total: number) => void} onDone
 * @returns {Promise<Map<string, WebGLProgram>>} linked programs by kernel name
 * @throws {DeviceError} with the compiler's words and the lines that it means
 */
export async function compileAll(gl, sources, signal, onDone) {
  const parallel = gl.getExtension('KHR_parallel_shader_compile');
  const vertex = /** @type {WebGLShader} */ (gl.createShader(gl.VERTEX_SHADER));
  gl.shaderSource(vertex, VERTEX);
  gl.compileShader(vertex);
  /** @type {Map<string, {fragment: WebGLShader, program: WebGLProgram}>} */
  const byText = new Map();
  // Everything is asked for before anything is waited for; one text is compiled once.
  for (const { text } of sources) {
    if (byText.has(text)) continue;
    const fragment = /** @type {WebGLShader} */ (gl.createShader(gl.FRAGMENT_SHADER));
    gl.shaderSource(fragment, text);
    gl.compileShader(fragment);
    const program = /** @type {WebGLProgram} */ (gl.createProgram());
    byText.set(text, { fragment, program });
  }
  for (const { fragment, program } of byText.values()) {
    gl.attachShader(program, vertex);
    gl.attachShader(program, fragment);
    gl.linkProgram(program);
  }
  /** @type {Map<string, WebGLProgram>} */
  const programs = new Map();
  let lastPause = performance.now();
  for (const [k, source] of sources.entries()) {
    const { fragment, program } = /** @type {any} */ (byText.get(source.text));
    while (parallel && !gl.isContextLost()) {
      if (gl.getProgramParameter(program, parallel.COMPLETION_STATUS_KHR)) break;
      await new Promise((go) => setTimeout(go, 2));
      lastPause = performance.now();
      checkAborted(signal, 'compiling shaders');
    }
    if (performance.now() - lastPause > 12) {
      await new Promise((go) => setTimeout(go)); // without that extension a link blocks: breathe
      lastPause = performance.now();
      checkAborted(signal, 'compiling shaders');
    }
    if (gl.isContextLost()) throw lostError();
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) {
      throw compileError(gl, source, fragment, program);
    }
    programs.set(source.name, program);
    gl.useProgram(program);
    source.samplers.forEach((name, unit) => {
      const place = gl.getUniformLocation(program, name);
      if (place) gl.uniform1i(place, unit);
    });
    onDone(k + 1, sources.length);
  }
  for (const { fragment } of byText.values()) gl.deleteShader(fragment);
  gl.deleteShader(vertex);
  return programs;
}

/**
 * @param {WebGL2RenderingContext} gl
 * @param {Source} source
 * @param {WebGLShader} fragment
 * @param {WebGLProgram} program
 */
function compileError(gl, source, fragment, program) {
  const log = (gl.getShaderInfoLog(fragment) || gl.getProgramInfoLog(program) || 'no reason given')
    .replaceAll('\0', '')
    .trim();
  const lines = source.text.split('\n');
  const meant = [...log.matchAll(/\b0:(\d+)/g)]
    .map((m) => Number(m[1]))
    .filter((n, k, all) => n >= 1 && n <= lines.length && all.indexOf(n) === k)
    .slice(0, 5)
    .map((n) => `\n    ${n}: ${lines[n - 1].trim()}`);
  return new DeviceError(
    `the shader of the kernel '${source.name}' was refused: ${log}${meant.join('')}`,
    { where: 'webgl', hint: 'this is a fault of weft or of the graphics driver; wasm will work' },
  );
}
