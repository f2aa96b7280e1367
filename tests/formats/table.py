"""The text of ``docs/FORMATS.md``; ``make docs`` writes it, a test sees that it is current.

Operators are the keys of the front-ends' tables of converters. Files are those of the tests with
the mark ``parity``, which are run for it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from weft.compiler.frontends.table import FRONTENDS, FrontEnd, operators_of

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "docs" / "FORMATS.md"

HEAD = """\
# Formats

Made by `make docs` from the front-ends' tables and from the tests of real files; do not edit.

`weft.load(path)` and every command know a model's format by its content, never by its name;
`format=` (`--format`) forces one, `weft inspect FILE` shows what is in a file and what weft lacks
for it. No framework is needed to read any of them.

"""
FILES = """
## Real files beside their own runtimes

The largest difference over all outputs, relative to the largest element (f32), or in steps of
quantised results. A file has a row where a test compares it with what the judge says, on real or
seeded input; the judges run in environments of their own (`tools/judge.sh`).

| format | file | judge | largest difference |
|---|---|---|--:|
"""


def operators() -> dict[str, list[str]]:
    """What is converted: a part of a format to the names of its operators."""
    rows: dict[str, list[FrontEnd]] = {}
    for row in FRONTENDS.values():  # several formats may share a table
        rows.setdefault(row.operators, []).append(row)
    found: dict[str, list[str]] = {}
    for first, *others in rows.values():
        for part, names in operators_of(first).items():
            found[", ".join([part, *(r.name for r in others)])] = sorted(names)
    return found


def operators_text(found: Mapping[str, Sequence[str]]) -> str:
    """The part of the document on operators."""
    needs = {
        r.name: f'`pip install "weft[{r.extra}]"`' if r.extra else "nothing more"
        for r in FRONTENDS.values()
    }
    lines = ["| `format=` | needs |", "|---|---|"]
    lines += [f"| `{name}` | {what} |" for name, what in sorted(needs.items())]
    lines += ["", "| operators of | converted |", "|---|--:|"]
    lines += [f"| {part} | {len(names)} |" for part, names in found.items()]
    for part, names in found.items():
        lines += ["", f"### {part}", "", ", ".join(f"`{n}`" for n in names)]
    return "\n".join(lines) + "\n"


def files_text(rows: Sequence[Mapping[str, object]]) -> str:
    """The part of the document on files: the worst of what tests said of each."""
    worst: dict[tuple[str, str, str], tuple[float, bool]] = {}
    for r in rows:
        key = (str(r["format"]), str(r["file"]), str(r["judge"]))
        error, exact = float(str(r["error"])), bool(r["exact"])
        before = worst.get(key, (0.0, True))
        worst[key] = max(before[0], error), before[1] and exact
    return "".join(f"| {' | '.join(key)} | {_difference(*worst[key])} |\n" for key in sorted(worst))


def _difference(error: float, exact: bool) -> str:
    if not error:
        return "equal"
    return f"{error:.0f} steps" if exact else f"{error:.0e}"


def measured() -> list[dict[str, object]]:
    """What the tests of files find. Raises :class:`SystemExit` where one fails."""
    with tempfile.TemporaryDirectory(prefix="weft-formats-") as folder:
        record = Path(folder) / "rows"
        command = [sys.executable, "-m", "pytest", "-q", "-m", "parity", "tests/frontends"]
        done = subprocess.run(
            command, cwd=ROOT, env={**os.environ, "WEFT_PARITY": str(record)}, check=False
        )
        if done.returncode:
            raise SystemExit(done.returncode)
        return [json.loads(line) for line in record.read_text().splitlines()]


def stored_operators(text: str) -> str:
    """The part of a document on operators."""
    return text.removeprefix(HEAD).partition(FILES)[0]


def main() -> None:
    """Write the document; with ``--operators``, only that part of it anew."""
    old = FILE.read_text("utf-8") if FILE.exists() else ""
    rows = old.partition(FILES)[2] if "--operators" in sys.argv else files_text(measured())
    FILE.write_text(HEAD + operators_text(operators()) + FILES + rows, "utf-8")
    print(f"{FILE.relative_to(ROOT)}: {len(re.findall('^[|] .* [|]$', rows, re.M))} files")


if __name__ == "__main__":
    main()
