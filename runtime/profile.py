"""What measurements of an executable look like."""

from __future__ import annotations

import statistics
from dataclasses import dataclass


@dataclass(frozen=True)
class ProfileRow:
    """One kernel call: the graph nodes that it computes, the kernel, its milliseconds, and how
    often a run makes it, which is once unless loops and branches decide. ``ms`` is for all of
    them."""

    label: str
    kernel: str
    ms: float
    count: int = 1


@dataclass(frozen=True)
class Profile:
    """The kernel calls of one run, in order; ``str`` is a table, slowest first."""

    name: str
    rows: tuple[ProfileRow, ...]

    @property
    def total_ms(self) -> float:
        """Milliseconds of all calls together."""
        return sum(r.ms for r in self.rows)

    def share(self, row: ProfileRow) -> float:
        """The part of the total that ``row`` took, 0 to 1."""
        return row.ms / self.total_ms if self.total_ms else 0.0

    def by_kernel(self) -> dict[str, float]:
        """Milliseconds of each kernel over all its calls, slowest first."""
        sums: dict[str, float] = {}
        for r in self.rows:
            sums[r.kernel] = sums.get(r.kernel, 0.0) + r.ms
        return dict(sorted(sums.items(), key=lambda kv: -kv[1]))

    def __str__(self) -> str:
        rows = sorted(self.rows, key=lambda r: -r.ms)
        wide = max([len(r.kernel) for r in rows], default=6)
        several = any(r.count != 1 for r in rows)
        times = f"{'times':>7}  " if several else ""
        lines = [f"{'ms':>9}  {'share':>6}  {times}{'kernel':<{wide}}  nodes"]
        for r in rows:
            label = r.label if len(r.label) <= 60 else r.label[:57] + "..."
            times = f"{r.count:7}  " if several else ""
            lines.append(f"{r.ms:9.4f}  {self.share(r):6.1%}  {times}{r.kernel:<{wide}}  {label}")
        calls = sum(r.count for r in rows)
        lines.append(f"{self.total_ms:9.4f}  100.0%  {calls} calls of {self.name}")
        return "\n".join(lines)


@dataclass(frozen=True)
class Timing:
    """Times of one kernel in nanoseconds, each the mean of some runs."""

    nanoseconds: tuple[float, ...]

    @property
    def mean(self) -> float:
        """The mean, in seconds."""
        return statistics.fmean(self.nanoseconds) * 1e-9

    @property
    def median(self) -> float:
        """The median, in seconds."""
        return statistics.median(self.nanoseconds) * 1e-9

    @property
    def min(self) -> float:
        """The shortest, in seconds."""
        return min(self.nanoseconds) * 1e-9

    def __str__(self) -> str:
        def text(seconds: float) -> str:
            for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
                if seconds >= size:
                    return f"{seconds / size:.3g} {unit}"
            return f"{seconds * 1e9:.3g} ns"

        return f"median {text(self.median)}, min {text(self.min)}, mean {text(self.mean)}"


@dataclass(frozen=True)
class Benchmark:
    """Milliseconds per call, one number per measurement."""

    times: tuple[float, ...]

    @property
    def median_ms(self) -> float:
        """The median, in milliseconds: what a call usually takes."""
        return statistics.median(self.times)

    @property
    def best_ms(self) -> float:
        """The fastest call, in milliseconds: the least disturbed one."""
        return min(self.times)

    def __str__(self) -> str:
        return f"median {self.median_ms:.4f} ms, best {self.best_ms:.4f} ms of {len(self.times)}"
