"""Trained TensorFlow models, and what they are asked: the same for the judges, in whose
environments weft is not, and for the tests."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

TESTS = Path(__file__).resolve().parents[1]
FETCHED = TESTS.parent / "build" / "models"
SAMPLES = 400  # numbers kept of a result
FACE = "astronaut.png"


@dataclass(frozen=True)
class Case:
    """One model: its file, the shapes and types of its inputs, the photograph that it is shown
    beside noise, the part of it (left, top, right, bottom) and the range of its pixels."""

    name: str
    file: str
    inputs: Mapping[str, tuple[tuple[int, ...], str]]
    outputs: tuple[str, ...]
    photo: str = ""
    part: tuple[int, int, int, int] | None = None
    low: float = 0.0
    high: float = 1.0
    known: tuple[str, ...] = ()  # inputs that weft is given when it compiles
    ranked: tuple[str, ...] = ()  # outputs [1, box, …] in the order of the first one's scores
    format: str = "tfjs-graph"  # weft's front-end

    @property
    def path(self) -> Path:
        """Where the file is once packages are there."""
        return FETCHED / self.file

    def ready(self) -> Path:
        """The file to load: a description that is written as JavaScript is made JSON first."""
        if self.path.suffix != ".js":
            return self.path
        return from_javascript(self.path)

    def asked(self, pixels: Callable[[str], np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
        """What the model is shown: noise, and the photograph where there is one, whose ``pixels``
        are asked for by its file."""
        found = {"noise": self.noise()}
        if self.photo:
            found["photo"] = self.picture(pixels(self.photo))
        return found

    def noise(self) -> dict[str, np.ndarray]:
        """Seeded numbers of the range, for each input."""
        rng = np.random.default_rng(17)
        made = {}
        for name, (shape, dtype) in self.inputs.items():
            x = rng.random(shape, np.float32)
            x = x * np.float32(self.high - self.low) + np.float32(self.low)
            made[name] = x.astype(dtype)
        return made

    def picture(self, pixels: np.ndarray) -> dict[str, np.ndarray]:
        """The photograph ``[height, width, 3]`` of bytes for the one input, the nearest pixels."""
        ((name, (shape, dtype)),) = self.inputs.items()
        if self.part:
            left, top, right, bottom = self.part
            pixels = pixels[top:bottom, left:right]
        tall, broad = shape[1:3]
        rows = np.arange(tall) * pixels.shape[0] // tall
        columns = np.arange(broad) * pixels.shape[1] // broad
        x = pixels[rows][:, columns].astype(np.float32) / np.float32(255)
        if shape[3] == 1:
            x = x.mean(axis=2, keepdims=True, dtype=np.float32)
        x = x * np.float32(self.high - self.low) + np.float32(self.low)
        return {name: x[None].astype(dtype)}


@dataclass(frozen=True)
class Sentences(Case):
    """A model of sentences: the pieces of their words as numbers, and of each piece its sentence
    and its place in it, which weft is given when it compiles."""

    vocabulary: str = ""
    texts: tuple[str, ...] = ()

    def _given(self, values: np.ndarray) -> dict[str, np.ndarray]:
        rows = [(k, i) for k, text in enumerate(self.pieces()) for i in range(len(text))]
        return {"indices": np.array(rows, np.int64), "values": values}

    def noise(self) -> dict[str, np.ndarray]:
        """Seeded pieces, as many in each sentence as it has. 0 is none."""
        count = sum(map(len, self.pieces()))
        return self._given(np.random.default_rng(17).integers(1, int(self.high), count))

    def asked(self, pixels: Callable[[str], np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
        """Noise, and the sentences themselves."""
        return {"noise": self.noise(), "read": self._given(np.concatenate(self.pieces()))}

    def pieces(self) -> list[list[int]]:
        """The numbers of the most likely pieces of each sentence, as SentencePiece's unigram
        model finds them: those whose scores have the greatest sum."""
        known = json.loads((FETCHED / self.vocabulary).read_text("utf-8"))
        scores = {piece: (score, k) for k, (piece, score) in enumerate(known) if k > 5}
        return [_likeliest("▁" + text.replace(" ", "▁"), scores) for text in self.texts]


def _likeliest(text: str, scores: Mapping[str, tuple[float, int]]) -> list[int]:
    best: list[tuple[float, list[int]]] = [(0.0, [])]
    for end in range(1, len(text) + 1):
        found = []
        for start in range(end):
            if text[start:end] in scores:
                score, k = scores[text[start:end]]
                before, pieces = best[start]
                found.append((before + score, [*pieces, k]))
        best.append(max(found, default=(-np.inf, [])))
    return best[-1][1]


def sampled(a: np.ndarray) -> np.ndarray:
    """At most about ``SAMPLES`` elements of a result, at even distances."""
    flat = np.asarray(a).reshape(-1)
    return flat[:: max(1, flat.size // SAMPLES)]


def _image(name, file, shape, outputs, dtype="float32", input="input", **more):
    return Case(name, file, {input: (shape, dtype)}, outputs, **more)


_HEAD = (170, 0, 290, 140)
_BODY = "MobilenetV1/"
_FRONT = {"photo": FACE, "part": _HEAD}
TFJS = (
    _image(
        "posenet", "human/posenet.json", (1, 385, 385, 3),
        tuple(f"{_BODY}{n}_2/BiasAdd" for n in ("displacement_fwd", "heatmap", "offset")),
        input="image", photo=FACE, low=-1.0,
    ),
    _image(
        "blazeface-back", "human/blazeface-back.json", (1, 256, 256, 3),
        ("Identity_3", "Identity", "Identity_1", "Identity_2"), photo=FACE, low=-1.0,
    ),
    _image("facemesh", "human/facemesh.json", (1, 192, 192, 3),
           ("Identity_2", "Identity_1", "Identity"), input="input_1", **_FRONT),
    _image("emotion", "human/emotion.json", (1, 64, 64, 1), ("Identity",), input="input_1",
           **_FRONT),
    _image("age", "human/age.json", (1, 64, 64, 3), ("Identity",), input="input_1", **_FRONT),
    _image(
        "faceres-deep", "human/faceres-deep.json", (1, 224, 224, 3),
        ("gender_pred/Sigmoid", "global_pooling/Mean", "age_pred/Softmax"), input="input_1",
        high=255.0, **_FRONT,
    ),
    _image("meet", "human/meet.json", (1, 144, 256, 3), ("segment",), input="input_1", photo=FACE),
    _image("antispoof", "human/antispoof.json", (1, 128, 128, 3), ("Identity",),
           input="conv2d_input", **_FRONT),
    _image(
        "centernet", "human/centernet.json", (1, 512, 512, 3),
        ("tower_0/wh", "tower_0/keypoints", "tower_0/detections"), input="tower_0/images",
        photo=FACE,
    ),
    _image("tfjs-blazeface", "tfjs-blazeface/model.json", (1, 128, 128, 3), ("Identity",),
           photo=FACE, low=-1.0),
    _image("tfjs-facemesh", "tfjs-facemesh/model.json", (1, 192, 192, 3),
           ("Identity_1", "Identity_2", "Identity"), input="input_1", **_FRONT),
    _image("nsfw-mid", "nsfw-mid/model.min.js", (1, 224, 224, 3), ("Identity",), photo=FACE),
    _image("coco-ssd", "coco-ssd/model.json", (1, 300, 300, 3),
           ("Postprocessor/Slice", "Postprocessor/ExpandDims_1"), "uint8", "image_tensor",
           photo=FACE, high=255.0),
    _image("deeplab", "deeplab/model.json", (1, 193, 257, 3), ("SemanticPredictions",), "uint8",
           "ImageTensor", photo=FACE, high=255.0),
    # A layers model: Keras's, whose one output is asked for.
    _image("nsfw-v2", "nsfw-v2/model.min.js", (1, 224, 224, 3), (), input="input_1", photo=FACE,
           format="keras"),
    Sentences(
        "use-lite", "use-lite/model.json",
        {"indices": ((19, 2), "int64"), "values": ((19,), "int64")},
        ("module_apply_default/Encoder_en/hidden_layers/l2_normalize",), high=8000.0,
        known=("indices",), vocabulary="use-lite/vocab.json",
        texts=("How old are you?", "A cat sleeps in the warm sun.", "What is your age?"),
    ),
    # Two boxes of the photograph are as likely as each other but for the last bit.
    _image("handtrack", "human/handtrack.json", (1, 320, 320, 3),
           tuple(f"Identity_{k}" for k in (2, 4, 6, 1, 3, 5)), "uint8", "input_tensor", photo=FACE,
           high=255.0, ranked=tuple(f"Identity_{k}" for k in (4, 1, 2, 3))),
)  # fmt: skip


SAVED = (
    Case("kws", str(TESTS / "data" / "mlcommons-tiny" / "kws_ref_model"),
         {"input_1": ((1, 49, 10, 1), "float32")}, ("dense",), low=-10.0, high=10.0),
    Case("basic-pitch", "nmp-saved-model", {"input_2": ((1, 43844, 1), "float32")},
         ("contour", "note", "onset"), low=-1.0),
)  # fmt: skip


def from_javascript(model: Path) -> Path:
    """The model.json, beside it, of one whose description and shards are modules of JavaScript:
    an object without quotes around its keys, and strings in base64."""
    folder = model.parent / "made"
    folder.mkdir(exist_ok=True)
    text = _object(model.read_text())
    found = json.loads(javascript_object(text))
    for group in found["weightsManifest"]:
        for path in group["paths"]:
            (packed,) = re.findall(
                r'"([A-Za-z0-9+/=]{1000,})"', (model.parent / f"{path}.min.js").read_text()
            )
            (folder / path).write_bytes(base64.b64decode(packed))
    (folder / "model.json").write_text(json.dumps(found))
    return folder / "model.json"


def _object(text: str) -> str:
    """The object in a module that has the key ``modelTopology``."""
    start = text.rindex("exports=", 0, text.index("modelTopology:")) + len("exports=")
    depth = 0
    for k in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[k], 0)
        if not depth:
            return text[start : k + 1]
    raise ValueError("the object does not end")


def javascript_object(text: str) -> str:
    """The JSON of an object that is written as JavaScript, without quotes around its keys."""
    text = re.sub(r"([{,])([A-Za-z_$][\w$]*):", r'\1"\2":', text)
    text = re.sub(r"([\[:,])(-?)\.(\d)", r"\1\g<2>0.\3", text)
    return text.replace(":!0", ":true").replace(":!1", ":false")


__all__ = [
    "FACE",
    "FETCHED",
    "SAMPLES",
    "SAVED",
    "TFJS",
    "Case",
    "Sentences",
    "javascript_object",
    "sampled",
]
