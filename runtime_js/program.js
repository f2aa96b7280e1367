/**
 * A compiled model as data: the mirror of `runtime/artifact.py`. The Python and the JavaScript
 * executor run the same Program.
 *
 * @module
 */

import { BundleError } from './errors.js';
import { dtypeOf, sizeOf } from './dtype.js';
import { parseFlow } from './flow.js';
import { Layout } from './layout.js';

/**
 * The versions of the JSON form that this runtime reads; the second has numbers as parameters, the
 * third control flow, the fourth outputs whose size only data knows.
 */
export const VERSIONS = Object.freeze([1, 2, 3, 4]);

/**
 * One parameter of a kernel. `shape` is physical; `access` is "r", "w" or "s": a number, passed by
 * value, whose slot is an input of shape [].
 *
 * @typedef {object} Param
 * @property {string} name
 * @property {string} dtype
 * @property {readonly number[]} shape
 * @property {string} access
 */

/**
 * A compiled function. `code` names the code object that holds it; `shared_bytes` is the memory that
 * the threads of a workgroup share (0 in programs of before it was said).
 *
 * @typedef {object} Kernel
 * @property {string} name
 * @property {readonly Param[]} params
 * @property {string} code
 * @property {Readonly<Record<string, number>>} launch
 * @property {number} shared_bytes
 */

/**
 * One tensor. `kind` is "input", "output", "constant" (`source` names it in the parameters), "arena"
 * or "alias" (the storage of slot `source`). `shape` is logical, `physical` the shape in storage.
 * `layout` is the layout's text ("": row major), `layers` the layers of its texture.
 *
 * @typedef {object} Slot
 * @property {string} name
 * @property {string} kind
 * @property {string} dtype
 * @property {readonly number[]} shape
 * @property {readonly number[]} physical
 * @property {number} nbytes
 * @property {number} offset
 * @property {string} source
 * @property {string} layout
 * @property {number} layers
 */

/**
 * One kernel call; `args` are slot numbers. `device` is "" for the program's own.
 *
 * @typedef {object} Step
 * @property {string} kernel
 * @property {readonly number[]} args
 * @property {string} label
 * @property {string} device
 */

/**
 * @typedef {object} Program
 * @property {string} name
 * @property {string} target
 * @property {readonly Slot[]} slots
 * @property {readonly Kernel[]} kernels
 * @property {readonly Step[]} steps
 * @property {Readonly<Record<string, number>>} inputs slot numbers by public name
 * @property {Readonly<Record<string, number>>} outputs
 * @property {number} arena bytes
 * @property {number} alignment
 * @property {Readonly<Record<string, any>>} meta
 * @property {readonly import('./flow.js').Flow[]} flow empty: all steps run, in order
 * @property {import('./crop.js').Crops} cropped
 */

const SLOT_KINDS = ['input', 'output', 'constant', 'arena', 'alias'];

/**
 * The kind of device that a target text asks for: its first word.
 *
 * @param {string} target
 */
export function kindOf(target) {
  return target.trim().split(/\s+/)[0];
}

/**
 * The options of a target text: `webgl -float_bits=16` gives {float_bits: "16"}.
 *
 * @param {string} target
 * @returns {Record<string, string>}
 */
export function optionsOf(target) {
  /** @type {Record<string, string>} */
  const options = {};
  for (const word of target.trim().split(/\s+/).slice(1)) {
    const [key, ...value] = word.replace(/^-+/, '').split('=');
    options[key.replaceAll('-', '_')] = value.length ? value.join('=') : '1';
  }
  return options;
}

/**
 * The program of a JSON form, checked: after this, every number can be trusted to be a size that
 * fits, every name to be one that exists.
 *
 * @param {unknown} json
 * @param {string} where for messages
 * @returns {Program}
 * @throws {BundleError}
 */
export function parseProgram(json, where) {
  const wrong = (/** @type {string} */ why) =>
    new BundleError(`the program is damaged: ${why}.`, { where, hint: 'compile the model again' });
  const data = /** @type {any} */ (json);
  if (typeof data !== 'object' || data === null || data.format !== 'weft-program') {
    throw new BundleError('this is not a weft program.', { where });
  }
  if (!VERSIONS.includes(data.version)) {
    throw new BundleError(
      `the program has version ${JSON.stringify(data.version)}, this weft reads ${VERSIONS.at(-1)}.`,
      { where, hint: 'compile the model again with the version of weft that the page uses' },
    );
  }
  if (Object.keys(data.sizes ?? {}).length) {
    throw new BundleError('the program has sizes that are only known per call.', {
      where,
      hint: 'give it for sizes: Program.at in Python, or compile for constant extents',
    });
  }
  const read = new Reader(wrong);
  const program = read.program(data);
  check(program, wrong);
  return program;
}

/** Reads fields of the right type out of JSON. */
class Reader {
  /** @param {(why: string) => BundleError} wrong */
  constructor(wrong) {
    this.wrong = wrong;
  }

  /**
   * @param {any} value
   * @param {string} what
   * @returns {string}
   */
  text(value, what) {
    if (typeof value !== 'string') throw this.wrong(`${what} is not a text`);
    return value;
  }

  /**
   * @param {any} value
   * @param {string} what
   * @returns {number}
   */
  size(value, what) {
    if (!Number.isSafeInteger(value) || value < 0) throw this.wrong(`${what} is not a size`);
    return value;
  }

  /**
   * @template T
   * @param {any} value
   * @param {string} what
   * @param {(item: any, what: string) => T} item
   * @returns {readonly T[]}
   */
  list(value, what, item) {
    if (!Array.isArray(value)) throw this.wrong(`${what} is not a list`);
    return Object.freeze(value.map((v, k) => item(v ?? {}, `${what}[${k}]`)));
  }

  /**
   * @param {any} value
   * @param {string} what
   */
  sizes(value, what) {
    return this.list(value, what, (v, w) => this.size(v, w));
  }

  /**
   * @param {any} value
   * @param {string} what
   * @returns {Readonly<Record<string, number>>}
   */
  table(value, what) {
    if (typeof value !== 'object' || value === null) throw this.wrong(`${what} is not a table`);
    const entries = Object.entries(value).map(([k, v]) => [k, this.size(v, `${what}.${k}`)]);
    return Object.freeze(Object.fromEntries(entries));
  }

  /**
   * @param {any} p
   * @param {string} w
   * @returns {Param}
   */
  param(p, w) {
    return {
      name: this.text(p.name, `${w}.name`),
      dtype: this.text(p.dtype, `${w}.dtype`),
      shape: this.sizes(p.shape, `${w}.shape`),
      access: this.text(p.access, `${w}.access`),
    };
  }

  /**
   * @param {any} data
   * @returns {Program}
   */
  program(data) {
    const read = this.#parts(data);
    const flow = parseFlow(data.flow, read.steps.length, read.slots, this.wrong);
    return Object.freeze({ ...read, flow, cropped: this.#crops(data.cropped ?? {}, read) });
  }

  /**
   * @param {any} data
   * @param {Pick<Program, 'outputs' | 'slots'>} read
   */
  #crops(data, { outputs, slots }) {
    for (const [name, axes] of Object.entries(data)) {
      const rank = slots[outputs[name]]?.shape.length;
      for (const [axis, number] of Object.entries(axes)) {
        const fits = Number(axis) < rank && slots[outputs[number]]?.shape.length === 0;
        if (!fits) throw this.wrong(`axis ${axis} of the output '${name}' has no size`);
      }
    }
    return Object.freeze({ ...data });
  }

  /** @param {any} data */
  #parts(data) {
    return {
      name: this.text(data.name, 'name'),
      target: this.text(data.target, 'target'),
      slots: this.list(data.slots, 'slots', (s, w) => ({
        name: this.text(s.name, `${w}.name`),
        kind: this.text(s.kind, `${w}.kind`),
        dtype: this.text(s.dtype, `${w}.dtype`),
        shape: this.sizes(s.shape, `${w}.shape`),
        physical: this.sizes(s.physical, `${w}.physical`),
        nbytes: this.size(s.nbytes, `${w}.nbytes`),
        offset: this.size(s.offset, `${w}.offset`),
        source: this.text(s.source, `${w}.source`),
        layout: this.text(s.layout ?? '', `${w}.layout`),
        layers: this.size(s.layers ?? 1, `${w}.layers`),
      })),
      kernels: this.list(data.kernels, 'kernels', (k, w) => ({
        name: this.text(k.name, `${w}.name`),
        params: this.list(k.params, `${w}.params`, (p, v) => this.param(p, v)),
        code: this.text(k.code, `${w}.code`),
        launch: this.table(k.launch ?? {}, `${w}.launch`),
        shared_bytes: this.size(k.shared_bytes ?? 0, `${w}.shared_bytes`),
      })),
      steps: this.list(data.steps, 'steps', (s, w) => ({
        kernel: this.text(s.kernel, `${w}.kernel`),
        args: this.sizes(s.args, `${w}.args`),
        label: this.text(s.label, `${w}.label`),
        device: this.text(s.device ?? '', `${w}.device`),
      })),
      inputs: this.table(data.inputs, 'inputs'),
      outputs: this.table(data.outputs, 'outputs'),
      arena: this.size(data.arena, 'arena'),
      alignment: this.size(data.alignment, 'alignment'),
      meta: Object.freeze({ ...data.meta }),
    };
  }
}

/**
 * @param {Program} program
 * @param {(why: string) => BundleError} wrong
 */
function check(program, wrong) {
  const { slots, arena } = program;
  if (new Set(slots.map((s) => s.name)).size !== slots.length) {
    throw wrong('two slots have the same name');
  }
  for (const s of slots) {
    if (!SLOT_KINDS.includes(s.kind)) throw wrong(`the slot '${s.name}' is of no kind`);
    if (sizeOf(s.physical) * dtypeOf(s.dtype).bytes !== s.nbytes) {
      throw wrong(`the slot '${s.name}' has ${s.nbytes} bytes for [${s.physical.join(', ')}]`);
    }
    if (Layout.parse(s.layout, s.shape).size > sizeOf(s.physical)) {
      throw wrong(`the slot '${s.name}' has less room than elements`);
    }
    if (s.layers < 1 || (s.layers & (s.layers - 1)) !== 0) {
      throw wrong(`the slot '${s.name}' has ${s.layers} layers`);
    }
    if (s.kind === 'arena' && s.offset > arena - s.nbytes) {
      throw wrong(`the slot '${s.name}' lies outside the arena`);
    }
  }
  const roots = rootsOf(program);
  const kernels = new Map(program.kernels.map((k) => [k.name, k]));
  for (const step of program.steps) {
    const kernel = kernels.get(step.kernel);
    if (!kernel) throw wrong(`the kernel '${step.kernel}' is missing`);
    const fits =
      kernel.params.length === step.args.length && step.args.every((a) => a < slots.length);
    if (!fits) throw wrong(`the call of '${step.kernel}' does not fit its parameters`);
    kernel.params.forEach((p, k) => {
      const s = slots[step.args[k]];
      const bytes = sizeOf(p.shape) * dtypeOf(p.dtype).bytes;
      if (p.dtype !== s.dtype || bytes > s.nbytes) {
        throw wrong(`'${step.kernel}' cannot take the slot '${s.name}'`);
      }
      const root = slots[roots[step.args[k]]];
      const writable = root.kind !== 'input' && root.kind !== 'constant';
      if (p.access === 's') {
        if (s.kind !== 'input' || s.shape.length) throw wrong(`the slot '${s.name}' is no number`);
        return;
      }
      if (p.access !== 'r' && !(p.access === 'w' && writable)) {
        throw wrong(`'${step.kernel}' must not write the slot '${s.name}'`);
      }
    });
  }
  const places = Object.values(program.inputs);
  const named = [...places, ...Object.values(program.outputs)];
  if (!named.every((k) => k < slots.length)) throw wrong('an input or output names no slot');
  if (new Set(places).size !== places.length || places.some((k) => slots[k].kind !== 'input')) {
    throw wrong('an input has no slot of its own');
  }
  slots.forEach((s, k) => {
    if (s.kind === 'input' && !places.includes(k)) throw wrong(`nothing gives '${s.name}'`);
  });
}

/**
 * The slots of the numbers that a kernel call takes by value, in the order of its parameters.
 *
 * @param {Kernel} kernel
 * @param {Step} step
 */
export function numbersOf(kernel, step) {
  return step.args.filter((_, k) => kernel.params[k].access === 's');
}

/**
 * For each slot, the slot that owns its storage.
 *
 * @param {Program} program
 * @returns {readonly number[]}
 * @throws {BundleError} for aliases that lead nowhere
 */
export function rootsOf(program) {
  const { slots, name } = program;
  const index = new Map(slots.map((s, k) => [s.name, k]));
  return slots.map((_, start) => {
    let k = start;
    for (let hops = 0; hops < slots.length; hops++) {
      const s = slots[k];
      if (s.kind !== 'alias') return k;
      const source = index.get(s.source);
      if (source === undefined || slots[source].nbytes < s.nbytes) {
        throw new BundleError(`the slot '${s.name}' is no alias of '${s.source}'.`, { where: name });
      }
      k = source;
    }
    throw new BundleError(`the slot '${slots[k].name}' is an alias of itself.`, { where: name });
  });
}
