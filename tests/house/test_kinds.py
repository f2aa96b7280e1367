"""A target is a row of each layer: who wants to know what it can do asks for a capability or a fact
of its row, never for its name.
"""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import weft
from weft.codegen import _GENERATORS
from weft.ir.target import HOST, Target, kinds
from weft.runtime.devices.table import _ROWS, DEVICES

ROOT = Path(weft.__file__).parent
LAYERS = ("runtime", "ir", "codegen", "compiler")
ROWS = ("ir/target.py", "codegen/__init__.py", "runtime/devices/table.py")
HOMES = {  # what else of the package belongs to a kind
    "codegen/llvm": ("llvm",),
    "codegen/glsl": ("opengl", "webgl"),
    "codegen/opencl": ("opencl",),
    "codegen/wasm": ("wasm",),
    "codegen/wgsl": ("webgpu",),
    "runtime/devices/cpu": ("llvm",),
    "runtime/devices/opencl": ("opencl",),
    "runtime/devices/opengl": ("opengl",),
    "runtime/devices/webgpu": ("webgpu",),
    "runtime/devices/pages.py": ("wasm", "webgl"),  # what runs pages, for both
}
DEFAULT = ("target", "targets")  # parameters whose default is this machine, said in the signature
EXCEPTIONS = {
    ("codegen/wasm/generator.py", "llvm"): "LLVM makes wasm: its options are LLVM's",
    ("runtime/devices/webgpu/adapter.py", "opengl"): "a driver that WebGPU may stand on",
}


@cache
def named() -> set[tuple[str, int, str]]:
    """The files, lines and kinds of all texts that are a target; defaults are left out."""
    words = set(kinds())
    found = set()
    for path in sorted(p for layer in LAYERS for p in (ROOT / layer).rglob("*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        allowed = {id(n) for default in _defaults(tree) for n in ast.walk(default)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                kind, *options = node.value.split() or [""]
                target = kind in words and all(o.startswith("-") for o in options)
                if target and id(node) not in allowed:
                    found.add((str(path.relative_to(ROOT)), node.lineno, kind))
    return found


def _defaults(tree: ast.AST) -> Iterator[ast.expr]:
    for f in ast.walk(tree):
        if isinstance(f, ast.FunctionDef):
            a = f.args
            plain = [*a.posonlyargs, *a.args]
            pairs = [*zip(plain[len(plain) - len(a.defaults) :], a.defaults)]
            pairs += zip(a.kwonlyargs, a.kw_defaults)
            yield from (value for name, value in pairs if value and name.arg in DEFAULT)


def _at_home(file: str, kind: str) -> bool:
    homes = (h for h, of in HOMES.items() if kind in of)
    return file in ROWS or any(file == h or file.startswith(f"{h}/") for h in homes)


def test_nobody_asks_for_a_target_by_name():
    strangers = [
        f"{file}:{line}: {kind}"
        for file, line, kind in sorted(named())
        if not _at_home(file, kind) and (file, kind) not in EXCEPTIONS
    ]
    assert not strangers, "ask for a capability (ir/target.py, runtime/devices/table.py): " + (
        "\n".join(strangers)
    )


def test_what_is_allowed_is_needed():
    used = {(file, kind) for file, _, kind in named()}
    assert set(EXCEPTIONS) <= used
    assert {file for file, _ in used} >= set(ROWS)
    assert all((ROOT / home).exists() for home in HOMES)


@pytest.mark.parametrize("kind", [row.kind for row in _ROWS])
def test_every_kind_has_a_row_of_each_layer(kind):
    assert Target.parse(kind).kind == kind and kind in _GENERATORS


def test_the_host_runs_here():
    assert DEVICES[HOST].runner is not None and DEVICES[HOST].threads
