"""The mistakes that a user of TVM or Halide makes: each is told where it is and what to write."""

import math

import numpy as np
import pytest
import weft
from weft import te
from weft.runtime.errors import InternalError

TA = te.thread_axis
A, I = te.placeholder((16,), name="A"), te.placeholder((16,), "int32", name="I")  # noqa: E741
M = te.placeholder((8, 8), name="M")
k, n, c = te.reduce_axis(8, "k"), te.var("n"), te.var("c")
x, o = np.zeros(16, "float32"), np.zeros(16, "float32")


def one(fn=lambda i: A[i] + 1.0, shape=(16,)):
    return te.compute(shape, fn, name="B")


def scheduled(fn=lambda i: A[i] + 1.0, shape=(16,)):
    B = one(fn, shape)
    return B, te.create_schedule(B)


def chain():
    T = te.compute((16,), lambda i: A[i] * 2.0, name="T")
    B = te.compute((16,), lambda i: T[i] + 1.0, name="B")
    return T, B, te.create_schedule(B)


def on(do, fn=lambda i: A[i] + 1.0):
    """A mistake on the stage of one computation."""
    B, s = scheduled(fn)
    return do(B, s)


def reducer(combine, identity, source=None):
    r = te.comm_reducer(combine, identity, "mine")
    return one(lambda i: r(M[i, k] if source is None else source(i), axis=k), (8,))


def forgets_return(i):
    A[i]


def built(args, fn, target="llvm"):
    B, s = scheduled(fn)
    return weft.build(s, [*args, B], target)


def unrelated_result():
    _, B, s = chain()
    C = one(lambda i: A[i])
    weft.build(s, [A, C, B])


def missing(make):
    T, B, s = chain()
    return weft.build(s, make(T, B))


def bound(tag, target="llvm"):
    B, s = scheduled()
    s[B].bind(B.op.axis[0], TA(tag))
    return weft.build(s, [A, B], target)


def symbolic():
    X = te.placeholder((n,), name="X")
    Y = te.compute((n,), lambda i: X[i], name="Y")
    s = te.create_schedule(Y)
    s[Y].vectorize(Y.op.axis[0])


def called(*arrays):
    B, s = scheduled()
    weft.build(s, [A, B])(*arrays)


def inlined_parent():
    T = te.compute((16,), lambda i: A[i] * 2.0, name="T")
    U = te.compute((16,), lambda i: T[i] + 1.0, name="U")
    B = te.compute((16,), lambda i: U[i] + T[i], name="B")
    s = te.create_schedule(B)
    s[T].compute_at(s[U], U.op.axis[0])
    s[U].compute_inline()
    weft.build(s, [A, B])


# mistake -> (program, what the message says)
MISTAKES = {
    # variables and arguments
    "a scalar is missing": (lambda: built([I], lambda i: I[i] * c),
                            ["the variable c (int32)", "weft.build(s, [c"]),
    "an input is missing": (lambda: missing(lambda T, B: [B]), ["A is an input", "[A, B]"]),
    "a result is missing": (lambda: missing(lambda T, B: [A]), ["B is a result", "[A, B]"]),
    "an intermediate as argument": (lambda: missing(lambda T, B: [A, T, B]),
                                    ["T is computed", "create_schedule([B, T])"]),
    "another program's result": (unrelated_result, ["no result of the schedule"]),
    "an argument twice": (lambda: missing(lambda T, B: [A, A, B]), ["A is given twice"]),
    "an operation as argument": (lambda: missing(lambda T, B: [A.op, B.op]), ["tensors in place"]),
    "no list": (lambda: missing(lambda T, B: A), ["not a list", "[A, B]"]),
    "a tensor as schedule": (lambda: weft.build(one(), [A]), ["no schedule", "te.create_schedule"]),
    "no results": (lambda: te.create_schedule([]), ["a tensor or several", "[B, C]"]),
    "a stage as result": (lambda: on(lambda B, s: te.create_schedule(s[B])), ["<Stage B>"]),
    "too few arrays": (lambda: called(x), ["1 arguments", "2 parameters", "A: float32[16]"]),
    "wrong shape": (lambda: called(x[:4], o), ["float32[4], not float32[16]"]),
    "wrong dtype": (lambda: called(x.astype("f8"), o), ["float64[16], not float32[16]"]),
    # reductions
    "reduce axis outside": (lambda: one(lambda i: M[i, k], (8,)),
                            ["reduce axis k", "outside of a reduction", "te.sum", "axis=k"]),
    "another reduce axis": (lambda: one(lambda i: te.sum(M[i, k], axis=te.reduce_axis(8)), (8,)),
                            ["reduce axis k", "te.sum"]),
    "reduction inside": (lambda: one(lambda i: te.sum(M[i, k], axis=k) / 8.0, (8,)),
                         ["whole body", "a second compute"]),
    "two values": (lambda: one(lambda i: te.max(A[i], 0.0)), ["te.max", "te.maximum(a, b)"]),
    "two expressions": (lambda: one(lambda i: te.min(A[i], A[i])), ["te.minimum(a, b)"]),
    "no axis": (lambda: one(lambda i: te.sum(A[i])), ["what it runs over", "te.reduce_axis"]),
    "numpy's axis": (lambda: one(lambda i: te.sum(A[i], axis=0)), ["not 0", "te.reduce_axis"]),
    "data axis": (lambda: one(lambda i: te.sum(A[i], axis=i)), ["an axis of a result"]),
    "axis twice": (lambda: one(lambda i: te.sum(M[i, k], axis=[k, k]), (8,)), ["twice"]),
    "whole tensor": (lambda: te.sum(A, axis=k), ["A: float32[16]", "index it"]),
    "where no condition": (lambda: te.sum(M[0, k], axis=k, where=k), ["where=", "x != 0"]),
    "begin and end": (lambda: te.reduce_axis(0, 8), ["(begin, end)"]),
    "identity's type": (lambda: reducer(lambda x, y: x + y, lambda t: te.const(0, "int32")),
                        ["mine of (float32)", "int32 for float32", "te.const(0, t)"]),
    "identity no constant": (lambda: reducer(lambda x, y: x + y, lambda t: te.var("z", t)),
                             ["not a constant", "te.const(0, t)"]),
    "identities' count": (
        lambda: reducer(lambda x, y: x, lambda s, t: te.const(0, s), lambda i: (M[i, k], M[k, i])),
        ["not 2 constants", "te.const(0, t1)"]),
    "combine's count": (lambda: reducer(lambda x: x, lambda t: te.const(0, t)), ["lambda x, y"]),
    "combine's type": (lambda: reducer(lambda x, y: x < y, lambda t: te.const(0, t)),
                       ["combine gave bool"]),
    "conditions": (lambda: one(lambda i: te.all(I[i], I[i])), ["te.all", "x != 0"]),
    # computations
    "no return": (lambda: one(forgets_return), ["B", "returned None", "return"]),
    "a list inside": (lambda: one(lambda i: [A[i], [A[i]]]), ["B: result 1"]),
    "arity": (lambda: one(lambda i: A[i], (4, 4)), ["2 axes", "takes 1", "lambda *i"]),
    "no function": (lambda: one(A[0]), ["takes a function"]),
    "another's axis": (lambda: one(lambda i: A[one().op.axis[0]]), ["another computation"]),
    "shape": (lambda: te.placeholder("A"), ["no shape"]),
    "shape of None": (lambda: te.placeholder((4, None)), ["no shape", "te.var"]),
    "float extent": (lambda: te.placeholder((te.var("n", "float32"),)), ["n (float32)", "int32"]),
    "name as dtype": (lambda: te.placeholder((4,), "A"), ["no dtype 'A'"]),
    # indices
    "slice": (lambda: one(lambda i: M[i, :]), ["one element at a time", "lambda i, j"]),
    "too few indices": (lambda: one(lambda i: M[i]), ["M[i]", "missing"]),
    "part and number": (lambda: one(lambda i: M[i] + 1), ["M[i]", "one index for each axis"]),
    "too many indices": (lambda: one(lambda i: A[i, i]), ["1 axes", "2 indices"]),
    "float index": (lambda: one(lambda i: A[A[i]]), ["float32, not int32", "astype"]),
    "fraction": (lambda: one(lambda i: A[i / 2]), ["/ is not defined on int32", "//"]),
    "constant outside": (lambda: built([A], lambda i: A[16]), ["B: A[16] reads outside"]),
    "before the begin": (lambda: built([A], lambda i: A[i - 1]), ["-1 to 14", "if_then_else"]),
    "a list": (lambda: one(lambda i: [1, 2][i]), ["only when the kernel runs", "te.placeholder"]),
    "an array": (lambda: one(lambda i: x[i]), ["numpy array", "te.placeholder"]),
    # Python's and numpy's words
    "math": (lambda: one(lambda i: math.exp(A[i])), ["te.exp"]),
    "numpy": (lambda: one(lambda i: np.exp(A[i])), ["np.exp", "te.exp"]),
    "numpy's sum": (lambda: one(lambda i: np.sum(A[i])), ["te.sum"]),
    "numpy's where": (lambda: one(lambda i: np.where(i < 2, A[i], 0.0)), ["te.if_then_else"]),
    "if": (lambda: one(lambda i: A[i] if i == 0 else 0.0), ["te.if_then_else"]),
    "and": (lambda: one(lambda i: te.if_then_else(i > 1 and i < 9, A[i], 0.0)), ["& | ~"]),
    "power": (lambda: one(lambda i: A[i] ** 2), ["A[i] ** 2", "te.pow"]),
    "range": (lambda: [0 for _ in range(n)], ["n has a value only", "te.reduce_axis"]),
    "arithmetic of tensors": (lambda: A + 1, ["A: float32[16]", "lambda *i"]),
    "function of a tensor": (lambda: te.exp(A), ["index it"]),
    # types
    "mixed types": (lambda: one(lambda i: A[i] + I[i]), ["float32 and int32", ".astype"]),
    "fraction and integer": (lambda: one(lambda i: I[i] * 0.5), ["0.5", "astype"]),
    "exp of integers": (lambda: one(lambda i: te.exp(I[i])), ["exp is not defined on int32"]),
    "division of floats": (lambda: one(lambda i: A[i] // 2.0), ["te.floor"]),
    "condition": (lambda: one(lambda i: te.if_then_else(A[i], 1.0, 0.0)), ["x != 0"]),
    "arms": (lambda: one(lambda i: te.if_then_else(i < 2, A[i], I[i])), ["arms", "astype"]),
    "sum of conditions": (lambda: one(lambda i: (i < 2) + (i < 3)), ["count conditions"]),
    "width": (lambda: one(lambda i: te.reinterpret(A[i], "int64")), ["one width"]),
    "no constant": (lambda: te.const(None), ["None"]),
    # schedules
    "no such thread": (lambda: TA("threadIdx.w"), ["threadIdx.w", "threadIdx.z"]),
    "thread by name": (lambda: on(lambda B, s: s[B].bind(B.op.axis[0], "threadIdx.x")),
                       ["te.thread_axis"]),
    "thread of another extent": (
        lambda: on(lambda B, s: s[B].bind(B.op.axis[0], TA((0, 8), "threadIdx.x"))),
        ["16 iterations", "made for 8", "split"]),
    "factor": (lambda: on(lambda B, s: s[B].split(B.op.axis[0], n)), ["Var n", "constants"]),
    "no factor": (lambda: on(lambda B, s: s[B].split(B.op.axis[0])), ["either factor or nparts"]),
    "keyword": (lambda: on(lambda B, s: s[B].split(B.op.axis[0], parts=4)),
                ["parts", "split(axis, factor, nparts)"]),
    "loop by name": (lambda: on(lambda B, s: s[B].split("i", 4)), ["not 'i'", "s[C].op.axis"]),
    "another stage's loop": (lambda: chain()[2]["B"].unroll(one().op.axis[0]),
                             ["not a loop of B", "its loops: i"]),
    "another program's stage": (lambda: on(lambda B, s: s[one()]), ["not computed", "A, B"]),
    "pragma": (lambda: on(lambda B, s: s[B].pragma(B.op.axis[0], "unrol", 4)),
               ["'unrol'", "unroll_max", "partition"]),
    "pragma's value": (lambda: on(lambda B, s: s[B].pragma(B.op.axis[0], "unroll_max", "x")),
                       ["'x'", "int"]),
    "scope": (lambda: chain()[2]["T"].set_scope("registers"), ["registers", "shared, local"]),
    "symbolic vector": (symbolic, ["known only when", "split"]),
    "inlined parent": (inlined_parent, ["T is computed at a loop of U", "inlined"]),
    "intrinsic": (lambda: on(lambda B, s: s[B].tensorize(B.op.axis[0], None)),
                  ["te.decl_tensor_intrin"]),
    "rfactor of data": (lambda: on(lambda B, s: s.rfactor(B, B.op.axis[0])),
                        ["one of its reduce loops"]),
    # targets
    "threads on fragments": (lambda: bound("threadIdx.x", "opengl"),
                             ["B: the loop i", "no place on opengl", "all but opengl and webgl"]),
    "fragments on workgroups": (lambda: bound("fragment.x", "opencl"), ["no place on opencl"]),
    "no such target": (lambda: built([A], lambda i: A[i], "cuda"), ["no target 'cuda'", "llvm"]),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_told_what_to_write(name):
    program, words = MISTAKES[name]
    with pytest.raises(weft.WeftError) as caught:
        program()
    message = str(caught.value)
    assert not isinstance(caught.value, InternalError), message
    assert not [w for w in words if w not in message], message
    for fault in ("verify", "mistake of a lowering pass", "fault of weft"):
        assert fault not in message
