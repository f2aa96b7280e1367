"""Every tutorial runs, and so does the code of the README, with the output that it shows."""

import doctest
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import weft

ROOT = Path(weft.__file__).parent
TUTORIALS = sorted((ROOT / "tutorials").glob("[0-9]*.py"))

SAYS = {
    "01_one_kernel.py": ["plain: right", "tiled: right", "multiplying vector instructions"],
    "02_real_model.py": ["espresso", "best class without the compiler: 967", "InputError"],
    "03_web_page.py": ["for webgl, wasm", "texelFetch", "f16 ", "weft serve"],
    "05_new_operator.py": ["llvm           right", "hourglass"],
    "06_te_kernels.py": [
        "1. product of (37, 41, 53): right",
        "12. softmax from the library: right",
    ],
    "07_push_kernels_to_a_browser.py": [
        "webgl: the better is",
        "webgpu: the better is",
        "it does not run opencl",
        "webgl: espresso",
        "webgpu: espresso",
    ],
    "08_one_network_in_four_formats.py": [
        "nmp-saved-model saved-model",
        "nmp.tflite      tflite",
        "nmp.mlpackage   coreml",
        "nmp.mlpackage   hears [60, 64, 67]",
        "for wasm",
    ],
}


def test_all_tutorials_are_known():
    assert [t.name for t in TUTORIALS] == list(SAYS)


@pytest.mark.slow
@pytest.mark.parametrize("tutorial", TUTORIALS, ids=lambda p: p.name)
def test_tutorial(tutorial, tmp_path):
    # from another folder: a tutorial must not depend on where it is started
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(
        [sys.executable, str(tutorial)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for words in SAYS[tutorial.name]:
        assert words in done.stdout


def code_blocks(language):
    text = (ROOT / "README.md").read_text("utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.M | re.S)


def test_readme_python(tmp_path, monkeypatch):
    """The Python examples are one session: later ones use what earlier ones made."""
    monkeypatch.chdir(tmp_path)
    blocks = code_blocks("python")
    assert len(blocks) >= 2
    parser, runner = doctest.DocTestParser(), doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    names: dict = {}
    for k, block in enumerate(blocks):
        test = parser.get_doctest(block, names, f"README block {k}", "README.md", 0)
        assert test.examples, "an example without a prompt is not run"
        runner.run(test, clear_globs=False)
        names = test.globs
    assert runner.summarize(verbose=False).failed == 0


def test_readme_names_commands_that_exist():
    text = (ROOT / "README.md").read_text("utf-8")
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"make (\w+)", text))
    assert {"demo", "test"} <= targets
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.M), target


def test_readme_links_exist():
    text = (ROOT / "README.md").read_text("utf-8")
    links = re.findall(r"\]\(([^)#:]+)\)", text)
    assert links
    for link in links:
        assert (ROOT / link).exists(), link
