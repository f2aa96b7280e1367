"""The text and the machine code that the LLVM back-end writes: golden IR, registers, errors."""

import re

import pytest
from llvmlite import binding
from weft.codegen.llvm import generator as llvm
from weft.ir.builders import maximum
from weft.ir.expr import Broadcast, Const, Load, Ramp, Var
from weft.ir.stmt import Alloc, Barrier, Buffer, For, ForKind, Function, Store, seq
from weft.ir.target import Target
from weft.runtime.dtype import FLOAT32, INT32
from weft.runtime.errors import CodegenError, TargetError

V3 = Target.parse("llvm -mtriple=x86_64-unknown-linux-gnu -mcpu=x86-64-v3")
V4 = Target.parse("llvm -mtriple=x86_64-unknown-linux-gnu -mcpu=x86-64-v4")


def c(n: int) -> Const:
    return Const(n, INT32)


def relu(kind: ForKind = ForKind.SERIAL) -> Function:
    x, y, i = Buffer("x", FLOAT32, (c(64),)), Buffer("y", FLOAT32, (c(64),)), Var("i")
    at = Ramp(i * 8, c(1), 8)
    body = Store(y, (at,), maximum(Load(x, (at,)), Broadcast(Const(0.0, FLOAT32), 8)))
    return Function("relu", (x, y), For(i, c(0), c(8), kind, body), frozenset({y}))


GOLDEN_RELU = """\
define internal void @relu.body(\
ptr noalias nocapture nonnull align 4 dereferenceable(256) readonly %x.p0, \
ptr noalias nocapture nonnull align 4 dereferenceable(256) %y.p1) nounwind noinline {
entry:
  %v1 = add nsw i32 0, 8
  br label %loop1
loop1:
  %i3 = phi i32 [ 0, %entry ], [ %v10, %loop1 ]
  %v2 = mul nsw i32 %i3, 8
  %v3 = sext i32 %v2 to i64
  %v4 = getelementptr inbounds float, ptr %x.p0, i64 %v3
  %v5 = load <8 x float>, ptr %v4, align 4
  %v6 = fcmp ogt <8 x float> splat (float 0x0000000000000000), %v5
  %v7 = select <8 x i1> %v6, <8 x float> splat (float 0x0000000000000000), <8 x float> %v5
  %v8 = sext i32 %v2 to i64
  %v9 = getelementptr inbounds float, ptr %y.p1, i64 %v8
  store <8 x float> %v7, ptr %v9, align 4
  %v10 = add nsw i32 %i3, 1
  %v11 = icmp slt i32 %v10, %v1
  br i1 %v11, label %loop1, label %done2, !llvm.loop !0
done2:
  ret void
}

define void @relu(ptr nocapture readonly %args) nounwind {
  %s0 = getelementptr inbounds i64, ptr %args, i64 0
  %a0 = load ptr, ptr %s0, align 8
  %s1 = getelementptr inbounds i64, ptr %args, i64 1
  %a1 = load ptr, ptr %s1, align 8
  call void @relu.body(ptr %a0, ptr %a1)
  ret void
}

!0 = distinct !{!0, !1, !2}
!1 = !{!"llvm.loop.unroll.disable"}
!2 = !{!"llvm.loop.vectorize.enable", i1 false}
"""


def test_golden_source():
    text = llvm.emit([relu()], V3).unoptimised
    assert text == 'target triple = "x86_64-unknown-linux-gnu"\n\n' + GOLDEN_RELU


def test_relu_is_one_instruction():
    """NaN passes through maximum(x, 0) and still no compare and blend are needed."""
    text = llvm.emit([relu()], V3).assembly
    assert len(re.findall(r"vmaxps\t.*%ymm", text)) == 1
    assert "vblend" not in text and "vcmp" not in text


def test_parallel_loops_are_outlined():
    text = llvm.emit([relu(ForKind.PARALLEL)], V3).unoptimised
    assert re.search(
        r"call void @weft_parallel_for\(ptr @relu\.par0, ptr %closure1, i64 %v\d+, i64 %v\d+\)",
        text,
    )
    body = re.search(r"define internal void @relu\.par0\.body\((.*?)\) nounwind", text)
    assert body and body.group(1).count("noalias") == 2 and "readonly %x" in body.group(1)


def tile(columns: int, vectors: int, lanes: int) -> Function:
    """The register tile of a direct convolution: columns × vectors accumulators."""
    width, steps = vectors * lanes, 64
    x, w = Buffer("x", FLOAT32, (c(columns * steps),)), Buffer("w", FLOAT32, (c(width * steps),))
    o = Buffer("o", FLOAT32, (c(columns * width),))
    acc = Buffer("acc", FLOAT32, (c(columns * width),), "local")
    r = Var("r")
    first, middle, last = [], [], []
    for k in range(columns * vectors):
        col, v = divmod(k, vectors)
        at = (Ramp(c(k * lanes), c(1), lanes),)
        a = Load(x, (Broadcast(r * columns + col, lanes),))
        b = Load(w, (Ramp(r * width + v * lanes, c(1), lanes),))
        first.append(Store(acc, at, Broadcast(Const(0.0, FLOAT32), lanes)))
        middle.append(Store(acc, at, Load(acc, at) + a * b))
        last.append(Store(o, at, Load(acc, at)))
    loop = For(r, c(0), c(steps), ForKind.SERIAL, seq(*middle))
    return Function("tile", (x, w, o), Alloc(acc, seq(*first, loop, *last)), frozenset({o}))


@pytest.mark.parametrize(("target", "columns", "lanes", "register"),
                         [(V4, 14, 16, "zmm"), (V3, 6, 8, "ymm")])  # fmt: skip
def test_accumulators_stay_in_registers(target: Target, columns: int, lanes: int, register: str):
    """The inner loop has one multiply-add per accumulator and touches no stack."""
    text = llvm.emit([tile(columns, 2, lanes)], target).assembly
    start = text.index("vfmadd")
    loop = text[text.rindex(":", 0, start) : text.index("\tj", start)]
    assert len(re.findall(rf"vfmadd\d+ps\t.*%{register}", loop)) == columns * 2
    assert "rsp" not in loop and "rbp" not in loop
    assert not re.search(r"vmovu?a?ps\t%[xyz]mm\d+, ", loop)  # no stores


def test_symbolic_indices_may_not_wrap():
    n, i, x = Var("n"), Var("i"), Buffer("x", FLOAT32, (Var("size"),))
    body = Store(x, (i * n + 1,), Const(1.0, FLOAT32))
    f = Function("f", (x, n), For(i, c(0), n, ForKind.SERIAL, body), frozenset({x}))
    text = llvm.emit([f], V3).unoptimised
    assert re.search(r"mul nsw i32 %i\d+, %n\.s1", text)


def test_arithmetic_that_may_wrap_has_no_nsw():
    i, x = Var("i"), Buffer("x", INT32, (c(64),))
    body = Store(x, (i,), i * 1103515245 + 12345)
    f = Function("f", (x,), For(i, c(0), c(64), ForKind.SERIAL, body), frozenset({x}))
    text = llvm.emit([f], V3).unoptimised
    assert re.search(r"mul i32 %i\d+, 1103515245", text)


def test_resolve_knows_processors():
    v2 = llvm.resolve(Target.parse("llvm -mtriple=x86_64-unknown-linux-gnu -mcpu=x86-64-v2"))
    assert (v2.vector_bits, v2.num_vector_registers, v2.has_fma) == (128, 16, False)
    v3, v4 = llvm.resolve(V3), llvm.resolve(V4)
    assert (v3.vector_bits, v3.num_vector_registers, v3.has_fma) == (256, 16, True)
    assert (v4.vector_bits, v4.num_vector_registers, v4.has_masked_memory) == (512, 32, True)
    assert llvm.resolve(v4) == v4
    arm = llvm.resolve(Target.parse("llvm -mtriple=aarch64-linux-gnu -mcpu=cortex-a72"))
    assert (arm.vector_bits, arm.num_vector_registers, arm.has_fma) == (128, 32, True)
    here = llvm.resolve(Target.parse("llvm"))
    assert here.mcpu and here.mtriple and llvm.resolve(here) == here


def test_a_named_processor_is_the_same_on_every_machine(processor, monkeypatch):
    monkeypatch.setattr(binding, "get_host_cpu_name", lambda: "generic")
    monkeypatch.setattr(binding, "get_host_cpu_features", binding.FeatureMap)
    llvm._probe.cache_clear()
    assert llvm.resolve(Target.parse("llvm")).vector_bits == 128
    named = Target.parse(f"llvm -mtriple={processor.mtriple} -mcpu={processor.mcpu}")
    assert llvm.resolve(named) == processor


def test_errors():
    with pytest.raises(TargetError, match=r"-mcpu='pentium9'.*not a recognized processor"):
        llvm.resolve(Target.parse("llvm -mcpu=pentium9"))
    with pytest.raises(TargetError, match="no target for the triple 'mars-unknown'"):
        llvm.resolve(Target.parse("llvm -mtriple=mars-unknown"))
    with pytest.raises(CodegenError, match="kernel relu: the loop i is vectorized"):
        llvm.emit([relu(ForKind.VECTORIZED)], V3)
    with pytest.raises(CodegenError, match="Barrier has no meaning on a CPU"):
        llvm.emit([Function("b", (), Barrier())], V3)
    x = Buffer("x", FLOAT32, (c(4), c(4)))
    f = Function("f", (x,), Store(x, (c(0), c(0)), Const(0.0, FLOAT32)), frozenset({x}))
    with pytest.raises(CodegenError, match="x has 2 indices; the storage pass must come before"):
        llvm.emit([f], V3)
