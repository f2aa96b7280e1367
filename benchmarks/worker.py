"""One peer with one number of threads in a process of its own, commanded over a pipe.

Runs as ``python -m weft.benchmarks.worker PEER THREADS``; reads one JSON command a line and answers
each with one JSON line::

    {"load": "resnet18"}     -> {"seconds": 3.1, "sample": [first numbers of the first output]}
    {"time": 0.2}            -> {"ms": [...]}   calls for about 0.2 s
    anything that fails      -> {"error": "..."}
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

from . import zoo
from .peers import PEERS


def main() -> int:
    peer, threads = sys.argv[1], int(sys.argv[2])
    # libraries like to print: only answers may go down the pipe
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    run: Any = None
    for line in sys.stdin:
        command = json.loads(line)
        try:
            if "load" in command:
                model = zoo.random_model(command["load"])
                feed = zoo.feed(model)
                begin = time.perf_counter()
                run = PEERS[peer](model, zoo.shapes(model), feed, threads)
                answer: dict[str, Any] = {"seconds": time.perf_counter() - begin}
                answer["sample"] = [float(v) for v in run().reshape(-1)[:1000]]
            else:
                answer = {"ms": _time(run, command["time"])}
        except Exception as e:  # reported, not swallowed: the parent prints it in the table
            answer = {"error": f"{type(e).__name__}: {e}"}
        answers.write(json.dumps(answer) + "\n")
    return 0


def _time(run: Any, seconds: float) -> list[float]:
    """Milliseconds of single calls, for about ``seconds`` and at least three of them."""
    run()  # caches are cold: another process was just running
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < 3 or time.perf_counter() < end:
        begin = time.perf_counter()
        run()
        times.append((time.perf_counter() - begin) * 1e3)
    return times


if __name__ == "__main__":
    raise SystemExit(main())
