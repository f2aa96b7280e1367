"""The version stands in one place for Python, and elsewhere as each tool wants it."""

import json
import tomllib
from pathlib import Path

import weft
from weft.runtime.version import __version__

ROOT = Path(__file__).parents[2]


def test_all_say_the_same():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    page = json.loads((ROOT / "runtime_js" / "package.json").read_text())
    assert weft.__version__ == __version__ == project["version"] == page["version"]
