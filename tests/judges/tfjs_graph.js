// One graph model, or layers model, in TensorFlow.js, in plain JavaScript: node tfjs_graph.js JOB.json, where JOB has
// "model" (the path of model.json), "inputs" (name to {file, dtype, shape}), "outputs" (names) and
// "to" (a folder for the results: 0.bin, 1.bin …, and results.json with their types and shapes).
const fs = require("fs");
const path = require("path");
const tf = require("@tensorflow/tfjs");

const job = JSON.parse(fs.readFileSync(process.argv[2], "utf8"));
const ARRAYS = { float32: Float32Array, int32: Int32Array, bool: Uint8Array };

async function load() {
  const model = JSON.parse(fs.readFileSync(job.model, "utf8"));
  const folder = path.dirname(job.model);
  const specs = [];
  const parts = [];
  for (const group of model.weightsManifest) {
    specs.push(...group.weights);
    parts.push(...group.paths.map((p) => fs.readFileSync(path.join(folder, p))));
  }
  const all = Buffer.concat(parts);
  const weightData = all.buffer.slice(all.byteOffset, all.byteOffset + all.length);
  const { modelTopology, signature, userDefinedMetadata } = model;
  const artifacts = { modelTopology, weightSpecs: specs, weightData, signature, userDefinedMetadata };
  const layers = "model_config" in modelTopology;
  return (layers ? tf.loadLayersModel : tf.loadGraphModel)({ load: async () => artifacts });
}

(async () => {
  await tf.setBackend("cpu");
  const model = await load();
  const inputs = {};
  for (const [name, { file, dtype, shape }] of Object.entries(job.inputs)) {
    const bytes = fs.readFileSync(file);
    const buffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
    inputs[name] = tf.tensor(new ARRAYS[dtype](buffer), shape, dtype);
  }
  const results =
    model instanceof tf.LayersModel
      ? model.predict(Object.values(inputs))
      : await model.executeAsync(inputs, job.outputs);
  const list = Array.isArray(results) ? results : [results];
  const kinds = [];
  for (const [k, t] of list.entries()) {
    // A cast without loss leaves the numbers as they were: floats may lie in an Int32Array.
    const data = ARRAYS[t.dtype].from(await t.data());
    fs.writeFileSync(path.join(job.to, `${k}.bin`), Buffer.from(data.buffer));
    kinds.push({ dtype: t.dtype, shape: t.shape });
  }
  fs.writeFileSync(path.join(job.to, "results.json"), JSON.stringify(kinds));
})().catch((e) => {
  console.error(e);
  process.exit(1);
});
