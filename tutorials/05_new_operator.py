"""A new operator in one file: defined once, run on every target that this machine has.

Run it with ``python tutorials/05_new_operator.py``. The operator is one that no framework has:
``hourglass(x, rate)`` looks at each element through the mean of its neighbours,

    y[..., i] = x[..., i] * tanh(rate * (x[..., i-1] + 2 x[..., i] + x[..., i+1]) / 4)

with zeros beyond both ends.
"""

import numpy as np
import onnx
import weft
from weft import te
from weft.compiler.ops import Attr, Kind, OpDef

# ---- 1. The operator --------------------------------------------------------------------------
#
# Types, meaning, and a reference in numpy. Nothing here knows a target: no layout, no schedule, no
# line of C, GLSL, WGSL or WebAssembly.


def infer(types, attrs):
    if not types[0].dtype.is_float or not types[0].shape:
        raise weft.WeftError(f"hourglass takes float tensors with an axis, not {types[0]}.")
    return [types[0]]


def compute(inputs, attrs, outputs):
    x, n = inputs[0], outputs[0].shape[-1]

    def element(*at):
        *outer, i = at
        left = te.if_then_else(i > 0, x[(*outer, i - 1)], 0.0)
        right = te.if_then_else(i < n - 1, x[(*outer, i + 1)], 0.0)
        return x[at] * te.tanh((left + 2.0 * x[at] + right) * (attrs["rate"] / 4))

    return [te.compute(outputs[0].shape, element, name="hourglass")]


def reference(arrays, attrs):
    padded = np.pad(arrays[0], [(0, 0)] * (arrays[0].ndim - 1) + [(1, 1)])
    near = padded[..., :-2] + 2 * arrays[0] + padded[..., 2:]
    return [(arrays[0] * np.tanh(near * (attrs["rate"] / 4))).astype(arrays[0].dtype)]


weft.register_op(
    OpDef("hourglass", Kind.INJECTIVE, infer, compute, reference, {"rate": Attr(float, 1.0)}),
    onnx="tutorial::Hourglass",
)

# ---- 2. A model that uses it ------------------------------------------------------------------
#
# It is a node of its own domain in an ONNX file. Between a product and a sum it is fused like any
# other operator.

rng = np.random.default_rng(0)
nodes = [
    onnx.helper.make_node("MatMul", ["x", "w"], ["h"]),
    onnx.helper.make_node("Hourglass", ["h"], ["g"], domain="tutorial", rate=0.5, name="glass"),
    onnx.helper.make_node("Add", ["g", "h"], ["y"]),
]
w = onnx.numpy_helper.from_array(rng.standard_normal((33, 50)).astype(np.float32), "w")
x, y = (onnx.helper.make_tensor_value_info(n, 1, ["N", k]) for n, k in (("x", 33), ("y", 50)))
opsets = [onnx.helper.make_opsetid("", 17), onnx.helper.make_opsetid("tutorial", 1)]
model = onnx.helper.make_model(
    onnx.helper.make_graph(nodes, "glass", [x], [y], [w]), opset_imports=opsets
)

# ---- 3. Every target --------------------------------------------------------------------------
#
# weft.check runs the model on a target and compares every tensor that its kernels make with the
# references: webgl runs in a headless Chromium, wasm under Node.

for target in ("llvm", "opencl", "opengl", "webgl", "webgpu", "wasm", "wasm -threads"):
    try:
        report = weft.check(model, target, shapes={"N": 7})
    except weft.WeftError as e:
        print(f"{target:<14} not here: {e.message}")
        continue
    worst = report.worst[0]
    print(
        f"{target:<14} {'right' if report.ok else 'WRONG'}: {len(report.rows)} tensors, the worst "
        f"{worst.distance.relative:.1e} off ({worst.ops})"
    )
    assert report.ok, report

# ---- 4. What it became ------------------------------------------------------------------------

exe = weft.compile(model, "opengl", shapes={"N": 7}, cache=False)
name, text = next((n, t.decode()) for n, t in exe.codes.items() if "hourglass" in n)
body = text[text.index("void main") :].splitlines()
print(f"\n{name}, as a fragment shader:\n" + "\n".join(body[:24]) + "\n…")
