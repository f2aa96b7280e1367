"""Runs programs of fragment shaders on OpenGL: the same code as in a browser, without one.

Every tensor is a texture array; a kernel is one triangle drawn into the layers of its result.
Intermediate tensors of equal texture shape and format whose lifetimes do not meet share a texture.
"""

from __future__ import annotations

import ctypes
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from ...artifact import Kernel
from ...errors import DeviceError
from ...sizes import known
from ...texture import TextureShape, from_texels, texel_dtype, texture_shape, to_texels
from ..memory import share_blocks
from ..program import DeviceProgram, narrow
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


@dataclass(frozen=True)
class _Texture:
    name: int
    shape: TextureShape
    kind: np.dtype


class GLProgram(DeviceProgram):
    """A program on the device: textures, shaders, framebuffers."""

    def _clear(self) -> None:
        self._programs: dict[str, int] = {}
        self._textures: list[_Texture] = []
        self.textures: dict[int, _Texture] = {}
        self._frames: dict[int, int] = {}
        self._vertex = 0
        self._calls: list[tuple[int, list[int], int, list[tuple[int, int]]]] = []

    def _find(self) -> None:
        self.gl = shared()

    def _load(self) -> None:
        self.limit = int(self.options.get("max_texture_size", 4096))
        self.half = self.options.get("float_bits") == "16"
        self._check_limits(self.gl, self.options)
        self._vertex = self.gl.shader(api.VERTEX_SHADER, _VERTEX, "vertex shader")
        for k in self.program.kernels:
            self._programs[k.name] = self._compile(self.gl, k, self._codes[k.code])
        self.plan = share_blocks(self.storage, lambda root: 0, self._class)
        for b in self.plan.blocks:
            self._textures.append(self._texture(self.gl, *b.kind))
        self.textures = {r: self._textures[b] for r, b in self.plan.block_of.items()}
        for k, flat in self._constants():
            self._send(k, flat)
        self._calls = [self._call(self.kernels[s.kernel], s.args) for s in self.program.steps]
        self.gl.check("loading the program")

    @contextmanager
    def _entered(self) -> Iterator[None]:
        with api.entered(self.gl):
            yield

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
        """Width, height and layers of the texture that slot ``k`` needs."""
        s = self.program.slots[k]
        return texture_shape(math.prod(known(s.physical)), s.layers, self.limit)

    def _class(self, k: int) -> tuple[TextureShape, np.dtype]:
        return self.shape(k), texel_dtype(self.storage.dtypes[k])

    def _texture(self, gl: GL, shape: TextureShape, kind: np.dtype) -> _Texture:
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

    def _send(self, root: int, flat: np.ndarray) -> None:
        gl, t = self.gl, self.textures[root]
        flat = narrow(flat, self.storage.dtypes[root], self.program.slots[root])
        texels = to_texels(flat, t.shape, t.kind)
        _, form, element = self._format(t.kind)
        gl.ActiveTexture(api.TEXTURE0)
        gl.BindTexture(api.TEXTURE_2D_ARRAY, t.name)
        gl.TexSubImage3D(
            api.TEXTURE_2D_ARRAY, 0, 0, 0, 0, t.shape.width, t.shape.height, t.shape.layers, form,
            element, texels.ctypes.data_as(ctypes.c_void_p),
        )  # fmt: skip

    def _fetch(self, roots: Sequence[int]) -> list[np.ndarray]:
        flats = [self._download(self.gl, r) for r in roots]
        self.gl.check(f"running {self.program.name}")
        return flats

    def _download(self, gl: GL, k: int) -> np.ndarray:
        t, d = self.textures[k], self.storage.dtypes[k]
        texels = np.empty((t.shape.layers, t.shape.height, t.shape.width, 4), t.kind)
        _, form, element = self._format(t.kind)
        gl.Finish()  # Mesa's software renderer may copy before the draws have ended
        gl.BindTexture(api.TEXTURE_2D_ARRAY, t.name)
        gl.GetTexImage(
            api.TEXTURE_2D_ARRAY, 0, form, element, texels.ctypes.data_as(ctypes.c_void_p)
        )
        flat = from_texels(texels, math.prod(known(self.program.slots[k].physical)))
        return (flat != 0) if d.is_bool else flat.astype(d.numpy)

    # -- calls ------------------------------------------------------------------------------------

    def _call(
        self, kernel: Kernel, args: Sequence[int]
    ) -> tuple[int, list[int], int, list[tuple[int, int]]]:
        """Program, textures to read by unit, root slot to write, numbers: place and slot."""
        roots = self.storage.roots
        reads = [roots[a] for p, a in zip(kernel.params, args) if p.access == "r"]
        writes = [roots[a] for p, a in zip(kernel.params, args) if p.access == "w"]
        assert len(writes) == 1, kernel
        numbers = [a for p, a in zip(kernel.params, args) if p.access == "s"]
        made, names = self._programs[kernel.name], [self.textures[r].name for r in reads]
        places = [
            self.gl.GetUniformLocation(made, f"scalar{n}".encode()) for n in range(len(numbers))
        ]
        # A number that the shader does not use has no place.
        known = [(at, a) for at, a in zip(places, numbers) if at >= 0]
        return made, names, writes[0], known

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

    def _pass_numbers(self) -> None:
        """Nothing yet: uniforms belong to a shader, which several steps may use."""

    def _set_number(self, gl: GL, at: int, k: int) -> None:
        d = self.storage.dtypes[k]
        value = narrow(self.number(k), d, self.program.slots[k]).astype(texel_dtype(d))[0]
        put = {"f": gl.Uniform1f, "i": gl.Uniform1i, "u": gl.Uniform1ui}[value.dtype.kind]
        put(at, value.item())

    def _draw(self, gl: GL, call: tuple[int, list[int], int, list[tuple[int, int]]]) -> None:
        program, reads, write, numbers = call
        target = self.textures[write]
        gl.BindFramebuffer(api.FRAMEBUFFER, self._frame(gl, target))
        gl.Viewport(0, 0, target.shape.width, target.shape.height)
        gl.UseProgram(program)
        for at, k in numbers:
            self._set_number(gl, at, k)
        for unit, name in enumerate(reads):
            gl.ActiveTexture(api.TEXTURE0 + unit)
            gl.BindTexture(api.TEXTURE_2D_ARRAY, name)
        gl.DrawArrays(api.TRIANGLES, 0, 3)

    def _start(self, begin: int, end: int) -> None:
        for call in self._calls[begin:end]:
            self._draw(self.gl, call)

    def _measure(self, begin: int, end: int, repeat: int) -> np.ndarray:
        rows, gl = np.zeros((repeat, end - begin)), self.gl
        for row in rows:
            gl.Finish()
            for k, call in enumerate(self._calls[begin:end]):
                start = time.perf_counter_ns()
                self._draw(gl, call)
                gl.Finish()
                row[k] = time.perf_counter_ns() - start
        return rows

    def _free(self) -> None:
        gl = self.gl
        gl.drop(gl.DeleteTextures, *(t.name for t in self._textures))
        gl.drop(gl.DeleteFramebuffers, *sorted(self._frames.values()))
        for p in self._programs.values():
            gl.drop_code(gl.DeleteProgram, p)
        gl.drop_code(gl.DeleteShader, self._vertex)
        self._clear()

    def _give_back(self) -> None:
        self._free()
        api.free(self.gl)


__all__ = ["GLProgram"]
