"""One network as four frameworks wrote it: loaded, compared, and put into a page.

Run it with ``python tutorials/08_one_network_in_four_formats.py [FOLDER]`` (default: a folder that
is removed again). Basic Pitch hears which notes sound in two seconds of audio; its authors publish
it as an ONNX file, a TensorFlow SavedModel, a TensorFlow Lite file and a Core ML package. None of
these frameworks is needed here.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
import weft
from weft.benchmarks.zoo import packages, uses
from weft.compiler.frontends.table import frontend_of

FILES = ("nmp.onnx", "nmp-saved-model", "nmp.tflite", "nmp.mlpackage")
scratch = tempfile.TemporaryDirectory(prefix="weft-tutorial-")
folder = Path(sys.argv[1] if len(sys.argv) > 1 else scratch.name) / "page"

# ---- 1. One way in ----------------------------------------------------------------------------
#
# What a file is, its content says: a folder with saved_model.pb, one with a manifest of Core ML, a
# flatbuffer, a protocol buffer. `weft inspect FILE` prints what is in each.

chord = [60, 64, 67]  # C major, as MIDI numbers
audio = uses.recording(chord)
graphs = {}
for name in FILES:
    path = packages.path(name)
    graph = weft.load(path)
    # Some of the files leave the number of pieces open, which is bound here.
    symbols = getattr(graph, "symbols", ())
    graphs[name] = graph.bind(dict.fromkeys(symbols, 1)) if symbols else graph
    print(f"{name:<15} {frontend_of(path).name:<12} {len(graphs[name].nodes)} operators")

# ---- 2. The same answers ----------------------------------------------------------------------
#
# Outputs have other names in each file. Contours are the only ones 264 wide; of the two others,
# [1, 172, 88], notes sound as long as they do, onsets for a moment: their sum is smaller.


def heard(graph):
    """Contours, notes and onsets of the recording."""
    exe = weft.compile(graph)
    found = list(exe.run({next(iter(exe.inputs)): audio}).values())
    contours = [a for a in found if a.shape[-1] == 264]
    return [*contours, *sorted((a for a in found if a.shape[-1] == 88), key=lambda a: -a.sum())]


answers = {name: heard(graph) for name, graph in graphs.items()}
reference = answers[FILES[0]]
for name in FILES[1:]:
    pairs = zip(answers[name], reference, strict=True)
    worst = max(np.abs(a - b).max() / np.abs(b).max() for a, b in pairs)
    print(f"{name:<15} differs from the ONNX file by {worst:.0e}: "
          f"{'the same' if worst <= 1e-4 else 'another'} network")  # fmt: skip
for name, (_, notes, _) in answers.items():
    print(f"{name:<15} hears {uses.notes_heard(notes)}")

# ---- 3. A page of any of them -----------------------------------------------------------------

bundle = weft.bundle(graphs["nmp.mlpackage"], folder, ("wasm",), title="Which notes?")
print(bundle)
if len(sys.argv) > 1:
    print(f"weft serve {folder}")
