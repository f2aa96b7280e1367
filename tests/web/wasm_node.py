"""Run compiled wasm programs under Node and bring their outputs home."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from weft.codegen.wasm import emscripten
from weft.runtime import safetensors
from weft.runtime.artifact import Program
from weft.runtime.dtype import dtype_of
from weft.runtime.errors import CodegenError

SCRIPT = Path(__file__).parent / "run_wasm.mjs"


def need_tools() -> None:
    """Skip the test where Emscripten or Node is missing."""
    try:
        emscripten.version()
    except CodegenError as e:
        pytest.skip(str(e))
    if shutil.which("node") is None:
        pytest.skip("needs Node 18 or newer to run WebAssembly")


@dataclass(frozen=True)
class Answer:
    """What Node gave: ``facts`` are milliseconds, memory and the device's description."""

    outputs: dict[str, np.ndarray]
    facts: dict[str, Any]


class NodeRunner:
    """Collects jobs in a folder; ``run`` starts one Node for all of them."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.jobs: list[dict[str, Any]] = []

    def add(
        self,
        program: Program,
        codes: Mapping[str, bytes],
        params: Mapping[str, np.ndarray],
        feeds: Mapping[str, np.ndarray],
        repeat: int = 0,
    ) -> None:
        k = len(self.jobs)
        (self.folder / f"p{k}.json").write_text(json.dumps(program.to_json()))
        files: dict[str, str] = {}
        for name, code in codes.items():
            files[name] = name  # one file for all jobs of the same module
            if not (self.folder / name).exists():
                (self.folder / name).write_bytes(code)
        self._tensors(f"w{k}", params)
        self._tensors(f"i{k}", feeds)
        self.jobs.append(
            {"program": f"p{k}.json", "codes": files, "params": f"w{k}", "feeds": f"i{k}",
             "out": f"o{k}", "repeat": repeat}
        )  # fmt: skip

    def add_executable(self, exe: Any, feeds: Mapping[str, np.ndarray], repeat: int = 0) -> None:
        self.add(exe.program, exe._codes, exe._params, feeds, repeat)

    def _tensors(self, name: str, tensors: Mapping[str, np.ndarray]) -> None:
        with open(self.folder / name, "wb") as file:
            for chunk in safetensors.chunks(tensors):
                file.write(chunk)

    def run(self, threads: int = 1, timeout: int = 600) -> list[Answer]:
        """The outputs of every job, in order."""
        (self.folder / "jobs.json").write_text(json.dumps(self.jobs))
        command = ["node", str(SCRIPT), str(self.folder), str(threads)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
        assert done.returncode == 0, done.stderr[-4000:]
        return [self._answer(job["out"]) for job in self.jobs]

    def _answer(self, name: str) -> Answer:
        facts = json.loads((self.folder / f"{name}.json").read_text())
        data = (self.folder / f"{name}.bin").read_bytes()
        outputs = {}
        for key, entry in facts.pop("outputs").items():
            d, shape = dtype_of(entry["dtype"]), tuple(entry["shape"])
            count = int(np.prod(shape, dtype=np.int64))
            array = np.frombuffer(data, d.numpy, count, entry["offset"])
            outputs[key] = array.reshape(shape)
        return Answer(outputs, facts)
