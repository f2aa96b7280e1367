"""What it costs to run elsewhere: a hub on loopback, a device server of Python and a Chromium.

The round trip of a call that computes next to nothing, how fast a large array goes there, and a
model's run over RPC beside the same run where it happens: in a page that has its bundle, or in this
process. The two take turns; their difference is the overhead, transfers of inputs and outputs among
it.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from .. import compile as compile_model
from ..compiler.kernels.build import build
from ..compiler.schedules.auto import auto_schedule
from ..ir import te
from ..ir.tensor import Tensor
from ..runtime.rpc.chrome import Chromium
from ..runtime.rpc.client import Remote, connect
from ..runtime.rpc.host import LocalHub
from . import zoo
from .browser import browser
from .web import __main__ as web
from .web.site import site

MODEL = "mobilenet_v2"
UPLOAD = 64 << 20  # bytes
CALLS = 200  # of the empty kernel
TARGETS = {"server": ("llvm",), "browser": ("wasm", "webgl", "webgpu")}

_SERVE = """
import sys
from weft.runtime.rpc.serve import serve
from weft.runtime.rpc.stream import Address
serve(Address.parse(sys.argv[1]), "server", ("llvm",))
"""


@contextmanager
def _server(link: str) -> Iterator[None]:
    """A device server in a process of its own."""
    child = subprocess.Popen([sys.executable, "-c", _SERVE, link], stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        child.terminate()
        child.wait(60)


def _milliseconds(call: Callable[[], object]) -> float:
    begin = time.perf_counter()
    call()
    return (time.perf_counter() - begin) * 1e3


def _both(times: list[float]) -> dict[str, float]:
    """The median, and the best, which a busy machine disturbs least."""
    return {"median": statistics.median(times), "best": min(times)}


def _empty_message(remote: Remote) -> dict[str, float]:
    """Milliseconds of a question that nothing has to be done for."""
    return _both([_milliseconds(remote.state) for _ in range(CALLS)])


def _empty_call(remote: Remote, kind: str) -> dict[str, float]:
    """Milliseconds of a kernel of one element, whose arrays are there."""
    a = te.placeholder((1,), name="A")
    b = te.compute((1,), lambda i: a[i] + 1, name="B")
    assert isinstance(b, Tensor)
    target = remote.target(kind)
    kernel = remote.load(build(auto_schedule(b, target), [a, b], target))
    x, y = remote.empty((1,)), remote.empty((1,))
    kernel(x, y)
    found = _both([_milliseconds(lambda: kernel(x, y)) for _ in range(CALLS)])
    kernel.close()
    return found


def _upload(remote: Remote, rounds: int) -> dict[str, float]:
    """Megabytes (10⁶) a second of one large array."""
    data = np.random.default_rng(0).integers(0, 256, UPLOAD, np.uint8)
    times = []
    for _ in range(1 + 2 * rounds):
        begin = time.perf_counter()
        array = remote.array(data)
        times.append(time.perf_counter() - begin)
        array.close()
    return {k: UPLOAD * 1e-6 / s for k, s in _both(times[1:]).items()}  # the first takes memory


class _Over:
    """The model over RPC."""

    def __init__(self, remote: Remote, kind: str, model: Any, feeds: dict[str, np.ndarray]):
        self.exe = remote.load(compile_model(model, remote.target(kind)))
        self.feeds, self.times = feeds, []
        self.output = next(iter(self.exe.run(feeds).values()))

    def turn(self, seconds: float) -> None:
        """Run for some time; the first run finds cold caches and is not counted."""
        end = time.perf_counter() + seconds
        found = [_milliseconds(lambda: self.exe.run(self.feeds))]
        while time.perf_counter() < end or len(found) < 2:
            found.append(_milliseconds(lambda: self.exe.run(self.feeds)))
        self.times += found[1:]


class _Here(_Over):
    """The same program in this process."""

    def __init__(self, target: str, model: Any, feeds: dict[str, np.ndarray]):
        self.exe = compile_model(model, target)
        self.feeds, self.times = feeds, []
        self.output = next(iter(self.exe.run(feeds).values()))


def _judged(name: str, output: np.ndarray, expected: np.ndarray) -> None:
    error = web.judge.relative_error(output, expected)
    if error > web.TOLERANCE:
        raise RuntimeError(f"{MODEL} over RPC on {name}: wrong numbers, relative error {error:.1e}")


def _model(remotes: dict[str, Remote], rounds: int, seconds: float) -> list[dict[str, Any]]:
    """For each target the milliseconds where it runs, and over RPC."""
    model = zoo.random_model(MODEL)
    feeds = zoo.feed(model)
    rows = []
    with tempfile.TemporaryDirectory(prefix="weft-bench-rpc-") as folder, ExitStack() as stack:
        targets = [remotes["browser"].target(kind) for kind in TARGETS["browser"]]
        job, (expected,) = web.prepare(MODEL, Path(folder), ["weft"], targets)
        roots = {"/": web.HERE / "page", "/models": Path(folder)}
        address = stack.enter_context(site(roots, isolated=False))
        instance = stack.enter_context(browser())
        for device, remote in remotes.items():
            for kind in TARGETS[device]:
                over = _Over(remote, kind, model, feeds)
                _judged(kind, over.output, expected)
                if device == "browser":
                    there = web.Contender(instance, address, "weft", kind)
                    there.page.bring_to_front()
                    there.start(job, [expected])
                else:
                    there = _Here(remote.target(kind), model, feeds)
                for _ in range(rounds):
                    there.turn(seconds)
                    over.turn(seconds)
                if isinstance(there, web.Contender):
                    there.finish()
                    if not there.able:
                        raise RuntimeError(f"{kind} in a page: {there.figures['failed']}")
                inside = remote.benchmark(over.exe, *feeds.values(), repeat=5 * rounds)
                both = {"there": _both(there.times), "rpc": _both(over.times)}
                both["device_ms"] = _both(list(inside.times))
                over.exe.close()
                rows.append({"device": device, "target": kind, **both})
    return rows


def measure(rounds: int, seconds: float) -> dict[str, Any]:
    """Round trips (ms), uploads (MB/s) and the model's runs (ms) of both devices."""
    found: dict[str, Any] = {"message_ms": {}, "call_ms": {}, "upload_mb_s": {}}
    with LocalHub() as hub, ExitStack() as stack:
        stack.enter_context(_server(hub.link))
        stack.enter_context(Chromium(f"{hub.link}?key=browser"))
        remotes = {}
        for device, kinds in TARGETS.items():
            made = connect(hub.url, token=hub.token, key=device, timeout=300)
            remotes[device] = remote = stack.enter_context(made)
            found["message_ms"][device] = _empty_message(remote)
            for kind in kinds:
                found["call_ms"][f"{device}, {kind}"] = _empty_call(remote, kind)
            found["upload_mb_s"][device] = _upload(remote, rounds)
        found["model"] = _model(remotes, rounds, seconds)
    return found


def table(found: dict[str, Any]) -> Table:
    """What was measured, beside what is wanted."""
    shown = Table(title="over RPC, a hub on loopback")
    shown.add_column("what")
    shown.add_column("where")
    for column in ("median", "best", "", "goal"):
        shown.add_column(column, justify="right")

    def row(what: str, where: str, value: dict[str, float], unit: str, goal: str = "") -> None:
        digits = 0 if unit == "MB/s" else 2
        numbers = [f"{value[k]:.{digits}f}" for k in ("median", "best")]
        shown.add_row(what, where, *numbers, unit, goal)

    for where, ms in found["message_ms"].items():
        row("round trip of a message", where, ms, "ms", "≤ 2")
    for where, ms in found["call_ms"].items():
        row("call of an empty kernel", where, ms, "ms", "≤ 2")
    goals = {"server": "≥ 500", "browser": "≥ 100"}
    for where, rate in found["upload_mb_s"].items():
        row("upload of 64 MiB", where, rate, "MB/s", goals[where])
    for r in found["model"]:
        place = "in a page" if r["device"] == "browser" else "in this process"
        row(f"{MODEL} {place}", r["target"], r["there"], "ms")
        row(f"{MODEL} over RPC", f"{r['device']}, {r['target']}", r["rpc"], "ms")
        row("  of which, by the device's clock", "", r["device_ms"], "ms")
        more = {k: r["rpc"][k] - r["there"][k] for k in ("median", "best")}
        row("  which is more by", "", more, "ms", "≤ 5 and transfers")
    return shown


__all__ = ["measure", "table"]
