"""What a browser downloads before the first inference, without weights, compressed by Brotli.

Each peer counts as a page that needs one back-end would load it: its smallest published files.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable
from pathlib import Path

_NODE = """
const { brotliCompressSync, constants: c } = require('node:zlib');
const { readFileSync } = require('node:fs');
const sizes = process.argv.slice(1).map((f) => {
  const data = readFileSync(f);
  const params = { [c.BROTLI_PARAM_QUALITY]: 11, [c.BROTLI_PARAM_SIZE_HINT]: data.length };
  return brotliCompressSync(data, { params }).length;
});
console.log(JSON.stringify(sizes));
"""

_TFJS, _ORT = "@tensorflow", "onnxruntime-web/dist"
PEERS: dict[tuple[str, str], tuple[str, ...]] = {
    ("tfjs", "webgpu"): (
        f"{_TFJS}/tfjs/dist/tf.min.js",
        f"{_TFJS}/tfjs-backend-webgpu/dist/tf-backend-webgpu.min.js",
    ),
    ("ort", "webgpu"): (
        f"{_ORT}/ort.webgpu.min.mjs",
        f"{_ORT}/ort-wasm-simd-threaded.asyncify.mjs",
        f"{_ORT}/ort-wasm-simd-threaded.asyncify.wasm",
    ),
    ("tfjs", "webgl"): (f"{_TFJS}/tfjs/dist/tf.min.js",),
    ("tfjs", "wasm"): (
        f"{_TFJS}/tfjs/dist/tf.min.js",
        f"{_TFJS}/tfjs-backend-wasm/dist/tf-backend-wasm.min.js",
        f"{_TFJS}/tfjs-backend-wasm/dist/tfjs-backend-wasm-simd.wasm",
    ),
    ("ort", "webgl"): (f"{_ORT}/ort.webgl.min.mjs",),
    ("ort", "wasm"): (
        f"{_ORT}/ort.wasm.min.mjs",
        f"{_ORT}/ort-wasm-simd-threaded.mjs",
        f"{_ORT}/ort-wasm-simd-threaded.wasm",
    ),
}


def brotli(files: Iterable[Path]) -> int:
    """Bytes of the files, each compressed on its own as a server does."""
    command = ["node", "-e", _NODE, *(str(f) for f in files)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return sum(json.loads(done.stdout))


def peer_size(peer: str, backend: str, modules: Path) -> int:
    return brotli(modules / f for f in PEERS[peer, backend])
