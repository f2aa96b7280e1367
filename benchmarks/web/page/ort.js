/**
 * ONNX Runtime Web on the ONNX file itself.
 *
 * @module
 */

const BASE = '/node_modules/onnxruntime-web/dist';

/**
 * @param {import('./bench.js').Job} job
 * @returns {Promise<import('./bench.js').Ready>}
 */
export default async function prepare({ backend, model, inputs, threads }) {
  /** @type {any} */
  const ort = await import(`${BASE}/ort.${backend}.min.mjs`);
  ort.env.wasm.wasmPaths = `${BASE}/`;
  ort.env.wasm.numThreads = threads;
  const session = await ort.InferenceSession.create(`${model}/model.onnx`, {
    executionProviders: [backend],
  });
  const [{ name, shape }] = inputs;
  /** @type {import('./bench.js').Run} */
  const run = async ([input]) => {
    const results = await session.run({ [name]: new ort.Tensor('float32', input, shape) });
    return [await results[session.outputNames[0]].getData()];
  };
  return { run };
}
