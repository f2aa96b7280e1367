"""Runs programs of fragment shaders on OpenGL: the same code as in a browser, without one.

Every tensor is a texture array; a kernel is one triangle drawn into the layers of its result.
Intermediate tensors of equal texture shape and format whose lifetimes do not meet share a texture.
"""

from __future__ import annotations

import ctypes
import math
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from ..artifact import Kernel, Program, Slot
from ..dtype import DType
from ..errors import DeviceError, InputError
from ..storage import Storage
from ..texture import TextureShape, from_texels, texel_dtype, texture_shape, to_texels
from . import gl as api
from .gl import GL, shared

_VERTEX = """#version 330 core
void main() {
  vec2 corner = vec2(gl_VertexID & 1, gl_VertexID >> 1);
  gl_Position = vec4(4.0 * corner - 1.0, 0.0, 1.0);
}
"""
# Type of a texel -> internal format, format, type.
_FORMATS = {
    np.dtype(np.float32): (0x8814, 0x1908, 0x1406),
    np.dtype(np.int32): (0x8D82, 0x8D99, 0x1404),
    np.dtype(np.uint32): (0x8D70, 0x8D99, 0x1405),
}
_HALF = (0x881A, 0x1908, 0x1406)

_lock = threading.RLock()  # one context, one thread at a time


@dataclass(frozen=True)
class _Texture:
    name: int
    shape: TextureShape
    kind: np.dtype


class GLProgram:
    """A program on the device: textures, shaders, framebuffers.

    Raises :class:`DeviceError` when the device is missing or lacks what the target promised.
    """

    def __init__(self, program: Program, codes: Mapping[str, bytes], storage: Storage):
        self.program, self.storage = program, storage
        options = _options(program.target)
        self.limit = int(options.get("max_texture_size", 4096))
        self.half = options.get("float_bits") == "16"
        with _current() as gl:
            self._check_limits(gl, options)
            kernels = {k.name: k for k in program.kernels}
            self._vertex = gl.shader(api.VERTEX_SHADER, _VERTEX, "vertex shader")
            self._programs = {k.name: self._compile(gl, k, codes[k.code]) for k in program.kernels}
            self._frames: dict[int, int] = {}
            self._place(gl)
            for k, array in storage.constants.items():
                if k in self.textures:
                    self._upload(gl, k, array.reshape(-1).view(storage.dtypes[k].numpy))
            self._calls = [self._call(kernels[s.kernel], s.args) for s in program.steps]
            gl.check("loading the program")

    def _check_limits(self, gl: GL, options: Mapping[str, str]) -> None:
        need = (
            ("max_texture_size", api.MAX_TEXTURE_SIZE, self.limit),
            ("max_draw_buffers", api.MAX_DRAW_BUFFERS, int(options.get("max_draw_buffers", 8))),
            ("texture_units", api.MAX_TEXTURE_UNITS, int(options.get("texture_units", 16))),
        )
        for name, what, wanted in need:
            have = gl.integer(what)
            if have < wanted:
                raise DeviceError(
                    f"{gl.renderer} has {name} {have}; the program was compiled for {wanted}.",
                    where=self.program.name,
                    hint=f"compile for 'opengl -{name}={have}'",
                )

    def _compile(self, gl: GL, kernel: Kernel, code: bytes) -> int:
        where = f"kernel {kernel.name}"
        fragment = gl.shader(api.FRAGMENT_SHADER, code.decode(), where)
        made = gl.program(self._vertex, fragment, where)
        gl.DeleteShader(fragment)
        gl.UseProgram(made)
        for unit, p in enumerate(p for p in kernel.params if p.access == "r"):
            at = gl.GetUniformLocation(made, p.name.encode())
            if at >= 0:
                gl.Uniform1i(at, unit)
        return made

    # -- memory -----------------------------------------------------------------------------------

    def shape(self, k: int) -> TextureShape:
        s = self.program.slots[k]
        return texture_shape(math.prod(s.physical), s.layers, self.limit)

    def _place(self, gl: GL) -> None:
        """A texture for every slot that a kernel touches. What kernels write takes one that is free
        by then; inputs and constants are there before the first kernel and take a new one."""
        roots, steps = self.storage.roots, self.program.steps
        last: dict[int, int] = {}
        for k, step in enumerate(steps):
            last.update(dict.fromkeys((roots[a] for a in step.args), k))
        self.textures: dict[int, _Texture] = {}
        free: dict[tuple, list[_Texture]] = {}
        for k, step in enumerate(steps):
            touched = dict.fromkeys(roots[a] for a in step.args)
            for r in touched:
                if r not in self.textures:
                    given = self.program.slots[r].kind in ("input", "constant")
                    pool = None if given else free.get(self._class(r))
                    self.textures[r] = pool.pop() if pool else self._texture(gl, r)
            for r in touched:
                if last[r] == k and self.program.slots[r].kind == "arena":
                    free.setdefault(self._class(r), []).append(self.textures[r])

    def _class(self, k: int) -> tuple:
        return (self.shape(k), texel_dtype(self.storage.dtypes[k]))

    def _texture(self, gl: GL, k: int) -> _Texture:
        shape, kind = self.shape(k), texel_dtype(self.storage.dtypes[k])
        name = gl.make(gl.GenTextures)
        gl.BindTexture(api.TEXTURE_2D_ARRAY, name)
        internal, form, element = self._format(kind)
        gl.TexImage3D(
            api.TEXTURE_2D_ARRAY, 0, internal, shape.width, shape.height, shape.layers, 0, form,
            element, None,
        )  # fmt: skip
        for filter in (api.MIN_FILTER, api.MAG_FILTER):
            gl.TexParameteri(api.TEXTURE_2D_ARRAY, filter, api.NEAREST)
        gl.check(f"making a texture of {shape}")
        return _Texture(name, shape, kind)

    def _format(self, kind: np.dtype) -> tuple[int, int, int]:
        return _HALF if self.half and kind == np.float32 else _FORMATS[kind]

    def _upload(self, gl: GL, k: int, flat: np.ndarray) -> None:
        t = self.textures[k]
        flat = _narrow(flat, self.storage.dtypes[k], self.program.slots[k])
        texels = to_texels(flat, t.shape, t.kind)
        _, form, element = self._format(t.kind)
        gl.BindTexture(api.TEXTURE_2D_ARRAY, t.name)
        gl.TexSubImage3D(
            api.TEXTURE_2D_ARRAY, 0, 0, 0, 0, t.shape.width, t.shape.height, t.shape.layers, form,
            element, texels.ctypes.data_as(ctypes.c_void_p),
        )  # fmt: skip

    def _download(self, gl: GL, k: int) -> np.ndarray:
        t, d = self.textures[k], self.storage.dtypes[k]
        texels = np.empty((t.shape.layers, t.shape.height, t.shape.width, 4), t.kind)
        _, form, element = self._format(t.kind)
        gl.BindTexture(api.TEXTURE_2D_ARRAY, t.name)
        gl.GetTexImage(
            api.TEXTURE_2D_ARRAY, 0, form, element, texels.ctypes.data_as(ctypes.c_void_p)
        )
        flat = from_texels(texels, math.prod(self.program.slots[k].physical))
        return (flat != 0) if d.is_bool else flat.astype(d.numpy)

    # -- calls ------------------------------------------------------------------------------------

    def _call(self, kernel: Kernel, args: Sequence[int]) -> tuple[int, list[int], int]:
        """Program, textures to read by unit, root slot to write."""
        roots = self.storage.roots
        reads = [roots[a] for p, a in zip(kernel.params, args) if p.access == "r"]
        writes = [roots[a] for p, a in zip(kernel.params, args) if p.access == "w"]
        assert len(writes) == 1, kernel
        return self._programs[kernel.name], [self.textures[r].name for r in reads], writes[0]

    def _frame(self, gl: GL, t: _Texture) -> int:
        if t.name not in self._frames:
            frame = self._frames[t.name] = gl.make(gl.GenFramebuffers)
            gl.BindFramebuffer(api.FRAMEBUFFER, frame)
            places = [api.COLOR_ATTACHMENT0 + n for n in range(t.shape.layers)]
            for n, place in enumerate(places):
                gl.FramebufferTextureLayer(api.FRAMEBUFFER, place, t.name, 0, n)
            gl.DrawBuffers(len(places), (ctypes.c_uint * len(places))(*places))
            status = gl.CheckFramebufferStatus(api.FRAMEBUFFER)
            if status != api.FRAMEBUFFER_COMPLETE:
                raise DeviceError(f"OpenGL cannot draw into {t.shape}: status 0x{status:04x}.")
        return self._frames[t.name]

    def _draw(self, gl: GL, call: tuple[int, list[int], int]) -> None:
        program, reads, write = call
        target = self.textures[write]
        gl.BindFramebuffer(api.FRAMEBUFFER, self._frame(gl, target))
        gl.Viewport(0, 0, target.shape.width, target.shape.height)
        gl.UseProgram(program)
        for unit, name in enumerate(reads):
            gl.ActiveTexture(api.TEXTURE0 + unit)
            gl.BindTexture(api.TEXTURE_2D_ARRAY, name)
        gl.DrawArrays(api.TRIANGLES, 0, 3)

    def run(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The program's outputs for its inputs, both in order."""
        with _current() as gl:
            self._enter(gl, arrays)
            for call in self._calls:
                self._draw(gl, call)
            results = [self._output(gl, k, arrays) for k in self.program.outputs.values()]
            gl.check(f"running {self.program.name}")
            return results

    def time(self, arrays: Sequence[np.ndarray], repeat: int) -> np.ndarray:
        """Nanoseconds of each call, one row a run."""
        rows = np.zeros((repeat + 1, len(self._calls)))
        with _current() as gl:
            self._enter(gl, arrays)
            for row in rows:
                gl.Finish()
                for k, call in enumerate(self._calls):
                    begin = time.perf_counter_ns()
                    self._draw(gl, call)
                    gl.Finish()
                    row[k] = time.perf_counter_ns() - begin
        return rows[1:]

    def _enter(self, gl: GL, arrays: Sequence[np.ndarray]) -> None:
        gl.ActiveTexture(api.TEXTURE0)
        for k, array in zip(self.program.inputs.values(), arrays):
            if k in self.textures:
                self._upload(gl, k, np.ascontiguousarray(array).reshape(-1))

    def _output(self, gl: GL, k: int, arrays: Sequence[np.ndarray]) -> np.ndarray:
        slot, root = self.program.slots[k], self.storage.roots[k]
        given = dict(zip(self.program.inputs.values(), arrays))
        dtype = self.storage.dtypes[k].numpy
        if root in given:
            flat = np.array(given[root]).reshape(-1)
        elif root in self.storage.constants:
            flat = np.array(self.storage.constants[root]).reshape(-1).view(np.uint8)
            flat = flat[: slot.nbytes].view(dtype)
        elif root in self.textures:
            flat = self._download(gl, root)
        else:
            flat = np.empty(0, dtype)  # nothing computes a tensor without elements
        return flat[: math.prod(slot.shape)].astype(dtype, copy=False).reshape(slot.shape)

    def close(self) -> None:
        """Give textures, framebuffers and shaders back."""
        with _current() as gl:
            gl.drop(gl.DeleteTextures, sorted({t.name for t in self.textures.values()}))
            gl.drop(gl.DeleteFramebuffers, sorted(self._frames.values()))
            for p in self._programs.values():
                gl.DeleteProgram(p)
            gl.DeleteShader(self._vertex)
            self.textures, self._frames, self._programs = {}, {}, {}

    def __del__(self) -> None:
        if getattr(self, "_programs", None):
            self.close()


@contextmanager
def _current() -> Iterator[GL]:
    with _lock:
        gl = shared()
        gl.enter()
        try:
            yield gl
        finally:
            gl.leave()


def _options(target: str) -> dict[str, str]:
    words = (w.lstrip("-").partition("=") for w in target.split()[1:])
    return {key: value for key, _, value in words}


def _narrow(flat: np.ndarray, d: DType, slot: Slot) -> np.ndarray:
    """64-bit integers in 32 bits; raises :class:`InputError` for one that does not fit."""
    if not d.is_int or d.bits != 64 or not flat.size:
        return flat
    kind = texel_dtype(d)
    limits = np.iinfo(kind)
    low, high = int(flat.min()), int(flat.max())
    if low < limits.min or high > limits.max:
        raise InputError(
            f"{slot.name} has elements from {low} to {high}; this target keeps {d} in 32 bits.",
            hint="the llvm target has all 64",
        )
    return flat.astype(kind)


__all__ = ["GLProgram"]
