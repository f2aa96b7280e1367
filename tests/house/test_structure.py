"""What keeps the rooms tidy: sizes of files, circles among imports, docstrings."""

import ast
import importlib
import inspect
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import networkx as nx
import pytest
import weft

ROOT = Path(weft.__file__).parent
LAYERS = ("runtime", "ir", "codegen", "compiler")
LONGEST = 500  # lines

# Rooms that import ours inside of functions, and why. Else, only a module whose own ``__getattr__``
# is there for that may: ``import weft.runtime`` costs nothing until something is asked of it.
LAZY = {
    "weft.compiler.cli": "`weft --help` must not load the compiler",
    "weft.compiler.frontends": "a front-end and its packages are loaded for its first model",
}


@cache
def modules() -> dict[str, Path]:
    """The modules of the package by their dotted names."""
    files = [p for layer in LAYERS for p in sorted((ROOT / layer).rglob("*.py"))]
    return {
        ".".join(["weft", *p.relative_to(ROOT).with_suffix("").parts]).removesuffix(".__init__"): p
        for p in files
    }


def imports_of(name: str) -> Iterator[tuple[str, int, bool]]:
    """Modules of ours that a module imports: name, line, whether inside of a function. Imports for
    types alone are left out."""
    path = modules()[name]
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]

    def below(node: ast.AST, inside: bool) -> Iterator[tuple[str, int, bool]]:
        for n in ast.iter_child_nodes(node):
            if isinstance(n, ast.If) and "TYPE_CHECKING" in ast.unparse(n.test):
                continue
            if isinstance(n, ast.ImportFrom):
                base = package.split(".")
                base = base[: len(base) - n.level + 1] if n.level else []
                origin = ".".join([*base, *([n.module] if n.module else [])])
                for a in n.names:
                    full = f"{origin}.{a.name}"
                    yield full if full in modules() else origin, n.lineno, inside
            elif isinstance(n, ast.Import):
                yield from ((a.name, n.lineno, inside) for a in n.names)
            else:
                function = isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
                yield from below(n, inside or function)

    for target, line, inside in below(ast.parse(path.read_text("utf-8")), False):
        if target in modules() or target == "weft":
            yield target, line, inside


def test_no_import_circle():
    """Not even one that an import inside of a function hides."""
    graph = nx.DiGraph((m, t) for m in modules() for t, _, _ in imports_of(m))
    circles = [sorted(c) for c in nx.strongly_connected_components(graph) if len(c) > 1]
    assert not circles


def test_imports_stand_at_the_top():
    hidden = [
        f"{modules()[m].relative_to(ROOT)}:{line}: {target}"
        for m in modules()
        if not any(m == home or m.startswith(home + ".") for home in LAZY)
        and not hasattr(importlib.import_module(m), "__getattr__")
        for target, line, inside in imports_of(m)
        if inside
    ]
    assert not hidden, "\n".join(hidden)


def test_nothing_imports_the_public_package():
    """``weft`` itself is for users; whoever imports it from inside waits for all of it."""
    assert not [m for m in modules() for target, _, _ in imports_of(m) if target == "weft"]


@pytest.mark.parametrize("folder", [*LAYERS, "benchmarks", "runtime_js", "tests", "tutorials"])
def test_files_are_short(folder):
    lengths = {
        str(p.relative_to(ROOT)): len(p.read_text("utf-8").splitlines())
        for p in (ROOT / folder).rglob("*")
        if p.suffix in (".py", ".js", ".c") and "node_modules" not in p.parts
    }
    assert not {name: n for name, n in lengths.items() if n > LONGEST}


def test_every_folder_says_what_lives_there():
    folders = {p.parent for p in modules().values()}
    silent = [f for f in folders if not (f / "__init__.py").is_file()]
    assert not silent


def _public(name: str) -> Iterator[tuple[str, object]]:
    """A module, its public functions and classes, and their public methods; a method that overrides
    one has the docstring of that."""
    module = importlib.import_module(name)
    yield name, module
    for key, value in vars(module).items():
        if key.startswith("_") or getattr(value, "__module__", None) != name:
            continue
        if inspect.isfunction(value):
            yield f"{name}.{key}", value
        elif inspect.isclass(value):
            yield f"{name}.{key}", value
            for k in vars(value):
                method = getattr(value, k)
                code = getattr(method, "fget", None) or getattr(method, "func", method)
                # visit_Binary and its like are said by the class that calls them; a field whose
                # default is a function is no method.
                own = getattr(code, "__qualname__", "") == f"{value.__qualname__}.{k}"
                if own and not k.startswith(("_", "visit_")) and inspect.isroutine(code):
                    yield f"{name}.{key}.{k}", method


@pytest.mark.parametrize("layer", LAYERS)
def test_what_is_public_has_a_docstring(layer):
    names = [m for m in modules() if m.split(".")[1] == layer]
    silent = [where for m in names for where, thing in _public(m) if not _docstring(thing)]
    assert not silent, "\n".join(silent)


def _docstring(thing: object) -> str:
    if not inspect.isclass(thing):
        return inspect.getdoc(thing) or ""
    text = thing.__doc__ or ""
    return "" if text.startswith(f"{thing.__name__}(") else text  # what dataclass writes itself


_LOCKS = {"Lock", "RLock", "Condition", "Semaphore", "BoundedSemaphore", "Barrier"}
_UNSAFE = {
    "threading": _LOCKS,
    "functools": {"cached_property"},  # has a lock before Python 3.12: runtime/lazy.py has none
    "importlib": {"import_module"},  # takes Python's locks of modules: load_module
}


def _unsafe(path: Path) -> Iterator[str]:
    """What a module uses that a fork may leave locked."""
    text = path.read_text("utf-8")
    for node in ast.walk(ast.parse(text)) if any(m in text for m in _UNSAFE) else ():
        if isinstance(node, ast.ImportFrom):
            bad = _UNSAFE.get(node.module or "", set())
            yield from (a.name for a in node.names if a.name in bad)
        elif isinstance(node, ast.Attribute) and node.attr in _UNSAFE.get(
            ast.unparse(node.value), ()
        ):
            yield ast.unparse(node)


def test_locks_live_through_forks():
    """Those of ``runtime/forks.py`` do, and nothing of weft has others."""
    found = {m: [*_unsafe(path)] for m, path in modules().items() if m != "weft.runtime.forks"}
    assert not {m: names for m, names in found.items() if names}
