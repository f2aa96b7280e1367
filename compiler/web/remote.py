"""Run compiled programs where this process is not: in a page of a browser, under Node.

    results = run_away([Job(executable, inputs), …], "browser")

Programs are written as bundles, without the page, and run by the runtime that pages use.
"""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ...ir.target import Target
from ...runtime import safetensors
from ...runtime.devices.table import BROWSER, DEVICES, NODE
from ...runtime.dtype import dtype_of
from ...runtime.errors import DeviceError, InputError
from ...runtime.executor import Executable
from .browser import browser
from .bundle import MANIFEST, data_of
from .page import RUNTIME, modules
from .serve import serving

HERE = "here"  # in this process
TIMEOUT = 600  # seconds for one program: software rendering of a large model takes minutes
_TOOLS = RUNTIME / "tools"
_PAGE = b"<!doctype html><title>weft</title>"


@dataclass(frozen=True)
class Job:
    """One run of a program. ``flags`` are those of the JavaScript runtime."""

    exe: Executable
    inputs: Mapping[str, np.ndarray]
    flags: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class JobResult:
    """``devices`` are what the program ran on, in words."""

    outputs: Mapping[str, np.ndarray]
    devices: tuple[str, ...]


def place_of(target: Target) -> str:
    """Where programs of a target run from Python: ``"here"``, ``"node"`` or ``"browser"``."""
    row = DEVICES[target.kind]
    return HERE if row.runner is not None or not row.hosts else row.hosts[0]


def in_pages(target: Target) -> bool:
    """Whether pages run programs of a target."""
    return BROWSER in DEVICES[target.kind].hosts


def run_away(jobs: Sequence[Job], where: str) -> list[JobResult]:
    """The outputs of each program, run one after another in one page, or by one Node.

    Raises :class:`DeviceError` when the browser or Node is missing, or what the runtime said.
    """
    with tempfile.TemporaryDirectory(prefix="weft-run-") as name:
        folder = Path(name)
        for k, job in enumerate(jobs):
            _write_job(folder / f"m{k}", job)
        if where == NODE:
            return _under_node(folder, jobs)
        if where == BROWSER:
            # Playwright refuses a thread that has an event loop, as a notebook's has.
            with ThreadPoolExecutor(1, "weft-browser") as thread:
                return thread.submit(_in_a_page, folder, jobs).result()
    raise InputError(f"programs run in a browser or under Node, not in {where!r}.")


def _write_job(folder: Path, job: Job) -> None:
    folder.mkdir()
    goal = Target.parse(job.exe.program.target)
    parts, manifest, _ = data_of([goal], [job.exe], job.exe.name)
    parts[MANIFEST] = json.dumps(manifest).encode()
    for name, data in parts.items():
        (folder / name).write_bytes(data)
    with (folder / "inputs.safetensors").open("wb") as file:
        for chunk in safetensors.chunks(job.inputs):
            file.write(chunk)


def _options(job: Job) -> dict[str, Any]:
    return {"backend": job.exe.kind, "flags": {"cache": False, **job.flags}}


def _in_a_page(folder: Path, jobs: Sequence[Job]) -> list[JobResult]:
    runtime = {f"runtime/{k}": v for k, v in modules().items()}
    runtime |= {"runtime/tools/run.js": (_TOOLS / "run.js").read_bytes(), "run.html": _PAGE}
    for name, data in runtime.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    results = []
    with serving(folder) as address, browser() as instance:
        page = instance.new_page()
        page.set_default_timeout(TIMEOUT * 1000)
        page.goto(f"{address}run.html")
        for k, job in enumerate(jobs):
            words = {"url": f"{address}m{k}/", "feeds": f"m{k}/inputs.safetensors", **_options(job)}
            answer = page.evaluate(
                "async (job) => (await import('/runtime/tools/run.js')).runInPage(job)", words
            )
            _check(job, answer)
            texts = {o["name"]: base64.b64decode(o["bytes"]) for o in answer["outputs"]}
            results.append(_result(answer, texts))
    return results


def _under_node(folder: Path, jobs: Sequence[Job]) -> list[JobResult]:
    node = shutil.which("node")
    if node is None:
        raise DeviceError("there is no Node on the PATH.", hint="apt-get install nodejs")
    listed = [
        {"url": f"m{k}", "feeds": f"m{k}/inputs.safetensors", "out": f"m{k}/out", **_options(job)}
        for k, job in enumerate(jobs)
    ]
    (folder / "jobs.json").write_text(json.dumps(listed))
    command = [node, str(_TOOLS / "node.mjs"), str(folder)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=TIMEOUT * len(jobs), check=False
        )
    except subprocess.TimeoutExpired:
        raise DeviceError("Node did not come to an end.", where=jobs[0].exe.name) from None
    if done.returncode:
        raise DeviceError(
            f"Node ended with exit code {done.returncode}:\n{done.stderr[-2000:]}",
            hint="Node 18 or newer is needed",
        )
    results = []
    for k, job in enumerate(jobs):
        answer = json.loads((folder / f"m{k}" / "out.json").read_text("utf-8"))
        _check(job, answer)
        data, at, texts = (folder / f"m{k}" / "out.bin").read_bytes(), 0, {}
        for o in answer["outputs"]:
            size = int(np.prod(o["shape"], dtype=np.int64)) * dtype_of(o["dtype"]).bytes
            texts[o["name"]], at = data[at : at + size], at + size
        results.append(_result(answer, texts))
    return results


def _check(job: Job, answer: Mapping[str, Any]) -> None:
    if "error" in answer:
        raise DeviceError(f"the runtime says: {answer['error']}", where=job.exe.name)


def _result(answer: Mapping[str, Any], texts: Mapping[str, bytes]) -> JobResult:
    outputs = {
        o["name"]: np.frombuffer(texts[o["name"]], dtype_of(o["dtype"]).numpy).reshape(o["shape"])
        for o in answer["outputs"]
    }
    return JobResult(outputs, tuple(answer["devices"]))
