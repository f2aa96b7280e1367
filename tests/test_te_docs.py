"""The code in docs/TE.md runs: block after block, what one section defines the next ones have."""

import re
from pathlib import Path

import numpy as np
import pytest
import weft
from weft import te

TEXT = Path(weft.__file__).parent / "docs" / "TE.md"
SECTIONS = [s for s in re.split(r"^## ", TEXT.read_text("utf-8"), flags=re.M) if "```python" in s]


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("section", SECTIONS, ids=lambda s: s.splitlines()[0].lower())
def test_code_of_the_documentation(section, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"np": np, "weft": weft, "te": te}
    for k, block in enumerate(re.findall(r"```python\n(.*?)```", section, flags=re.S)):
        place = tmp_path / f"block{k}.py"  # te.hybrid reads the text of a function
        place.write_text(block)
        exec(compile(block, str(place), "exec"), names)
