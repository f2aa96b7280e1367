"""The ``opengl`` and ``webgl`` targets: a lowered function becomes one fragment shader.

A shader reads its parameters from texture arrays and writes the texels of one result:

    uniform highp sampler2DArray p0;            one for each parameter that is read, by its name
    layout(location = 0) out highp vec4 o0;     one for each layer of the result
    void main() {
      int f = int(gl_FragCoord.y) * 64 + int(gl_FragCoord.x);
      …

The host draws one triangle over a viewport of the result's texture (``runtime/texture.py``), with
its layers attached in order. Integers are in ``isampler2DArray`` (bool, too) and
``usampler2DArray``. There is nothing else to set: all sizes are constants.

Texel t of a tensor of L layers, W wide, is fetched at ``(t / L % W, t / L / W, t % L)``; L and W
are powers of two. Where it is not certain that a texel exists (padding, the elements beyond the
edge of a result), its number is clamped first: nothing is ever read outside of a texture.
"""

from __future__ import annotations

import math

from ..ir.expr import (
    COMPARE,
    LOGIC,
    Broadcast,
    Const,
    Expr,
    Load,
    Op,
    Ramp,
    Select,
    as_int,
    is_const,
)
from ..ir.stmt import Buffer, For, Function, Store
from ..ir.target import Target
from ..runtime.dtype import DType
from ..runtime.errors import CodegenError, DeviceError
from ..runtime.texture import TextureShape, texture_shape
from .clike import Value
from .clike_expr import COMPONENTS, INFIX, LOGIC_SCALAR
from .clike_words import Words
from .glsl_helpers import HELPERS, INTRINSICS
from .text import Text, TextGenerator

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
_PREFIX = {Op.NEG: "(-{0})", Op.NOT: "(~{0})", Op.ABS: "abs({0})"}
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
        text = _Shader(f, target).text()
        branches = text.source.count("if (")
        if branches > target.max_branches:
            raise CodegenError(
                f"the shader of {f.name} would have {branches} branches; more than "
                f"{target.max_branches} take some drivers minutes to compile"
            )
        return text


def stored_kind(d: DType) -> str:
    """Of the texels that hold elements of ``d``: ``"float"``, ``"int"`` or ``"uint"``."""
    return "float" if d.is_float else "uint" if d.kind == "uint" else "int"


class _Shader(Words):
    types = _TYPES
    reserved = _RESERVED

    def __init__(self, f: Function, target: Target):
        super().__init__(f"kernel {f.name}")
        self.helpers: dict[str, None] = {}
        self.kernel, self.target = f, target
        self.shapes = {b: self._shape(b) for b in f.buffers}
        if len(f.writes) != 1 or len(f.buffers) != len(f.params):
            raise self.error("a fragment shader writes one result and takes no scalars")
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
        return self._helper(name)

    def _helper(self, name: str) -> str:
        if name not in self.helpers:
            for needed in HELPERS[name][1]:
                self._helper(needed)
            self.helpers[name] = None
        return name

    def operator(self, op: Op, d: DType) -> str:
        if op is Op.NOT and d.kind == "uint":
            self.no_bits_of_64(d)
        if op in _PREFIX:
            if op is Op.NOT and d.is_bool:
                return "!{0}" if d.lanes == 1 else "not({0})"
            return _PREFIX[op]
        if op in LOGIC and d.is_bool:
            if d.lanes > 1:
                return f"{self._helper('logic_' + op.name.lower())}({{0}}, {{1}})"
            return f"({{0}} {LOGIC_SCALAR[op]} {{1}})"
        if op in COMPARE and d.lanes > 1:
            return f"{_COMPARE_VECTOR[op]}({{0}}, {{1}})"
        if op in (Op.MIN, Op.MAX):
            return f"{op.value}({{0}}, {{1}})"
        if op is Op.TRUNCMOD:
            return f"{self._helper('fmod')}({{0}}, {{1}})"
        return f"({{0}} {INFIX[op]} {{1}})"

    def float_of_bits(self, bits: int) -> str:
        return f"uintBitsToFloat({bits}u)"

    def bits(self, source: DType, target: DType) -> str:
        return f"{_BITS.get((source.kind, target.kind), self.type(target))}({{0}})"

    def to_bool(self, s: DType) -> str:
        return super().to_bool(s) if s.lanes == 1 else f"notEqual({{0}}, {self.type(s)}(0))"

    def intrinsic(self, name: str, d: DType) -> str:
        if name == "popcount":
            self.no_bits_of_64(d)
            if d.kind == "int" and d.bits < 32:  # the sign fills the word
                return f"{self._helper('bit_count')}({{0}} & {2**d.bits - 1})"
        if name not in INTRINSICS:
            raise self.error(f"the intrinsic {name!r} has no form in this language")
        text = INTRINSICS[name]
        return f"{self._helper(text) if text in HELPERS else text}({{0}})"

    def choose(self, cond: Value, a: Value, b: Value, c: DType, d: DType) -> Value:
        if d.is_float:
            return self.join("mix({2}, {1}, {0})", [cond, a, b], [c, d, d])
        f = self._helper(f"choose_{d.kind}")
        return self.join(f"{f}({{0}}, {{1}}, {{2}})", [cond, a, b], [c, d, d])

    # -- the whole --------------------------------------------------------------------------------

    def text(self) -> Text:
        """The code of the function."""
        shape = self.shapes[self.result]
        vec = self._texel_type(self.result.dtype)
        for k in range(shape.layers):
            self.put(f"o{k} = {vec}(0);")
        outputs = len(self.scopes[0].lines)
        self.stmt(self.kernel.body)
        body = self.scopes[0].lines
        if self._written_whole:
            body = body[outputs:]
        lines = list(_HEADERS[self.target.kind])
        lines += [f"uniform highp {_SAMPLER[stored_kind(b.dtype)]} {b.name};" for b in self.inputs]
        lines += [f"layout(location = {k}) out highp {vec} o{k};" for k in range(shape.layers)]
        for name in self.helpers:
            lines += HELPERS[name][0].splitlines()
        lines += ["void main() {", *("  " + line for line in body), "}", ""]
        return Text("\n".join(lines))

    @property
    def _written_whole(self) -> bool:
        return self._parts == 0

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

    def load_memory(self, e: Load) -> Value:
        index, d = e.indices[-1], e.dtype
        if isinstance(index, Broadcast):
            v = self.load_memory(Load(e.buffer, (index.value,)))
            return v._replace(text=f"{self.type(d)}({v.text})")
        if d.lanes == 1:
            return self._element(e.buffer, index)
        if isinstance(index, Ramp) and is_const(index.stride, 1) and d.lanes == 4:
            base = self.analyzer.simplify(index.base)
            if is_const(self.analyzer.simplify(base % 4), 0):
                t = self._fetch(e.buffer, self.analyzer.simplify(base // 4))
                return self._from_texel(t, d)
        parts = [self._element(e.buffer, self.lane(index, k)) for k in range(d.lanes)]
        form = ", ".join(f"{{{k}}}" for k in range(d.lanes))
        return self.join(f"{self.type(d)}({form})", parts, [d.element] * d.lanes)

    def _element(self, b: Buffer, index: Expr) -> Value:
        an = self.analyzer
        index = an.simplify(index)
        texel = self._fetch(b, an.simplify(index // 4))
        which = an.simplify(index % 4)
        k = as_int(which)
        if k is not None:
            v = texel._replace(text=f"{texel.text}.{COMPONENTS[k]}")
        else:
            w = self.value(which)
            w = self.hold(w, "int", "i")
            v = Value(f"{texel.text}[{w.text}]", max(w.depth, texel.depth), True)
        return v._replace(text=f"({v.text} != 0)") if b.dtype.is_bool else v

    def select(self, e: Select) -> Value:
        """Padding is chosen once for a texel, not for each of its components."""
        load = e.if_true
        if not isinstance(load, Load) or load.predicate is not None or not _zero(e.if_false):
            return super().select(e)
        if load.buffer not in self.shapes or load.dtype.lanes > 1 or load.dtype.is_bool:
            return super().select(e)
        texel, dot, which = self.value(load).text.partition(".")
        if not dot:
            return super().select(e)
        cond, v, t = self.value(e.cond), self.value(load), self._texel_type(load.buffer.dtype)
        whole = self.join(f"({{0}} ? {texel} : {t}(0))", [cond, v], [e.cond.dtype, load.dtype])
        whole = self.hold(whole, t, "t")
        return whole._replace(text=f"{whole.text}.{which}")

    def _from_texel(self, t: Value, d: DType) -> Value:
        return t._replace(text=f"notEqual({t.text}, ivec4(0))", atom=False) if d.is_bool else t

    def _fetch(self, b: Buffer, texel: Expr) -> Value:
        """The texel with number ``texel``, in a variable."""
        if b is self.result:
            raise self.error("a fragment shader cannot read its result")
        shape, an = self.shapes[b], self.analyzer
        last = shape.width * shape.height * shape.layers - 1
        known = an.interval(texel)
        if known.lo is None or known.lo < 0 or known.hi is None or known.hi > last:
            v = self.hold(self.value(texel), "int", "i")
            v = self.hold(v._replace(text=f"clamp({v.text}, 0, {last})", atom=False), "int", "i")
            place, layer = v, v._replace(text="0")
            if shape.layers > 1:
                place = v._replace(text=f"({v.text} >> {shape.layers.bit_length() - 1})")
                layer = v._replace(text=f"({v.text} & {shape.layers - 1})")
                place = self.hold(place._replace(atom=False), "int", "i")
        else:
            place = self.value(an.simplify(texel // shape.layers))
            layer = self.value(an.simplify(texel % shape.layers))
        x = y = Value("0", 0, True)
        if shape.width > 1 and shape.height > 1:
            place = self.hold(place, "int", "i")
            x = place._replace(text=f"{place.text} & {shape.width - 1}")
            y = place._replace(text=f"{place.text} >> {shape.width.bit_length() - 1}")
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
