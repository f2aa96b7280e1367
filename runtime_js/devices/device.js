/**
 * What a device is to the executor: types only, this module has no code. `Device` is the mirror of
 * Python's `Runner` (`runtime/runner.py`): `run` and `time` of steps, and `dispose`, which is called
 * `close` there; since a page must not wait, moving tensors and waiting are calls of their own.
 *
 * The executor and a device exchange tensors as flat typed arrays of a slot's PHYSICAL elements in
 * the slot's dtype (see dtype.js: bool is a Uint8Array, float16 and bfloat16 are Uint16Arrays of
 * their bits, 64-bit integers are Big(U)Int64Arrays). How they lie on the device, and as which
 * type, is the device's own business; so tensors move between devices by download and upload.
 *
 * @module
 */

/** @typedef {import('../program.js').Program} Program */
/** @typedef {import('../dtype.js').TypedArray} TypedArray */
/** @typedef {import('../flags.js').Flags} Flags */

/**
 * Code objects by name: text for shaders, bytes for wasm. `kernel.code` names one.
 *
 * @typedef {Readonly<Record<string, string | Uint8Array>>} Codes
 */

/**
 * Whether a device is there, and if not, why, in words for a person.
 *
 * @typedef {object} Availability
 * @property {boolean} ok
 * @property {string} reason what was found ("WebGL2, ANGLE (SwiftShader), 32-bit float targets"),
 *   or what is missing ("this browser has no WebGL2")
 * @property {boolean} [software] the processor emulates graphics hardware, more slowly than it
 *   would compute by itself
 * @property {Readonly<Record<string, number>>} [limits] as options of a target, `ir/target.py`, that
 *   has all that is here
 */

/**
 * What a device holds now.
 *
 * @typedef {object} DeviceMemory
 * @property {number} buffers textures, or blocks of wasm memory
 * @property {number} bytes
 */

/**
 * What `init` takes besides program and code.
 *
 * @typedef {object} InitOptions
 * @property {readonly number[]} steps the steps that this device will be asked to run, ascending; a
 *   program may have steps for several devices, and a device needs room for its own slots only
 * @property {readonly number[]} slots the slots that it must hold, ascending, no aliases
 * @property {readonly number[]} pinned those of `slots` that the caller or another device fills or
 *   reads; the others live within one stretch of steps and may share storage
 * @property {readonly number[]} roots for each slot of the program, the one that owns its storage
 * @property {Flags} flags
 * @property {AbortSignal} [signal]
 * @property {(done: number, total: number) => void} [onCompile] progress in kernels
 */

/**
 * A place where kernels run. Calls are ordered: what `run` starts sees every `upload` before it;
 * `download` sees everything before it. The executor never overlaps two inferences on one device.
 *
 * A device that was lost (WebGL's context, WebGPU's device) rejects or throws `ContextLostError`
 * from every method until the executor calls `init` again and uploads the constants again.
 *
 * @typedef {object} Device
 * @property {string} kind "webgpu", "webgl", "wasm": what `Step.device` says
 * @property {string} description what it is, for a person: "wasm, SIMD, 4 threads"
 * @property {Readonly<Record<string, number>>} limits what the hardware offers
 * @property {boolean} mayBeLost whether that can happen; the constants are then kept to be uploaded
 *   again
 * @property {boolean} lost whether `init` must be called again before anything else
 * @property {(program: Program, codes: Codes, options: InitOptions) => Promise<void>} init compile
 *   and allocate; rejects with DeviceError when the device cannot run the program
 * @property {(slot: number, data: TypedArray) => void} upload fill a slot, `data` is copied before
 *   the call returns; all of the slot's physical elements
 * @property {(slot: number, signal?: AbortSignal) => Promise<TypedArray>} download a new array with
 *   the slot's physical elements; must not block the page where the platform can avoid it
 * @property {(begin: number, end: number) => void | Promise<void>} run start the steps
 *   [begin, end) of the program, all of which are this device's; a device may return before they
 *   end, or a promise of their end
 * @property {() => Promise<void>} finish wait until everything that was started has ended
 * @property {(begin: number, end: number) => Promise<Float64Array>} time run the steps; the
 *   milliseconds of each
 * @property {() => DeviceMemory} memory
 * @property {() => void} dispose free everything; the device is dead afterwards
 */

/**
 * What each folder's device.js exports as `const device`: a way to ask for it before making one.
 *
 * @typedef {object} DeviceClass
 * @property {string} kind
 * @property {(flags: Flags, target: string) => Availability | Promise<Availability>} available
 *   `target` is the program's target text ("wasm -threads=1"), "" when there is none yet
 * @property {(flags: Flags) => Device} create makes a device that has nothing yet; cannot fail
 */

export {};
