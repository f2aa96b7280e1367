"""``docs/TE.md`` shows what is so: where a text follows a program, the program prints it."""

import contextlib
import io
import re
from pathlib import Path

import weft
from weft import te

PAGE = (Path(weft.__file__).parent / "docs/TE.md").read_text("utf-8")
SHOWN = re.compile(r"```python\n((?:(?!```).)*?)```\n\n```\n(.*?)```", re.DOTALL)


def test_programs_print_what_stands_below_them():
    found = SHOWN.findall(PAGE)
    assert found
    for program, text in found:
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(program, {"te": te, "weft": weft})
        assert out.getvalue() == text
