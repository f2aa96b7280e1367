import { load, type Progress, type Tensor, WeftError } from 'weft-runtime';

const phases = new Set<Progress['phase']>();
try {
  const backend = (new URL(location.href).searchParams.get('backend') ?? 'auto') as 'webgl' | 'wasm';
  const model = await load('model/', { backend, onProgress: (p: Progress) => phases.add(p.phase) });
  const [input] = model.inputs;
  const pixels = new Uint8ClampedArray(input.shape.reduce((a, b) => a * b, 1));
  for (let k = 0; k < pixels.length; k += 4) pixels.set([20, 200, 30, 255], k); // green
  const outputs: Record<string, Tensor> = await model.run({ [input.name]: pixels });
  const { labels } = (model.meta as { output: { labels: string[] } }).output;
  const best = labels[outputs.top_classes.toNumbers()[0]];
  document.title = `${model.backend}: ${best}, ${[...phases].join(' ')}`;
} catch (e) {
  document.title = e instanceof WeftError ? `error: ${e.message}` : `bug: ${e}`;
}
