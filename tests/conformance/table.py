"""``docs/OPERATORS.md``: operators × targets, out of the grid. ``make docs`` writes it.

What a target refuses is found by compiling every case for it, with nothing else to fall back to;
that the rest is right is what ``test_grid.py`` shows. No device is needed.
"""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from pathlib import Path

from op_cases import Case, all_cases
from weft.compiler.ops import all_ops

from conformance.columns import COLUMNS, Column, refusal

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docs" / "OPERATORS.md"

HEAD = """\
# Operators and targets

Made by `make docs` from the cases that `tests/conformance` runs on every target and compares with
numpy; do not edit.

- **yes**: every case runs on the target and is right
- **n of m**: the others are refused, for the reasons given below. In a page, `webgl` and `webgpu`
  hand them to WebAssembly; elsewhere the reason is an error
- **no**: every case is refused

`opengl`, `webgl` and `webgpu` keep 64-bit integers in 32 bits, and say so when an input does not
fit; 16-bit floats are computed in 32 bits where a device has no others.

"""


def reason(message: str) -> str:
    """A refusal without the names of one kernel: what many cases have in common."""
    text = re.sub(r"\s+", " ", message).strip().rstrip(".")
    text = re.sub(r"\b(?:the )?(?:kernel|shader of) \w+_[0-9a-f]{8}\w*", "the kernel", text)
    return re.sub(r"\b((?:float|uint|int|bool)\d*)x\d+\b", r"\1", text)  # any width of vectors


def shown() -> list[Column]:
    """The columns that have all cases."""
    return [c for c in COLUMNS.values() if not c.first]


def table() -> str:
    """The text of the document."""
    cases: dict[str, list[Case]] = defaultdict(list)
    for case in all_cases():
        cases[case.op].append(case)
    columns = shown()
    lines = [HEAD + f"| operator | cases | {' | '.join(f'`{c.name}`' for c in columns)} |"]
    lines.append("|---|--:|" + "---|" * len(columns))
    why: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for op in sorted(all_ops()):
        cells = []
        for c in columns:
            refused = ["" if c.whole else refusal(case, c.target) for case in cases[op]]
            bad = [r for r in refused if r]
            for r in dict.fromkeys(map(reason, bad)):
                if c.name not in why[r][op]:
                    why[r][op].append(c.name)
            total = len(refused)
            cells.append(
                "yes"
                if not bad
                else "no"
                if len(bad) == total
                else f"{total - len(bad)} of {total}"
            )
        lines.append(f"| `{op}` | {len(cases[op])} | {' | '.join(cells)} |")
    lines += ["", "## Why a target refuses", ""]
    for r in sorted(why):
        by: dict[tuple[str, ...], list[str]] = defaultdict(list)
        for op, names in why[r].items():
            by[tuple(names)].append(f"`{op}`")
        lines.append(f"- {r}:")
        lines += [f"  - {', '.join(n)}: {', '.join(ops)}" for n, ops in sorted(by.items())]
    return "\n".join(lines) + "\n"


def main() -> int:
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(table(), "utf-8")
    print(f"{FILE.relative_to(ROOT)}: {len(all_ops())} operators, {len(shown())} targets")
    return 0


if __name__ == "__main__":
    sys.exit(main())
