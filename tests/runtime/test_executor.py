"""The executor, on a program made by hand: y = (x + w) + x, and views of everything."""

import os
import subprocess
import sys
import threading
from dataclasses import replace
from types import MappingProxyType

import llvmlite.binding as llvm
import numpy as np
import pytest
from weft.runtime.artifact import Kernel, Param, Program, Slot, Step
from weft.runtime.errors import DeviceError, InputError, PackageError
from weft.runtime.executor import Executable, load
from weft.runtime.ndarray import address, aligned, aligned_empty, is_ready

_ADD = """
define void @add4(ptr %args) {
  %p1 = getelementptr i64, ptr %args, i64 1
  %p2 = getelementptr i64, ptr %args, i64 2
  %a = load ptr, ptr %args
  %b = load ptr, ptr %p1
  %c = load ptr, ptr %p2
  %x = load <4 x float>, ptr %a, align 64
  %y = load <4 x float>, ptr %b, align 64
  %z = fadd <4 x float> %x, %y
  store <4 x float> %z, ptr %c, align 64
  ret void
}
"""


def object_of(text: str) -> bytes:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    triple = llvm.get_process_triple()
    machine = llvm.Target.from_triple(triple).create_target_machine(
        reloc="pic", codemodel="default"
    )
    return machine.emit_object(llvm.parse_assembly(f'target triple = "{triple}"\n{text}'))


def four(name, kind, **more):
    return Slot(name, kind, "float32", (4,), (4,), 16, **more)


PROGRAM = Program(
    "sums",
    "llvm",
    (
        four("x", "input"),
        four("w", "constant", source="weights"),
        four("t", "arena", offset=64),
        four("y", "output"),
        Slot("square", "alias", "float32", (2, 2), (2, 2), 16, source="y"),
    ),
    (Kernel("add4", tuple(Param(n, "float32", (4,), a) for n, a in ("ar", "br", "cw")), "code"),),
    (Step("add4", (0, 1, 2), "first"), Step("add4", (2, 0, 3), "second")),
    {"x": 0},
    {"y": 3},
    128,
)
PARAMS = {"weights": np.array([10, 20, 30, 40], np.float32)}
X = np.array([1, 2, 3, 4], np.float32)
Y = [12, 24, 36, 48]


@pytest.fixture(scope="module")
def codes():
    return {"code": object_of(_ADD)}


@pytest.fixture
def exe(codes):
    return Executable(PROGRAM, codes, PARAMS)


def test_by_position_by_name_and_by_table(exe):
    assert exe(X).tolist() == Y
    assert exe(x=X).tolist() == Y
    found = exe.run({"x": X})
    assert list(found) == ["y"] and found["y"].tolist() == Y


def test_signature(exe):
    assert str(exe.inputs["x"]) == "x: float32[4]"
    assert list(exe.outputs) == ["y"] and exe.outputs["y"].shape == (4,)


@pytest.mark.parametrize(
    "make",
    [
        lambda: np.repeat(X, 2)[::2],
        lambda: X[::-1].copy()[::-1],
        lambda: np.frombuffer(b"\0" + X.tobytes(), np.uint8)[1:].view(np.float32),
        lambda: [1, 2, 3, 4],
        lambda: (1.0, 2.0, 3, 4.0),
        lambda: np.lib.stride_tricks.as_strided(X, (4,), (4,), writeable=False),
    ],
)
def test_any_array_of_the_right_type_is_taken(exe, make):
    assert exe(make()).tolist() == Y


def test_aligned_inputs_are_read_in_place(exe):
    seen = []
    x = aligned(X)
    runner = exe.prepare().runner
    (frame,) = runner.idle
    call = frame.call
    frame.call = lambda: (seen.extend(frame.table.tolist()), call())
    assert exe(x).tolist() == Y
    assert seen.count(address(x)) == 2


def test_outputs_are_new_aligned_and_owned_by_the_caller(exe):
    first, second = exe(X), exe(X * 0)
    assert first.tolist() == Y and second.tolist() == [10, 20, 30, 40]
    assert is_ready(first) and first.flags.writeable
    assert not np.shares_memory(first, second)


def test_outputs_may_be_inputs_constants_views_and_intermediate_results(codes):
    program = replace(PROGRAM, outputs={"square": 4, "y": 3, "x": 0, "w": 1, "t": 2})
    exe = Executable(program, codes, PARAMS)
    square, y, x, w, t = exe(X)
    assert square.tolist() == [[12, 24], [36, 48]] and y.tolist() == Y
    assert x.tolist() == X.tolist() and w.tolist() == PARAMS["weights"].tolist()
    assert t.tolist() == [11, 22, 33, 44]
    arrays = [square, y, x, w, t, X, PARAMS["weights"]]
    for k, a in enumerate(arrays):
        assert not any(np.shares_memory(a, b) for b in arrays[:k])
    w[:] = 0
    assert exe(X)[1].tolist() == Y  # the constants of the program are its own


def _times(exe, *given, **named):
    assert len(exe.benchmark(*given, repeat=2, **named).times) == 2


def _profile(exe, *given, **named):
    assert len(exe.profile(*given, repeat=1, **named).rows) == 2


def _run(exe, *given, **named):
    assert exe.run(*given, **named)["y"].tolist() == Y


def _called(exe, *given, **named):
    assert exe(*given, **named).tolist() == Y


WAYS = [_called, _run, _profile, _times]


@pytest.mark.parametrize("way", WAYS)
def test_all_that_runs_takes_inputs_in_the_same_ways(exe, way):
    way(exe, X)
    way(exe, x=X)
    way(exe, {"x": X})
    way(exe, MappingProxyType({"x": X}))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("given", "named", "words"),
    [
        (({"y": X},), {}, r"there is no input 'y'"),
        (({"x": X},), {"x": X}, r"'x' was given twice"),
        (({"x": X}, X), {}, r"2 arrays were given for 1 inputs"),
        (({},), {}, r"the input 'x' is missing"),
        (([X],), {}, r"has shape \(1, 4\), not \(4,\)"),
        ((np.ma.masked_less(X, 2),), {}, r"is masked(.|\n)*\.filled\(value\)"),
        ((np.ma.array(X),), {}, r"is masked"),
        (([np.ma.masked, 1, 2, 3],), {}, r"is masked"),
        ((X.astype(object),), {}, r"has dtype object(.|\n)*array of numbers"),
        ((X.astype(str),), {}, r"has dtype <U\d+(.|\n)*array of numbers"),
    ],
)
def test_all_that_runs_refuses_alike(exe, way, given, named, words):
    with pytest.raises(InputError, match=words) as e:
        way(exe, *given, **named)
    assert e.value.where == "sums"


def test_an_array_that_gives_itself_to_nobody_is_refused(exe):
    class Elsewhere:
        def __array__(self, *args, **more):
            raise RuntimeError("it is on the device")

    with pytest.raises(InputError, match="Elsewhere, which gives no array: it is on the device"):
        exe(Elsewhere())


@pytest.mark.filterwarnings("ignore:the matrix subclass")
def test_subclasses_that_only_look_otherwise_are_taken(codes):
    program = replace(PROGRAM, slots=tuple(replace(s, shape=(1, 4)) if s.name == "x" else s
                                           for s in PROGRAM.slots))  # fmt: skip
    exe = Executable(program, codes, PARAMS)
    assert exe(np.matrix(X)).tolist() == Y
    assert exe(X.reshape(1, 4).view(np.recarray)).tolist() == Y


def test_any_name_is_free_for_an_input(codes):
    for name in ("self", "arrays", "repeat", "out", "inputs", "__proto__"):
        exe = Executable(replace(PROGRAM, inputs={name: 0}), codes, PARAMS)
        for way in WAYS:
            way(exe, {name: X})
        assert exe(**{name: X}).tolist() == exe.run(**{name: X})["y"].tolist() == Y


def test_results_are_not_written_into_masked_arrays(exe):
    with pytest.raises(InputError, match=r"'y' was given a masked array"):
        exe.call([X], [np.ma.zeros(4, np.float32)])
    out = np.zeros(4, np.float32)
    exe.call({"x": X}, [out])
    assert out.tolist() == Y


def test_threads_share_an_executable(exe):
    wrong = []

    def work(k):
        x = np.full(4, k, np.float32)
        for _ in range(200):
            if exe(x).tolist() != [10 + 2 * k, 20 + 2 * k, 30 + 2 * k, 40 + 2 * k]:
                wrong.append(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert wrong == []


@pytest.mark.parametrize(
    ("args", "named", "words"),
    [
        (
            (),
            {},
            r"the input 'x' is missing.\n  expected:\n    x: float32\[4\]\n  given:\n    ",
        ),
        ((X, X), {}, r"2 arrays were given for 1 inputs"),
        ((X,), {"x": X}, r"'x' was given twice"),
        ((), {"X": X}, r"there is no input 'X'(.|\n)*did you mean 'x'"),
        ((X.astype(np.float64),), {}, r"has dtype float64, not float32(.|\n)*astype\('float32'\)"),
        ((X.astype(">f4"),), {}, r"has dtype >f4, not float32"),
        ((X[:3],), {}, r"shape \(3,\), not \(4,\)(.|\n)*#0: float32\[3\](.|\n)*shapes="),
        ((X.reshape(2, 2),), {}, r"has shape \(2, 2\), not \(4,\)(.|\n)*reshape\(\(4,\)\)"),
        ((None,), {}, r"is NoneType, not an array"),
        (("abc",), {}, r"is str, not an array"),
        (([[1], [2, 3]],), {}, r"ragged list"),
        (([1e300, 0, 0, 0],), {}, r"values that float32 does not hold"),
        (([2**24 + 1, 0, 0, 0],), {}, r"values that float32 does not hold"),
        (([True] * 4,), {}, r"values that float32 does not hold"),
    ],
)
def test_wrong_inputs_say_what_was_expected_and_given(exe, args, named, words):
    with pytest.raises(InputError, match=words) as e:
        exe(*args, **named)
    assert e.value.where == "sums"


def test_python_numbers_may_be_nan_and_infinite(exe):
    y = exe([float("nan"), float("inf"), 0.1, -0.0])
    assert np.isnan(y[0]) and y[1] == np.inf
    assert y[2] == np.float32(np.float32(0.1) + np.float32(30)) + np.float32(0.1)


def test_profile_names_each_call(exe):
    p = exe.profile(X, repeat=3)
    assert [(r.label, r.kernel) for r in p.rows] == [("first", "add4"), ("second", "add4")]
    assert all(r.ms >= 0 for r in p.rows)
    assert p.total_ms == pytest.approx(sum(p.by_kernel().values()))
    text = str(p)
    assert text.splitlines()[0].split() == ["ms", "share", "kernel", "nodes"]
    assert "2 calls of sums" in text
    assert len(exe.profile().rows) == 2  # makes up its own inputs


def test_benchmark_counts_calls(exe):
    b = exe.benchmark(X, repeat=4, number=3)
    assert len(b.times) == 4 and 0 < b.best_ms <= b.median_ms


def test_memory_report(exe):
    m = exe.memory
    assert (m.arena, m.constants, m.inputs, m.outputs) == (128, 16, 16, 16)
    assert "arena" in repr(exe) and "x: float32[4]" in repr(exe)


def test_save_and_load(exe, tmp_path):
    exe.save(tmp_path / "m.weft")
    again = load(tmp_path / "m.weft")
    assert again(X).tolist() == Y
    again.save(tmp_path / "n.weft")
    assert (tmp_path / "n.weft").read_bytes() == (tmp_path / "m.weft").read_bytes()


def test_loading_imports_neither_the_compiler_nor_onnx(exe, tmp_path):
    exe.save(tmp_path / "m.weft")
    script = f"""
import sys, numpy, weft
exe = weft.runtime.load({str(tmp_path / "m.weft")!r})
assert exe(numpy.ones(4, "float32")).tolist() == [12, 22, 32, 42]
heavy = [m for m in sys.modules if m.startswith(("onnx", "networkx", "weft.compiler", "weft.ir",
                                                 "weft.codegen", "rich"))]
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", script], check=True, cwd=tmp_path, env=os.environ)


def test_importing_weft_imports_nothing(tmp_path):
    script = """
import sys, weft
assert not [m for m in sys.modules if m.startswith(("weft.", "numpy", "llvmlite", "onnx"))]
assert {"compile", "load", "build", "te", "runtime", "WeftError"} <= set(dir(weft))
assert weft.__version__
try:
    weft.nothing
except AttributeError as e:
    assert "nothing" in str(e)
else:
    raise AssertionError
"""
    subprocess.run([sys.executable, "-c", script], check=True, cwd=tmp_path, env=os.environ)


SLOTS = PROGRAM.slots


def with_slot(k, **changes):
    slots = list(SLOTS)
    slots[k] = replace(slots[k], **changes)
    return replace(PROGRAM, slots=tuple(slots))


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (with_slot(1, name="x"), "two slots have the same name"),
        (with_slot(0, kind="thing"), "'x' is malformed"),
        (with_slot(0, dtype="float31"), "there is no dtype 'float31'"),
        (with_slot(0, shape=(-4,)), "'x' is malformed"),
        (with_slot(0, nbytes=15), "'x' has 15 bytes"),
        (with_slot(0, shape=(5,)), "'x' is not stored plainly"),
        (with_slot(2, offset=8), "'t' is not aligned"),
        (with_slot(1, source="v"), "parameter 'v' is missing"),
        (with_slot(1, physical=(8,), nbytes=32), "'weights' has 16 bytes, not 32"),
        (with_slot(4, source="square"), "'square' is an alias of itself"),
        (with_slot(4, source="nothing"), "'square' is no alias of 'nothing'"),
        (with_slot(0, kind="arena"), "an input has no slot of its own"),
        (with_slot(2, kind="input"), "no input fills the slot 't'"),
        (with_slot(3, kind="constant", source="weights"), "must not write the slot 'y'"),
        (with_slot(2, physical=(2,), nbytes=8, shape=(2,)), "cannot take the slot 't'"),
        (with_slot(2, dtype="int32"), "cannot take the slot 't'"),
        (replace(PROGRAM, alignment=32), "alignment 32"),
        (replace(PROGRAM, inputs={"x": 0, "again": 0}), "no slot of its own"),
    ],
)
def test_programs_that_do_not_fit_together_never_touch_memory(codes, program, words):
    with pytest.raises(PackageError, match=words):
        Executable(program, codes, PARAMS)


def test_more_memory_than_there_is(codes):
    exe = Executable(replace(PROGRAM, arena=1 << 60), codes, PARAMS)
    with pytest.raises(DeviceError, match="no memory for 1152921504606846976 bytes"):
        exe(X)


def test_code_that_is_none(codes):
    with pytest.raises(DeviceError, match="damaged"):
        Executable(PROGRAM, {"code": b"\x7fELF?"}, PARAMS).prepare()


def test_empty_arrays_are_aligned():
    from weft.runtime.dtype import FLOAT32

    assert is_ready(aligned_empty((0, 3), FLOAT32))
