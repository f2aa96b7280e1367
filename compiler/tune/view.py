"""The progress of tuning: a live table on a terminal, lines elsewhere, a plot at the end."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from html import escape
from typing import TYPE_CHECKING

from .state import TaskState, TuneProgress

if TYPE_CHECKING:
    from rich.table import Table

_BARS = "▁▂▃▄▅▆▇█"
SHOWN = 18  # tasks in the live table


@contextmanager
def live(peak: float) -> Iterator[Callable[[TuneProgress], None]]:
    """A callback for the tuner. ``peak`` is the measured peak in FLOP/s, 0 where nobody knows it:
    of other machines."""
    if not sys.stderr.isatty():
        yield _Lines(peak)
        return
    from rich.console import Console
    from rich.live import Live

    with Live(console=Console(stderr=True), refresh_per_second=4, transient=True) as view:
        yield lambda p: view.update(table(p, peak))


class _Lines:
    """A line per round, at most one in two seconds."""

    def __init__(self, peak: float):
        self.peak, self.last, self.rounds = peak, 0.0, 0

    def __call__(self, p: TuneProgress) -> None:
        now = time.monotonic()
        if p.current is None or len(p.history) == self.rounds or now - self.last < 2:
            return
        self.last, self.rounds = now, len(p.history)
        print(f"{head(p)}; {row(p.current, self.peak)}", file=sys.stderr, flush=True)


def head(p: TuneProgress) -> str:
    """Time, measurements and gain so far, in one line."""
    parts = [f"{clock(p.elapsed)} gone"]
    if p.limit is not None:
        parts.append(f"{clock(max(0.0, p.limit - p.elapsed))} left")
    count = f"{p.measured}" if p.trials is None else f"{p.measured} of {p.trials}"
    parts.append(f"{count} measured")
    bad = {k: n for k, n in p.states_count.items() if k != "ok"}
    if bad:
        parts.append(", ".join(f"{n} {k}" for k, n in sorted(bad.items())))
    parts.append(f"{p.gain:.3f} times the default")
    return ", ".join(parts)


def row(s: TaskState, peak: float) -> str:
    """How fast a task's champion is, in one line."""
    share = f"{s.gflops * 1e9 / peak:.0%} of peak, " if peak else ""
    return f"{s.task.name}: {s.gflops:.1f} GFLOP/s, {share}{s.gain:.3f} times"


def table(p: TuneProgress, peak: float) -> Table:
    """The live table: the tasks that take most of the model's time."""
    from rich.table import Table

    t = Table(title=head(p), title_justify="left", box=None)
    t.add_column("task")
    of_peak = ("of peak",) if peak else ()
    for name in ("calls", "ms", "GFLOP/s", *of_peak, "gain", "rounds"):
        t.add_column(name, justify="right")
    known = [s for s in p.states if s.rounds]
    for s in sorted(known, key=lambda s: -s.promise if s.promise >= 0 else 1.0)[:SHOWN]:
        share = (f"{s.gflops * 1e9 / peak:.0%}",) if peak else ()
        t.add_row(
            ("» " if s is p.current else "  ") + s.task.name, str(s.task.calls),
            f"{s.seconds * 1e3:.3f}", f"{s.gflops:.1f}", *share, f"{s.gain:.3f}", str(s.rounds),
        )  # fmt: skip
    return t


def clock(seconds: float) -> str:
    """A time as ``minutes:seconds``."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def resampled(history: Sequence[tuple[float, float]], n: int) -> list[float]:
    """The value that held at each of ``n`` equal steps of time; it starts at 1."""
    if not history:
        return []
    end, values, at, current = history[-1][0], [], 0, 1.0
    for k in range(n):
        t = end * (k + 1) / n
        while at < len(history) and history[at][0] <= t:
            current = history[at][1]
            at += 1
        values.append(current)
    return values


def sparkline(history: Sequence[tuple[float, float]], width: int = 60) -> str:
    """The gain over time as one line of text."""
    values = resampled(history, width)
    if not values:
        return ""
    low, high = min(1.0, *values), max(values)
    span = (high - low) or 1.0
    bars = "".join(_BARS[round((v - low) / span * (len(_BARS) - 1))] for v in values)
    return f"{low:.2f} {bars} {high:.3f} times the default, {clock(history[-1][0])}"


def svg(history: Sequence[tuple[float, float]], title: str) -> str:
    """The gain over time as an image: an SVG document of 640 × 320 units."""
    left, top, right, bottom = 60.0, 40.0, 620.0, 270.0
    points = [(0.0, 1.0), *history]
    end = points[-1][0] or 1.0
    low = min(v for _, v in points)
    high = max(low + 0.01, *(v for _, v in points))

    def place(t: float, v: float) -> tuple[float, float]:
        return (
            left + (right - left) * t / end,
            bottom - (bottom - top) * (v - low) / (high - low),
        )

    path, before = [], points[0][1]
    for t, v in points:  # a step: a gain holds until the next is found
        path += ["{:.1f},{:.1f}".format(*place(t, before)), "{:.1f},{:.1f}".format(*place(t, v))]
        before = v
    lines = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 320" font-family="sans-serif"'
        ' font-size="12">',
        '<rect width="640" height="320" fill="white"/>',
        f'<text x="{left}" y="24" font-size="14">{escape(title)}</text>',
    ]
    for k in range(5):
        v = low + (high - low) * k / 4
        _, y = place(0, v)
        lines.append(f'<path d="M{left} {y:.1f}H{right}" stroke="#ddd"/>')
        lines.append(f'<text x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{v:.2f}</text>')
        x, _ = place(end * k / 4, low)
        lines.append(
            f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{clock(end * k / 4)}</text>'
        )
    lines.append(
        f'<polyline points="{" ".join(path)}" fill="none" stroke="#0b62a4" stroke-width="2"/>'
    )
    lines.append(
        f'<text x="{(left + right) / 2}" y="{bottom + 38}" text-anchor="middle">'
        "time (min:s); gain over the default schedules, geometric mean of the tasks</text>"
    )
    lines.append("</svg>\n")
    return "\n".join(lines)
