"""How far two arrays are apart, and the report of ``weft check``."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from ...ir.target import brief
from .tolerances import Tolerance

SHOWN = 10


@dataclass(frozen=True)
class Distance:
    """The largest difference of two arrays: ``relative`` is to the largest finite element of the
    reference; ``badness`` is the difference over what the tolerance allows, above 1 where it is
    left. Infinite where one has a NaN, an infinity or a type that the other has not."""

    ok: bool
    absolute: float
    relative: float
    badness: float
    at: tuple[int, ...] = ()
    got: object = None
    want: object = None
    note: str = ""


def distance(got: np.ndarray, want: np.ndarray, limit: Tolerance) -> Distance:
    """``got`` against ``want``; integers and booleans must be equal."""
    if got.shape != want.shape or got.dtype != want.dtype:
        note = f"{got.dtype}{list(got.shape)} instead of {want.dtype}{list(want.shape)}"
        return Distance(False, math.inf, math.inf, math.inf, note=note)
    if not want.size:
        return Distance(True, 0.0, 0.0, 0.0)
    exact = want.dtype.kind in "iub"
    g, w = (a.astype(np.float64) for a in (got, want))
    with np.errstate(all="ignore"):
        gap = np.abs(g - w)
        same = (got == want) | (np.isnan(g) & np.isnan(w))
    gap = np.where(same, 0.0, np.where(np.isfinite(gap), gap, np.inf))
    if exact:
        gap = np.where(~same & (gap == 0), 1.0, gap)  # 64-bit integers that float64 holds as one
    finite = np.abs(w[np.isfinite(w)])
    scale = float(finite.max(initial=0.0))
    at = tuple(int(k) for k in np.unravel_index(int(gap.argmax()), gap.shape))
    worst = float(gap[at])
    allowed = 0.0 if exact else limit.atol + limit.rtol * scale
    ok = worst <= allowed
    badness = worst / allowed if allowed else (0.0 if worst == 0 else math.inf)
    relative = worst / scale if scale else worst
    return Distance(ok, worst, relative, badness, at, got[at].item(), want[at].item())


@dataclass(frozen=True)
class TensorRow:
    """One tensor. ``alone`` is the relative error that its kernel makes by itself, on the inputs
    that the target gave it; None where nobody looked."""

    tensor: str
    ops: str
    source: str
    distance: Distance
    alone: float | None = None


@dataclass(frozen=True)
class Report:
    """What :func:`weft.check` found; ``str(report)`` is for people. ``rows`` are in the order in
    which the target computes them; ``missing`` are tensors that the reference does not have."""

    model: str
    target: str
    against: str
    tolerance: Tolerance
    rows: tuple[TensorRow, ...]
    missing: tuple[str, ...] = ()
    device: str = ""
    bad: tuple[TensorRow, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "bad", tuple(r for r in self.rows if not r.distance.ok))

    @property
    def ok(self) -> bool:
        """Whether every tensor is within the tolerance."""
        return not self.bad

    @property
    def first(self) -> TensorRow | None:
        """The first tensor that leaves the tolerance."""
        return self.bad[0] if self.bad else None

    @property
    def worst(self) -> tuple[TensorRow, ...]:
        """The tensors that come nearest to the tolerance or leave it the farthest."""
        return tuple(sorted(self.rows, key=lambda r: -r.distance.badness)[:SHOWN])

    def __str__(self) -> str:
        lines = [
            f"{self.model}: {brief(self.target)} against {self.against}, {len(self.rows)} tensors",
            f"  run {self.device}",
            f"  tolerance {self.tolerance}; errors are relative to a tensor's largest element,",
            "  'alone' is what a kernel adds by itself on the inputs that it got",
            "",
        ]
        table = [("error", "alone", "absolute", "at", "got", "expected", "tensor", "operators")]
        for r in self.worst:
            d = r.distance
            at = ",".join(map(str, d.at)) or "-"
            table.append(
                (
                    _short(d.relative), "-" if r.alone is None else _short(r.alone),
                    _short(d.absolute), at, _value(d.got), _value(d.want),
                    ("" if d.ok else "! ") + _cut(r.tensor, 40), _cut(r.ops, 48),
                )
            )  # fmt: skip
        widths = [max(len(row[k]) for row in table) for k in range(len(table[0]))]
        for row in table:
            cells = [
                c.rjust(n) if k < 6 else c.ljust(n) for k, (c, n) in enumerate(zip(row, widths))
            ]
            lines.append("  " + "  ".join(cells).rstrip())
        if self.missing:
            shown = ", ".join(self.missing[:5]) + (", …" if len(self.missing) > 5 else "")
            lines += ["", f"  {self.against} does not have {len(self.missing)} of them: {shown}"]
        lines += ["", *self._verdict()]
        return "\n".join(lines)

    def _verdict(self) -> list[str]:
        if self.first is None:
            if not self.rows:
                return ["nothing could be compared"]
            return [f"all {len(self.rows)} tensors are within the tolerance"]
        r, d = self.first, self.first.distance
        what = d.note or f"{_value(d.got)} instead of {_value(d.want)} at [{_index(d.at)}]"
        lines = [
            f"{len(self.bad)} of {len(self.rows)} tensors leave the tolerance; the first is "
            f"{r.tensor!r}:",
            f"  operators  {r.ops}",
            f"  from       {r.source}",
            f"  error      {_short(d.relative)} ({_short(d.absolute)} absolute): {what}",
        ]
        if r.alone is not None and r.ops != "the program as it is":
            wrong = not r.alone <= self.tolerance.rtol
            verdict = (
                "the kernel itself is wrong"
                if wrong
                else "the kernel is right: the error has grown in the kernels before it"
            )
            lines.append(f"  alone      {_short(r.alone)}: {verdict}")
        return lines


def _index(at: tuple[int, ...]) -> str:
    return ", ".join(map(str, at))


def _short(x: float) -> str:
    return "0" if x == 0 else f"{x:.1e}"


def _value(x: object) -> str:
    return f"{x:.6g}" if isinstance(x, float) else str(x)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
