"""Calls that write into the caller's arrays; numbers by value; sizes known only per call."""

from dataclasses import replace

import llvmlite.binding as llvm
import numpy as np
import pytest
from weft.runtime.artifact import Kernel, Param, Program, Slot, Step
from weft.runtime.errors import InputError, PackageError
from weft.runtime.executor import Executable
from weft.runtime.ndarray import address, aligned, aligned_copy
from weft.runtime.runner import Runner

# out[i] = in[i] + n for i < n
_PLUS = """
define void @plus(ptr %args) {
  %pb = getelementptr i64, ptr %args, i64 1
  %pn = getelementptr i64, ptr %args, i64 2
  %a = load ptr, ptr %args
  %b = load ptr, ptr %pb
  %n = load i64, ptr %pn
  %m = sitofp i64 %n to float
  br label %head
head:
  %i = phi i64 [0, %0], [%next, %body]
  %more = icmp slt i64 %i, %n
  br i1 %more, label %body, label %end
body:
  %pi = getelementptr float, ptr %a, i64 %i
  %po = getelementptr float, ptr %b, i64 %i
  %x = load float, ptr %pi
  %y = fadd float %x, %m
  store float %y, ptr %po
  %next = add i64 %i, 1
  br label %head
end:
  ret void
}
"""


@pytest.fixture(scope="module")
def codes():
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    triple = llvm.get_process_triple()
    machine = llvm.Target.from_triple(triple).create_target_machine(
        reloc="pic", codemodel="default"
    )
    module = llvm.parse_assembly(f'target triple = "{triple}"\n{_PLUS}')
    return {"code": machine.emit_object(module)}


def floats(name, kind, n, **more):
    return Slot(name, kind, "float32", (n,), (n,), 0 if n == "n" else 4 * n, **more)


def program(n=4, dtype="int64", target="llvm"):
    """y = (x + n) + n over ``n`` elements, or as many as a call says ("n")."""
    kernel = Kernel(
        "plus",
        (Param("a", "float32", (n,), "r"), Param("b", "float32", (n,), "w"),
         Param("n", dtype, (), "s")),
        "code",
    )  # fmt: skip
    number = Slot("n", "input", dtype, (), (), 4 if dtype == "int32" else 8)
    middle = floats("t", "output" if n == "n" else "arena", n)
    outputs = {"t": 2, "y": 3} if n == "n" else {"y": 3}
    return Program(
        "plus", target, (floats("x", "input", n), number, middle, floats("y", "output", n)),
        (kernel,), (Step("plus", (0, 2, 1)), Step("plus", (2, 3, 1))), {"x": 0, "n": 1}, outputs,
        64, sizes={"n": (0, 0)} if n == "n" else {},
    )  # fmt: skip


X = np.array([1, 2, 3, 4], np.float32)
Y = [9, 10, 11, 12]


@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_numbers_are_passed_by_value(codes, dtype):
    exe = Executable(program(dtype=dtype), codes, {})
    assert isinstance(exe.runner, Runner)
    assert exe(X, 4).tolist() == Y
    assert exe(X, np.array(4, dtype)).tolist() == Y
    assert exe.profile(X, 4, repeat=1).rows[0].ms >= 0
    with pytest.raises(InputError, match="values that int"):
        exe(X, 2**63)


def test_an_array_that_suits_is_written_in_place(codes):
    exe = Executable(program(), codes, {})
    seen, runner = [], exe.runner
    (frame,) = runner.idle
    call = frame.call
    frame.call = lambda: (seen.extend(frame.table.tolist()), call())
    x, out = aligned(X), aligned_copy(X)
    assert exe.call([x, 4], [out]) is None
    assert out.tolist() == Y
    assert seen.count(address(x)) == seen.count(address(out)) == 1


@pytest.mark.parametrize(
    "make",
    [
        lambda: np.zeros(8, np.float32)[::2],
        lambda: np.frombuffer(bytearray(17), np.uint8)[1:].view(np.float32),
        lambda: aligned_copy(np.zeros(5, np.float32))[1:],
    ],
)
@pytest.mark.parametrize("n", [4, "n"])
def test_any_array_of_the_right_type_is_written(codes, make, n):
    exe, out, other = Executable(program(n), codes, {}), make(), make()
    exe.call([X[::-1], 4], [out] if n == 4 else [other, out])
    assert out.tolist() == Y[::-1]


@pytest.mark.parametrize("n", [0, 1, 7, 100])
def test_sizes_that_a_call_gives(codes, n):
    exe = Executable(program("n"), codes, {})
    assert str(exe.inputs["x"]) == "x: float32[n]"
    x, t, y = (aligned_copy(np.full(n, 3, np.float32)) for _ in range(3))
    exe.call([x, n], [t, y])
    assert t.tolist() == [3 + n] * n and y.tolist() == [3 + 2 * n] * n


def test_a_size_that_nobody_gives(codes):
    given_by_result = replace(program("n"), sizes={"n": (2, 0)})
    exe = Executable(given_by_result, codes, {})
    with pytest.raises(InputError, match=r"the size of 't' is only known per call(.|\n)*exe\.call"):
        exe(X, 4)
    exe = Executable(program("n"), codes, {})
    assert [a.tolist() for a in exe(X, 4)] == [[5, 6, 7, 8], Y]
    with pytest.raises(
        InputError, match=r"axis 0 of 'y' has 3 elements, not 4 = n \(n = 4 is axis"
    ):
        exe.call([X, 4], [X.copy(), X[:3].copy()])
    with pytest.raises(InputError, match="cannot be made up"):
        exe.profile()
    with pytest.raises(InputError, match=r"shape \(2, 2\), not \(-1,\)"):
        exe.call([X.reshape(2, 2), 4], [X.copy(), X.copy()])


def test_outputs_that_share_memory_and_inputs_given_back(codes):
    p = program()
    slots = (*p.slots, Slot("half", "alias", "float32", (2,), (2,), 8, source="y"))
    outputs = {"half": 4, "y": 3, "again": 3, "t": 2, "x": 0, "n": 1}
    exe = Executable(replace(p, slots=slots, outputs=outputs), codes, {})
    want = [Y[:2], Y, Y, [5, 6, 7, 8], X.tolist(), 4]
    assert [a.tolist() for a in exe(X, 4)] == want
    out = [np.zeros_like(a) for a in exe(X, 4)]
    exe.call([X, 4], out)
    assert [a.tolist() for a in out] == want


def read_only():
    array = X.copy()
    array.flags.writeable = False
    return array


@pytest.mark.parametrize(
    ("out", "words"),
    [
        ([], "0 arrays were given for 1 outputs"),
        ([[0] * 4], "'y' is list, not an array"),
        ([X.astype(np.float64)], r"y: float32\[4\] was given float64\[4\]"),
        ([X[:3].copy()], r"y: float32\[4\] was given float32\[3\]"),
        ([read_only()], "a read-only array"),
        ([X], "overlaps another one"),
    ],
)
def test_arrays_that_cannot_be_written(codes, out, words):
    with pytest.raises(InputError, match=words) as e:
        Executable(program(), codes, {}).call([X, 4], out)
    assert e.value.where == "plus"


def with_slot(k, **changes):
    p = program("n")
    slots = list(p.slots)
    slots[k] = replace(slots[k], **changes)
    return replace(p, slots=tuple(slots))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (with_slot(2, kind="constant"), "'t' has no size and 0 bytes"),
        (with_slot(2, nbytes=16), "'t' has no size and 16 bytes"),
        (with_slot(2, shape=("n", 4), physical=("n", 4)), "cannot take the slot 't'"),
        (with_slot(2, shape=(-1,), physical=(-1,)), "'t' is malformed"),
        (with_slot(1, shape=(1,), physical=(1,)), "cannot take the slot 'n'"),
        (with_slot(1, kind="output"), "an input has no slot of its own"),
    ],
)
def test_programs_that_do_not_fit_together(codes, wrong, words):
    with pytest.raises(PackageError, match=words):
        Executable(wrong, codes, {})
