/**
 * Shows things in the page. Text only ever enters as text, never as HTML: labels and names come from
 * model files.
 *
 * @module
 */

/**
 * The element of an id; the page has it.
 *
 * @param {string} id
 * @returns {any}
 */
export const $ = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

/**
 * An element with classes, `tag.one.two`, and children.
 *
 * @param {string} tag
 * @param {...(Node | string)} children
 * @returns {any}
 */
export function make(tag, ...children) {
  const [name, ...classes] = tag.split('.');
  const e = document.createElement(name);
  if (classes.length) e.className = classes.join(' ');
  e.append(...children);
  return e;
}

/**
 * What the page is doing, where style sheets and tests see it.
 *
 * @param {'loading' | 'ready' | 'running' | 'error'} state
 */
export function setState(state) {
  document.documentElement.dataset.state = state;
}

/**
 * Fill a list of terms.
 *
 * @param {string} id of a dl
 * @param {Record<string, string | readonly string[]>} rows an empty text is left out
 */
export function showTerms(id, rows) {
  const children = Object.entries(rows)
    .filter(([, value]) => value.length)
    .flatMap(([term, value]) => {
      const lines = typeof value === 'string' ? [value] : value;
      return [make('dt', term), make('dd', ...lines.map((line) => make('div', line)))];
    });
  $(id).replaceChildren(...children);
}

/**
 * @param {unknown} error
 * @param {(() => void) | null} [again] what the button does; null: there is none
 */
export function showError(error, again = null) {
  const e = /** @type {{name?: string, detail?: string, message?: string, where?: string,
    hint?: string}} */ (error);
  const place = e.where ? `${e.where}: ` : '';
  $('error-name').textContent = e.name ?? 'Error';
  $('error-text').textContent = place + (e.detail ?? e.message ?? String(error));
  $('error-hint').textContent = e.hint ?? '';
  $('error-hint').hidden = !e.hint;
  $('retry').hidden = !again;
  $('retry').onclick = again;
  $('error').hidden = false;
}

/** The error, if one is shown, has passed. */
export function clearError() {
  $('error').hidden = true;
}

const PHASES = {
  download: 'Downloading',
  compile: 'Compiling kernels',
  upload: 'Placing weights',
  measure: 'Measuring',
};

/** @param {import('../source.js').Progress | null} p null: done */
export function showProgress(p) {
  $('loading').hidden = p === null;
  if (p === null) return;
  const { phase, loaded, total } = p;
  $('phase').textContent = /** @type {Record<string, string>} */ (PHASES)[phase] ?? 'Warming up';
  const bytes = phase === 'download';
  const amount = bytes ? `${size(loaded)} of ${size(total)}` : `${loaded} of ${total}`;
  $('amount').textContent = total > 1 ? amount : '';
  if (total > 0) $('progress').value = loaded / total;
  else $('progress').removeAttribute('value');
}

/**
 * @param {{name: string, score: number}[]} classes the best first
 * @param {boolean} shares whether the scores are between 0 and 1
 */
export function showClasses(classes, shares) {
  const top = Math.max(...classes.map((c) => c.score), 1e-9);
  const items = classes.map(({ name, score }) => {
    const bar = make('progress');
    bar.max = 1;
    bar.value = Math.max(0, shares ? score : score / top);
    bar.setAttribute('aria-hidden', 'true');
    const text = shares ? `${(100 * score).toFixed(1)} %` : score.toPrecision(4);
    return make(
      'li',
      make('span.name', name),
      make('span.number.quiet', text),
      make('span.bar', bar),
    );
  });
  $('answer').replaceChildren(make('ol.classes', ...items));
}

/** @param {Record<string, import('../tensor.js').Tensor>} outputs */
export function showTensors(outputs) {
  const blocks = Object.entries(outputs).map(([name, tensor]) => {
    const numbers = tensor.toNumbers();
    let low = Infinity;
    let high = -Infinity;
    for (const v of numbers) {
      low = Math.min(low, v);
      high = Math.max(high, v);
    }
    const range = numbers.length ? `from ${short(low)} to ${short(high)}` : 'empty';
    const first = numbers.slice(0, 256).map(short).join('  ');
    const more = numbers.length > 256 ? `  … ${numbers.length - 256} more` : '';
    return make(
      'div.output',
      make('div', make('strong', name), ` ${tensor}`),
      make('div.quiet', range),
      make('pre.mono', first + more),
    );
  });
  $('answer').replaceChildren(...blocks);
}

/** @param {import('../executor.js').ProfileRow[]} rows */
export function showProfile(rows) {
  const total = rows.reduce((sum, r) => sum + r.ms, 0);
  const several = new Set(rows.map((r) => r.device)).size > 1;
  const body = [...rows]
    .sort((a, b) => b.ms - a.ms)
    .map((r) => {
      const bar = make('progress');
      bar.max = 1;
      bar.value = total ? r.ms / total : 0;
      const label = make('td', r.label || r.kernel);
      label.title = r.kernel;
      return make(
        'tr',
        make('td.number', r.ms.toFixed(3)),
        make('td.number', `${((100 * r.ms) / (total || 1)).toFixed(1)} %`),
        make('td.share', bar),
        ...(several ? [make('td', r.device)] : []),
        label,
      );
    });
  const head = ['ms', 'share', '', ...(several ? ['on'] : []), 'what it computes'];
  const cells = head.map((text, k) => make(k < 2 ? 'th.number' : 'th', text));
  $('kernels').replaceChildren(
    make('p.quiet', `${rows.length} kernel calls, ${total.toFixed(2)} ms together`),
    make('div.scroll', make('table', make('thead', make('tr', ...cells)), make('tbody', ...body))),
  );
}

/** @param {number} v */
function short(v) {
  return Number.isInteger(v) ? String(v) : v.toPrecision(5);
}

/** @param {number} bytes */
export function size(bytes) {
  if (bytes >= 2 ** 20) return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
  return bytes >= 1024 ? `${(bytes / 1024).toFixed(1)} KiB` : `${bytes} B`;
}

/** @param {number} ms */
export function time(ms) {
  return ms >= 1000 ? `${(ms / 1000).toFixed(2)} s` : `${ms.toFixed(ms < 10 ? 2 : 1)} ms`;
}
