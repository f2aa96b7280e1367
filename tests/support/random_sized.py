"""Random models of tensors whose size only data knows."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import onnx
import onnxruntime
import weft
from onnx import TensorProto, helper, numpy_helper

FLOAT, LONG = TensorProto.FLOAT, TensorProto.INT64


@dataclass
class Random:
    """A model in the making: float tensors by name, with what is known of their extents: a number,
    or a name of a size that only data knows."""

    rng: np.random.Generator
    nodes: list = field(default_factory=list)
    constants: dict = field(default_factory=dict)
    tensors: dict = field(default_factory=dict)
    serial: int = 0

    def fresh(self, hint: str) -> str:
        self.serial += 1
        return f"{hint}{self.serial}"

    def const(self, value) -> str:
        name = self.fresh("c")
        self.constants[name] = np.asarray(value)
        return name

    def ints(self, *values: int) -> str:
        return self.const(np.array(values, np.int64))

    def op(self, op: str, inputs, shape=None, outputs=1, **attrs) -> str:
        names = [self.fresh(op.lower()) for _ in range(outputs)]
        self.nodes.append(helper.make_node(op, inputs, names, **attrs))
        if shape is not None:
            self.tensors[names[0]] = list(shape)
        return names[0]

    def any(self, least: int = 1) -> str:
        """A tensor of at least so many axes, rather one made late."""
        fit = [n for n, s in self.tensors.items() if len(s) >= least]
        late = fit[-6:]
        return late[self.rng.integers(len(late))]

    def axis(self, name: str) -> int:
        return int(self.rng.integers(len(self.tensors[name])))

    # -- what the steps are

    def compress(self) -> None:
        x = self.any()
        axis, shape = self.axis(x), self.tensors[x]
        other = [k for k in range(len(shape)) if k != axis]
        line = self.op("ReduceSum", [x, self.ints(*other)], keepdims=0) if other else x
        mask = self.op("Greater", [line, self.const(np.float32(self.rng.normal(0, 0.3)))])
        self.op("Compress", [x, mask], [*shape[:axis], self.fresh("n"), *shape[axis + 1 :]],
                axis=axis)  # fmt: skip

    def non_zero(self) -> None:
        x = self.any()
        where = self.op("NonZero", [self.op("Relu", [x])])
        pairs = self.op("Transpose", [where], perm=[1, 0])
        self.op("GatherND", [x, pairs], [self.fresh("n")])

    def elements(self) -> None:
        x = self.any()
        kind = str(self.rng.choice(["Relu", "Neg", "Tanh", "Sigmoid", "Abs"]))
        y = self.op(kind, [x], self.tensors[x])
        self.op(str(self.rng.choice(["Add", "Mul", "Max"])), [x, y], self.tensors[x])

    def softmax(self) -> None:
        x = self.any()
        self.op("Softmax", [x], self.tensors[x], axis=self.axis(x))

    def scan(self) -> None:
        x = self.any()
        reverse = int(self.rng.integers(2))
        axis = self.const(np.int64(self.axis(x)))
        self.op("CumSum", [x, axis], self.tensors[x], reverse=reverse)

    def reduce(self) -> None:
        x = self.any()
        shape, axis = self.tensors[x], self.axis(x)
        kind = str(self.rng.choice(["ReduceSum", "ReduceSum", "ReduceL2", "ReduceLogSumExp"]))
        keep = int(self.rng.integers(2))
        left = [*shape[:axis], *([1] if keep else []), *shape[axis + 1 :]]
        if kind == "ReduceSum":
            self.op(kind, [x, self.ints(axis)], left, keepdims=keep)
        else:
            self.op(kind, [x], left, axes=[axis], keepdims=keep)

    def concat(self) -> None:
        x = self.any()
        axis, shape = self.axis(x), self.tensors[x]
        fit = [n for n, s in self.tensors.items() if len(s) == len(shape)
               and all(a == b for k, (a, b) in enumerate(zip(s, shape)) if k != axis)]  # fmt: skip
        parts = [str(self.rng.choice(fit)) for _ in range(self.rng.integers(1, 4))] + [x]
        size = sum(self.tensors[p][axis] for p in parts) if all(
            isinstance(self.tensors[p][axis], int) for p in parts) else self.fresh("n")  # fmt: skip
        self.op("Concat", parts, [*shape[:axis], size, *shape[axis + 1 :]], axis=axis)

    def slice(self) -> None:
        x = self.any()
        axis, shape = self.axis(x), self.tensors[x]
        begin, end = (int(v) for v in self.rng.integers(-4, 5, 2))
        step = int(self.rng.choice([1, 1, 2, -1, -2]))
        if self.rng.integers(2):
            end = 2**62 if step > 0 else -(2**62)
        ends = self.ints(end)
        if self.rng.integers(3) == 0:
            size = self.op("Gather", [self.op("Shape", [x]), self.ints(axis)])
            ends = self.op("Div", [size, self.ints(2)])
        cut = [x, self.ints(begin), ends, self.ints(axis), self.ints(step)]
        self.op("Slice", cut, [*shape[:axis], self.fresh("n"), *shape[axis + 1 :]])

    def matmul(self) -> None:
        if not any(len(s) > 1 for s in self.tensors.values()):
            return
        x = self.any(2)
        shape = self.tensors[x]
        perm = [*range(len(shape) - 2), len(shape) - 1, len(shape) - 2]
        turned = self.op("Transpose", [x], perm=perm)
        self.tensors[turned] = [shape[p] for p in perm]
        first = bool(self.rng.integers(2))
        pair = [x, turned] if first else [turned, x]
        side = shape[-2] if first else shape[-1]
        self.op("MatMul", pair, [*shape[:-2], side, side])

    def reshape(self) -> None:
        x = self.any()
        shape = self.tensors[x]
        how = self.rng.integers(4)
        if how == 0:
            self.op("Reshape", [x, self.ints(-1)], [self.fresh("n")])
        elif how == 1 and len(shape) > 1:
            self.op("Reshape", [x, self.ints(0, -1)], [shape[0], self.fresh("n")])
        elif how == 2:
            axis = int(self.rng.integers(len(shape) + 1))
            self.op("Unsqueeze", [x, self.ints(axis)], [*shape[:axis], 1, *shape[axis:]])
        else:
            whole = self.op("Shape", [x])
            turned = [self.op("Gather", [whole, self.ints(k)]) for k in reversed(range(len(shape)))]
            target = self.op("Concat", turned, axis=0)
            self.op("Reshape", [x, target], shape[::-1], allowzero=1)

    def top_k(self) -> None:
        x = self.any()
        axis, shape = self.axis(x), self.tensors[x]
        size = self.op("Gather", [self.op("Shape", [x]), self.ints(axis)])
        k = self.op("Min", [size, self.ints(int(self.rng.integers(1, 5)))])
        self.op("TopK", [x, k], [*shape[:axis], self.fresh("n"), *shape[axis + 1 :]], 2,
                axis=axis, largest=int(self.rng.integers(2)))  # fmt: skip

    def pad(self) -> None:
        x = self.any()
        shape = self.tensors[x]
        pads = [int(v) for v in self.rng.integers(0, 2, 2 * len(shape))]
        left = [n if not p + q else n + p + q if isinstance(n, int) else self.fresh("n")
                for n, p, q in zip(shape, pads, pads[len(shape) :])]  # fmt: skip
        self.op("Pad", [x, self.ints(*pads), self.const(np.float32(0.5))], left)

    def tile(self) -> None:
        x = self.any()
        shape, axis = self.tensors[x], self.axis(x)
        times = [2 if k == axis else 1 for k in range(len(shape))]
        left = [n if t == 1 else 2 * n if isinstance(n, int) else self.fresh("n")
                for n, t in zip(shape, times)]  # fmt: skip
        self.op("Tile", [x, self.ints(*times)], left)

    def expand(self) -> None:
        x = self.any()
        shape = self.op("Shape", [x])
        self.op("Expand", [self.const(np.float32(0.25)), shape], self.tensors[x])

    def resize(self) -> None:
        x = self.any()
        shape, axis = self.tensors[x], self.axis(x)
        scale = float(self.rng.choice([0.6, 1.5, 2.0]))
        scales = np.ones(len(shape), np.float32)
        scales[axis] = scale
        how = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        if len(shape) > 1 and self.rng.integers(2):
            how = {"mode": "linear"}
        if isinstance(shape[axis], int):
            size = int(np.float32(shape[axis]) * np.float32(scale))
        else:
            size = self.fresh("n")
        self.op("Resize", [x, "", self.const(scales)], [*shape[:axis], size, *shape[axis + 1 :]],
                **how)  # fmt: skip


STEPS = ("compress", "non_zero", "elements", "softmax", "scan", "reduce", "concat", "slice",
         "matmul", "reshape", "top_k", "pad", "tile", "expand",
         "resize")  # fmt: skip
MOST = 3  # axes


def model(seed: int) -> onnx.ModelProto:
    """A model of two inputs and the outputs that were made last."""
    rng = np.random.default_rng(seed)
    shape = [int(v) for v in rng.integers(1, 6, rng.integers(1, MOST + 1))]
    r = Random(rng)
    r.tensors["x"] = shape
    r.compress()
    for _ in range(rng.integers(3, 8)):
        getattr(r, str(rng.choice(STEPS)))()
        r.tensors = {n: s for n, s in r.tensors.items() if 1 <= len(s) <= MOST}
    outputs = [n for n in list(r.tensors)[-4:] if n != "x"]
    graph = helper.make_graph(
        r.nodes,
        "sized",
        [helper.make_tensor_value_info("x", FLOAT, shape)],
        [helper.make_tensor_value_info(o, FLOAT, None) for o in outputs],
        [numpy_helper.from_array(v, k) for k, v in r.constants.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    made.ir_version = 8
    return made


def feeds(made: onnx.ModelProto, seed: int) -> list[dict[str, np.ndarray]]:
    """Inputs of such a model: of which much, some, and nothing is chosen."""
    (x,) = made.graph.input
    shape = [d.dim_value for d in x.type.tensor_type.shape.dim]
    values = np.random.default_rng(seed)
    return [
        {x.name: (values.standard_normal(shape) + shift).astype(np.float32)} for shift in (1, 0, -3)
    ]


def compared(made: onnx.ModelProto, target: str, seed: int) -> str:
    """How weft's results differ from those of ONNX Runtime, for all :func:`feeds`; "": not at all.
    Raises what weft raises."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    theirs = onnxruntime.InferenceSession(
        made.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    ours = weft.compile(made, target)
    for k, feed in enumerate(feeds(made, seed)):
        try:
            want = theirs.run(None, feed)
        except Exception:  # some operators take no empty tensors there; it has no type of its own
            continue
        for (name, a), b in zip(ours.run(feed).items(), want, strict=True):
            close = a.shape == b.shape and np.allclose(a, b, 1e-4, 1e-4, equal_nan=True)
            if not close:
                return f"{target}, feed {k}: {name} is\n{a}\nand not\n{b}"
    return ""


__all__ = ["compared", "feeds", "model"]
