"""The code in docs/RPC.md runs, its commands are ones, and so are those that errors name."""

import argparse
import ast
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import weft
from support.hubs import Server, keys, soon
from weft.compiler.cli.main import main, parser
from weft.runtime.errors import RPCError
from weft.runtime.rpc.client import connect
from weft.runtime.rpc.host import LocalHub

ROOT = Path(weft.__file__).parent
TEXT = (ROOT / "docs" / "RPC.md").read_text("utf-8")
PYTHON = re.findall(r"```python\n(.*?)```", TEXT, flags=re.S)
SHELL = [line for b in re.findall(r"```sh\n(.*?)```", TEXT, flags=re.S) for line in b.splitlines()]
STEPS = {"connect", "refused", "queue", "upload", "compile", "run", "timeout", "peer gone"}


@pytest.fixture(scope="module")
def hub():
    with LocalHub() as made, Server(made.link, "cpu"):
        soon(lambda: keys(made) == ["cpu"])
        yield made


def test_code_of_the_documentation(hub, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"url": hub.url, "token": hub.token}
    assert len(PYTHON) >= 3
    for k, block in enumerate(PYTHON):
        exec(compile(block, f"block {k} of docs/RPC.md", "exec"), names)


@pytest.mark.parametrize("line", SHELL)
def test_commands_of_the_documentation_are_ones(line):
    words = shlex.split(line)
    assert words[0] == "weft"
    parser().parse_args(words[1:])


def test_the_clients_commands_run(hub, tmp_path, monkeypatch, capsys):
    """Those of the documentation, with this hub's address, and a device that is here."""
    from support.command_line import colour_model, save

    monkeypatch.chdir(tmp_path)
    (tmp_path / "hub.token").write_text(hub.token)
    save(colour_model((1, 3, 4, 4)))
    np.save("x.npy", np.zeros((1, 3, 4, 4), np.float32))
    lines = [s for s in SHELL if "--rpc" in s or "rpc list" in s]
    assert len(lines) == 4
    for line in lines:
        here = line.replace("ws://127.0.0.1:9190", hub.url).replace("--target webgl ", "")
        assert main(shlex.split(here.replace("--key chrome", "--key cpu"))[1:]) == 0, here
        assert capsys.readouterr().out


def test_each_step_of_an_error_is_explained():
    rows = re.findall(r"^\| `([a-z ]+)` \|", TEXT.partition("## When something fails")[2], re.M)
    assert set(rows) == STEPS == set(re.findall(r'``"([a-z ]+)"``', RPCError.__doc__ or ""))


def hints():
    """What errors of ``runtime/rpc/`` and of the commands say to do: strings of ``hint=``."""
    files = [*(ROOT / "runtime" / "rpc").glob("*.py"), ROOT / "compiler/cli/remote.py",
             ROOT / "compiler/cli/rpc.py"]  # fmt: skip
    for file in files:
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.keyword) and node.arg == "hint":
                for part in ast.walk(node.value):
                    if isinstance(part, ast.Constant) and isinstance(part.value, str):
                        yield part.value


def test_commands_and_options_in_hints_are_ones():
    said = " ".join(hints())
    named = set(re.findall(r"weft rpc (\w+)", said))
    assert named == {"hub", "list"}
    known = {o for p in _parsers(parser()) for a in p._actions for o in a.option_strings}
    options = set(re.findall(r"--[a-z][a-z-]+", re.sub(r"chromium .*?blank", "", said)))
    assert options >= {"--public", "--certificate", "--token-file", "--wait", "--port"}
    assert options <= known


def _parsers(p):
    """A parser, and those of its commands."""
    yield p
    for action in p._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from _parsers(below)


def test_what_the_hint_of_a_lost_array_says_works(hub):
    with connect(hub.link, key="cpu") as remote:
        x = np.ones(3, np.float32)
        a = remote.array(x)
        a.close()
        with pytest.raises(RPCError) as e:
            a.numpy()
        hint = e.value.hint or ""
        made = eval(hint.partition(": ")[2], {"remote": remote, "x": x})
        assert np.array_equal(made.numpy(), x)
