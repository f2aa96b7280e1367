"""The steps that a random model is made of; each adds a node or two, or nothing where none fits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from onnx import TensorProto, helper

from fuzz.graph_builder import MOST, Builder, Value


def _unary(b: Builder) -> None:
    v = b.any()
    assert v
    smooth = {
        "Sigmoid": 1, "Tanh": 1, "Erf": 1, "Softplus": v.bound + 1, "Elu": v.bound,
        "Selu": 3 * v.bound, "HardSwish": v.bound, "Mish": v.bound, "Sin": 1, "Cos": 1, "Atan": 2,
        "Celu": v.bound,
    }  # fmt: skip
    plain = {"Relu": {}, "Neg": {}, "Abs": {}, "LeakyRelu": {"alpha": 0.5}, "Identity": {}}
    steps = {"Floor": {}, "Ceil": {}, "Sign": {}, "Round": {}}
    table = rng_choice(b, [smooth, plain, plain, *([steps] if v.exact else [])])
    op = b.rng.choice(list(table))
    if table is smooth:
        b.add(op, [v.name], replace(v, bound=smooth[op], exact=False))
    else:
        b.add(op, [v.name], replace(v, bound=v.bound + 1), **table[op])


def rng_choice(b: Builder, options: list):
    """``random.choice`` for tables of different types."""
    return options[b.rng.randrange(len(options))]


def _binary(b: Builder) -> None:
    v, rng = b.any(), b.rng
    assert v
    fit = [w for w in b.values if _stretches(w.shape, v.shape)]
    w = rng.choice(fit)
    op = rng.choice(["Add", "Sub", "Mul", "Max", "Min", "Add", "Div", "Where", "PRelu", "Pow"])
    exact = v.exact and w.exact
    if op == "Div":
        v2 = b.constant(np.array(rng.choice([2.0, 3.0, -4.0, 0.5]), b.dtype))
        b.add(op, [v.name, v2], replace(v, bound=2 * v.bound, exact=False))
    elif op == "Where":
        if exact:
            other = b.name()
            b.nodes.append(helper.make_node("Greater", [v.name, w.name], [other]))
            b.add(op, [other, v.name, w.name], replace(v, bound=max(v.bound, w.bound)))
    elif op == "PRelu":
        slope = b.floats(*(v.shape[-1:] if rng.random() < 0.5 else ()))
        b.add(op, [v.name, slope], replace(v, bound=2 * v.bound))
    elif op == "Pow":
        two = b.constant(np.array(2, b.dtype))
        b.add(op, [v.name, two], replace(v, bound=v.bound**2, exact=False))
    else:
        bound = v.bound * w.bound if op == "Mul" else v.bound + w.bound
        b.add(op, [v.name, w.name], Value("", v.shape, bound, exact and op != "Mul"))


def _stretches(a: tuple[int, ...], to: tuple[int, ...]) -> bool:
    if len(a) > len(to):
        return False
    return all(x in (1, y) for x, y in zip(reversed(a), reversed(to)))


def _constant_operand(b: Builder) -> None:
    v = b.any()
    assert v
    shape = tuple(n if b.rng.random() < 0.6 else 1 for n in v.shape)
    op = b.rng.choice(["Add", "Mul", "Sub"])
    b.add(op, [v.name, b.floats(*shape)], replace(v, bound=2 * v.bound + 2, exact=False))


def _transpose(b: Builder) -> None:
    v = b.any()
    assert v
    if not v.shape:
        return
    perm = list(range(len(v.shape)))
    b.rng.shuffle(perm)
    b.add("Transpose", [v.name], replace(v, shape=tuple(v.shape[p] for p in perm)), perm=perm)


def _reshape(b: Builder) -> None:
    v, rng = b.any(), b.rng
    assert v
    shape: list[int] = []
    rest = v.size
    while rest > 1 and len(shape) < 4:
        n = rng.choice([d for d in range(1, rest + 1) if rest % d == 0][:8])
        shape.append(n)
        rest //= n
    shape.append(rest)
    if rng.random() < 0.3:
        shape.insert(rng.randrange(len(shape) + 1), 1)
    rng.shuffle(shape)
    if len(shape) > 5:
        return
    given = list(shape)
    given[rng.randrange(len(given))] = -1 if v.size else given[0]
    b.add("Reshape", [v.name, b.constant(np.int64(given))], replace(v, shape=tuple(shape)))


def _slice(b: Builder) -> None:
    v, rng = b.any(), b.rng
    assert v
    if not v.shape:
        return
    axis = rng.randrange(len(v.shape))
    n, step = v.shape[axis], rng.choice([1, 1, 2, -1, -2])
    begin, end = rng.randint(-n - 1, n + 1), rng.randint(-n - 1, n + 1)
    kept = len(range(n)[begin:end:step])
    if not kept and rng.random() < 0.9:
        return
    words = [b.constant(np.int64([x])) for x in (begin, end, axis, step)]
    shape = (*v.shape[:axis], kept, *v.shape[axis + 1 :])
    b.add("Slice", [v.name, *words], replace(v, shape=shape))


def _concat(b: Builder) -> None:
    v, rng = b.any(), b.rng
    assert v
    if not v.shape:
        return
    axis = rng.randrange(len(v.shape))

    def rest(s: tuple[int, ...]) -> tuple[int, ...]:
        return (*s[:axis], *s[axis + 1 :])

    fit = [w for w in b.values if len(w.shape) == len(v.shape) and rest(w.shape) == rest(v.shape)]
    parts = rng.choices(fit, k=rng.randint(1, 3))
    total = sum(p.shape[axis] for p in parts)
    made = Value(
        "",
        (*v.shape[:axis], total, *v.shape[axis + 1 :]),
        max(p.bound for p in parts),
        all(p.exact for p in parts),
    )
    if made.size <= MOST:
        b.add("Concat", [p.name for p in parts], made, axis=axis)


def _split(b: Builder) -> None:
    v = b.any()
    assert v
    axes = [k for k, n in enumerate(v.shape) if n > 1]
    if not axes:
        return
    axis = b.rng.choice(axes)
    first = b.rng.randint(1, v.shape[axis] - 1)
    parts = [first, v.shape[axis] - first]
    made = [replace(v, shape=(*v.shape[:axis], n, *v.shape[axis + 1 :])) for n in parts]
    b.add("Split", [v.name, b.constant(np.int64(parts))], *made, axis=axis)


def _pad(b: Builder) -> None:
    v, rng = b.any(), b.rng
    assert v
    r = len(v.shape)
    mode = rng.choice(["constant", "constant", "reflect", "edge"])
    pads = [rng.choice([0, 0, 1, 2]) for _ in range(2 * r)]
    if mode == "reflect":
        pads = [min(p, max(0, v.shape[k % r] - 1)) for k, p in enumerate(pads)]
    shape = tuple(n + pads[k] + pads[k + r] for k, n in enumerate(v.shape))
    made = replace(v, shape=shape)
    if r and v.size and made.size <= MOST:
        b.add("Pad", [v.name, b.constant(np.int64(pads))], made, mode=mode)


def _expand(b: Builder) -> None:
    v = b.any()
    assert v
    shape = tuple(b.rng.choice([2, 3]) if n == 1 else n for n in v.shape)
    made = replace(v, shape=shape)
    if made.size <= MOST:
        b.add("Expand", [v.name, b.constant(np.int64(shape))], made)


def _gather(b: Builder) -> None:
    v, rng = b.any(), b.rng
    assert v
    if not v.size or not v.shape:
        return
    axis = rng.randrange(len(v.shape))
    n, count = v.shape[axis], rng.randint(1, 4)
    index = np.int64([rng.randint(-n, n - 1) for _ in range(count)])
    shape = (*v.shape[:axis], count, *v.shape[axis + 1 :])
    b.add("Gather", [v.name, b.constant(index)], replace(v, shape=shape), axis=axis)


def _reduce(b: Builder) -> None:
    v, rng = b.any(), b.rng
    assert v
    if not v.size or not v.shape:
        return
    axes = sorted(rng.sample(range(len(v.shape)), rng.randint(1, len(v.shape))))
    keep = rng.randint(0, 1)
    shape = tuple(1 if k in axes else n for k, n in enumerate(v.shape) if keep or k not in axes)
    count = int(np.prod([v.shape[k] for k in axes]))
    op = rng.choice(["ReduceMean", "ReduceMax", "ReduceMin", "ReduceSum", "ReduceL2"])
    largest = op in ("ReduceMax", "ReduceMin")
    made = Value("", shape, v.bound * (1 if largest else count), v.exact and largest)
    if op == "ReduceSum":
        b.add(op, [v.name, b.constant(np.int64(axes))], made, keepdims=keep)
    else:
        b.add(op, [v.name], made, axes=axes, keepdims=keep)


def _normal(b: Builder) -> None:
    v, rng = b.any(), b.rng
    assert v
    if not v.size or not v.shape:
        return
    layer, instance = "LayerNormalization", "InstanceNormalization"
    op = rng.choice(["Softmax", "LogSoftmax", "CumSum", layer, instance])
    axis, n = rng.randrange(len(v.shape)), v.shape[-1]
    if op == "CumSum":
        which = b.constant(np.int64(axis))
        made = replace(v, bound=v.bound * v.shape[axis], exact=False)
        b.add(op, [v.name, which], made, reverse=rng.randint(0, 1), exclusive=rng.randint(0, 1))
    elif op == layer:
        made = replace(v, bound=4.0 * n**0.5, exact=False)
        b.add(op, [v.name, b.floats(n), b.floats(n)], made, axis=-1, epsilon=0.01)
    elif op == instance and len(v.shape) > 2:
        made = replace(v, bound=4.0 * v.size**0.5, exact=False)
        b.add(op, [v.name, b.floats(v.shape[1]), b.floats(v.shape[1])], made, epsilon=0.01)
    elif op in ("Softmax", "LogSoftmax"):
        made = replace(v, bound=1 if op == "Softmax" else 2 * v.bound + 8, exact=False)
        b.add(op, [v.name], made, axis=axis)


def _conv(b: Builder) -> None:
    v, rng = b.any(3, 4), b.rng
    if v is None or not v.size:
        return
    c, space = v.shape[1], v.shape[2:]
    transposed = rng.random() < 0.2
    groups = rng.choice([1, 1, c, *([2] if c % 2 == 0 else [])])
    kernel = [rng.choice([1, 2, 3, 3]) for _ in space]
    strides = [rng.choice([1, 1, 2]) for _ in space]
    dilations = [rng.choice([1, 1, 1, 2]) for _ in space]
    pads = [rng.choice([0, 0, 1]) for _ in range(2 * len(space))]
    each = rng.choice([1, 2, 3, 4, 8])
    out = each * groups
    spread = [(k - 1) * d + 1 for k, d in zip(kernel, dilations)]
    whole = [p + q for p, q in zip(pads, pads[len(space) :])]
    if transposed:
        sizes = [(n - 1) * s + e - p for n, s, e, p in zip(space, strides, spread, whole)]
        shape = (c, each, *kernel)
    else:
        sizes = [(n + p - e) // s + 1 for n, p, e, s in zip(space, whole, spread, strides)]
        shape = (out, c // groups, *kernel)
    made = Value("", (v.shape[0], out, *sizes), v.bound * 2 * int(np.prod(shape)) / each)
    if min(sizes) < 1 or made.size > MOST:
        return
    inputs = [v.name, b.floats(*shape), *([b.floats(out)] if rng.random() < 0.5 else [])]
    b.add(
        "ConvTranspose" if transposed else "Conv", inputs, made, kernel_shape=kernel,
        strides=strides, dilations=dilations, pads=pads, group=groups,
    )  # fmt: skip


def _pool(b: Builder) -> None:
    v, rng = b.any(3, 4), b.rng
    if v is None or not v.size:
        return
    space = v.shape[2:]
    if rng.random() < 0.25:
        op = rng.choice(["GlobalAveragePool", "GlobalMaxPool"])
        b.add(op, [v.name], Value("", (*v.shape[:2], *(1 for _ in space)), v.bound))
        return
    kernel, strides = [rng.choice([1, 2, 3]) for _ in space], [rng.choice([1, 2]) for _ in space]
    pads = [rng.randint(0, min(1, k - 1)) for k in kernel] * 2
    whole = [p + q for p, q in zip(pads, pads[len(space) :])]
    sizes = [(n + p - k) // s + 1 for n, p, k, s in zip(space, whole, kernel, strides)]
    if min(sizes) < 1:
        return
    op = rng.choice(["MaxPool", "AveragePool"])
    made = Value("", (*v.shape[:2], *sizes), v.bound, v.exact and op == "MaxPool")
    more = {"count_include_pad": rng.randint(0, 1)} if op == "AveragePool" else {}
    b.add(op, [v.name], made, kernel_shape=kernel, strides=strides, pads=pads, **more)


def _matmul(b: Builder) -> None:
    v, rng = b.any(2, 3, 4), b.rng
    if v is None or not v.size:
        return
    fit = [w for w in b.values if len(w.shape) == 2 and w.shape[0] == v.shape[-1]]
    n, bound = rng.choice([1, 2, 5, 8, 17]), 2.0
    if fit and rng.random() < 0.5:
        w = rng.choice(fit)
        name, n, bound = w.name, w.shape[1], w.bound
    else:
        name = b.floats(v.shape[-1], n)
    made = Value("", (*v.shape[:-1], n), v.bound * bound * v.shape[-1])
    if made.size > MOST:
        return
    if len(v.shape) == 2 and rng.random() < 0.5:
        b.add("Gemm", [v.name, name, b.floats(n)], made)
    else:
        b.add("MatMul", [v.name, name], made)


def _image(b: Builder) -> None:
    v, rng = b.any(4), b.rng
    if v is None or not v.size:
        return
    n, c, h, w = v.shape
    made = replace(v, shape=(n, c, 2 * h, 2 * w), exact=False)
    if rng.random() < 0.5 and made.size <= MOST:
        scales = b.constant(np.float32([1, 1, 2, 2]))
        mode = rng.choice(["nearest", "linear"])
        b.add("Resize", [v.name, "", scales], made, mode=mode)
    elif h % 2 == 0 and w % 2 == 0:
        made = replace(v, shape=(n, 4 * c, h // 2, w // 2))
        b.add("SpaceToDepth", [v.name], made, blocksize=2)
    elif c % 4 == 0:
        b.add("DepthToSpace", [v.name], replace(v, shape=(n, c // 4, 2 * h, 2 * w)), blocksize=2)


def _whole(b: Builder) -> None:
    """There and back through integers."""
    v = b.any()
    assert v
    if not v.exact:
        return
    kind = b.rng.choice([TensorProto.INT32, TensorProto.INT64])
    name = b.name()
    b.nodes.append(helper.make_node("Cast", [v.name], [name], to=kind))
    to = helper.np_dtype_to_tensor_dtype(np.dtype(b.dtype))
    b.add("Cast", [name], v, to=to)


STEPS: tuple[Callable[[Builder], None], ...] = (
    _unary, _unary, _binary, _binary, _binary, _constant_operand, _transpose, _reshape, _slice,
    _concat, _split, _pad, _expand, _gather, _reduce, _normal, _conv, _conv, _conv, _pool, _matmul,
    _matmul, _image, _whole,
)  # fmt: skip
