"""What was found: a folder of findings and a table of counts."""

from __future__ import annotations

import re
import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from fuzz.child import DIFFERS, MISSING, REFUSED, RIGHT, SKIPPED
from fuzz.fuzzer import Fuzzer
from fuzz.worker import Outcome

EXAMPLES = 3  # cases that are kept of one fault
_GOOD = (RIGHT, REFUSED, SKIPPED)
_COLUMNS = (*_GOOD, DIFFERS)


@dataclass
class Tally:
    """Counts of one fuzzer. ``faults``: how many cases showed each (kind, mark)."""

    counts: Counter[str] = field(default_factory=Counter)
    faults: Counter[tuple[str, str]] = field(default_factory=Counter)
    seconds: float = 0.0
    missing: str = ""

    @property
    def cases(self) -> int:
        return self.counts.total()

    @property
    def findings(self) -> int:
        return sum(n for (kind, _), n in self.faults.items() if kind != DIFFERS)


class Report:
    """Collects outcomes; findings are written to ``folder``."""

    def __init__(self, fuzzers: dict[str, Fuzzer], folder: Path):
        self.fuzzers, self.folder = fuzzers, folder
        self.tallies = {name: Tally() for name in fuzzers}
        self._lock = threading.Lock()

    @property
    def failed(self) -> bool:
        return any(t.findings for t in self.tallies.values())

    def add(self, name: str, case: str, outcome: Outcome) -> Path | None:
        """Count an outcome of the case called ``case``; the file that was written of it."""
        tally, fault = self.tallies[name], (outcome.kind, outcome.mark)
        if outcome.kind == MISSING:
            tally.missing = outcome.text
            return None
        with self._lock:
            tally.counts[outcome.kind] += 1
            tally.seconds += outcome.seconds
            if outcome.kind in _GOOD:
                return None
            tally.faults[fault] += 1
        if tally.faults[fault] > EXAMPLES:
            return None
        self.folder.mkdir(parents=True, exist_ok=True)
        title = re.sub(r"[^\w.]+", "-", f"{name}-{outcome.kind}-{case}")
        path = self.folder / f"{title}.{self.fuzzers[name].suffix}"
        path.write_bytes(outcome.data)
        how = f'make fuzz ARGS="--only {name} --case {path}"'
        text = f"{name}, {case}: {outcome.kind}: {outcome.mark}\n{how}\n\n{outcome.text}\n"
        path.with_name(f"{path.name}.txt").write_text(text)
        return path

    def __str__(self) -> str:
        """The table: a line for each fuzzer, and one for each fault."""
        with self._lock:
            return self._table()

    def _table(self) -> str:
        rows = [("fuzzer", "cases", *_COLUMNS, "findings", "seconds")]
        tallies = [*self.tallies.items(), ("together", self._sum())]
        for name, t in tallies:
            if t.missing:
                rows.append((name, *"-" * (len(_COLUMNS) + 2), f"left out: {t.missing}"))
                continue
            numbers = (t.cases, *(t.counts[k] for k in _COLUMNS), t.findings, round(t.seconds))
            rows.append((name, *(f"{n}" for n in numbers)))
        widths = [max(len(r[k]) for r in rows) for k in range(len(rows[0]) - 1)]
        lines = []
        for row in rows:
            cells = [row[0].ljust(widths[0])]
            cells += [c.rjust(w) for c, w in zip(row[1:-1], widths[1:], strict=True)]
            lines.append("  ".join([*cells, row[-1].rjust(7)]))
        for name, t in self.tallies.items():
            for (kind, mark), n in t.faults.most_common():
                lines.append(f"{name}: {kind} × {n}: {mark}")
        if self.failed:
            lines.append(f"cases and reports: {self.folder}")
        return "\n".join(lines)

    def _sum(self) -> Tally:
        total = Tally()
        for t in self.tallies.values():
            total.counts += t.counts
            total.faults += t.faults
            total.seconds += t.seconds
        return total
