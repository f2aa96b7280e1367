/**
 * The errors that a user of weft may meet. Every one says where it happened, what is wrong, why, and
 * what to do; a plain Error or TypeError out of weft is a bug of weft.
 *
 * @module
 */

/** Base of all errors that weft raises on purpose. */
export class WeftError extends Error {
  /**
   * @param {string} message what is wrong and why, in full sentences
   * @param {{where?: string, hint?: string, cause?: unknown}} [about] `where`: the place in the
   *   user's terms; `hint`: what to do about it
   */
  constructor(message, about = {}) {
    const { where = '', hint = '', cause } = about;
    const text = where ? `${where}: ${message}` : message;
    super(hint ? `${text}\n  hint: ${hint}` : text, cause === undefined ? undefined : { cause });
    this.name = 'WeftError';
    /** What is wrong, without place and hint. */
    this.detail = message;
    this.where = where;
    this.hint = hint;
  }
}

/** A bundle is missing, damaged, foreign, or of another version. */
export class BundleError extends WeftError {
  name = 'BundleError';
}

/** A model was called with wrong names, shapes or dtypes, or an option does not exist. */
export class InputError extends WeftError {
  name = 'InputError';
}

/** A device is missing, too small, or failed. */
export class DeviceError extends WeftError {
  name = 'DeviceError';
}

/** The browser took the WebGL context or the WebGPU device away. The next call builds all anew. */
export class ContextLostError extends DeviceError {
  name = 'ContextLostError';
}

/** The caller's AbortSignal fired. `name` is 'AbortError', as the web's own. */
export class AbortError extends WeftError {
  name = 'AbortError';
}

/** The model, or a tensor, was disposed of before this call. */
export class DisposedError extends WeftError {
  name = 'DisposedError';
}

/** A kernel gave NaN, found by the flag `debug`. */
export class NumericError extends WeftError {
  name = 'NumericError';
}

/**
 * Throw an AbortError when a signal has fired.
 *
 * @param {AbortSignal | undefined} signal
 * @param {string} what was going on
 */
export function checkAborted(signal, what) {
  if (signal?.aborted) throw new AbortError(`${what} was aborted.`, { cause: signal.reason });
}

/**
 * The words of anything that was thrown.
 *
 * @param {unknown} e
 */
export function messageOf(e) {
  return e instanceof Error ? e.message : String(e);
}
