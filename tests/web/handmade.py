"""Programs for WebGL and WebGPU written by hand: the runtime's tests must not need the compiler.

A kernel is the GLSL or WGSL of ``value(i)``, one element of the result, out of functions
``at_NAME(i)`` for its operands. Results come from numpy.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from weft.ir.layout import Layout
from weft.runtime import safetensors
from weft.runtime.dtype import dtype_of
from weft.runtime.texture import texel_dtype, texture_shape

MAX_TEXTURE_SIZE = 4096
THREADS = 32  # of a workgroup
_WGSL = {"f": "f32", "i": "i32", "u": "u32"}
_GLSL = {"f": ("", "float", "vec4"), "i": ("i", "int", "ivec4"), "u": ("u", "uint", "uvec4")}


def _types(dtype: str) -> tuple[str, str, str]:
    return _GLSL[texel_dtype(dtype_of(dtype)).kind]


@dataclass
class Builder:
    """Collects the slots, kernels and steps of a program, and its shaders and parameters."""

    name: str
    target: str = "webgl"
    slots: list[dict[str, Any]] = field(default_factory=list)
    kernels: list[dict[str, Any]] = field(default_factory=list)
    steps: list[dict[str, Any]] = field(default_factory=list)
    codes: dict[str, str] = field(default_factory=dict)
    params: dict[str, np.ndarray] = field(default_factory=dict)
    inputs: dict[str, int] = field(default_factory=dict)
    outputs: dict[str, int] = field(default_factory=dict)
    arena: int = 0

    def slot(
        self,
        name: str,
        kind: str,
        dtype: str,
        shape: Sequence[int],
        *,
        layers: int = 1,
        layout: str = "",
        source: str = "",
    ) -> int:
        physical = Layout.from_text(layout, shape).physical_shape if layout else tuple(shape)
        nbytes = math.prod(physical) * dtype_of(dtype).bytes
        offset = 0
        if kind == "arena":
            offset, self.arena = self.arena, self.arena + -(-nbytes // 64) * 64
        self.slots.append(
            {
                "name": name,
                "kind": kind,
                "dtype": dtype,
                "shape": list(shape),
                "physical": list(physical),
                "nbytes": nbytes,
                "offset": offset,
                "source": source,
                "layout": layout,
                "layers": layers,
            }
        )
        number = len(self.slots) - 1
        if kind in ("input", "output"):
            getattr(self, f"{kind}s")[name] = number
        return number

    def constant(self, name: str, array: np.ndarray, layout: str = "", layers: int = 1) -> int:
        self.params[name] = array
        dtype = str(dtype_of(array.dtype))
        return self.slot(
            name, "constant", dtype, array.shape, layout=layout, layers=layers, source=name
        )

    def step(
        self, reads: Mapping[str, int], write: int, value: str, label: str = "", wgsl: str = ""
    ) -> None:
        """A call of a new kernel that fills slot ``write`` with ``value`` of ``i``; ``wgsl`` where
        that language says it otherwise."""
        name = f"{self.name}_{len(self.kernels)}"
        params = [self._param(p, k, "r") for p, k in reads.items()]
        params.append(self._param("result", write, "w"))
        launch, webgpu = {}, self.target.startswith("webgpu")
        if webgpu:
            size = math.prod(self.slots[write]["physical"])
            launch = {"blockIdx.x": -(-size // THREADS), "threadIdx.x": THREADS}
        self.kernels.append({"name": name, "params": params, "code": name, "launch": launch})
        self.steps.append(
            {"kernel": name, "args": [*reads.values(), write], "label": label or name, "device": ""}
        )
        self.codes[name] = (
            self._wgsl(name, reads, write, wgsl or value)
            if webgpu
            else self._shader(reads, write, value)
        )

    def _param(self, name: str, slot: int, access: str) -> dict[str, Any]:
        s = self.slots[slot]
        return {"name": name, "dtype": s["dtype"], "shape": s["physical"], "access": access}

    def _place(self, slot: int) -> tuple[int, int]:
        s = self.slots[slot]
        shape = texture_shape(math.prod(s["physical"]), s["layers"], MAX_TEXTURE_SIZE)
        return shape.width, shape.layers

    def _shader(self, reads: Mapping[str, int], write: int, value: str) -> str:
        lines = ["#version 300 es", "precision highp float;", "precision highp int;"]
        for name, slot in reads.items():
            prefix, scalar, _ = _types(self.slots[slot]["dtype"])
            width, layers = self._place(slot)
            lines += [
                f"uniform highp {prefix}sampler2DArray {name};",
                f"{scalar} at_{name}(int i) {{",
                f"  int t = i / 4, f = t / {layers};",
                f"  ivec3 place = ivec3(f % {width}, f / {width}, t % {layers});",
                f"  return texelFetch({name}, place, 0)[i % 4];",
                "}",
            ]
        _, scalar, vector = _types(self.slots[write]["dtype"])
        width, layers = self._place(write)
        lines += [f"layout(location = {k}) out {vector} result_{k};" for k in range(layers)]
        lines += [f"{scalar} value(int i) {{ {value} }}", "void main() {"]
        lines += [f"  int f = int(gl_FragCoord.y) * {width} + int(gl_FragCoord.x);"]
        for k in range(layers):
            first = f"4 * (f * {layers} + {k})"
            lanes = ", ".join(f"value({first} + {lane})" for lane in range(4))
            lines.append(f"  result_{k} = {vector}({lanes});")
        return "\n".join([*lines, "}", ""])

    def _wgsl(self, name: str, reads: Mapping[str, int], write: int, value: str) -> str:
        def scalar(slot: int) -> str:
            return _WGSL[texel_dtype(dtype_of(self.slots[slot]["dtype"])).kind]

        lines = []
        for k, (p, slot) in enumerate(reads.items()):
            t = scalar(slot)
            lines += [
                f"@group(0) @binding({k}) var<storage, read> {p}: array<{t}>;",
                f"fn at_{p}(i: i32) -> {t} {{ return {p}[i]; }}",
            ]
        t = scalar(write)
        size = math.prod(self.slots[write]["physical"])
        return "\n".join(
            [
                *lines,
                f"@group(0) @binding({len(reads)}) var<storage, read_write> result: array<{t}>;",
                f"fn value(i: i32) -> {t} {{ {value} }}",
                f"@compute @workgroup_size({THREADS})",
                f"fn {name}(@builtin(global_invocation_id) id: vec3<u32>) {{",
                "  let i = i32(id.x);",
                f"  if (i < {size}) {{ result[i] = value(i); }}",
                "}",
                "",
            ]
        )

    def program(self) -> dict[str, Any]:
        return {
            "format": "weft-program", "version": 1, "name": self.name, "target": self.target,
            "slots": self.slots, "kernels": self.kernels, "steps": self.steps,
            "inputs": self.inputs, "outputs": self.outputs, "arena": self.arena,
            "alignment": 64, "meta": {"params": "logical"},
        }  # fmt: skip

    def shard(self) -> bytes:
        return b"".join(safetensors.chunks(self.params))


@dataclass(frozen=True)
class Handmade:
    """A program with inputs and the outputs that numpy says."""

    builder: Builder
    feeds: dict[str, np.ndarray]
    expected: dict[str, np.ndarray]

    def to_json(self) -> dict[str, Any]:
        """What a page needs to run and judge it."""
        return {
            "program": self.builder.program(),
            "codes": self.builder.codes,
            "shard": base64.b64encode(self.builder.shard()).decode(),
            "feeds": {k: array_json(a) for k, a in self.feeds.items()},
            "expected": {k: array_json(a) for k, a in self.expected.items()},
        }


def array_json(array: np.ndarray) -> dict[str, Any]:
    """dtype, shape and the bytes in base64."""
    return {
        "dtype": str(dtype_of(array.dtype)),
        "shape": list(array.shape),
        "data": base64.b64encode(np.ascontiguousarray(array).tobytes()).decode(),
    }


def _random(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def add(target: str = "webgl") -> Handmade:
    """Sizes that fill no texel; a result of several rows of texels."""
    b = Builder("add", target)
    x, y = b.slot("x", "input", "float32", [37, 5]), b.slot("y", "input", "float32", [37, 5])
    z = b.slot("z", "output", "float32", [37, 5])
    b.step({"x": x, "y": y}, z, "return at_x(i) + at_y(i);", "add1 (Add)")
    one, two = _random(37, 5), _random(37, 5) * 3
    return Handmade(b, {"x": one, "y": two}, {"z": one + two})


def reduction(target: str = "webgl") -> Handmade:
    b = Builder("reduction", target)
    x = b.slot("x", "input", "float32", [19, 23])
    y = b.slot("y", "output", "float32", [19])
    b.step(
        {"x": x},
        y,
        "float s = 0.0; for (int k = 0; k < 23; k++) s += at_x(i * 23 + k); return s;",
        wgsl="var s = 0f; for (var k = 0; k < 23; k++) { s += at_x(i * 23 + k); } return s;",
    )
    one = _random(19, 23)
    return Handmade(b, {"x": one}, {"y": one.sum(1)})


def layers(target: str = "webgl") -> Handmade:
    """8, 4 and 2 draw buffers, as results, as operands, as inputs and as outputs."""
    b = Builder("layers", target)
    x = b.slot("x", "input", "float32", [3, 111], layers=4)
    h8 = b.slot("h8", "arena", "float32", [3, 111], layers=8)
    h2 = b.slot("h2", "arena", "float32", [3, 111], layers=2)
    y = b.slot("y", "output", "float32", [3, 111], layers=8)
    z = b.slot("z", "output", "float32", [3, 111])
    b.step(
        {"x": x},
        h8,
        "return at_x(i) * 2.0 + float(i % 8);",
        wgsl="return at_x(i) * 2 + f32(i % 8);",
    )
    b.step({"h": h8}, h2, "return at_h(332 - i);")
    b.step(
        {"h": h2},
        y,
        "return at_h(332 - i) - float(i % 8);",
        wgsl="return at_h(332 - i) - f32(i % 8);",
    )
    b.step({"h": h2, "x": x}, z, "return at_h(i) * at_x(i);")
    one = _random(3, 111)
    h = one * 2 + np.float32(np.arange(333) % 8).reshape(3, 111)
    back = h.reshape(-1)[::-1].reshape(3, 111)
    return Handmade(b, {"x": one}, {"y": one * 2, "z": back * one})


def integers(target: str = "webgl") -> Handmade:
    """Integer textures of both signs, bool, and 64-bit integers in 32 bits."""
    b = Builder("integers", target)
    pixels = b.slot("pixels", "input", "uint8", [2, 9])
    index = b.slot("index", "input", "int64", [2, 9])
    mask = b.slot("mask", "input", "bool", [2, 9])
    table = b.constant("table", np.arange(-5, 5, dtype=np.int32))
    u = b.slot("u", "output", "uint8", [2, 9])
    s = b.slot("s", "output", "int64", [2, 9])
    m = b.slot("m", "output", "bool", [2, 9])
    w = b.slot("w", "output", "float32", [2, 9])
    b.step({"pixels": pixels}, u, "return 255u - at_pixels(i);")
    b.step({"index": index, "table": table}, s, "return at_table(at_index(i)) * 100000000;")
    b.step(
        {"mask": mask, "index": index},
        m,
        "return at_mask(i) ^ (at_index(i) > 4 ? 1 : 0);",
        wgsl="return at_mask(i) ^ select(0, 1, at_index(i) > 4);",
    )
    b.step(
        {"pixels": pixels},
        w,
        "return float(at_pixels(i)) / 255.0;",
        wgsl="return f32(at_pixels(i)) / 255;",
    )
    rng = np.random.default_rng(3)
    p = rng.integers(0, 256, (2, 9)).astype(np.uint8)
    k = rng.integers(0, 10, (2, 9))
    t = rng.integers(0, 2, (2, 9)).astype(bool)
    expected = {
        "u": 255 - p,
        "s": (k - 5) * 100000000,
        "m": t ^ (k > 4),
        "w": p.astype(np.float32) / np.float32(255),
    }
    return Handmade(b, {"pixels": p, "index": k, "mask": t}, expected)


def constants(target: str = "webgl") -> Handmade:
    """A constant that its layout packs and pads, an alias, an output that is an input, one that is
    a constant, and two names for one output."""
    b = Builder("constants", target)
    weights = _random(5, 6, 7)
    text = "[a1/4:2 | a0:5 | a2:7 | a1:4]"
    c = b.constant("weights", weights, text, layers=2)
    bias = b.constant("bias", _random(6))
    x = b.slot("x", "input", "float32", [42])
    h = b.slot("h", "arena", "float32", [42])
    flat = b.slot("flat", "alias", "float32", [6, 7], source="h")
    y = b.slot("y", "output", "float32", [5, 6, 7])
    b.step({"x": x}, h, "return at_x(i) * at_x(i);", "square")
    b.step(
        {"w": c, "b": bias, "h": flat},
        y,
        "int n = i / 42, k = i / 7 % 6, j = i % 7;"
        " return at_w(((k / 4 * 5 + n) * 7 + j) * 4 + k % 4) * at_h(k * 7 + j) + at_b(k % 6);",
        wgsl="let n = i / 42; let k = i / 7 % 6; let j = i % 7;"
        " return at_w(((k / 4 * 5 + n) * 7 + j) * 4 + k % 4) * at_h(k * 7 + j) + at_b(k % 6);",
    )
    b.outputs |= {"again": y, "same": x, "bias": bias, "squares": flat}
    one = _random(42)
    squares = (one * one).reshape(6, 7)
    result = weights * squares + b.params["bias"].reshape(6, 1)
    expected = {
        "y": result, "again": result, "same": one, "bias": b.params["bias"], "squares": squares
    }  # fmt: skip
    return Handmade(b, {"x": one}, expected)


def chain(target: str = "webgl", length: int = 12) -> Handmade:
    """A chain whose results share two textures, and one that lives all along."""
    b = Builder("chain", target)
    x = b.slot("x", "input", "float32", [64, 64])
    first = last = b.slot("h0", "arena", "float32", [64, 64])
    b.step({"x": x}, first, "return at_x(i) + 1.0;")
    for k in range(1, length):
        here = b.slot(f"h{k}", "arena", "float32", [64, 64])
        b.step(
            {"h": last},
            here,
            f"return at_h(i) * 0.5 + float(i % {k + 1});",
            f"step {k}",
            f"return at_h(i) * 0.5 + f32(i % {k + 1});",
        )
        last = here
    y = b.slot("y", "output", "float32", [64, 64])
    b.step({"a": first, "b": last}, y, "return at_a(i) - at_b(i);")
    one = _random(64, 64)
    h = one + 1
    i = np.arange(4096).reshape(64, 64)
    for k in range(1, length):
        h = h * np.float32(0.5) + (i % (k + 1)).astype(np.float32)
    return Handmade(b, {"x": one}, {"y": one + 1 - h})


def all_handmade(target: str = "webgl") -> list[Handmade]:
    made: list[Callable[[str], Handmade]] = [add, reduction, layers, integers, constants, chain]
    return [make(target) for make in made]


def text(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), sort_keys=False).encode()
