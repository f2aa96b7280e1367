"""Bundles of zoo models, run in a page through their own runtime."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from weft.benchmarks import zoo
from weft.compiler.web.bundle import bundle
from weft.runtime.dtype import dtype_of

from .handmade import array_json

# weft.js of the bundle at `url`, the loaded model, and feeds as typed arrays
OPEN = """() => {
  window.open_bundle = async (url, backend, flags, feeds) => {
    const weft = await import(new URL('weft.js', url).href);
    const model = await weft.load(url, { backend, flags });
    const kinds = { float32: Float32Array, int64: BigInt64Array, int32: Int32Array };
    const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    const inputs = Object.fromEntries(Object.entries(feeds).map(
      ([name, { dtype, data }]) => [name, new kinds[dtype](bytes(data).buffer)]));
    return { weft, model, inputs };
  };
  window.base64 = (array) => {
    const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
    let text = '';
    for (let k = 0; k < bytes.length; k += 4096) {
      text += String.fromCharCode(...bytes.subarray(k, k + 4096));
    }
    return btoa(text);
  };
}"""


def write(
    name: str, folder: Path, targets: tuple[str, ...] = ("webgpu", "webgl", "wasm")
) -> dict[str, Any]:
    """Compile a zoo model into ``folder``; the model and its input arrays."""
    model = zoo.random_model(name)
    bundle(model, folder, targets, shapes=zoo.shapes(model))
    return {"model": model, "feed": zoo.feed(model)}


def feeds_json(feed: Mapping[str, np.ndarray]) -> dict[str, Any]:
    return {name: array_json(a) for name, a in feed.items()}


def arrays(outputs: Mapping[str, Mapping[str, Any]]) -> dict[str, np.ndarray]:
    """The opposite of ``feeds_json``, for what a page answers."""
    return {
        name: np.frombuffer(base64.b64decode(o["data"]), dtype_of(o["dtype"]).numpy).reshape(
            o["shape"]
        )
        for name, o in outputs.items()
    }
