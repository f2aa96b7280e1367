"""The pages that explain the rooms name what is there."""

import importlib
import re
from pathlib import Path

import pytest
import weft

ROOT = Path(weft.__file__).parent
# Where a path of a document may begin, beside the root: "`passes/storage.py`" in a text about ir.
HOMES = ("", "compiler", "ir", "codegen", "runtime", "runtime/devices", "compiler/schedules",
         "compiler/passes", "compiler/kernels", "tests", "runtime_js")  # fmt: skip
CODE = re.compile(r"`([\w./{},*]+)`")
ENDINGS = (".py", ".js", ".c", ".h", ".ll", ".md", ".sh", ".jsonl", "/")


def paths(text: str) -> set[str]:
    """What looks like a path; ``a/{b,c}`` is two."""
    found = set()
    for word in CODE.findall(text):
        m = re.fullmatch(r"(.*)\{(.*)\}(.*)", word)
        words = [m[1] + x + m[3] for x in m[2].split(",")] if m else [word]
        found |= {w for w in words if "/" in w and w.endswith(ENDINGS)}
    return found


PAGES = ("ARCHITECTURE.md", "README.md", "SECURITY.md", "docs/GLOSSARY.md", "docs/LIMITS.md")


@pytest.mark.parametrize("page", PAGES)
def test_paths_exist(page):
    named = paths((ROOT / page).read_text("utf-8"))
    missing = [p for p in named if not any(list((ROOT / h).glob(p.rstrip("/"))) for h in HOMES)]
    assert not missing and (named or page in ("README.md", "docs/LIMITS.md"))


def test_the_diagram_names_what_is_there():
    """The one diagram of the way of a model."""
    diagram = (ROOT / "ARCHITECTURE.md").read_text("utf-8").split("```")[1]
    named = set(re.findall(r"\b(?:compiler|ir|codegen|runtime)/[\w./]*", diagram))
    assert len(named) > 15
    assert not [p for p in named if not (ROOT / p).exists()]


def test_words_are_defined_where_the_glossary_says():
    """And every word stands there once."""
    rows = re.findall(r"^\| ([^|]+) \| [^|]+ \| `([^`]+)` \|$",
                      (ROOT / "docs/GLOSSARY.md").read_text("utf-8"), re.MULTILINE)  # fmt: skip
    words = [w.strip() for row in rows for w in row[0].split(",")]
    assert len(words) > 40 and len(set(words)) == len(words)
    for word, place in rows:
        file, _, name = place.partition(": ")
        text = (ROOT / file).read_text("utf-8")
        assert re.search(rf"\b{name}\b", text), (word, place)


def test_limits_are_those_of_the_code():
    rows = re.findall(r"^\| [^|]+ \| (\d+) \| `([\w/]+)\.py (\w+)` \|$",
                      (ROOT / "docs/LIMITS.md").read_text("utf-8"), re.MULTILINE)  # fmt: skip
    assert len(rows) >= 14
    for value, module, name in rows:
        there = importlib.import_module(f"weft.{module.replace('/', '.')}")
        assert getattr(there, name) == int(value), (module, name)
