"""A child process that runs cases, watched from outside."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fuzz.child import MEMORY, ROOT, SKIPPED
from fuzz.fuzzer import Fuzzer
from fuzz.table import MODULES

CRASH, HANG, BROKEN = "crash", "hang", "broken"
START = 600  # seconds until a child has loaded all that it needs, and made a case
IDLE = 10  # times the limit of processor time: a case that sleeps for ever is a hang, too
RENEW = 3000  # cases of one child, then comes a new one
_LOOK = 0.1  # seconds between two looks at a child


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a case. ``mark`` is the same for the same fault."""

    kind: str
    mark: str = ""
    text: str = ""
    data: bytes = b""
    seconds: float = 0


class Stopped(Exception):
    """The time is over; the case that was running is nobody's fault."""


class Worker:
    """One child, for the fuzzers of one home; started anew where it died. ``scratch`` is a folder
    of its own."""

    def __init__(self, home: str, scratch: Path, modules: Sequence[str] = MODULES):
        self.home, self.scratch, self.modules = home, scratch, modules
        scratch.mkdir(parents=True, exist_ok=True)
        self.case, self.log = scratch / "case", scratch / "log"
        self.process: subprocess.Popen[bytes] | None = None
        self.pipe, self.rest, self.cases = -1, b"", 0

    def close(self) -> None:
        """End the child and all that it has started."""
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        if self.process.stdin:
            self.process.stdin.close()
        os.close(self.pipe)
        self.process, self.rest = None, b""

    def _start(self) -> subprocess.Popen[bytes]:
        if self.process is None:
            here, there = os.pipe()
            words = ["-m", "fuzz.child", self.home, str(self.case), str(there), *self.modules]
            with self.log.open("wb") as log:
                self.process = subprocess.Popen(
                    [sys.executable, *words], stdin=subprocess.PIPE, stdout=log, stderr=log,
                    pass_fds=[there], start_new_session=True, env=_environment(self.scratch),
                )  # fmt: skip
            os.close(there)
            self.pipe, self.cases = here, 0
        return self.process

    def ask(self, fuzzer: Fuzzer, wanted: dict[str, Any], end: float = float("inf")) -> Outcome:
        """What becomes of the case of ``{"seed": n}`` or ``{"file": path}``.

        Raises :class:`Stopped` at the time ``end``.
        """
        process = self._start()
        assert process.stdin
        self.case.unlink(missing_ok=True)
        with contextlib.suppress(BrokenPipeError):  # it has died: that is its answer
            process.stdin.write(json.dumps({"fuzzer": fuzzer.name, **wanted}).encode() + b"\n")
            process.stdin.flush()
        answer = self._answer(end, None)
        if isinstance(answer, Outcome):
            return Outcome(BROKEN, "the fuzzer cannot make its case", answer.text)
        begin, foreign = time.monotonic(), False
        watch = _Watch(process.pid, fuzzer)
        while isinstance(answer, dict) and "kind" not in answer:  # it tells how far it has come
            foreign = "peer" in answer
            answer = self._answer(end, watch)
        seconds = time.monotonic() - begin
        data = self.case.read_bytes() if self.case.exists() else b""
        self.cases += 1
        if self.cases >= RENEW:
            self.close()
        if isinstance(answer, Outcome):
            kind = SKIPPED if foreign else answer.kind
            return Outcome(kind, answer.mark, answer.text, data, seconds)
        kind, mark, text = (answer.get(k, "") for k in ("kind", "mark", "text"))
        return Outcome(kind, mark, text, data, seconds)

    def _answer(self, end: float, watch: _Watch | None) -> dict[str, Any] | Outcome:
        """The next line of the child, or what became of it instead."""
        last = time.monotonic() + START
        while b"\n" not in self.rest:
            if select.select([self.pipe], [], [], _LOOK)[0]:
                more = os.read(self.pipe, 1 << 16)
                if not more:
                    return self._died()
                self.rest += more
                continue
            if time.monotonic() > end:
                self.close()
                raise Stopped
            why = watch.why() if watch else HANG if time.monotonic() > last else ""
            if why:
                text = f"{why}: the case took too much\n{self._stacks()}"
                self.close()
                return Outcome(why, f"{why}: {_innermost(text)}", text)
        line, _, self.rest = self.rest.partition(b"\n")
        return json.loads(line)

    def _died(self) -> Outcome:
        assert self.process
        code = self.process.wait()
        text = self._tail()
        self.close()
        name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return Outcome(CRASH, f"{name}: {_innermost(text)}", f"{name}\n{text}")

    def _stacks(self) -> str:
        """Where the threads of the child are (faulthandler answers to this signal)."""
        assert self.process
        os.kill(self.process.pid, signal.SIGUSR1)
        time.sleep(1)
        return self._tail()

    def _tail(self) -> str:
        return self.log.read_bytes()[-6000:].decode(errors="replace")


def _innermost(text: str) -> str:
    """The innermost frame of weft in what faulthandler wrote, or the last line."""
    frames = [x.strip() for x in text.splitlines() if 'File "' in x and "/tests/" not in x]
    ours = [f for f in frames if ROOT in f and "site-packages" not in f]
    words = (ours or frames or text.splitlines() or [""])[0].replace('File "', "").replace('"', "")
    return words.rpartition("/")[2][:100]


class _Watch:
    """How much a child uses beyond what it did when the case began."""

    def __init__(self, pid: int, fuzzer: Fuzzer):
        self.pid, self.fuzzer = pid, fuzzer
        self.begin = time.monotonic()
        self.seconds, self.bytes = self._used()

    def why(self) -> str:
        """``"hang"`` or ``"memory"`` where the case goes beyond its limits; else empty."""
        seconds, size = self._used()
        if seconds - self.seconds > self.fuzzer.seconds:
            return HANG
        if time.monotonic() - self.begin > IDLE * self.fuzzer.seconds:
            return HANG
        return MEMORY if size - self.bytes > self.fuzzer.megabytes << 20 else ""

    def _used(self) -> tuple[float, int]:
        """Seconds of the processor and bytes in memory; zeros where the system does not tell."""
        try:
            words = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return 0.0, 0
        ticks = int(words[11]) + int(words[12])
        return ticks / os.sysconf("SC_CLK_TCK"), int(words[21]) * os.sysconf("SC_PAGE_SIZE")


def _environment(scratch: Path) -> dict[str, str]:
    """Of a child: nothing of an older compiler is used, and nothing of the user's is touched."""
    paths = [str(Path(__file__).parent.parent), os.environ.get("PYTHONPATH", "")]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(p for p in paths if p),
        "WEFT_CACHE_DIR": str(scratch / "cache"),
        "WEFT_RECORDS": "0",
        "WEFT_FUZZ_SHARED": str(scratch.parent),
        "OPENBLAS_NUM_THREADS": "1",
        "PYTHONHASHSEED": "0",
    }
