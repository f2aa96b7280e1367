/**
 * Inputs of a model that takes no image: a field for each, with numbers or, for integers, text.
 *
 * @module
 */

import { typeText } from '../tensor.js';
import { $, make } from './view.js';

/** @typedef {import('../tensor.js').TensorSpec} TensorSpec */

/**
 * Fill the page's form.
 *
 * @param {readonly TensorSpec[]} inputs
 * @param {() => void} onRun
 * @returns {() => Record<string, unknown>} reads the inputs; throws an Error that names the field
 */
export function wireNumbers(inputs, onRun) {
  const form = /** @type {HTMLFormElement} */ ($('numbers'));
  /** @type {Map<string, HTMLTextAreaElement>} */
  const fields = new Map();
  const blocks = inputs.map((spec) => {
    const field = make('textarea');
    const count = elements(spec);
    field.spellcheck = false;
    field.placeholder = `${count} ${count === 1 ? 'number' : 'numbers'}: with spaces, commas, or as JSON`;
    fields.set(spec.name, field);
    const fill = (/** @type {string} */ text, /** @type {() => unknown} */ value) => {
      const b = make('button', text);
      b.type = 'button';
      b.onclick = () => {
        const whole = Array.from({ length: count }, value);
        field.value = whole.join(' ');
      };
      return b;
    };
    const float = /float/.test(spec.dtype);
    const zero = spec.dtype === 'bool' ? 'false' : '0';
    const random = float ? () => (2 * Math.random() - 1).toFixed(4) : () => zero;
    const tools = [fill('Zeros', () => zero), ...(float ? [fill('Random', random)] : [])];
    if (textual(spec)) {
      tools.push(make('span.quiet', 'A text in "quotes" becomes its bytes, filled up with zeros.'));
    }
    return make(
      'div',
      make('label', make('span', `${spec.name} `, make('span.quiet.mono', typeText(spec))), field),
      make('div.row.buttons', ...tools),
    );
  });
  const run = make('button.main', 'Run');
  run.type = 'submit';
  form.replaceChildren(...blocks, run);
  form.onsubmit = (e) => {
    e.preventDefault();
    onRun();
  };
  form.hidden = false;
  return () =>
    Object.fromEntries(
      inputs.map((spec) => {
        const field = /** @type {HTMLTextAreaElement} */ (fields.get(spec.name));
        return [spec.name, nested(read(field.value, spec), spec.shape)];
      }),
    );
}

/**
 * The elements that a person wrote.
 *
 * @param {string} written
 * @param {TensorSpec} spec
 * @returns {unknown[]}
 */
export function read(written, spec) {
  const wrong = (/** @type {string} */ why) =>
    Object.assign(new Error(why), { name: 'InputError', where: `the input '${spec.name}'` });
  const count = elements(spec);
  const trimmed = written.trim();
  if (trimmed.startsWith('"') && textual(spec)) {
    const bytes = new TextEncoder().encode(trimmed.replace(/^"|"$/g, '')).subarray(0, count);
    return [...bytes, ...new Array(count - bytes.length).fill(0)];
  }
  const words = trimmed.split(/[\s,;[\]]+/).filter((w) => w);
  if (words.length !== count) {
    throw wrong(`it has ${count} elements (${typeText(spec)}), ${words.length} were written.`);
  }
  return words.map((w) => {
    if (spec.dtype === 'bool' && /^(true|false|0|1)$/.test(w)) return w === 'true' || w === '1';
    if (/^u?int64$/.test(spec.dtype) && /^-?\d+$/.test(w)) return BigInt(w);
    const v = Number(w);
    const known = /^[+-]?(nan|inf(inity)?)$/i.test(w);
    if (Number.isNaN(v) && !known) throw wrong(`'${w}' is not a number.`);
    if (known) return /nan/i.test(w) ? NaN : w.startsWith('-') ? -Infinity : Infinity;
    return v;
  });
}

/**
 * A list as nested lists of a shape.
 *
 * @param {unknown[]} flat
 * @param {readonly number[]} shape
 * @returns {unknown}
 */
export function nested(flat, shape) {
  if (shape.length === 0) return flat[0];
  const [count, ...rest] = shape;
  const step = rest.reduce((a, b) => a * b, 1);
  return Array.from({ length: count }, (_, k) =>
    nested(flat.slice(k * step, (k + 1) * step), rest),
  );
}

/** @param {TensorSpec} spec */
function elements(spec) {
  return spec.shape.reduce((a, b) => a * b, 1);
}

/** @param {TensorSpec} spec */
function textual(spec) {
  return /^u?int/.test(spec.dtype);
}
