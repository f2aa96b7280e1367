"""The text of generated shaders: goldens in ``shaders/``, and what is refused.

``python tests/codegen/test_glsl.py`` writes the goldens anew; read what changed in them.
"""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
import weft
from weft.codegen import for_target
from weft.compiler.graph.builder import GraphBuilder
from weft.compiler.schedules.fragment import draws
from weft.ir import te
from weft.ir.lower import lower
from weft.ir.target import Target
from weft.runtime.errors import CodegenError

GOLDEN = Path(__file__).parent / "shaders"


def injective():
    b = GraphBuilder("injective")
    x, y = b.input("x", "float32", (3, 10)), b.input("y", "float32", (1, 10))
    (h,) = b.add("mul", [x, y])
    (h,) = b.add("transpose", [h], {"perm": (1, 0)})
    (h,) = b.add("relu", [h])
    return b.finish([h])


def matmul():
    b = GraphBuilder("matmul")
    x = b.input("x", "float32", (64, 32))
    w = b.constant(np.arange(32 * 48, dtype=np.float32).reshape(32, 48), "w")
    (h,) = b.add("matmul", [x, w])
    (y,) = b.add("neg", [h])
    (z,) = b.add("reduce_sum", [h], {"axes": (1,)})
    return b.finish([y, z])


def convolution():
    b = GraphBuilder("convolution")
    x = b.input("x", "float32", (1, 16, 28, 28))
    kernel = np.arange(16 * 16 * 9, dtype=np.float32).reshape(16, 16, 3, 3)
    (h,) = b.add("conv", [x, b.constant(kernel, "w1")], {"pads": (1, 1, 1, 1)})
    bias = b.constant(np.arange(16, dtype=np.float32), "bias")
    (h,) = b.add("conv", [h, b.constant(kernel + 1, "w2"), bias], {"pads": (1, 1, 1, 1)})
    (h,) = b.add("relu", [h])
    (y,) = b.add("reduce_mean", [h], {"axes": (2, 3)})
    return b.finish([y])


def softmax():
    b = GraphBuilder("softmax")
    (y,) = b.add("softmax", [b.input("x", "float32", (6, 20))])
    return b.finish([y])


GRAPHS = (injective, matmul, convolution, softmax)


def shaders(graph, target):
    """All shaders of a graph, in the order of the calls."""
    goal = Target.parse(target)
    from weft.compiler.kernels.program import compile_groups
    from weft.compiler.passes.pipeline import GraphPipeline

    compiled, symbols = compile_groups(*GraphPipeline(graph).cut(goal), goal)
    codes = {name: code for s in symbols for name, code in compiled[s].codes.items()}
    stems = {name: re.sub(r"_[0-9a-f]{8}", "", name) for name in codes}
    return "\n".join(f"// {stems[n]}\n{code.decode()}" for n, code in codes.items())


@pytest.mark.parametrize("target", ["opengl", "webgl"])
@pytest.mark.parametrize("make", GRAPHS, ids=lambda m: m.__name__)
def test_golden(make, target):
    assert shaders(make(), target) == (GOLDEN / f"{make.__name__}.{target}.frag").read_text()


def test_register_tile_is_in_the_shader():
    """Two blocks of channels times four columns: eight accumulators and eight draw buffers, and a
    fetch of data or weights serves several multiply-adds."""
    text = shaders(convolution(), "webgl").split("// conv_relu\n")[1].split("// ")[0]
    assert len(set(re.findall(r"vec4 (acc1_\d);", text))) == 8
    assert text.count("layout(location = ") == 8
    loop = text[text.index("for (") : text.rindex("\n  }\n")]
    products = len(re.findall(r"acc1_\d = acc1_\d \+ ", loop))
    assert products == 4 * 3 * 8  # four channels, three columns of the window, the tile
    assert loop.count("texelFetch(") <= products / 3


def test_dialects_differ_in_their_first_lines_only():
    desktop, web = (shaders(softmax(), t) for t in ("opengl", "webgl"))
    assert "#version 300 es\nprecision highp float;\nprecision highp int;\n" in web
    heads = ("#", "precision")
    plain = [[x for x in t.splitlines() if not x.startswith(heads)] for t in (desktop, web)]
    assert plain[0] == plain[1]


def kernel(fn, dtype="float32", target="webgl", n=8, inputs=1):
    tensors = [te.placeholder((n,), dtype, name=f"A{k}") for k in range(inputs)]
    out = te.compute((n,), lambda i: fn(*(a[i] for a in tensors)), name="B")
    goal = Target.parse(target)
    (draw,) = draws([out], goal)
    f = lower(draw.schedule, draw.args, goal, "k", draw.layouts)
    return for_target(goal).emit([f], goal).source


@pytest.mark.parametrize(
    "fn, dtype, reason",
    [
        (lambda a: a + 1.0, "float64", "64-bit floats"),
        (lambda a: a + (1 << 40), "int64", "1099511627776 does not fit into 32 bits"),
        (lambda a: a << 3, "int64", "shifts of 64-bit integers"),
        (lambda a: ~a, "uint64", "bits of 64-bit integers"),
    ],
)
def test_what_a_shader_cannot_do_is_refused(fn, dtype, reason):
    with pytest.raises(CodegenError, match=reason):
        kernel(fn, dtype)


def test_too_many_tensors_for_the_texture_units():
    with pytest.raises(CodegenError, match="reads 5 tensors; a shader has 4 texture units"):
        kernel(lambda *a: sum(a[1:], a[0]), target="webgl -texture_units=4", inputs=5)


def test_a_tensor_that_fits_no_texture():
    with pytest.raises(CodegenError, match="does not fit a texture"):
        kernel(lambda a: a + 1.0, target="webgl -max_texture_size=16", n=2000)


def test_reads_stay_inside_textures():
    """The last lanes of an odd length may look beyond the end of what is broadcast."""
    a = te.placeholder((3,), name="A")
    b = te.compute((5, 3), lambda i, j: te.if_then_else(j > 0, a[j - 1], 0.0), name="B")
    goal = Target.parse("webgl")
    (draw,) = draws([b], goal)
    f = lower(draw.schedule, draw.args, goal, "k", draw.layouts)
    text = for_target(goal).emit([f], goal).source
    assert re.search(r"clamp\(i\d+, 0, 0\)", text)


def test_the_fallback_takes_what_a_shader_cannot_do(monkeypatch):
    b = GraphBuilder("mixed")
    (y,) = b.add("exp", [b.input("x", "float64", (7,))])
    (z,) = b.add("relu", [b.input("v", "float32", (7,))])
    graph = b.finish([y, z])
    from weft.compiler.kernels import kernel as kernels
    from weft.compiler.kernels.program import compile_groups
    from weft.compiler.passes.fuse import fuse

    monkeypatch.setattr(kernels, "fallback", lambda t: glsl_free if t.texture_memory else None)
    glsl_free = for_target(Target.parse("llvm")).resolve(Target.parse("llvm"))
    compiled, (first, second) = compile_groups(graph, fuse(graph), Target.parse("webgl"))
    assert (compiled[first].device, compiled[second].device) == ("llvm", "")
    assert "64-bit floats" in compiled[first].reason
    monkeypatch.undo()
    with pytest.raises(CodegenError, match=r"exp.*: 64-bit floats"):
        weft.compile(graph, "opengl", cache=False)


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for m in GRAPHS:
        for t in ("opengl", "webgl"):
            (GOLDEN / f"{m.__name__}.{t}.frag").write_text(shaders(m(), t))
            sys.stdout.write(f"{m.__name__}.{t}.frag\n")
