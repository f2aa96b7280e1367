/**
 * TensorFlow.js on a model of its own format: a graph model or a layers model.
 *
 * @module
 */

import { library } from './tfjs_library.js';

/**
 * @param {import('./bench.js').Job} job
 * @returns {Promise<import('./bench.js').Ready>}
 */
export default async function prepare({ backend, file, inputs, outputs, threads }) {
  const tf = await library(backend, threads);
  const described = await fetch(/** @type {string} */ (file)).then((r) => r.json());
  const layers = described.format === 'layers-model' || 'model_config' in described.modelTopology;
  const model = await (layers ? tf.loadLayersModel(file) : tf.loadGraphModel(file));
  /** @type {import('./bench.js').Run} */
  const run = async (given) => {
    const tensors = inputs.map(({ shape, dtype }, k) =>
      tf.tensor(given[k], shape, dtype === 'uint8' ? 'int32' : dtype),
    );
    const named = Object.fromEntries(inputs.map(({ name }, k) => [name, tensors[k]]));
    const made = layers ? model.predict(tensors) : await model.executeAsync(named, outputs);
    const results = Array.isArray(made) ? made : [made];
    const data = await Promise.all(results.map((t) => t.data()));
    tf.dispose([tensors, results]);
    return data;
  };
  return { run };
}
