/**
 * One runtime with one model in a page of its own. The Python side calls `start` once and then
 * `turn` in rounds with the other pages.
 *
 * @module
 */

/**
 * @typedef {object} Job
 * @property {string} peer weft, tfjs or ort: the module of that name
 * @property {string} backend webgpu, webgl or wasm
 * @property {string} model folder of the model's files
 * @property {string} name of the input
 * @property {number[]} shape of the input, NCHW
 * @property {number} threads
 * @typedef {(input: Float32Array) => Promise<Float32Array>} Run one inference, array in, array out
 * @typedef {{run: Run, layout: 'NCHW' | 'NHWC'}} Ready
 */

/** @type {{run: Run, input: Float32Array} | undefined} */
let current;

/**
 * @param {Float32Array} data NCHW
 * @param {number[]} shape
 */
function toNHWC(data, [n, c, h, w]) {
  const result = new Float32Array(data.length);
  for (let b = 0; b < n; b++)
    for (let k = 0; k < c; k++)
      for (let i = 0; i < h * w; i++) result[(b * h * w + i) * c + k] = data[(b * c + k) * h * w + i];
  return result;
}

/**
 * Load the library and the model, infer once. The load time contains the library's own files;
 * the input arrives, in the layout that the runtime likes, before any clock starts.
 *
 * @param {Job} job
 */
async function start(job) {
  const answer = await fetch(`${job.model}/input.bin`);
  const nchw = new Float32Array(await answer.arrayBuffer());
  const nhwc = toNHWC(nchw, job.shape);
  const begin = performance.now();
  /** @type {{default: (job: Job) => Promise<Ready>}} */
  const module = await import(`./${job.peer}.js`);
  const { run, layout } = await module.default(job);
  const loaded = performance.now();
  current = { run, input: layout === 'NHWC' ? nhwc : nchw };
  const output = await run(current.input);
  const first = performance.now() - loaded;
  return { load: loaded - begin, first, output: Array.from(output) };
}

/**
 * Milliseconds of single inferences, for about `ms` and at least one of them.
 *
 * @param {number} ms
 */
async function turn(ms) {
  if (!current) throw new Error('turn before start');
  const times = [];
  const end = performance.now() + ms;
  do {
    const begin = performance.now();
    await current.run(current.input);
    times.push(performance.now() - begin);
  } while (performance.now() < end);
  return times;
}

Object.assign(globalThis, { bench: { start, turn } });
