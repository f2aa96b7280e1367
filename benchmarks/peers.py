"""weft and its peers behind one interface: give a model and its input, get a function to time.

Every peer computes in f32 on the CPU with the number of threads it is told.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

Run = Callable[[], np.ndarray]  # one inference; returns the first output
Feed = Mapping[str, np.ndarray]


def weft(
    model: Any, shapes: Mapping[str, int], feed: Feed, threads: int, target: str = "llvm"
) -> Run:
    """Ours; the pool takes its size from ``WEFT_NUM_THREADS``, which the parent has set."""
    from .. import compile as compile_model

    exe = compile_model(model, target, shapes=dict(shapes))
    arrays = [feed[name] for name in exe.inputs]

    def run() -> np.ndarray:
        result = exe(*arrays)
        return result[0] if isinstance(result, tuple) else result

    return run


def onnxruntime(model: Any, shapes: Mapping[str, int], feed: Feed, threads: int) -> Run:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    for name, extent in shapes.items():
        options.add_free_dimension_override_by_name(name, extent)
    providers = ["CPUExecutionProvider"]
    session: Any = ort.InferenceSession(model.SerializeToString(), options, providers=providers)
    return lambda: session.run(None, dict(feed))[0]


def openvino(model: Any, shapes: Mapping[str, int], feed: Feed, threads: int) -> Run:
    import io

    import openvino as ov  # pyright: ignore[reportMissingImports]

    core = ov.Core()
    network = core.read_model(io.BytesIO(model.SerializeToString()))
    network.reshape({name: list(array.shape) for name, array in feed.items()})
    # without the precision hint a CPU with bfloat16 units would use them
    config = {
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
    }
    request = core.compile_model(network, "CPU", config).create_infer_request()
    tensors = {name: ov.Tensor(array, shared_memory=True) for name, array in feed.items()}
    for name, tensor in tensors.items():
        request.set_tensor(name, tensor)

    def run() -> np.ndarray:
        request.infer()
        return request.get_output_tensor(0).data

    return run


def torch(model: Any, shapes: Mapping[str, int], feed: Feed, threads: int) -> Run:
    import torch as pt  # pyright: ignore[reportMissingImports]

    from .torch_graph import OnnxModule, traced

    pt.set_num_threads(threads)
    script = traced(model, feed)
    tensors = [pt.from_numpy(feed[k]) for k in OnnxModule(model).inputs]

    def run() -> np.ndarray:
        with pt.inference_mode():
            return script(*tensors)[0].numpy()

    return run


PEERS: dict[str, Callable[[Any, Mapping[str, int], Feed, int], Run]] = {
    "weft": weft,
    "weft on opencl": partial(weft, target="opencl"),
    "weft on opengl": partial(weft, target="opengl"),
    "onnxruntime": onnxruntime,
    "openvino": openvino,
    "torch": torch,
}
