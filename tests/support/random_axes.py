"""Random graphs of operators that carry axes, with transposes everywhere between them."""

from __future__ import annotations

import math

import numpy as np
from weft.compiler.graph.builder import GraphBuilder
from weft.compiler.graph.graph import Graph
from weft.runtime.errors import WeftError

MOST = 2000  # elements of a tensor
UNARY = ("relu", "abs", "tanh", "neg", "identity", "sigmoid")
BINARY = ("add", "sub", "mul", "maximum", "less")
REDUCE = ("reduce_sum", "reduce_mean", "reduce_max", "reduce_l2", "reduce_log_sum_exp")


class _Made:
    def __init__(self, seed: int):
        self.rng = np.random.default_rng(seed)
        self.b = GraphBuilder(f"random {seed}")
        self.floats: list[str] = []

    def shape(self, name: str) -> tuple[int, ...]:
        return self.b.types[name].shape

    def pick(self, *options):
        return options[self.rng.integers(len(options))]

    def some(self) -> str:
        """A tensor: mostly one of the last."""
        recent = self.floats[-4:] if self.rng.random() < 0.75 else self.floats
        return self.pick(*recent)

    def const(self, *shape: int) -> str:
        return self.b.constant(self.rng.standard_normal(shape).astype(np.float32), "c")

    def axis(self, x: str) -> int:
        return int(self.rng.integers(len(self.shape(x))))

    def add(self, op: str, *inputs: str, **attrs) -> None:
        before = len(self.b.nodes)
        try:
            made = self.b.add(op, inputs, attrs)
        except WeftError:  # the operator is not for this tensor
            assert len(self.b.nodes) == before
            return
        sizes = [self.b.types[o].size for o in made]
        if max(sizes) > MOST or not all(sizes):
            self.b.nodes.pop()
            return
        self.floats += [o for o in made if str(self.b.types[o].dtype) == "float32"]

    # -- what may be added

    def transposed(self) -> None:
        x = self.some()
        perm = self.rng.permutation(len(self.shape(x)))
        if len(perm) == 4 and self.rng.random() < 0.7:
            perm = self.pick((0, 2, 3, 1), (0, 3, 1, 2))
        self.add("transpose", x, perm=tuple(map(int, perm)))

    def unary(self) -> None:
        self.add(self.pick(*UNARY), self.some())

    def binary(self) -> None:
        x = self.some()
        shape = self.shape(x)
        if self.rng.random() < 0.5 or not shape:
            y = self.some()
        else:
            keep = int(self.rng.integers(len(shape) + 1))
            y = self.const(*[n if self.rng.random() < 0.6 else 1 for n in shape[keep:]])
        self.add(self.pick(*BINARY), *((x, y) if self.rng.random() < 0.5 else (y, x)))

    def same(self) -> None:
        """Two tensors of one shape, one of them transposed."""
        x = self.some()
        rank = len(self.shape(x))
        perm = tuple(map(int, self.rng.permutation(rank)))
        (y,) = self.b.add("transpose", [x], {"perm": perm})
        (y,) = self.b.add("relu", [y])
        (y,) = self.b.add("transpose", [y], {"perm": tuple(map(int, np.argsort(perm)))})
        self.floats.append(y)
        self.add("add", x, y)

    def where(self) -> None:
        x = self.some()
        (c,) = self.b.add("less", [x, self.const(1)])
        self.add("where", c, x, self.some())

    def reduced(self) -> None:
        x = self.some()
        rank = len(self.shape(x))
        axes = tuple(k - self.pick(0, rank) for k in range(rank) if self.rng.random() < 0.5)
        keep = bool(self.rng.random() < 0.6)
        self.add(self.pick(*REDUCE), x, axes=self.pick(axes, axes, axes, None), keepdims=keep)

    def along(self) -> None:
        x = self.some()
        if not self.shape(x):
            return
        a = self.axis(x)
        last = {"axis": a - self.pick(0, len(self.shape(x)))}
        op = self.pick("softmax", "log_softmax", "cumsum", "top_k", "arg_max", "one_more")
        if op == "top_k":
            self.add(op, x, k=int(self.rng.integers(1, self.shape(x)[a] + 1)), **last)
        elif op == "arg_max":
            made = self.b.add(op, [x], {**last, "keepdims": bool(self.rng.random() < 0.5)})
            self.add("cast", made[0], to="float32")
        elif op == "one_more":
            self.add("layer_norm", x, self.const(*self.shape(x)[a:]), axis=last["axis"])
        else:
            self.add(op, x, **last)

    def joined(self) -> None:
        x = self.some()
        if not self.shape(x):
            return
        a = self.axis(x)
        shape = list(self.shape(x))
        shape[a] = 2
        alike = [
            t
            for t in self.floats
            if len(self.shape(t)) == len(shape)
            and all(p == q or k == a for k, (p, q) in enumerate(zip(self.shape(t), shape)))
        ]
        self.add("concat", x, self.pick(*alike), self.const(*shape), axis=a)

    def cut(self) -> None:
        x = self.some()
        shape = self.shape(x)
        starts = [int(self.rng.integers(n)) for n in shape]
        counts = [int(self.rng.integers(1, n - s + 1)) for n, s in zip(shape, starts)]
        self.add("slice", x, starts=tuple(starts), shape=tuple(counts), steps=None)

    def padded(self) -> None:
        x = self.some()
        pads = tuple(int(p) for p in self.rng.integers(0, 2, 2 * len(self.shape(x))))
        value = [] if self.rng.random() < 0.5 else [self.const()]
        self.add("pad", x, *value, pads=pads, mode="constant")
        self.add("pad", x, pads=pads, mode="edge")

    def stretched(self) -> None:
        x = self.some()
        shape = self.shape(x)
        twice = tuple(int(n) for n in self.rng.integers(1, 3, len(shape)))
        self.add("tile", x, repeats=twice)
        self.add("upsample", x, factors=twice)
        wide = tuple(n if n > 1 else int(self.rng.integers(1, 4)) for n in shape)
        self.add("expand", x, shape=(self.pick(1, 2), *wide) if len(shape) < 4 else wide)

    def gathered(self) -> None:
        x = self.some()
        if not self.shape(x):
            return
        a = self.axis(x)
        shape = self.pick((), (2,), (2, 2))
        at = self.b.constant(self.rng.integers(0, self.shape(x)[a], shape).astype(np.int64), "i")
        self.add("gather", x, at, axis=a)
        at = self.b.constant(self.rng.integers(0, self.shape(x)[a], self.shape(x)), "i")
        self.add("gather_elements", x, at, axis=a)

    def resampled(self) -> None:
        x = self.some()
        if not self.shape(x):
            return
        a = self.axis(x)
        taps = self.b.constant(self.rng.integers(0, self.shape(x)[a], (3, 2)).astype(np.int32), "i")
        self.add("resample", x, taps, self.const(3, 2), axis=a)

    def reshaped(self) -> None:
        x = self.some()
        shape = list(self.shape(x))
        for _ in range(int(self.rng.integers(1, 3))):
            k = int(self.rng.integers(len(shape) + 1))
            kind = self.pick("merge", "split", "one", "unit")
            if kind == "merge" and k + 1 < len(shape):
                shape[k : k + 2] = [shape[k] * shape[k + 1]]
            elif kind == "split" and k < len(shape):
                d = self.pick(*[d for d in range(1, shape[k] + 1) if shape[k] % d == 0])
                shape[k : k + 1] = [d, shape[k] // d]
            elif kind == "one":
                shape.insert(k, 1)
            elif kind == "unit" and 1 in shape:
                shape.remove(1)
        if len(shape) <= 5:
            self.add("reshape", x, shape=tuple(shape))

    def convolved(self) -> None:
        x = self.some()
        if len(self.shape(x)) == 4:
            c = self.shape(x)[1]
            self.add("conv", x, self.const(int(self.rng.integers(1, 5)), c, 1, 1))
            self.add("max_pool", x, kernel=(2, 2))

    def image(self) -> None:
        """A convolution or a pool of an image with its channels last."""
        x = self.some()
        if len(self.shape(x)) != 4:
            return
        (y,) = self.b.add("transpose", [x], {"perm": (0, 3, 1, 2)})
        f, c = int(self.rng.integers(1, 5)), self.shape(y)[1]
        if self.rng.random() < 0.5:
            attrs = {"kernel": (1, 1), "strides": (2, 2)}
            (y,) = self.b.add("average_pool", [y], attrs)
        else:
            (y,) = self.b.add("conv", [y, self.const(f, c, 1, 1)])
        self.add("transpose", y, perm=(0, 2, 3, 1))

    def normalised(self) -> None:
        x = self.some()
        shape = self.shape(x)
        if len(shape) < 2:
            return
        c = shape[1]
        var = self.b.constant(self.rng.random(c).astype(np.float32) + 0.5, "var")
        self.add("batch_norm", x, self.const(c), self.const(c), self.const(c), var)
        self.add("instance_norm", x, self.const(c), self.const(c))
        self.add("lrn", x, size=3)
        self.add("prelu", x, self.const(c, *[1] * (len(shape) - 2)))

    def quantised(self) -> None:
        x = self.some()
        if not self.shape(x):
            return
        a = self.axis(x)
        n = self.shape(x)[a]
        scale = self.b.constant(self.rng.random(n).astype(np.float32) + 0.1, "s")
        zero = self.b.constant(self.rng.integers(0, 9, n).astype(np.int8), "z")
        rest = {"axis": a - self.pick(0, len(self.shape(x)))}
        (q,) = self.b.add("quantize_linear", [x, scale, zero], {**rest, "to": "int8"})
        perm = tuple(map(int, self.rng.permutation(len(self.shape(x)))))
        (q,) = self.b.add("transpose", [q], {"perm": perm})
        self.add("dequantize_linear", q, scale, zero, axis=perm.index(a))

    def product(self) -> None:
        x = self.some()
        shape = self.shape(x)
        if not shape:
            return
        self.add("matmul", x, self.const(shape[-1], int(self.rng.integers(1, 5))))

    def dense(self) -> None:
        """Flattened axes, an activation perhaps, and a matrix."""
        x = self.some()
        shape = self.shape(x)
        lead = int(self.rng.integers(len(shape))) if shape else 0
        if not shape:
            return
        depth = math.prod(shape[lead:])
        (y,) = self.b.add("reshape", [x], {"shape": (*shape[:lead], depth)})
        if self.rng.random() < 0.4:
            (y,) = self.b.add("tanh", [y])
        if lead == 1 and self.rng.random() < 0.5:
            self.add("gemm", y, self.const(3, depth), self.const(3), trans_b=True)
        else:
            self.add("matmul", y, self.const(depth, 3))


STEPS = tuple(
    getattr(_Made, k)
    for k in (
        *("transposed",) * 6,
        *("unary", "binary") * 2,
        *("same", "where", "reduced", "along", "joined", "cut", "padded", "stretched"),
        *("gathered", "resampled", "reshaped", "reshaped", "convolved", "image", "image"),
        *("normalised", "quantised", "product", "dense"),
    )
)


def random_graph(seed: int, steps: int = 24) -> Graph:
    """A graph of about ``steps`` operators; its outputs are what nothing reads, and some others."""
    m = _Made(seed)
    for k in range(int(m.rng.integers(1, 3))):
        shape = tuple(m.pick(1, 2, 3, 4) for _ in range(m.pick(2, 3, 4, 4, 4)))
        m.floats.append(m.b.input(f"x{k}", "float32", shape))
    for _ in range(steps):
        m.pick(*STEPS)(m)
    read = {i for n in m.b.nodes for i in n.inputs}
    made = [o for n in m.b.nodes for o in n.outputs]
    outputs = [o for o in made if o not in read or m.rng.random() < 0.06]
    return m.b.finish(outputs)
