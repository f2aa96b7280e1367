"""A web page: from a model to a folder that any web server can serve.

Run it with ``python tutorials/03_web_page.py [FOLDER]`` (default: a folder that is removed again).
It needs Emscripten (``apt-get install emscripten``); no JavaScript is written, no server is needed.
"""

import json
import sys
import tempfile
from pathlib import Path

import weft
from weft.benchmarks.zoo import real
from weft.compiler.web.process import Image

model, labels = real.efficientnet_lite0(), real.class_names()
scratch = tempfile.TemporaryDirectory(prefix="weft-tutorial-")
folder = Path(sys.argv[1] if len(sys.argv) > 1 else scratch.name) / "page"

# ---- 1. The bundle ----------------------------------------------------------------------------
#
# The first target is the one that the page prefers. What is before and after the network is part of
# the program: the page sends the raw pixels of a square canvas and gets the best classes.
#
# The same from a shell:
#   weft compile model.onnx --shape N=1 --target webgl --bundle page/ --weights f16 \
#       --image mean=0.498 std=0.502 --labels names.txt

bundle = weft.bundle(
    model,
    folder,
    ("webgl", "wasm"),
    weights="f16",
    image=Image(mean=127 / 255, std=128 / 255),
    labels=labels,
    title="What is in the image?",
)
print(bundle)

# ---- 2. What is in it -------------------------------------------------------------------------
#
# bundle.json names the parts, with their sizes and SHA-256: a part that is damaged or missing is
# named in the page instead of giving wrong answers.

manifest = json.loads((folder / "bundle.json").read_text("utf-8"))
for program in manifest["programs"]:
    print(f"{program['target'].split()[0]:<6} {program['program']}, {program['codes']}")

# A convolution of the model as a fragment shader: each draw fills several textures at once.

kernels = next(p["codes"]["webgl"] for p in manifest["programs"] if "webgl" in p["codes"])
shaders = json.loads((folder / kernels).read_text("utf-8"))
name, text = next((n, t) for n, t in shaders.items() if "conv" in n)
body = text[text.index("void main") :].splitlines()
print(f"\n{name}, {len(text.splitlines())} lines, of which:\n" + "\n".join(body[:30]) + "\n…\n")

# ---- 3. How much the coding of the weights loses ------------------------------------------------
#
# The page decodes them while it loads. int8 has one scale for each output channel.

for coding in ("f32", "f16", "int8"):
    done = weft.bundle(
        model, folder.parent / coding, ("wasm",), shapes={"N": 1}, weights=coding, labels=labels
    )
    size = sum(n for file, n in done.files.items() if file.startswith("params-"))
    print(f"{coding:<4} {size / 2**20:5.1f} MiB of weights")

# ---- 4. See it --------------------------------------------------------------------------------

if len(sys.argv) > 1:
    print(f"to see it: weft serve {folder}")
else:
    print("to keep it, name a folder: then 'weft serve FOLDER/page' shows it")
scratch.cleanup()
