"""What is timed in a page: networks of the zoo, and trained files beside the runtime of their own
format."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ...compiler.driver import compile
from ...compiler.frontends import load
from ...compiler.web.bundle import bundle
from .. import zoo
from ..zoo import judge, packages
from . import tfjs_graph

Expected = list[np.ndarray]
FILES = "/files"  # where pages find trained files


@dataclass(frozen=True)
class Network:
    """A network of the zoo, with random weights."""

    name: str
    peers: tuple[str, ...] = ("tfjs", "ort")
    backends: tuple[str, ...] = ("webgpu", "webgl", "wasm")

    def prepare(
        self, folder: Path, peers: Sequence[str], targets: Sequence[str]
    ) -> tuple[dict[str, Any], Expected]:
        """Write what the pages fetch; what they are told, and what is right."""
        model = zoo.random_model(self.name)
        ((key, array),) = zoo.feed(model).items()
        (folder / "model.onnx").write_bytes(model.SerializeToString())
        if "tfjs" in peers:
            graph = tfjs_graph.convert(model)
            (folder / "tfjs.json").write_text(json.dumps(graph.json()))
            (folder / "tfjs.bin").write_bytes(graph.weights())
        if "weft" in peers:
            bundle(model, folder / "weft", targets)
        results = judge.reference(model, {key: array})
        name = next(iter(results))
        return _job(folder, {key: array}, [name]), [results[name]]


@dataclass(frozen=True)
class Trained:
    """A trained file, timed beside the runtime of its format, ``peers``.

    ``shapes`` binds what is open; ``outputs`` are those that are asked for, () for all; inputs are
    seeded, floats in [0, 1). What is right is what weft says on the processor: that this is what
    the format's own runtime says is seen by ``tests/frontends``.
    """

    name: str
    file: str
    peers: tuple[str, ...] = ("tfjs_file",)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    outputs: tuple[str, ...] = ()
    backends: tuple[str, ...] = ("webgl", "wasm")
    part: str = ""  # of a folder: the file that is loaded

    def prepare(
        self, folder: Path, peers: Sequence[str], targets: Sequence[str]
    ) -> tuple[dict[str, Any], Expected]:
        """As :meth:`Network.prepare`."""
        path = packages.path(self.file)
        path = path / self.part if self.part else path
        graph = load(path, self.shapes, outputs=self.outputs or None)
        rng = np.random.default_rng(17)
        feeds = {}
        for i in graph.inputs:
            t = graph.types[i]
            array = rng.random(t.shape, np.float32)
            feeds[i] = array if t.dtype.is_float else (array * 255).astype(t.dtype.numpy)
        if "weft" in peers:
            bundle(graph, folder / "weft", targets)
        results = compile(graph).run(feeds)
        job = _job(folder, feeds, list(graph.outputs))
        job["file"] = f"{FILES}/{path.relative_to(packages.cache())}"
        return job, [results[o] for o in graph.outputs]


def _job(folder: Path, feeds: dict[str, np.ndarray], outputs: Sequence[str]) -> dict[str, Any]:
    inputs = []
    for k, (name, array) in enumerate(feeds.items()):
        plain = array.astype(array.dtype.newbyteorder("<"))
        (folder / f"input{k}.bin").write_bytes(plain.tobytes())
        inputs.append({"name": name, "shape": list(array.shape), "dtype": str(array.dtype)})
    return {"inputs": inputs, "outputs": list(outputs)}


_POSE = tuple(f"MobilenetV1/{n}_2/BiasAdd" for n in ("displacement_fwd", "heatmap", "offset"))
SUBJECTS: dict[str, Network | Trained] = {
    s.name: s
    for s in (
        Network("resnet18"),
        Network("mobilenet_v2"),
        Trained("mobilenet_v1 layers", "mobilenet_layers", part="model.json",
                shapes={"input_1": (1, 224, 224, 3)}),
        Trained("posenet", "human/posenet.json", shapes={"image": (1, 385, 385, 3)},
                outputs=_POSE),
        Trained("blazeface", "human/blazeface-back.json", shapes={"input": (1, 256, 256, 3)}),
        Trained("facemesh", "human/facemesh.json", shapes={"input_1": (1, 192, 192, 3)}),
        Trained("selfie tflite", "selfie_segmentation.tflite", ("litert",), backends=("wasm",)),
        Trained("face tflite", "face_detection_short_range.tflite", ("litert",),
                backends=("wasm",)),
    )
}  # fmt: skip
