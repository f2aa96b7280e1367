"""A serverless function: EfficientNet-Lite0 on WebAssembly under Node, ready to be uploaded.

    python tutorials/04_serverless/build.py [FOLDER]

makes a folder (default ``build/serverless``) with handler.mjs, the model as a bundle, and the one
npm package that it needs, a JPEG decoder. There is no native code in it, so that the same folder
runs on any processor. It needs Emscripten and npm, on this machine only.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import weft
from weft.benchmarks.zoo import packages, real
from weft.compiler.web.process import Image

HERE = Path(__file__).resolve().parent


def build(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)

    # The function is a script and a list of what it needs …
    for name in ("handler.mjs", "package.json"):
        shutil.copy(HERE / name, folder)
    command = ["npm", "install", "--omit=dev", "--no-audit", "--no-fund", "--loglevel=error"]
    subprocess.run(command, cwd=folder, check=True)

    # … and the model. Half precision halves what a cold start has to read. The scaling of pixels,
    # softmax and the best five are compiled into the program, so that the script has none of it.
    done = weft.bundle(
        real.efficientnet_lite0(),
        folder / "model",
        ("wasm",),
        weights="f16",
        image=Image(mean=real.MEAN / 255, std=real.STD / 255),
        labels=real.class_names(),
        title="EfficientNet-Lite0",
    )
    print(done)
    size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
    print(f"{folder}: {size / 1e6:.1f} MB in all; upload it as it is")


if __name__ == "__main__":
    build(Path(sys.argv[1]) if len(sys.argv) > 1 else packages.ROOT / "build" / "serverless")
