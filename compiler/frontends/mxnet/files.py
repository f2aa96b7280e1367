"""The two files of a model, of which a caller names one, or their folder."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ....runtime.errors import InputError, ModelError
from ....runtime.files import is_plain, name_of, read_file
from ..content import folder_of, json_keys

HEAD = b"\x12\x01" + bytes(14)  # of a list of arrays; params.py has the rest
_KEYS = {"nodes", "arg_nodes", "heads"}
_SYMBOL, _PARAMS = "-symbol.json", ".params"
_NUMBERED = re.compile(r"(.*)-(\d{4,})\.params", re.DOTALL)
MOST_SYMBOL = 1 << 28
MOST_PARAMS = 1 << 34


@dataclass(frozen=True)
class Pair:
    """What a model is read from: ``None`` where there is no such file; names are for messages."""

    symbol: bytes | None
    params: bytes | None
    file: str = ""
    params_file: str = ""
    name: str = "mxnet"


def recognises(source: Any, head: bytes) -> bool:
    """Whether a source is a symbol, its arrays, or a folder with a symbol in it."""
    folder = folder_of(source)
    if folder is not None:
        return any(_is_symbol(p) for p in _listed(folder, _SYMBOL))
    return head.startswith(HEAD) or json_keys(source, head) >= _KEYS


def files_of(path: Path) -> Sequence[Path]:
    """The files that the model at ``path`` is read from."""
    try:
        return [p for p in _pair(path) if p is not None]
    except (ModelError, OSError, ValueError):
        return ()


def read_pair(source: Any) -> Pair:
    """The bytes of both files. Raises :class:`ModelError` where a folder has several models."""
    if isinstance(source, bytes | bytearray | memoryview):
        data = bytes(source)
        return Pair(None, data) if data.startswith(HEAD) else Pair(data, None)
    if not isinstance(source, str | Path):
        raise InputError(
            f"{type(source).__name__} is no model of MXNet's.",
            hint="give a path to PREFIX-symbol.json, after net.export(PREFIX)",
        )
    path = Path(name_of(source, error=ModelError, what="the model"))
    symbol, params = _pair(path)
    named = symbol or path
    return Pair(
        read_file(symbol, MOST_SYMBOL, error=ModelError) if symbol else None,
        read_file(params, MOST_PARAMS, error=ModelError) if params else None,
        str(named),
        str(params or ""),
        named.name.removesuffix(_SYMBOL).removesuffix(".json"),
    )


def _pair(path: Path) -> tuple[Path | None, Path | None]:
    """The symbol and the arrays that belong to ``path``."""
    if path.is_dir():
        symbols = [p for p in _listed(path, _SYMBOL) if _is_symbol(p)]
        if len(symbols) != 1:
            names = ", ".join(p.name for p in symbols) or "none"
            raise ModelError(
                f"the folder has {len(symbols)} symbols ({names}), not one.", where=str(path),
                hint="name the file that is meant",
            )  # fmt: skip
        return symbols[0], _params_of(symbols[0])
    if _head(path) == HEAD:
        return _symbol_of(path), path
    return path, _params_of(path)


def _params_of(symbol: Path) -> Path | None:
    """The arrays beside a symbol: those of its prefix with the highest number, or the only ones."""
    prefix = symbol.name.removesuffix(_SYMBOL).removesuffix(".json")
    found = _listed(symbol.parent, _PARAMS)
    numbered = [
        (int(m[2]), p) for p in found if (m := _NUMBERED.fullmatch(p.name)) and m[1] == prefix
    ]
    if numbered:
        return max(numbered)[1]
    same = [p for p in found if p.name == f"{prefix}{_PARAMS}"]
    return (same or [*found, None])[0] if same or len(found) == 1 else None


def _symbol_of(params: Path) -> Path | None:
    found = _NUMBERED.fullmatch(params.name)
    prefix = found[1] if found else params.name.removesuffix(_PARAMS)
    for name in (f"{prefix}{_SYMBOL}", f"{prefix}.json"):
        if (params.parent / name).is_file():
            return params.parent / name
    rest = _listed(params.parent, _SYMBOL)
    return rest[0] if len(rest) == 1 else None


def _listed(folder: Path, ending: str) -> list[Path]:
    with suppress(OSError, ValueError):
        return sorted(p for p in folder.iterdir() if p.name.endswith(ending) and is_plain(p))
    return []


def _head(path: Path) -> bytes:
    with suppress(OSError, ValueError):
        if is_plain(path):
            with open(path, "rb") as f:
                return f.read(len(HEAD))
    return b""


def _is_symbol(path: Path) -> bool:
    return json_keys(path, _head(path)) >= _KEYS


__all__ = ["HEAD", "Pair", "files_of", "read_pair", "recognises"]
