"""The wasm target: addresses, linking, the module's size and interface, errors about Emscripten."""

import json
import re
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
import weft
from weft.codegen import for_target
from weft.codegen.wasm import emscripten
from weft.codegen.wasm import generator as wasm
from weft.compiler.kernels.cache import KernelCache
from weft.compiler.kernels.compiled import CompiledGroup
from weft.compiler.kernels.link import link
from weft.ir.alu import Op
from weft.ir.builders import maximum
from weft.ir.expr import Broadcast, Const, Load, Ramp, Var, binary
from weft.ir.stmt import Alloc, Buffer, For, ForKind, Function, Store, seq
from weft.ir.target import Target
from weft.runtime.dtype import FLOAT32, INT32
from weft.runtime.errors import CodegenError

WASM = Target.parse("wasm")
THREADS = Target.parse("wasm -threads")


def c(n: int) -> Const:
    return Const(n, INT32)


def pair_max(low: int = 0, name: str = "pair_max") -> Function:
    """y[4i…] = max(x[8i + low…], x[8i + low + 4…]), four lanes at a time."""
    x, y, i = Buffer("x", FLOAT32, (c(64),)), Buffer("y", FLOAT32, (c(32),)), Var("i")
    first, second = (Ramp(i * 8 + (low + k), c(1), 4) for k in (0, 4))
    body = Store(y, (Ramp(i * 4, c(1), 4),), maximum(Load(x, (first,)), Load(x, (second,))))
    return Function(name, (x, y), For(i, c(0), c(8), ForKind.PARALLEL, body), frozenset({y}))


def scratch() -> Function:
    """Sums through a buffer that is too large for the stack."""
    n = 1 << 16
    y, t, i, j = Buffer("y", FLOAT32, (c(n),)), Buffer("t", FLOAT32, (c(n),)), Var("i"), Var("j")
    fill = For(i, c(0), c(n), ForKind.SERIAL, Store(t, (i,), Const(1.0, FLOAT32)))
    copy = For(j, c(0), c(n), ForKind.SERIAL, Store(y, (j,), Load(t, (c(n - 1) - j,))))
    return Function("scratch", (y,), Alloc(t, seq(fill, copy)), frozenset({y}))


@pytest.fixture
def emcc():
    try:
        emscripten.version()
    except CodegenError as e:
        pytest.skip(str(e))


def interface(module: bytes, folder: Path) -> dict[str, list[str]]:
    """Names of what a module imports and exports, as an engine sees them."""
    if shutil.which("node") is None:
        pytest.skip("needs Node to read a module")
    (folder / "m.wasm").write_bytes(module)
    script = (
        "const m = new WebAssembly.Module(require('fs').readFileSync('m.wasm'));"
        "console.log(JSON.stringify({imports: WebAssembly.Module.imports(m).map((i) => i.name),"
        " exports: WebAssembly.Module.exports(m).map((e) => e.name)}))"
    )
    command = ["node", "-e", script]
    done = subprocess.run(command, cwd=folder, capture_output=True, check=True, timeout=60)
    return json.loads(done.stdout)


def test_target_says_what_webassembly_has():
    assert str(THREADS) == "wasm -threads"
    assert Target.parse(str(THREADS)) == THREADS
    for target in (WASM, THREADS):
        t = wasm.resolve(target)
        assert (t.vector_bits, t.num_vector_registers) == (128, 16)
        assert not t.has_fma and not t.has_masked_memory


GOLDEN_LOOP = """\
  %v4 = mul nsw i32 %i3, 8
  %v5 = sext i32 %v4 to i64
  %v6 = getelementptr inbounds nuw float, ptr %x.p0, i64 %v5
  %v7 = load <4 x float>, ptr %v6, align 4
  %v8 = mul nsw i32 %i3, 8
  %v9 = sext i32 %v8 to i64
  %v10 = getelementptr inbounds nuw float, ptr %x.p0, i64 %v9
  %v11 = getelementptr inbounds nuw float, ptr %v10, i64 4
  %v12 = load <4 x float>, ptr %v11, align 4
"""


def test_golden_addresses():
    # the constant comes last, and it is known not to wrap: it becomes the offset of the load
    module = wasm.emit([pair_max()], WASM)
    assert GOLDEN_LOOP in module.unoptimised
    assert re.findall(r"v128\.load\s+(\d+)", module.assembly) == ["0", "16"]


def test_an_address_that_may_lie_before_the_buffer_promises_nothing():
    text = wasm.emit([pair_max(low=-4)], WASM).unoptimised
    first = next(s for s in text.splitlines() if "getelementptr" in s and "%x.p0" in s)
    assert "inbounds float" in first


def test_objects_are_webassembly_with_their_features():
    for target, atomics in ((WASM, False), (THREADS, True)):
        data = wasm.emit([pair_max()], target).object
        assert data[:8] == b"\0asm\1\0\0\0"
        assert b"simd128" in data and (b"atomics" in data) is atomics


def test_native_code_is_as_before_a_wasm_kernel():
    # LLVM's switches are of the process: each target must find its own
    native = Target.parse("llvm -mtriple=x86_64-unknown-linux-gnu -mcpu=x86-64-v3")
    generator = for_target(native)
    before = generator.emit([pair_max()], native).object
    wasm.emit([pair_max()], WASM)
    assert generator.emit([pair_max()], native).object == before


def test_module_is_small_and_needs_nothing(emcc, tmp_path):
    codes = {"pair_max": wasm.emit([pair_max()], WASM).object}
    linked, holders = wasm.link(codes, WASM)
    assert holders == {"pair_max": "kernels.wasm"}
    module = linked["kernels.wasm"]
    assert len(module) < 2500, "the host runtime has grown"
    found = interface(module, tmp_path)
    assert found["imports"] == []
    assert {"memory", "weft_alloc", "weft_free", "weft_run", "weft_names"} <= set(found["exports"])
    assert b"pair_max" in module  # the table of names


def test_threads_import_their_memory_only(emcc, tmp_path):
    codes = {f.name: wasm.emit([f], THREADS).object for f in (pair_max(), scratch())}
    module = wasm.link(codes, THREADS)[0]["kernels.wasm"]
    found = interface(module, tmp_path)
    assert found["imports"] == ["memory"]
    assert {"weft_worker", "weft_pool", "__stack_pointer"} <= set(found["exports"])
    assert len(module) < 4000


def test_same_objects_give_the_same_module(emcc):
    codes = {f.name: wasm.emit([f], WASM).object for f in (pair_max(), scratch())}
    assert wasm.link(codes, WASM) == wasm.link(codes, WASM)


def test_link_is_cached(emcc, monkeypatch):
    kernels = [CompiledGroup.single("pair_max", (), wasm.emit([pair_max()], WASM).object)]
    store = KernelCache(None, 1 << 20)
    first = link(kernels, WASM, store)

    def fail(*args, **options):
        raise AssertionError("linked again")

    monkeypatch.setattr(emscripten, "link", fail)
    assert link(kernels, WASM, store) == first
    other = [CompiledGroup.single("pair_max", (), wasm.emit([pair_max(low=1)], WASM).object)]
    with pytest.raises(AssertionError, match="linked again"):
        link(other, WASM, store)


def test_missing_emscripten(monkeypatch):
    monkeypatch.setenv("WEFT_EMCC", "emcc-that-is-not-there")
    with pytest.raises(
        CodegenError,
        match=r"linked by Emscripten, and 'emcc-that-is-not-there' cannot be found"
        r"(?s:.*)apt-get install emscripten(?s:.*)WEFT_EMCC",
    ):
        wasm.link({}, WASM)


def test_missing_emscripten_is_told_before_the_work(monkeypatch):
    monkeypatch.setenv("WEFT_EMCC", "emcc-that-is-not-there")
    with pytest.raises(CodegenError, match="'emcc-that-is-not-there' cannot be found"):
        weft.compile("a-model-that-nobody-reads.onnx", "wasm")


def fake(folder: Path, script: str) -> str:
    path = folder / "emcc"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_old_emscripten(monkeypatch, tmp_path):
    monkeypatch.setenv("WEFT_EMCC", fake(tmp_path, "echo 'emcc (Emscripten) 2.0.12 (abc)'"))
    with pytest.raises(CodegenError, match=r"is Emscripten 2\.0\.12; 3\.1\.6 or newer is needed"):
        wasm.link({}, WASM)


def test_failing_emscripten(monkeypatch, tmp_path):
    script = 'case "$1" in --version) echo "emcc 3.1.6";; *) echo "no room" >&2; exit 3;; esac'
    monkeypatch.setenv("WEFT_EMCC", fake(tmp_path, script))
    with pytest.raises(CodegenError, match=r"Emscripten failed \(3\): no room"):
        wasm.link({}, WASM)


def test_tail_lanes_are_scalar_stores():
    # no masked memory: a guarded vector store becomes guarded scalars, never a wide one
    x, y, n, i = Buffer("x", FLOAT32, (c(8),)), Buffer("y", FLOAT32, (c(8),)), Var("n"), Var("i")
    at = Ramp(i * 4, c(1), 4)
    mask = binary(Op.LT, at, Broadcast(n, 4))
    body = Store(y, (at,), Load(x, (at,), mask), mask)
    f = Function("tail", (x, y, n), For(i, c(0), c(2), ForKind.SERIAL, body), frozenset({y}))
    module = wasm.emit([f], WASM)
    assert "llvm.masked.store" in module.unoptimised
    assert "v128.store" not in module.assembly and "f32.store" in module.assembly
