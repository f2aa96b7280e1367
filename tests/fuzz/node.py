"""Node, which loads and runs bundles one after the other: bundles.mjs, asked from here."""

from __future__ import annotations

import atexit
import json
import select
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from weft.compiler.web.bundle import MANIFEST, data_of
from weft.ir.target import Target
from weft.runtime import safetensors
from weft.runtime.dtype import dtype_of
from weft.runtime.errors import WeftError
from weft.runtime.executor import Executable

SCRIPT = Path(__file__).with_name("bundles.mjs")
PATIENCE = 120  # seconds for one bundle
FEEDS = "feeds.safetensors"


def files(exe: Executable, given: Mapping[str, np.ndarray]) -> dict[str, bytes]:
    """The bundle of a program, and what it is run on, as files by name."""
    parts, manifest, _ = data_of([Target.parse(exe.program.target)], [exe], exe.name)
    parts[MANIFEST] = json.dumps(manifest).encode()
    parts[FEEDS] = b"".join(bytes(c) for c in safetensors.chunks(given))
    return parts


class RuntimeJsError(Exception):
    """The JavaScript runtime threw what is no WeftError of its own, died, or never answered."""


class Node:
    """One process of Node that loads bundles; started anew where it died."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[str] | None = None
        atexit.register(self.close)

    def close(self) -> None:
        """End it; the next question starts another."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def run(self, parts: Mapping[str, bytes], run: bool = True) -> dict[str, np.ndarray]:
        """The outputs of the bundle with these files; none where it is only loaded.

        Raises WeftError for one of the runtime's own, :class:`RuntimeJsError` for all else.
        """
        with tempfile.TemporaryDirectory() as name:
            for file, content in parts.items():
                (Path(name) / file).write_bytes(content)
            answer = self._ask(Path(name), run)
        if "error" in answer:
            raise (WeftError if answer["weft"] else RuntimeJsError)(answer["error"])
        return {
            o["name"]: np.frombuffer(bytes.fromhex(o["hex"]), dtype_of(o["dtype"]).numpy).reshape(
                o["shape"]
            )
            for o in answer["outputs"]
        }

    def _ask(self, folder: Path, run: bool) -> dict[str, Any]:
        """What became of the bundle: its outputs, or the error that was thrown."""
        if self.process is None:
            node = shutil.which("node")
            assert node
            self.process = subprocess.Popen(
                [node, "--max-old-space-size=1024", str(SCRIPT)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )  # fmt: skip
        process = self.process
        assert process.stdin and process.stdout
        process.stdin.write(json.dumps({"folder": str(folder), "run": run}) + "\n")
        process.stdin.flush()
        if not select.select([process.stdout], [], [], PATIENCE)[0]:
            self.close()
            raise RuntimeJsError("Node does not answer")
        line = process.stdout.readline()
        if not line:
            code = process.wait()
            self.close()
            raise RuntimeJsError(f"Node ended with exit code {code}")
        return json.loads(line)


NODE = Node()
