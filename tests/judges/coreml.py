"""Models written by coremltools, and what they compute.

    tools/judge.sh coreml

coremltools writes on Linux and cannot predict there. What an operation of an ML program computes is
what coremltools itself finds for constant arguments, where it does; else, and for layers of neural
networks, what ``coreml_numpy.py`` says. The models lie in ``programs.zip`` and ``layers.zip``,
inputs and answers in ``answers.npz``: ``CASE<in>NAME``, ``CASE<out>NAME``, with
``layer `` before the names of the latter.
"""

import io
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

import coreml_layers
import coreml_moves  # noqa: F401
import coreml_networks  # noqa: F401
import coreml_programs
import coreml_weights  # noqa: F401
import coreml_whole  # noqa: F401

FOLDER = Path(__file__).parents[1] / "frontends" / "answers" / "coreml"
ROUND = zipfile.ZipInfo().date_time  # one time for all members, so that a file is the same again


def put(archive, name, data):
    """A member that does not depend on when it was written."""
    archive.writestr(zipfile.ZipInfo(name, ROUND), data, zipfile.ZIP_DEFLATED)


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    arrays, home = {}, Path(tempfile.mkdtemp())
    with zipfile.ZipFile(FOLDER / "programs.zip", "w") as z:
        for name, (model, inputs, outputs) in coreml_programs.cases().items():
            folder = home / f"{name}.mlpackage"
            model.save(str(folder))
            for file in sorted(p for p in folder.rglob("*") if p.is_file()):
                put(z, f"{name}/{file.relative_to(folder)}", file.read_bytes())
            keep(arrays, name, inputs, outputs)
    with zipfile.ZipFile(FOLDER / "layers.zip", "w") as z:
        for name, (spec, inputs, outputs) in coreml_layers.cases().items():
            put(z, f"{name}.mlmodel", spec.SerializeToString())
            keep(arrays, f"layer {name}", inputs, outputs)
    shutil.rmtree(home)
    data = io.BytesIO()
    np.savez_compressed(data, **arrays)
    (FOLDER / "answers.npz").write_bytes(data.getvalue())
    for file in sorted(FOLDER.iterdir()):
        print(f"{file.name}: {file.stat().st_size:,} bytes")
    print(f"{len({k.split('<')[0] for k in arrays})} models")


def keep(arrays, name, inputs, outputs):
    """Arrays under the name of a case."""
    for side, values in (("in", inputs), ("out", outputs)):
        for key, value in values.items():
            value = np.asarray(value)
            if value.dtype == np.float64:
                value = value.astype(np.float32)
            arrays[f"{name}<{side}>{key}"] = value


if __name__ == "__main__":
    main()
