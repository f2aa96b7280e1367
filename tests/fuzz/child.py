"""The process that runs cases: python -m fuzz.child HOME CASE PIPE MODULE …

Each line on its input asks for one case, ``{"fuzzer": "packages", "seed": 7}`` or
``{"fuzzer": "onnx-bytes", "file": "a.onnx"}``. The case is written to the file CASE before anything
is done with it, so that it is there when the process dies. Answers are lines of JSON on the file
descriptor PIPE; what weft or a driver prints disturbs nobody.
"""

from __future__ import annotations

import faulthandler
import gc
import json
import os
import random
import signal
import sys
import threading
import time
import traceback
from functools import cache
from pathlib import Path
from typing import Any

import weft
from weft.runtime.errors import WeftError

from fuzz import peer
from fuzz.fuzzer import CPU, Differs, Fuzzer, Skip, WrongError
from fuzz.table import fuzzers

RIGHT, REFUSED, SKIPPED, DIFFERS = "right", "refused", "skipped", "differs"
WRONG, ERROR, INTERNAL, MEMORY = "wrong", "error", "internal", "memory"
MISSING = "missing"  # the fuzzer cannot run here
ADDRESSES = 6 << 30  # bytes, beyond those that are mapped when all is loaded
ROOT = str(Path(weft.__file__).parent)


def outcome(fuzzer: Fuzzer, data: bytes) -> dict[str, str]:
    """What became of a case: its kind, the text of a report, and for findings a mark that is the
    same for cases that show the same fault."""
    try:
        fuzzer.judge(data)
    except (Skip, Differs, WrongError) as e:
        kind = {Skip: SKIPPED, Differs: DIFFERS, WrongError: WRONG}[type(e)]
        return {"kind": kind, "mark": str(e).partition("\n")[0][:100], "text": str(e)}
    except Exception as e:
        kind = ERROR
        if isinstance(e, WeftError):
            kind = INTERNAL if type(e).__name__ == "InternalError" else REFUSED
        if any(isinstance(c, MemoryError) for c in _causes(e)):
            kind = MEMORY
        return {"kind": kind, "text": str(e)} if kind == REFUSED else _finding(kind, e)
    return {"kind": RIGHT}


def _causes(e: BaseException | None) -> list[BaseException]:
    found = []
    while e is not None and e not in found:
        found.append(e)
        e = e.__cause__ or e.__context__
    return found


def _finding(kind: str, e: BaseException) -> dict[str, str]:
    first = _causes(e)[-1]
    frames = traceback.extract_tb(first.__traceback__)
    ours = [f for f in frames if f.filename.startswith(ROOT) and "/tests/" not in f.filename]
    place = (
        f"{Path(ours[-1].filename).name}:{ours[-1].name}"
        if ours
        else str(first).partition("\n")[0][:70]
    )
    text = "".join(traceback.format_exception(e))[-20000:]
    return {"kind": kind, "mark": f"{type(first).__name__} in {place}", "text": text}


def limit_addresses() -> None:
    """A net: the parent watches what is used."""
    if not sys.platform.startswith("linux"):
        return
    import resource

    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    most = used + ADDRESSES
    resource.setrlimit(resource.RLIMIT_AS, (most, resource.getrlimit(resource.RLIMIT_AS)[1]))


@cache
def missing(fuzzer: Fuzzer) -> str:
    """Why a fuzzer cannot run here. What it loads once is loaded now."""
    why = fuzzer.missing()
    if not why:
        fuzzer.make(random.Random(0))
    gc.collect()
    gc.freeze()  # what stays need not be looked at after each case
    return why


def _end_with(parent: int) -> None:
    """A case that hangs does not outlive whoever asked for it."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def main(home: str, case: str, pipe: str, *modules: str) -> None:
    threading.Thread(target=_end_with, args=[os.getppid()], daemon=True).start()
    faulthandler.enable()
    if hasattr(faulthandler, "register"):
        faulthandler.register(signal.SIGUSR1)  # where are you?
    answers = os.fdopen(int(pipe), "w")

    def answer(value: dict[str, Any]) -> None:
        answers.write(json.dumps(value) + "\n")
        answers.flush()

    peer.announce = lambda: answer({"peer": True})
    table = fuzzers(modules)
    if home == CPU:
        limit_addresses()
    for line in sys.stdin:
        wanted = json.loads(line)
        fuzzer = table[wanted["fuzzer"]]
        if why := missing(fuzzer):
            answer({"kind": MISSING, "text": why})
            continue
        if "file" in wanted:
            data = Path(wanted["file"]).read_bytes()
        else:
            data = fuzzer.make(random.Random(f"{fuzzer.name} {wanted['seed']}"))
        Path(case).write_bytes(data)
        answer({"begin": len(data)})
        answer(outcome(fuzzer, data))
        gc.collect()
    os._exit(0)  # threads of drivers do not keep it


if __name__ == "__main__":
    main(*sys.argv[1:])
