"""Programs of compute kernels written by hand, in OpenCL C and in WGSL: the tests of the runtime
must not need the compiler. Results come from numpy."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from weft.runtime.artifact import Kernel, Param, Program, Slot, Step
from weft.runtime.dtype import dtype_of
from weft.runtime.executor import Executable

THREADS = 64
_WGSL = {"float": "f32", "bfloat": "f32", "int": "i32", "bool": "i32", "uint": "u32"}
_OPENCL = {
    "float64": "double", "float32": "float", "int64": "long", "int32": "int", "bool": "uchar",
    "uint8": "uchar", "uint64": "ulong", "float16": "half", "bfloat16": "ushort",
}  # fmt: skip


@dataclass
class Builder:
    """Collects slots and kernels. ``value`` of a step is an expression of ``i``, the element, that
    may read operands as ``x[i]``; ``{T}`` is the type of the result."""

    target: str
    name: str = "handmade"
    slots: list[Slot] = field(default_factory=list)
    kernels: list[Kernel] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    codes: dict[str, bytes] = field(default_factory=dict)
    params: dict[str, np.ndarray] = field(default_factory=dict)
    inputs: dict[str, int] = field(default_factory=dict)
    outputs: dict[str, int] = field(default_factory=dict)

    @property
    def wgsl(self) -> bool:
        return self.target.startswith("webgpu")

    def slot(self, name, kind, dtype, shape: Sequence[int], source="") -> int:
        nbytes = math.prod(shape) * dtype_of(dtype).bytes
        self.slots.append(Slot(name, kind, dtype, tuple(shape), tuple(shape), nbytes, 0, source))
        k = len(self.slots) - 1
        if kind in ("input", "output"):
            getattr(self, kind + "s")[name] = k
        return k

    def constant(self, name: str, array: np.ndarray) -> int:
        self.params[name] = array
        return self.slot(name, "constant", str(dtype_of(array.dtype)), array.shape, name)

    def type(self, dtype: str) -> str:
        if not self.wgsl:
            return _OPENCL[dtype]
        half = dtype == "float16" and "has_float16" in self.target
        return "f16" if half else _WGSL[dtype_of(dtype).kind]

    def step(self, reads: Mapping[str, int], write: int, value: str, helper: str = "") -> str:
        """A call of a new kernel with a thread for each element of ``write``."""
        name = f"k{len(self.kernels)}"
        params = [self.param(p, k, "r") for p, k in reads.items()]
        params.append(self.param("result", write, "w"))
        count = math.prod(self.slots[write].physical)
        body = value.replace("{T}", self.type(self.slots[write].dtype))
        text = self.text(name, params, count, body, helper)
        blocks = -(-count // THREADS)
        launch = {"blockIdx.x": blocks, "threadIdx.x": THREADS}
        self.kernels.append(Kernel(name, tuple(params), name, launch))
        self.codes[name] = text.encode()
        self.steps.append(Step(name, (*reads.values(), write), f"step {name}"))
        return name

    def param(self, name: str, slot: int, access: str) -> Param:
        s = self.slots[slot]
        return Param(name, s.dtype, s.physical, access)

    def text(self, name: str, params: Sequence[Param], count: int, value: str, helper: str) -> str:
        if self.wgsl:
            half = "enable f16;\n" if "has_float16" in self.target else ""
            words = {"r": "read", "w": "read_write"}
            bound = "\n".join(
                f"@group(0) @binding({k}) var<storage, {words[p.access]}> {p.name}: "
                f"array<{self.type(p.dtype)}>;"
                for k, p in enumerate(params)
            )
            return (
                f"{half}{bound}\n{helper}\n@compute @workgroup_size({THREADS})\n"
                f"fn {name}(@builtin(global_invocation_id) id: vec3<u32>) {{\n"
                f"  let i = i32(id.x);\n  if (i < {count}) {{ result[i] = {value}; }}\n}}\n"
            )
        given = ", ".join(
            f"__global {'const ' if p.access == 'r' else ''}{self.type(p.dtype)}* restrict {p.name}"
            for p in params
        )
        return (
            f"{helper}\n__kernel __attribute__((reqd_work_group_size({THREADS}, 1, 1)))\n"
            f"void {name}({given}) {{\n"
            f"  int i = get_global_id(0);\n  if (i < {count}) result[i] = {value};\n}}\n"
        )

    def executable(self) -> Executable:
        program = Program(
            self.name, self.target, tuple(self.slots), tuple(self.kernels), tuple(self.steps),
            self.inputs, self.outputs, 1 << 30,
        )  # fmt: skip
        return Executable(program, self.codes, self.params)


def floats(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def everything(target: str) -> tuple[Executable, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Constants of odd sizes, an alias, an output that is an input, one that is a constant, one
    that is an intermediate, two names for one, one without elements; with feeds and results."""
    b = Builder(target)
    x = b.slot("x", "input", "float32", [5, 7])
    w = b.constant("w", floats(35))
    big = b.constant("big", floats(4, 16))
    h = b.slot("h", "arena", "float32", [35])
    flat = b.slot("flat", "alias", "float32", [7, 5], source="h")
    y = b.slot("y", "output", "float32", [35])
    z = b.slot("z", "output", "float32", [64])
    none = b.slot("none", "output", "float32", [0, 3])
    b.step({"x": x, "w": w}, h, "x[i] * w[i]")
    b.step({"h": flat, "x": x}, y, "h[34 - i] + x[i]")
    b.step({"big": big, "h": h}, z, "big[63 - i] - h[i % 35]")
    b.step({"x": x}, none, "x[i]")
    b.outputs |= {"again": y, "same": x, "weights": w, "middle": flat}
    one = floats(5, 7)
    product = one.reshape(-1) * b.params["w"]
    result = product[::-1] + one.reshape(-1)
    wide = b.params["big"].reshape(-1)[::-1] - product[np.arange(64) % 35]
    expected = {
        "y": result, "z": wide, "none": np.empty((0, 3), np.float32), "again": result, "same": one,
        "weights": b.params["w"], "middle": product.reshape(7, 5),
    }  # fmt: skip
    return b.executable(), {"x": one}, expected


def chain(target: str, length: int = 12) -> tuple[Executable, np.ndarray, np.ndarray]:
    """A chain of tensors of two sizes and a first one that lives all along."""
    b = Builder(target)
    x = b.slot("x", "input", "float32", [2048])
    first = last = b.slot("h0", "arena", "float32", [2048])
    b.step({"x": x}, first, "x[i] + 1.0f")
    one = floats(2048)
    h = one + 1
    for k in range(1, length):
        n = 2048 if k % 2 == 0 else 1024
        size = len(h)
        here = b.slot(f"h{k}", "arena", "float32", [n])
        b.step({"h": last}, here, f"h[i % {size}] * 0.5f + 1.0f")
        h = h[np.arange(n) % size] * np.float32(0.5) + 1
        last = here
    y = b.slot("y", "output", "float32", [2048])
    b.step({"a": first, "b": last}, y, f"a[i] - b[i % {len(h)}]")
    return b.executable(), one, one + 1 - h[np.arange(2048) % len(h)]
