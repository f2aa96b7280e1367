"""Targets: a frozen record of capabilities, parsed from strings such as ``llvm -mcpu=znver4``.

Passes and schedule rules ask for capabilities (``target.vector_bits``), never for a name.
"""

from __future__ import annotations

import hashlib
import re
import shlex
from dataclasses import dataclass, fields, replace

from ..runtime.dtype import DType
from ..runtime.errors import TargetError
from .intrin import INTRINSICS

HOST = "llvm"  # the kind that is this machine's processor: what targets are by default


@dataclass(frozen=True)
class Target:
    """What a target can do, and what its code generator needs to know.

    ``kind`` selects the code generator and the device; everything else is a capability. What is
    not said is not supposed: a new kind gets every intrinsic but ``sqrt`` as plain arithmetic.
    """

    kind: str
    mtriple: str = ""  # llvm: empty means this machine
    mcpu: str = ""
    mattr: str = ""  # comma separated, "+avx2,-avx512f"
    vector_bits: int = 128  # width of a vector register
    max_lanes: int = 0  # elements of a vector, whatever their type; 0: as the width says
    num_vector_registers: int = 16
    has_fma: bool = False
    has_masked_memory: bool = False  # predicated vector loads and stores in hardware
    has_calls: bool = False  # of functions that are no kernels: C's
    has_prefetch: bool = False  # instructions that bring a line into a cache ahead of its use
    memory_bytes: int = 8  # that reach one core in a cycle from beyond its private caches
    cache_bytes: int = 1 << 20  # of the largest cache that a core has for itself
    threads: bool = False  # wasm: shared memory and a thread pool
    texture_memory: bool = False  # tensors lie in textures; a loop is bound to fragments
    max_draw_buffers: int = 0  # texels that one fragment can write
    max_texture_size: int = 0  # texels along either side
    texture_units: int = 0  # textures that one kernel can read
    max_branches: int = 1 << 16  # conditional statements that a shader compiler takes in good time
    float_bits: int = 32  # of a float in a texture: 32 or 16
    max_threads: int = 0  # threads of a workgroup; 0: loops are not bound to blocks and threads
    max_blocks: int = 0  # workgroups along one axis of a launch
    shared_bytes: int = 0  # memory that the threads of a workgroup share
    distinct_buffers: bool = False  # a kernel's result cannot take the bytes of an operand
    max_buffers: int = 0  # buffers that one kernel can be given; 0: any number
    has_float16: bool = False  # 16-bit floats in memory and arithmetic (elsewhere kept in 32 bits)
    language: str = ""  # the kind whose language it shares, if another one's
    native_math: tuple[str, ...] = ()  # intrinsics that the language computes itself, accurately
    ieee_floats: bool = False  # its compiler keeps NaN and the order of operations on floats
    fallback: str = ""  # the kind of target that takes what this one cannot compute; "none": none
    num_threads: int = 0  # that a program shares its loops among at most; 0: all that there are
    opt_level: int = 3

    def __post_init__(self) -> None:
        unknown = [n for n in self.native_math if n not in INTRINSICS]
        if unknown:
            raise TargetError(
                f"target {self.kind!r}: native_math names {unknown[0]!r}, which is no intrinsic.",
                hint="intrinsics: " + ", ".join(INTRINSICS),
            )

    def lanes(self, dtype: DType) -> int:
        """Elements of ``dtype`` in one vector register."""
        n = max(1, self.vector_bits // max(8, dtype.bits))
        return min(n, self.max_lanes) if self.max_lanes else n

    @property
    def languages(self) -> tuple[str, ...]:
        """The kinds whose rules for intrinsics from outside it follows, the first that there is."""
        return (self.kind, self.language) if self.language else (self.kind,)

    @property
    def has_fallback(self) -> bool:
        """Whether another kind of target takes what this one cannot compute."""
        return self.fallback not in ("", "none")

    @property
    def family(self) -> str:
        """What schedules depend on, as text: the kind, the architecture, the capabilities. Tuning
        records of one processor suit the others of its family."""
        architecture = self.mtriple.split("-", maxsplit=1)[0]
        return str(
            replace(self, mtriple=architecture, mcpu="", mattr="", opt_level=3, num_threads=0)
        )

    @property
    def slug(self) -> str:
        """A name for files: the kind, and where options make it another target than its kind alone
        is, the processor and six digits of a hash of them."""
        text = str(self)
        if text == self.kind:
            return self.kind
        words = (self.kind, self.mcpu, hashlib.sha256(text.encode()).hexdigest()[:6])
        return re.sub(r"[^\w.-]", "_", "-".join(w for w in words if w))

    def __str__(self) -> str:
        default = _KINDS[self.kind]
        options = [(f.name, getattr(self, f.name)) for f in fields(self) if f.name != "kind"]
        shown = [_option(n, value) for n, value in options if value != getattr(default, n)]
        return " ".join([self.kind, *shown])

    @classmethod
    def parse(cls, text: str | Target) -> Target:
        """The target that ``text`` describes: a kind and ``-option=value`` words.

        Raises :class:`TargetError` that lists the kinds or the options.
        """
        if isinstance(text, Target):
            return text
        words = shlex.split(text)
        kinds = ", ".join(_KINDS)
        if not words or words[0] not in _KINDS:
            raise TargetError(f"there is no target {text!r}.", hint=f"targets: {kinds}")
        base = _KINDS[words[0]]
        types = {f.name: type(getattr(base, f.name)) for f in fields(cls) if f.name != "kind"}
        options: dict[str, object] = {}
        for w in words[1:]:
            key, eq, value = w.lstrip("-").partition("=")
            key = key.replace("-", "_")
            if not w.startswith("-") or key not in types:
                raise TargetError(
                    f"target {text!r} has no option {w!r}.", hint="options: -" + ", -".join(types)
                )
            try:
                options[key] = _value(types[key], value, bool(eq))
            except ValueError:
                raise TargetError(
                    f"target {text!r}: {w!r} wants a value of type {types[key].__name__}."
                ) from None
        return replace(base, **options)


def split_targets(text: str) -> list[str]:
    """The targets in a list such as ``"webgpu,webgl,wasm -threads"``. A comma before anything but a
    kind of target belongs to an option.

    >>> split_targets("llvm -mattr=+avx2,-avx512f, opengl")
    ['llvm -mattr=+avx2,-avx512f', 'opengl']
    """
    words = "|".join(map(re.escape, _KINDS))
    return [t.strip() for t in re.split(rf",(?=\s*(?:{words})(?:\s|,|$))", text)]


def _option(name: str, value: object) -> str:
    text = ",".join(value) if isinstance(value, tuple) else str(value)
    return f"-{name}" if value is True else f"-{name}={text}"


def _value(kind: type, text: str, given: bool) -> object:
    if kind is bool:
        flags = {"": True, "1": True, "true": True, "0": False, "false": False}
        if text.lower() not in flags:  # str(target) writes True and False
            raise ValueError(text)
        return flags[text.lower()]
    if not given:
        raise ValueError(text)
    if kind is tuple:
        return tuple(text.split(",")) if text else ()
    return kind(text)


def _fragments(kind: str, fallback: str) -> Target:
    """What every usual device has; WebGL 2 itself promises 4 draw buffers, 2048 and 16 units."""
    return Target(
        kind, texture_memory=True, max_draw_buffers=8, max_texture_size=4096, texture_units=16,
        distinct_buffers=True, native_math=_SHADER_MATH, fallback=fallback,
    )  # fmt: skip


# OpenCL has all the intrinsics, but its functions are calls to a library on processors, which the
# expansions beat, as they do in accuracy. GLSL leaves the accuracy of exp open, but every driver
# has that of its exp2, a few units; its logarithms of 0 and powers of negative numbers are
# undefined. WGSL allows exp(x) an error of 3 + 2|x| units.
_BASIC_MATH = (
    "sqrt", "floor", "ceil", "trunc", "round", "fma", "isnan", "isinf", "popcount",
)  # fmt: skip
_SHADER_MATH = (*_BASIC_MATH, "exp", "exp2")
_KINDS: dict[str, Target] = {
    "llvm": Target(
        "llvm", has_calls=True, native_math=(*_BASIC_MATH, "rsqrt", "clz"), ieee_floats=True
    ),
    "wasm": Target(
        "wasm", language="llvm", native_math=(*_BASIC_MATH, "rsqrt", "clz"), ieee_floats=True
    ),
    # What every device has: OpenCL 1.2 full profile promises 32 KiB, WebGPU the numbers below.
    # Vectors of 16 are part of OpenCL: a processor has registers of that width or takes several,
    # and on a GPU, where a vector is so many scalars, they are a tile of 16 columns.
    "opencl": Target(
        "opencl",
        vector_bits=512,
        max_lanes=16,
        max_threads=256,
        distinct_buffers=True,
        max_blocks=2**31 - 1,
        shared_bytes=32768,
        native_math=(*_BASIC_MATH, "rsqrt", "clz"),
        ieee_floats=True,
        fallback="none",
    ),
    "webgpu": Target(
        "webgpu",
        max_lanes=4,
        max_threads=256,
        distinct_buffers=True,
        max_blocks=65535,
        shared_bytes=16384,
        native_math=_SHADER_MATH,
        max_buffers=8,
        fallback="wasm",
    ),
    "opengl": _fragments("opengl", "none"),
    # SwiftShader, where browsers fall back to without a GPU, takes minutes over 40 of them.
    "webgl": replace(_fragments("webgl", "wasm"), language="opengl", max_branches=36),
}


def register_kind(target: Target) -> None:
    """Make ``target.kind`` a kind with these capabilities; see :func:`weft.register_target`."""
    if target.kind in _KINDS or not re.fullmatch(r"[a-z][a-z0-9_]*", target.kind):
        raise TargetError(
            f"there cannot be another target called {target.kind!r}.",
            hint=f"small letters and digits, none of: {', '.join(_KINDS)}",
        )
    _KINDS[target.kind] = target


def brief(text: str) -> str:
    """A target's text for people: values of options that are long are left out."""
    return re.sub(r"(-\w+=)\S{41,}", r"\1…", text)


def kinds() -> tuple[str, ...]:
    """The words that a target may begin with."""
    return tuple(_KINDS)
