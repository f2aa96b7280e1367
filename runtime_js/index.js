/**
 * weft in JavaScript: runs bundles that `weft compile --bundle` wrote, in a page, in a worker, in
 * Node. This is the entry of the package and of a bundle's `weft.js`: all that is public, and
 * nothing else.
 *
 *     import { load } from './weft.js';
 *     const model = await load('models/resnet/');
 *     const { y } = await model.run({ x });
 *
 * @module
 */

export { backends } from './devices/table.js';
export {
  AbortError, BundleError, ContextLostError, DeviceError, DisposedError, InputError, NumericError,
  WeftError,
} from './errors.js'; // prettier-ignore
export { clearCache, load, tidy } from './load.js';
export { Model, memory } from './model.js';
export { Tensor } from './tensor.js';

/** @typedef {import('./devices/table.js').Reason} Reason */
/** @typedef {import('./choose.js').Candidate} Candidate */
/** @typedef {import('./devices/device.js').Codes} Codes */
/** @typedef {import('./devices/device.js').Device} Device */
/** @typedef {import('./devices/device.js').DeviceClass} DeviceClass */
/** @typedef {import('./flags.js').Flags} Flags */
/** @typedef {import('./load.js').LoadOptions} LoadOptions */
/** @typedef {import('./manifest.js').BundleProgram} BundleProgram */
/** @typedef {import('./manifest.js').Manifest} Manifest */
/** @typedef {import('./profile.js').ProfileRow} ProfileRow */
/** @typedef {import('./executor.js').RunOptions} RunOptions */
/** @typedef {import('./source.js').Progress} Progress */
/** @typedef {import('./tensor.js').TensorLike} TensorLike */
/** @typedef {import('./tensor.js').TensorSpec} TensorSpec */
