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
 * @property {string} [file] the model's own file, where that is what the peer loads
 * @property {Input[]} inputs
 * @property {string[]} outputs
 * @property {number} threads
 * @typedef {{name: string, shape: number[], dtype: 'float32' | 'int32' | 'uint8'}} Input lies in
 *   the folder as `NAME.bin`, by its number
 * @typedef {Float32Array | Int32Array | Uint8Array} Data
 * @typedef {(inputs: Data[]) => Promise<Data[]>} Run one inference, arrays in, arrays out
 * @typedef {{run: Run, layout?: 'NHWC'}} Ready `layout`: how it likes images that are NCHW
 */

const ARRAYS = { float32: Float32Array, int32: Int32Array, uint8: Uint8Array };

/** @type {{run: Run, inputs: Data[]} | undefined} */
let current;

/**
 * @param {Data} data NCHW
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
  const inputs = await Promise.all(
    job.inputs.map(async ({ dtype }, k) => {
      const answer = await fetch(`${job.model}/input${k}.bin`);
      return new ARRAYS[dtype](await answer.arrayBuffer());
    }),
  );
  const begin = performance.now();
  /** @type {{default: (job: Job) => Promise<Ready>}} */
  const module = await import(`./${job.peer}.js`);
  const { run, layout } = await module.default(job);
  const loaded = performance.now();
  const turned = () => inputs.map((data, k) => toNHWC(data, job.inputs[k].shape));
  current = { run, inputs: layout === 'NHWC' ? turned() : inputs };
  const begun = performance.now();
  const outputs = await run(current.inputs);
  const first = performance.now() - begun;
  return { load: loaded - begin, first, outputs: outputs.map((data) => Array.from(data)) };
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
    await current.run(current.inputs);
    times.push(performance.now() - begin);
  } while (performance.now() < end);
  return times;
}

Object.assign(globalThis, { bench: { start, turn } });
