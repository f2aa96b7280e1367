"""The ``opengl`` and ``webgl`` targets: a lowered function becomes one fragment shader.

A shader reads its parameters from texture arrays and writes the texels of one result:

    uniform highp sampler2DArray p0;            one for each parameter that is read, by its name
    uniform highp float scalar0;                one for each number, in the order of the parameters
    layout(location = 0) out highp vec4 o0;     one for each layer of the result
    void main() {
      int f = int(gl_FragCoord.y) * 64 + int(gl_FragCoord.x);
      …

The host draws one triangle over a viewport of the result's texture (``runtime/texture.py``), with
its layers attached in order. Integers are in ``isampler2DArray`` (bool, too) and
``usampler2DArray``. Numbers are float, int (bool, too) and uint. All sizes are constants.

Texel t of a tensor of L layers, W wide, is fetched at ``(t / L % W, t / L / W, t % L)``; L and W
are powers of two. Where it is not certain that a texel exists (padding, the elements beyond the
edge of a result), its number is clamped first: nothing is ever read outside of a texture.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeGuard

from ...ir.alu import COMPARE, Op
from ...ir.expr import (
    Binary,
    Broadcast,
    Const,
    Expr,
    Load,
    Ramp,
    Select,
    Var,
    as_int,
    const,
    is_const,
)
from ...ir.stmt import Buffer, For, Function, Store
from ...ir.target import Target
from ...runtime.dtype import DType
from ...runtime.errors import CodegenError, DeviceError
from ...runtime.texture import TextureShape, texture_shape
from ..clike.hooks import COMPONENTS
from ..clike.scopes import Value
from ..clike.statements import is_contiguous
from ..clike.words import Words
from ..text import Text, TextGenerator
from .helpers import HELPERS, INTRINSICS

_TYPES = {
    ("float", 1): "float", ("float", 4): "vec4", ("int", 1): "int", ("int", 4): "ivec4",
    ("uint", 1): "uint", ("uint", 4): "uvec4", ("bool", 1): "bool", ("bool", 4): "bvec4",
}  # fmt: skip
_BITS = {
    ("float", "int"): "floatBitsToInt", ("float", "uint"): "floatBitsToUint",
    ("int", "float"): "intBitsToFloat", ("uint", "float"): "uintBitsToFloat",
}  # fmt: skip
_COMPARE_VECTOR = {
    Op.EQ: "equal", Op.NE: "notEqual", Op.LT: "lessThan", Op.LE: "lessThanEqual",
}  # fmt: skip
_RESERVED = frozenset({"vec2", "vec3", "vec4", "mat2", "mat3", "mat4", "exp2", "log2"})
_SAMPLER = {"float": "sampler2DArray", "int": "isampler2DArray", "uint": "usampler2DArray"}

# The first lines of a shader.
_HEADERS = {
    "opengl": ("#version 330 core", "#extension GL_ARB_shading_language_packing : enable"),
    "webgl": (
        "#version 300 es", "precision highp float;", "precision highp int;",
    ),
}  # fmt: skip


class GLSL(TextGenerator):
    """GLSL: a function is one fragment shader."""

    def write(self, f: Function, target: Target) -> Text:
        """The code of ``f``; raises :class:`CodegenError` with the reason when a fragment shader
        cannot compute it."""
        return _FragmentShader(f, target).text()


def stored_kind(d: DType) -> str:
    """Of the texels that hold elements of ``d``: ``"float"``, ``"int"`` or ``"uint"``."""
    return "float" if d.is_float else "uint" if d.kind == "uint" else "int"


class _FragmentShader(Words):
    types = _TYPES
    reserved = _RESERVED
    library = HELPERS
    intrinsics = INTRINSICS

    def __init__(self, f: Function, target: Target):
        super().__init__(f, target)
        self.shapes = {b: self._shape(b) for b in f.buffers}
        if len(f.writes) != 1:
            raise self.error("a fragment shader writes one result")
        self.scalars = {
            p: f"scalar{k}" for k, p in enumerate(p for p in f.params if isinstance(p, Var))
        }
        self.reserved = _RESERVED | set(self.scalars.values())
        (self.result,) = f.writes
        self.inputs = [b for b in f.buffers if b is not self.result]
        if len(self.inputs) > target.texture_units:
            raise self.error(
                f"the kernel reads {len(self.inputs)} tensors; a shader has "
                f"{target.texture_units} texture units"
            )
        if self.result.layers > target.max_draw_buffers:
            raise self.error(
                f"the kernel writes {self.result.layers} layers; a shader has "
                f"{target.max_draw_buffers} draw buffers"
            )

    def _shape(self, b: Buffer) -> TextureShape:
        self.type(b.dtype)  # raises where it does not exist
        size = as_int(b.shape[0])
        if size is None:
            raise self.error(f"the size of {b!r} is known only when the kernel runs")
        try:
            return texture_shape(size, b.layers, self.target.max_texture_size)
        except DeviceError as e:
            raise CodegenError(e.message, where=self.where, hint=e.hint) from None

    # -- the language -----------------------------------------------------------------------------

    def function(self, name: str, d: DType) -> str:
        if d.kind == "uint" and f"u{name}" in HELPERS:
            name = f"u{name}"
        return self._called(name)

    def _called(self, name: str) -> str:
        self.helper(name, None)
        return name

    def helper_text(self, name: str, t: None) -> tuple[str, Sequence[tuple[str, None]]]:
        """One text for all types: GLSL has overloading."""
        text, needed = HELPERS[name]
        return text, [(n, None) for n in needed]

    def operator(self, op: Op, d: DType) -> str:
        if op in COMPARE and d.lanes > 1:
            return f"{_COMPARE_VECTOR[op]}({{0}}, {{1}})"
        return super().operator(op, d)

    def logic_vector(self, op: Op, d: DType) -> str:
        if op is Op.NOT:
            return "not({0})"
        return f"{self._called('logic_' + op.name.lower())}({{0}}, {{1}})"

    def float_of_bits(self, bits: int) -> str:
        return f"uintBitsToFloat({bits}u)"

    def bits(self, source: DType, target: DType) -> str:
        return f"{_BITS.get((source.kind, target.kind), self.type(target))}({{0}})"

    def to_bool(self, s: DType) -> str:
        return super().to_bool(s) if s.lanes == 1 else f"notEqual({{0}}, {self.type(s)}(0))"

    def _binary(self, e: Binary) -> Value:
        """Drivers take a quotient with a constant 0 for 0 (Mesa), where it is infinite or NaN, and
        so they take 0 times infinity (SwiftShader): each case is written out."""
        b = e.b.value if isinstance(e.b, Broadcast) else e.b
        if e.op is Op.DIV and isinstance(b, Const) and b.value == 0:
            zero, infinity, nan = (
                self._filled(v, e.dtype) for v in (0.0, math.copysign(math.inf, b.value), math.nan)
            )
            beyond = Binary(Op.MUL, e.a, infinity)
            return self.value(Select(Binary(Op.EQ, e.a, zero), nan, beyond))
        return super()._binary(e)

    @staticmethod
    def _filled(value: float, dtype: DType) -> Expr:
        one = const(value, dtype.element)
        return Broadcast(one, dtype.lanes) if dtype.lanes > 1 else one

    def choose(self, cond: Value, a: Value, b: Value, c: DType, d: DType) -> Value:
        if d.is_float:
            return self.join("mix({2}, {1}, {0})", [cond, a, b], [c, d, d])
        f = self._called(f"choose_{d.kind}")
        return self.join(f"{f}({{0}}, {{1}}, {{2}})", [cond, a, b], [c, d, d])

    # -- the whole --------------------------------------------------------------------------------

    def body(self) -> list[str]:
        shape = self.shapes[self.result]
        for k in range(shape.layers):
            self.put(f"o{k} = {self._texel_type(self.result.dtype)}(0);")
        for p, name in self.scalars.items():
            text = f"({name} != 0)" if p.dtype.is_bool else name
            self.vars[p] = Value(text, 0, True)
        lines = super().body()
        if self.branches > self.target.max_branches:
            raise CodegenError(
                f"the shader of {self.kernel.name} would have {self.branches} branches; more than "
                f"{self.target.max_branches} take some drivers minutes to compile"
            )
        return lines if self._parts else lines[shape.layers :]

    def declarations(self) -> list[str]:
        vec = self._texel_type(self.result.dtype)
        lines = list(_HEADERS[self.target.kind])
        lines += [f"uniform highp {_SAMPLER[stored_kind(b.dtype)]} {b.name};" for b in self.inputs]
        lines += [
            f"uniform highp {stored_kind(p.dtype)} {name};" for p, name in self.scalars.items()
        ]
        layers = range(self.shapes[self.result].layers)
        return lines + [f"layout(location = {k}) out highp {vec} o{k};" for k in layers]

    def head(self) -> list[str]:
        return ["void main() {"]

    _parts = 0  # stores of single components

    def _texel_type(self, d: DType) -> str:
        return {"float": "vec4", "int": "ivec4", "uint": "uvec4"}[stored_kind(d)]

    def hardware_loop(self, s: For) -> None:
        if s.tag != "fragment.x":
            raise self.error(f"{s.tag} does not exist in a fragment shader")
        shape, count = self.shapes[self.result], as_int(s.extent)
        assert count is not None
        terms = []
        if shape.height > 1:
            terms.append("int(gl_FragCoord.y)" + (f" * {shape.width}" if shape.width > 1 else ""))
        if shape.width > 1:
            terms.append("int(gl_FragCoord.x)")
        index = " + ".join(terms) or "0"
        if shape.width * shape.height > count:
            index = f"min({index}, {count - 1})"
        self.put(f"int f = {index};")
        self.vars[s.var] = Value("f", 0, True)
        self.analyzer.bind(s.var, 0, count - 1)
        self.stmt(s.body)

    # -- memory -----------------------------------------------------------------------------------

    def whole(self, index: Expr, b: Buffer) -> TypeGuard[Ramp]:
        if not is_contiguous(index) or index.lanes != 4:
            return False
        return is_const(self.analyzer.simplify(self.analyzer.simplify(index.base) % 4), 0)

    def read_vector(self, b: Buffer, index: Ramp, d: DType) -> Value:
        t = self._texel_of(b, self.analyzer.simplify(index.base))
        return t.with_text(f"notEqual({t.text}, ivec4(0))", atom=False) if d.is_bool else t

    def read_element(self, b: Buffer, index: Expr) -> Value:
        index = self.analyzer.simplify(index)
        texel, which = self._texel_of(b, index), self.analyzer.simplify(index % 4)
        k = as_int(which)
        if k is not None:
            v = texel.with_text(f"{texel.text}.{COMPONENTS[k]}")
        else:
            w = self.hold(self.value(which), "int", "i")
            v = Value(f"{texel.text}[{w.text}]", max(w.depth, texel.depth), True)
        return v.with_text(f"({v.text} != 0)") if b.dtype.is_bool else v

    def select(self, e: Select) -> Value:
        """Padding is chosen once for a texel, not for each of its components."""
        load = e.if_true
        if not isinstance(load, Load) or load.predicate is not None or not _zero(e.if_false):
            return super().select(e)
        if load.buffer not in self.shapes or load.dtype.lanes > 1 or load.dtype.is_bool:
            return super().select(e)
        v, index = self.value(load), self.analyzer.simplify(load.indices[-1])
        k = as_int(self.analyzer.simplify(index % 4))
        if k is None:
            return super().select(e)
        texel, t = self._texel_of(load.buffer, index), self._texel_type(load.buffer.dtype)
        form = f"({{0}} ? {texel.text} : {t}(0))"
        whole = self.join(form, [self.value(e.cond), v], [e.cond.dtype, load.dtype])
        whole = self.hold(whole, t, "t")
        return whole.with_text(f"{whole.text}.{COMPONENTS[k]}")

    def _texel_of(self, b: Buffer, index: Expr) -> Value:
        """The texel that element ``index`` is in."""
        return self._fetch(b, self.analyzer.simplify(index // 4))

    def _fetch(self, b: Buffer, texel: Expr) -> Value:
        """The texel with number ``texel``, in a variable."""
        if b is self.result:
            raise self.error("a fragment shader cannot read its result")
        shape, an = self.shapes[b], self.analyzer
        last = shape.width * shape.height * shape.layers - 1
        known = an.interval(texel)
        if known.lo is None or known.lo < 0 or known.hi is None or known.hi > last:
            v = self.hold(self.value(texel), "int", "i")
            v = self.hold(v.with_text(f"clamp({v.text}, 0, {last})", atom=False), "int", "i")
            place, layer = v, v.with_text("0")
            if shape.layers > 1:
                place = v.with_text(f"({v.text} >> {shape.layers.bit_length() - 1})")
                layer = v.with_text(f"({v.text} & {shape.layers - 1})")
                place = self.hold(place._replace(atom=False), "int", "i")
        else:
            place = self.value(an.simplify(texel // shape.layers))
            layer = self.value(an.simplify(texel % shape.layers))
        x = y = Value("0", 0, True)
        if shape.width > 1 and shape.height > 1:
            place = self.hold(place, "int", "i")
            x = place.with_text(f"{place.text} & {shape.width - 1}")
            y = place.with_text(f"{place.text} >> {shape.width.bit_length() - 1}")
        elif shape.width > 1:
            x = place
        elif shape.height > 1:
            y = place
        depth = max(place.depth, layer.depth)
        text = f"texelFetch({b.name}, ivec3({x.text}, {y.text}, {layer.text}), 0)"
        return self.hold(Value(text, depth), self._texel_type(b.dtype), "t")

    def store_memory(self, s: Store) -> None:
        if s.buffer is not self.result:
            raise self.error(f"a fragment shader cannot write {s.buffer.name}")
        an, index, d = self.analyzer, s.indices[-1], s.value.dtype
        base = index.base if isinstance(index, Ramp) else index
        layer = as_int(an.simplify(an.simplify(base // 4) % self.result.layers))
        if layer is None or (s.predicate is not None and not is_const(s.predicate, True)):
            raise self.error(f"a fragment shader cannot store as\n{s}")
        v, texel = self.value(s.value), self._texel_type(self.result.dtype)
        if isinstance(index, Ramp) and d.lanes == 4:
            text = f"{texel}({v.text})" if d.is_bool else v.text
            self.put(f"o{layer} = {text};")
            return
        assert d.lanes == 1, s
        self._parts += 1
        which = an.simplify(base % 4)
        k = as_int(which)
        place = f".{COMPONENTS[k]}" if k is not None else f"[{self.value(which).text}]"
        self.put(f"o{layer}{place} = {f'int({v.text})' if d.is_bool else v.text};")


def _zero(e: Expr) -> bool:
    return isinstance(e, Const) and e.value == 0 and math.copysign(1, e.value) > 0


__all__ = ["GLSL", "stored_kind"]
