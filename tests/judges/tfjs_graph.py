"""What TensorFlow.js says of graph models: ``tools/judge.sh tfjs_graph [names]`` writes
``tests/frontends/answers/tfjs_graph``. It asks the back-end in plain JavaScript, on seeded noise
and on a photograph; of long results every so many elements are kept."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
ANSWERS = ROOT / "tests" / "frontends" / "answers" / "tfjs_graph"
MODULES = Path(sys.prefix) / "node_modules"
sys.path.insert(0, str(ROOT / "tests" / "support"))

import tf_models  # noqa: E402
from PIL import Image  # noqa: E402

TYPES = {"uint8": "int32", "int64": "int32"}  # that TensorFlow.js has no own for


def answers(case: tf_models.Case, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
    """The outputs of a model for these inputs."""
    with tempfile.TemporaryDirectory() as folder:
        job = {"model": str(case.ready()), "outputs": case.outputs, "to": folder, "inputs": {}}
        for k, (name, x) in enumerate(inputs.items()):
            x = x.astype(TYPES.get(x.dtype.name, x.dtype.name))
            file = Path(folder) / f"in{k}.bin"
            file.write_bytes(x.tobytes())
            job["inputs"][name] = {"file": str(file), "dtype": x.dtype.name, "shape": x.shape}
        (Path(folder) / "job.json").write_text(json.dumps(job))
        subprocess.run(
            ["node", str(ROOT / "tests/judges/tfjs_graph.js"), f"{folder}/job.json"],
            env={**os.environ, "NODE_PATH": str(MODULES)}, check=True,
        )  # fmt: skip
        made = json.loads((Path(folder) / "results.json").read_text())
        return [
            np.frombuffer(
                (Path(folder) / f"{k}.bin").read_bytes(),
                np.uint8 if m["dtype"] == "bool" else m["dtype"],
            ).reshape(m["shape"])
            for k, m in enumerate(made)
        ]


def _pixels(name: str) -> np.ndarray:
    return np.asarray(Image.open(tf_models.FETCHED / name).convert("RGB"))


def main(names: list[str]) -> None:
    """The answers of all cases, or of these."""
    ANSWERS.mkdir(parents=True, exist_ok=True)
    for case in tf_models.TFJS:
        if names and case.name not in names:
            continue
        kept = {}
        for what, inputs in case.asked(_pixels).items():
            for k, a in enumerate(answers(case, inputs)):
                kept[f"{what}_{k}"] = tf_models.sampled(a)
                kept[f"{what}_{k}_shape"] = np.array(a.shape, np.int64)
                kept[f"{what}_{k}_top"] = np.array(a.argmax() if a.size else -1)
        np.savez_compressed(ANSWERS / f"{case.name}.npz", **kept)
        print(
            case.name, [kept[f"noise_{k}_shape"].tolist() for k in range(max(len(case.outputs), 1))]
        )


if __name__ == "__main__":
    main(sys.argv[1:])
