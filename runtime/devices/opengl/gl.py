"""OpenGL without a window: a context of EGL and the functions that we call, through ctypes."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from ... import forks
from ...errors import DeviceError
from ..program import Driver, inside
from ..software import unasked_limits
from ..table import DEVICES

_ROW = DEVICES["opengl"]
_driver = Driver("opengl")
_lock = forks.renewed(sys.modules[__name__], "_lock")  # one context, one thread at a time
_busy = False  # whether the thread that has the lock is inside

TEXTURE_2D_ARRAY, TEXTURE0 = 0x8C1A, 0x84C0
FRAMEBUFFER, COLOR_ATTACHMENT0, FRAMEBUFFER_COMPLETE = 0x8D40, 0x8CE0, 0x8CD5
FRAGMENT_SHADER, VERTEX_SHADER, COMPILE_STATUS, LINK_STATUS = 0x8B30, 0x8B31, 0x8B81, 0x8B82
TRIANGLES, NEAREST, MIN_FILTER, MAG_FILTER = 4, 0x2600, 0x2801, 0x2800
MAX_TEXTURE_SIZE, MAX_DRAW_BUFFERS, MAX_TEXTURE_UNITS = 0x0D33, 0x8824, 0x8872
RENDERER, VERSION = 0x1F01, 0x1F02
DITHER, BLEND, DEPTH_TEST, SCISSOR_TEST, CLAMP_READ_COLOR = 0x0BD0, 0x0BE2, 0x0B71, 0x0C11, 0x891C

N, P, S = ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p
# name -> (result, argument types)
_FUNCTIONS: dict[str, tuple[Any, tuple]] = {
    "glActiveTexture": (None, (N,)),
    "glAttachShader": (None, (N, N)),
    "glBindFramebuffer": (None, (N, N)),
    "glBindTexture": (None, (N, N)),
    "glBindVertexArray": (None, (N,)),
    "glCheckFramebufferStatus": (N, (N,)),
    "glCompileShader": (None, (N,)),
    "glCreateProgram": (N, ()),
    "glCreateShader": (N, (N,)),
    "glDeleteFramebuffers": (None, (N, P)),
    "glDeleteProgram": (None, (N,)),
    "glDeleteShader": (None, (N,)),
    "glDeleteTextures": (None, (N, P)),
    "glDisable": (None, (N,)),
    "glDrawArrays": (None, (N, N, N)),
    "glDrawBuffers": (None, (N, P)),
    "glFinish": (None, ()),
    "glFramebufferTextureLayer": (None, (N, N, N, N, N)),
    "glGenFramebuffers": (None, (N, P)),
    "glGenTextures": (None, (N, P)),
    "glGenVertexArrays": (None, (N, P)),
    "glGetError": (N, ()),
    "glGetIntegerv": (None, (N, P)),
    "glGetProgramInfoLog": (None, (N, N, P, P)),
    "glGetProgramiv": (None, (N, N, P)),
    "glGetShaderInfoLog": (None, (N, N, P, P)),
    "glGetShaderiv": (None, (N, N, P)),
    "glGetString": (S, (N,)),
    "glGetTexImage": (None, (N, N, N, N, P)),
    "glGetUniformLocation": (N, (N, S)),
    "glLinkProgram": (None, (N,)),
    "glShaderSource": (None, (N, N, P, P)),
    "glTexImage3D": (None, (N, N, N, N, N, N, N, N, N, P)),
    "glTexParameteri": (None, (N, N, N)),
    "glTexSubImage3D": (None, (N, N, N, N, N, N, N, N, N, N, P)),
    "glUniform1f": (None, (N, ctypes.c_float)),
    "glUniform1i": (None, (N, N)),
    "glUniform1ui": (None, (N, ctypes.c_uint)),
    "glUseProgram": (None, (N,)),
    "glViewport": (None, (N, N, N, N)),
}


class GL:
    """A context. Its functions are attributes without their prefix: ``gl.DrawArrays(…)``."""

    def __init__(self) -> None:
        self._dropped: list[tuple[Any, ...]] = []
        try:
            with forks.imports:
                import glcontext  # pyright: ignore[reportMissingImports]
        except ImportError:
            raise DeviceError(
                "the package glcontext is missing.", hint=_ROW.install_package
            ) from None
        try:
            self.context = glcontext.get_backend_by_name("egl")(
                # The names that the libraries have without their development packages.
                mode="standalone", require=330, libgl="libGL.so.1", libegl="libEGL.so.1",
            )  # fmt: skip
        except Exception as e:  # glcontext raises Exception itself
            raise DeviceError(
                f"there is no OpenGL 3.3 through EGL: {e}.", hint=_ROW.install_driver
            ) from None
        for name, (result, arguments) in _FUNCTIONS.items():
            where = self.context.load(name)
            if not where:
                raise DeviceError(f"OpenGL lacks the function {name}.", hint=_ROW.install_driver)
            setattr(self, name[2:], ctypes.CFUNCTYPE(result, *arguments)(where))
        for state in (DITHER, BLEND, DEPTH_TEST, SCISSOR_TEST):
            self.Disable(state)
        self.BindVertexArray(self.make(self.GenVertexArrays))

    def __getattr__(self, name: str) -> Any:  # for type checkers: all are set by __init__
        raise AttributeError(name)

    def make(self, generate: Any) -> int:
        """One new object of a ``glGen…`` function."""
        name = ctypes.c_uint(0)
        generate(1, ctypes.byref(name))
        return name.value

    def drop(self, delete: Any, *names: int) -> None:
        """Give objects to a ``glDelete…`` function that takes an array, as soon as the context is
        free: whoever wants that (a finaliser) may be inside of somebody else's call."""
        self._dropped.append((delete, len(names), (ctypes.c_uint * len(names))(*names)))

    def drop_code(self, delete: Any, name: int) -> None:
        """As :meth:`drop`, for a function that takes one object."""
        self._dropped.append((delete, name))

    def sweep(self) -> None:
        """Delete what was dropped."""
        while self._dropped:
            delete, *arguments = self._dropped.pop()
            delete(*arguments)

    def integer(self, what: int) -> int:
        """The value of ``glGetIntegerv``: a limit of the driver."""
        value = ctypes.c_int(0)
        self.GetIntegerv(what, ctypes.byref(value))
        return value.value

    @property
    def renderer(self) -> str:
        """The driver's name of the device."""
        return self.GetString(RENDERER).decode()

    @property
    def version(self) -> str:
        """Version of OpenGL and of the driver, in the driver's words."""
        return self.GetString(VERSION).decode()

    def shader(self, kind: int, text: str, where: str) -> int:
        """A compiled shader; raises :class:`DeviceError` with the driver's words."""
        shader = self.CreateShader(kind)
        data = ctypes.c_char_p(text.encode())
        self.ShaderSource(shader, 1, ctypes.byref(data), None)
        self.CompileShader(shader)
        self._check(shader, COMPILE_STATUS, self.GetShaderiv, self.GetShaderInfoLog, where)
        return shader

    def program(self, vertex: int, fragment: int, where: str) -> int:
        """A linked program; raises :class:`DeviceError` with the driver's words."""
        program = self.CreateProgram()
        self.AttachShader(program, vertex)
        self.AttachShader(program, fragment)
        self.LinkProgram(program)
        self._check(program, LINK_STATUS, self.GetProgramiv, self.GetProgramInfoLog, where)
        return program

    def _check(self, what: int, status: int, get: Any, log: Any, where: str) -> None:
        good = ctypes.c_int(0)
        get(what, status, ctypes.byref(good))
        if not good.value:
            text = ctypes.create_string_buffer(4096)
            log(what, len(text), None, text)
            raise DeviceError(
                f"the driver refused the shader: {text.value.decode(errors='replace').strip()}",
                where=where,
                hint="this is a fault of weft or of the driver; the llvm target will work",
            )

    def check(self, what: str) -> None:
        """Raises :class:`DeviceError` when a call since the last check failed."""
        code = self.GetError()
        if code:
            raise DeviceError(f"OpenGL error 0x{code:04x} while {what}.")


@cache
def _context() -> GL:
    return GL()


def shared() -> GL:
    """The context of this process; raises :class:`DeviceError` when there is none."""
    with _alone():
        return _context()


@contextmanager
def _alone() -> Iterator[None]:
    """Whoever is inside has the driver for itself. What a driver was told last (which program,
    which textures) is of the context, so that not even the same thread may come in between."""
    global _busy
    with _lock:
        _driver.claim()
        if _busy:
            raise inside("opengl")
        _busy = True
        try:
            yield
        finally:
            _busy = False


@contextmanager
def entered(gl: GL) -> Iterator[None]:
    """``gl`` is the context of the calling thread, and nobody else's.

    Raises :class:`DeviceError` where this thread is inside already.
    """
    with _alone():
        gl.context.__enter__()
        try:
            gl.sweep()
            yield
            gl.sweep()
        finally:
            gl.context.__exit__(None, None, None)


def free(gl: GL) -> None:
    """Delete what was dropped now, or, where this thread is inside, when it leaves."""
    with _lock:
        if not _busy:
            with entered(gl):
                pass


def describe() -> tuple[str, dict[str, int]]:
    """The renderer of this process, and its limits."""
    gl = shared()
    with entered(gl):
        limits = {
            "max_texture_size": gl.integer(MAX_TEXTURE_SIZE),
            "max_draw_buffers": gl.integer(MAX_DRAW_BUFFERS),
            "texture_units": gl.integer(MAX_TEXTURE_UNITS),
        }
        limits |= unasked_limits(gl.renderer)
        return f"{gl.renderer}: OpenGL {gl.version}", limits
