/**
 * The page of a bundle: loads the model that lies beside it and lets a person try it.
 *
 * `?backend=webgl` in the address chooses where it runs (webgpu, webgl, wasm; auto, fastest).
 * `document` hears `weft:ready`, `weft:result` and `weft:error` events, with what happened in
 * `detail`.
 *
 * @module
 */

import { DEVICES } from '../devices/table.js';
import { load } from '../index.js';
import { typeText } from '../tensor.js';
import { wireImages } from './images.js';
import { wireNumbers } from './numbers.js';
import {
  $, clearError, make, setState, showClasses, showError, showProfile, showProgress, showTensors,
  showTerms, size, time,
} from './view.js'; // prettier-ignore

/** @typedef {Awaited<ReturnType<typeof load>>} Model */

const FOLDER = new URL('../../../', import.meta.url).href;
const address = new URL(location.href);

/** @type {Model | null} */
let model = null;
/** @type {(() => Record<string, any>) | null} */
let feeds = null;
/** @type {any} the manifest's meta */
let about = {};
/** @type {number[]} */
let times = [];
let loadMs = 0;
let busy = false;
let again = false;
/** @type {AbortController | null} the loading under way */
let current = null;

/**
 * @param {string} name
 * @param {unknown} detail
 */
function tell(name, detail) {
  document.dispatchEvent(new CustomEvent(`weft:${name}`, { detail }));
}

/**
 * @param {unknown} error
 * @param {(() => void) | null} [retry]
 */
function fail(error, retry = null) {
  console.warn(String(error)); // a person reads it in the page; this is for who looks closer
  showProgress(null);
  showError(error, retry);
  setState('error');
  tell('error', error);
}

/** What can be said of the model before it is loaded. @param {any} manifest */
function showCard(manifest) {
  const spec = (/** @type {any} */ s) => `${s.name}: ${typeText(s)}`;
  about = manifest.meta ?? {};
  const bytes = new Map(Object.entries(manifest.files ?? {}));
  const params = [...bytes].filter(([name]) => name.startsWith('params-'));
  const sum = params.reduce((n, [, f]) => n + f.bytes, 0);
  const code = { f16: '16-bit floats', int8: '8-bit integers' }[/** @type {string} */ (about.weights)];
  showTerms('card', {
    Name: manifest.name ?? '',
    Inputs: (about.model?.inputs ?? []).map(spec),
    Outputs: (about.model?.outputs ?? []).map(spec),
    Parameters: about.parameters ? `${about.parameters.toLocaleString('en')}` : '',
    Weights: sum ? `${size(sum)}${code ? `, stored as ${code}` : ''}` : '',
    'Compiled for': manifest.programs.map((/** @type {any} */ p) => p.target.split(' -')[0]).join(', '),
    Classes: about.output?.labels?.length ? `${about.output.labels.length} with names` : '',
  });
  $('version').textContent = about.weft ?? '';
  const kinds = manifest.programs.map((/** @type {any} */ p) => p.target.split(' ')[0]);
  showBackends(['auto', 'fastest', ...new Set(kinds)]);
}

/** @param {string[]} kinds */
function showBackends(kinds) {
  const chosen = address.searchParams.get('backend') ?? 'auto';
  const names = new Map([
    ['auto', 'Automatic'],
    ['fastest', 'Fastest here'],
    ...Object.entries(DEVICES).map(([kind, { title }]) => /** @type {const} */ ([kind, title])),
  ]);
  const buttons = kinds.map((kind) => {
    const b = make('button', names.get(kind) ?? kind);
    b.type = 'button';
    b.setAttribute('aria-pressed', String(kind === chosen));
    b.onclick = () => {
      if (kind === 'auto') address.searchParams.delete('backend');
      else address.searchParams.set('backend', kind);
      history.replaceState(null, '', address);
      showBackends(kinds);
      start();
    };
    return b;
  });
  $('backends').replaceChildren(...(kinds.length > 3 ? buttons : []));
}

function showRunning() {
  if (!model) return;
  const later = times.slice(1).sort((a, b) => a - b);
  const { bytes } = model.memory();
  showTerms('running', {
    On: model.devices,
    Because: model.reason,
    Loaded: `in ${time(loadMs)}`,
    'First inference': times.length ? time(times[0]) : '',
    'Later ones': later.length
      ? `${time(later[later.length >> 1])} (median of ${later.length})`
      : '',
    'Device memory': size(bytes),
  });
  const reasons = [
    ...model.reasons.map((r) => `${r.backend}: ${r.ok ? '' : 'not possible, '}${r.reason}`),
    ...fallbacks(model.backend),
  ];
  $('why').hidden = !reasons.length;
  $('reasons').replaceChildren(...reasons.map((r) => make('li', r)));
}

/** @param {string} backend @returns {string[]} */
function fallbacks(backend) {
  const groups = Object.entries(about.fallbacks?.[backend] ?? {});
  return groups.map(([what, why]) => `${what} runs on wasm: ${why}`);
}

async function infer() {
  if (!model || !feeds) return;
  if (busy) {
    again = true;
    return;
  }
  busy = true;
  setState('running');
  try {
    const inputs = feeds();
    const begin = performance.now();
    const outputs = await model.run(inputs);
    const ms = performance.now() - begin;
    times.push(ms);
    clearError();
    show(outputs);
    $('took').textContent = time(ms);
    showRunning();
    setState('ready');
    tell('result', { feeds: inputs, outputs, ms, backend: model.backend });
  } catch (e) {
    fail(e);
  } finally {
    busy = false;
  }
  if (again) {
    again = false;
    await infer();
  }
}

/** @param {Record<string, import('../tensor.js').Tensor>} outputs */
function show(outputs) {
  const { output } = about;
  if (output?.kind !== 'classes') return showTensors(outputs);
  const scores = outputs[output.scores].toNumbers();
  const classes = outputs[output.classes].toNumbers();
  const names = output.labels ?? [];
  showClasses(
    classes.map((k, i) => ({ name: names[k] ?? `class ${k}`, score: scores[i] })),
    scores.every((s) => s >= 0 && s <= 1),
  );
}

function wire() {
  const { input } = about;
  if (!model) return;
  if (input?.kind === 'image' && model.inputs.length === 1) {
    const images = wireImages(input.canvas, infer, (e) => fail(e));
    feeds = () => ({ [input.name]: images.pixels() });
    $('images').hidden = false;
    $('image-note').textContent =
      `The model gets ${input.canvas} × ${input.canvas} pixels of the middle of the image.`;
  } else {
    feeds = wireNumbers(model.inputs, infer);
  }
}

async function start() {
  current?.abort();
  const mine = (current = new AbortController());
  const { signal } = mine;
  model?.dispose();
  model = null;
  times = [];
  $('profile').disabled = true;
  clearError();
  setState('loading');
  showProgress({ phase: 'download', loaded: 0, total: 0 });
  const begin = performance.now();
  try {
    const backend = /** @type {any} */ (address.searchParams.get('backend') ?? 'auto');
    const onProgress = (/** @type {any} */ p) => {
      if (!signal.aborted) showProgress(p);
    };
    const loaded = await load(FOLDER, { backend, onProgress, signal });
    if (signal.aborted) {
      loaded.dispose();
      return;
    }
    model = loaded;
  } catch (e) {
    if (signal.aborted) return; // another one has begun
    mine.abort(); // other downloads may still be under way
    fail(e, start);
    return;
  }
  loadMs = performance.now() - begin;
  showProgress(null);
  if (!feeds) wire();
  showRunning();
  $('profile').disabled = false;
  setState('ready');
  tell('ready', { backend: model.backend, ms: loadMs });
  if ($('drop').classList.contains('full')) await infer();
}

$('profile').onclick = async () => {
  $('profile').disabled = true;
  $('kernels').replaceChildren(make('p.quiet', 'Measuring …'));
  // A page that is busy cannot draw: let it say so first.
  await new Promise((next) => setTimeout(next, 50));
  try {
    if (model) showProfile(await model.profile(undefined, { repeat: 3 }));
  } catch (e) {
    fail(e);
  }
  $('profile').disabled = !model;
};

$('static').hidden = true;
try {
  const response = await fetch(new URL('bundle.json', FOLDER));
  if (response.ok) showCard(await response.json());
} catch {
  // load() says what is wrong with it
}
await start();
