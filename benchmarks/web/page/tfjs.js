/**
 * TensorFlow.js executing the steps that tfjs_graph.py made of the ONNX model.
 *
 * @module
 */

import { library } from './tfjs_library.js';

/**
 * @param {import('./bench.js').Job} job
 * @returns {Promise<import('./bench.js').Ready>}
 */
export default async function prepare({ backend, model, threads }) {
  const tf = await library(backend, threads);
  const [graph, blob] = await Promise.all([
    fetch(`${model}/tfjs.json`).then((r) => r.json()),
    fetch(`${model}/tfjs.bin`).then((r) => r.arrayBuffer()),
  ]);
  for (const step of graph.steps)
    for (const key of ['w', 'b'])
      if (step[key]) {
        const { shape, at } = step[key];
        const size = shape.reduce((/** @type {number} */ a, /** @type {number} */ b) => a * b, 1);
        step[key] = tf.tensor(new Float32Array(blob, at * 4, size), shape);
      }

  /** @param {number[]} p begins and ends of rows and columns, as in ONNX */
  const pad = ([top, left, bottom, right]) =>
    [[0, 0], [top, bottom], [left, right], [0, 0]]; // batch, rows, columns, channels

  /** @type {Record<string, (step: any, ...x: any[]) => any>} */
  const ops = {
    conv: (s, x) =>
      tf.fused.conv2d({
        x,
        filter: s.w,
        bias: s.b,
        strides: s.strides,
        dilations: s.dilations,
        pad: pad(s.pad),
        activation: s.activation ?? 'linear',
      }),
    depthwise: (s, x) =>
      tf.fused.depthwiseConv2d({
        x,
        filter: s.w,
        bias: s.b,
        strides: s.strides,
        dilations: s.dilations,
        pad: pad(s.pad),
        activation: s.activation ?? 'linear',
      }),
    dense: (s, x) =>
      tf.fused.matMul({ a: x, b: s.w, bias: s.b, activation: s.activation ?? 'linear' }),
    relu: (_, x) => tf.relu(x),
    relu6: (_, x) => tf.relu6(x),
    add: (_, x, y) => tf.add(x, y),
    maxpool: (s, x) => tf.maxPool(x, s.size, s.strides, pad(s.pad)),
    mean: (_, x) => tf.mean(x, [1, 2]),
  };

  /** @type {import('./bench.js').Run} */
  const run = async ([input]) => {
    const result = tf.tidy(() => {
      const tensors = new Map([[graph.input, tf.tensor(input, graph.shape)]]);
      for (const step of graph.steps) {
        const args = step.in.map((/** @type {string} */ name) => tensors.get(name));
        tensors.set(step.out, ops[step.op](step, ...args));
      }
      return tensors.get(graph.output);
    });
    const data = await result.data();
    result.dispose();
    return [data];
  };
  return { run, layout: 'NHWC' };
}
