"""The modules of the runtime as a bundle has them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess

import pytest
from weft.compiler.web import page

MANIFEST = {"meta": {"title": "m"}}


def test_every_module_is_there():
    """A file that a module imports, or starts as a worker, is in the bundle too."""
    modules = page.modules()
    wanted = re.compile(rb"""(?:from |import\(|new URL\()'(\.[^']*\.js)'""")
    for name, text in modules.items():
        code = re.sub(rb"^ *\*.*", b"", text, flags=re.MULTILINE)
        for path in wanted.findall(code):
            found = (page.RUNTIME / name).parent.joinpath(path.decode()).resolve()
            assert found.relative_to(page.RUNTIME.resolve()).as_posix() in modules, (name, path)


def test_a_device_is_a_folder_and_a_row():
    """No module but the table names what is in a device's folder, and the table has them all."""
    folders = {f.parent.name for f in page.RUNTIME.glob("devices/*/device.js")}
    rows = re.compile(r"""^ +(\w+): \{ title: .*import\('\./(\w+)/device\.js'\)""", re.MULTILINE)
    table = (page.RUNTIME / "devices" / "table.js").read_text()
    assert {*rows.findall(table)} == {(kind, kind) for kind in folders}
    for name, text in page.modules().items():
        inside = name.split("/")[1:-1]
        named = {kind for kind in folders if f"/{kind}/".encode() in text}
        assert name == "devices/table.js" or named <= {*inside}, name


def test_only_whole_comments_are_left_out():
    modules = page.modules()
    assert len(modules) == len({*page.RUNTIME.glob("*.js"), *page.RUNTIME.glob("page/*.js")}) + len(
        {*page.RUNTIME.rglob("devices/**/*.js")}
    )
    for name, text in modules.items():
        lines = (page.RUNTIME / name).read_text().splitlines()
        inside = False  # a comment with lines of its own
        code = []
        for line in lines:
            begins = line.lstrip().startswith("/**")
            alone = begins and line.find("*/") in (-1, len(line) - 2)
            inside = inside or alone
            if not inside:
                code.append(line)
            inside = inside and not line.endswith("*/")
        is_public = name.count("/") < 2 and name not in page.INSIDE
        assert text.decode().splitlines() == (lines if is_public else code), name


def test_what_an_author_imports_keeps_its_types():
    index = (page.RUNTIME / "index.js").read_text()
    assert set(page.modules()) >= page.INSIDE
    assert not [name for name in page.INSIDE if f"./{name}" in index]


def test_a_device_has_no_place_in_the_first_load():
    html = page.files(MANIFEST)["index.html"].decode()
    first = set(re.findall(r'href="runtime/[0-9a-f]{12}/([^"]*\.js)"', html))
    assert {"index.js", "load.js", "devices/table.js"} <= first
    assert not {n for n in first if n.count("/") > 1}


@pytest.mark.skipif(shutil.which("node") is None, reason="no Node is installed")
def test_the_size_of_the_runtime(tmp_path):
    """All modules for all devices, each compressed as a server does it; the page apart."""
    files = []
    for name, text in page.modules().items():
        if not name.startswith("page/"):
            files.append(tmp_path / name.replace("/", "-"))
            files[-1].write_bytes(text)
    script = """
        const { brotliCompressSync } = require('node:zlib');
        const size = (f) => brotliCompressSync(require('node:fs').readFileSync(f)).length;
        console.log(process.argv.slice(1).reduce((n, f) => n + size(f), 0));
    """
    command = ["node", "-e", script, *files]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) < 60 * 1024
