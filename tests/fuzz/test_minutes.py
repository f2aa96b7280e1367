"""Three minutes of all fuzzers with fixed seeds. A slow machine does fewer cases.

``tools/test.sh`` starts it at once, in a process beside the others.
"""

import pytest

from fuzz.__main__ import main

MINUTES = 3


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_fuzzers_find_nothing(tmp_path):
    folder = tmp_path / "findings"
    words = ["--minutes", f"{MINUTES}", "--seed", "0", "--jobs", "1", "--findings", str(folder)]
    code = main(words)  # prints the table, which pytest shows with a failure
    reports = [p.read_text()[:3000] for p in sorted(folder.glob("*.txt"))]
    assert code == 0, "\n\n".join(reports)
