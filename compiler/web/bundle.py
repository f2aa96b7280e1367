"""A compiled model as a folder that any web server can serve: ``weft.bundle``.

    index.html runtime/page/…             the page
    weft.js runtime/…                     the runtime: import { load } from './weft.js'
    bundle.json                           programs, size and SHA-256 of each part, model card
    program.TARGET.json                   Program.to_json
    kernels.TARGET.json or .wasm          shader texts by kernel; one wasm module
    params-00001-of-00002.safetensors     constants, shared by the programs

The same model and options give the same bytes. The folder appears complete or not at all.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from ...ir.target import Target
from ...runtime import safetensors
from ...runtime.devices.table import BROWSER, DEVICES
from ...runtime.errors import InputError, PackageError, WeftError
from ...runtime.executor import Executable
from ...runtime.version import __version__
from ..driver import compile_graph, compile_options, resolved
from ..frontends import UnboundGraph, bind, load
from ..graph.graph import Graph
from ..kernels.cache import KernelCache
from ..options import CompileOptions, ProgressCallback
from ..passes.pipeline import GraphPipeline
from ..tune.records import Records
from . import page
from . import weights as coding
from .derived import find_derived
from .images import SIZE, layout_of
from .parameters import ParameterPool, logical, shards
from .process import Classes, Image, class_output, image_input, image_of, labels_of

VERSION = 1
MANIFEST = "bundle.json"
WEB = tuple(row.kind for row in DEVICES.values() if BROWSER in row.hosts)  # what a page can run


@dataclass(frozen=True)
class WebOptions:
    """What a bundle is beside its programs; see :func:`bundle`.

    Raises :class:`InputError` for shards or a coding of weights that are not possible.
    """

    weights: str = "f32"
    shard_mb: float = 8
    image: Image | None = None
    classes: Classes | None = None
    labels: Sequence[str] | None = None
    title: str | None = None

    def __post_init__(self) -> None:
        if not self.shard_mb > 0:
            raise InputError(f"shards of {self.shard_mb} MiB are not possible.")
        coding.check_code(self.weights)


@dataclass(frozen=True)
class Bundle:
    """What was written. ``files``: bytes by name. ``fallbacks``: the work of a shader target that
    runs on wasm, and why, by target."""

    path: Path
    files: Mapping[str, int]
    manifest: Mapping[str, Any]
    fallbacks: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def __str__(self) -> str:
        sizes = {"page and runtime": 0, "kernels": 0, "parameters": 0}
        for name, size in self.files.items():
            kind = "parameters" if name.startswith("params-") else "page and runtime"
            kind = "kernels" if name.startswith(("kernels.", "program.")) else kind
            sizes[kind] += size
        targets = ", ".join(p["target"].split()[0] for p in self.manifest["programs"])
        total = sum(self.files.values())
        lines = [f"{self.path}: {len(self.files)} files, {_size(total)}, for {targets}"]
        lines += [f"  {what:<17} {_size(size):>10}" for what, size in sizes.items()]
        for target, groups in self.fallbacks.items():
            lines += [f"  {target}: on wasm: {g}: {why}" for g, why in groups.items()]
        return "\n".join(lines)


def bundle(  # noqa: PLR0913 - public: keywords of compile and of WebOptions
    model: Any,
    path: str | os.PathLike[str],
    targets: Sequence[str | Target] = WEB,
    *,
    shapes: Mapping[str, Any] | None = None,
    constants: Mapping[str, Any] | None = None,
    weights: str = "f32",
    shard_mb: float = 8,
    image: Image | None = None,
    classes: Classes | None = None,
    labels: Sequence[str] | None = None,
    title: str | None = None,
    opt_level: int | None = None,
    progress: ProgressCallback | None = None,
    cache: bool | KernelCache = True,
    records: bool | Records = True,
    accuracy: str = "fast",
) -> Bundle:
    """Compile a model into a folder that is a web page.

    Parameters
    ----------
    model, shapes, constants, opt_level, progress, cache, records, accuracy : as for
        :func:`weft.compile`.
    path : the folder. A bundle that is there already is replaced; any other folder must be empty.
    targets : what the page may run on, the preferred one first: ``"webgpu"``, ``"webgl"``,
        ``"wasm"``, ``"wasm -threads"``.
    weights : ``"f32"``, ``"f16"`` or ``"int8"`` (see ``compiler/web/weights.py``).
    shard_mb : parameters of one file in MiB; a larger tensor has a file of its own.
    image : the input is an image; None: when the model's metadata says so.
    classes : the output is scores of classes; None: when there are labels.
    labels : names of the classes; None: those in the model's metadata.
    title : what the page calls the model; None: its name.

    Raises
    ------
    WeftError : a subclass that says where in the model, what, and what to do.
    """
    web = WebOptions(weights, shard_mb, image, classes, labels, title)
    options = compile_options(
        targets, shapes, constants, opt_level=opt_level, progress=progress, cache=cache,
        records=records, accuracy=accuracy,
    )  # fmt: skip
    return write_bundle(model, Path(path), options, web)


def write_bundle(model: Any, folder: Path, options: CompileOptions, web: WebOptions) -> Bundle:
    """As :func:`bundle`, for the targets of ``options``."""
    goals = options.targets
    kinds = [g.kind for g in goals]
    if not goals or not set(kinds) <= set(WEB) or len({slug(g) for g in goals}) != len(goals):
        raise InputError(
            f"a bundle cannot be for {', '.join(map(str, goals)) or 'no target'}.",
            hint=f"targets of a page: {', '.join(WEB)}, each once",
        )
    _check_place(folder)
    graph, about = prepare(_graph(model, options, web.image), web.image, web.classes, web.labels)
    pipeline = GraphPipeline(graph.verify(), options)
    executables = []
    for goal in goals:
        try:
            executables.append(compile_graph(pipeline, resolved(goal)))
        except WeftError as e:
            others = tuple(g.kind for g in goals if g.fallback == goal.kind)
            if not others:
                raise
            hint = f"{e.hint}; or leave {goal.kind} out: --no-fallback, targets={others}"
            raise type(e)(e.message, where=e.where, hint=hint) from e
    # The simplified graph's weights are those that algorithms transform.
    plain = pipeline.simplified.constants
    parts, manifest, fallbacks = data_of(goals, executables, graph.name, web, about, plain)
    parts |= page.files(manifest)
    parts[MANIFEST] = _json(manifest)
    _write(folder, parts)
    sizes = {k: len(v) for k, v in sorted(parts.items())}
    return Bundle(folder, sizes, manifest, {k: v for k, v in fallbacks.items() if v})


def data_of(
    goals: Sequence[Target],
    executables: Sequence[Executable],
    name: str,
    web: WebOptions = WebOptions(),
    about: Mapping[str, Any] | None = None,
    plain: Mapping[str, np.ndarray] = MappingProxyType({}),
) -> tuple[dict[str, bytes], dict[str, Any], dict[str, dict[str, str]]]:
    """A bundle without its page: files by name, the manifest that describes them, and what fell to
    wasm by target. ``plain``: the model's parameters before algorithms transformed them."""
    parts, programs, fallbacks = _parts(goals, executables, plain, web)
    manifest = {
        "format": "weft-bundle",
        "version": VERSION,
        "name": name,
        "programs": programs,
        "files": {k: _identity(parts[k]) for k in sorted(parts)},
        "meta": {
            "weft": __version__,
            "title": web.title or name,
            "weights": web.weights,
            "parameters": _count(executables[0]),
            "fallbacks": fallbacks,
            **(about or {}),
        },
    }
    return parts, manifest, fallbacks


def slug(target: Target) -> str:
    """A target's part of file names: ``wasm``, ``wasm-threads``."""
    return f"{target.kind}-threads" if target.threads else target.kind


# ---- the model ----------------------------------------------------------------------------------


def _graph(model: Any, options: CompileOptions, image: Image | None) -> Graph:
    shapes, constants = options.shapes, options.constants
    options.progress("load", 0, 1)
    if isinstance(model, Graph):
        graph, known = model, (shapes, constants)
    else:
        graph, known = load(model, shapes, constants), ({}, {})
    if image is not None and isinstance(graph, UnboundGraph) and graph.symbols:
        known = ({**_image_shape(graph, image), **shapes}, constants)
    graph = bind(graph, *known)
    options.progress("load", 1, 1)
    return graph


def _image_shape(graph: UnboundGraph, image: Image) -> dict[str, int]:
    """Sizes for symbolic dimensions of an image: one at a time, of ``image.size``."""
    names = [image.input] if image.input else list(graph.signature)
    if len(names) != 1 or names[0] not in graph.signature:
        return {}
    dims = graph.signature[names[0]].dims
    if dims is None or len(dims) != 4:
        return {}
    high, wide = image.size or (SIZE, SIZE)
    last = layout_of(dims[1:]) == "NHWC"
    sizes = (1, high, wide, 3) if last else (1, 3, high, wide)
    missing = set(graph.symbols)
    return {d: n for d, n in zip(dims, sizes) if isinstance(d, str) and d in missing}


def prepare(
    graph: Graph,
    image: Image | None = None,
    classes: Classes | None = None,
    labels: Sequence[str] | None = None,
) -> tuple[Graph, dict[str, Any]]:
    """The graph with pre- and post-processing, and what a page must know of them.

    Raises :class:`InputError` when they do not fit the model.
    """
    about: dict[str, Any] = {
        "model": {
            "inputs": [_signature(graph, i) for i in graph.inputs],
            "outputs": [_signature(graph, o) for o in graph.outputs],
        }
    }
    image = image_of(graph) if image is None else image
    names = labels_of(graph) if labels is None else tuple(labels)
    if image is not None:
        graph, name, side = image_input(graph, image)
        about["input"] = {"kind": "image", "name": name, "canvas": side, "crop": image.crop}
    if classes is not None or names:
        graph, scores, numbers, count = class_output(graph, classes or Classes())
        if names and len(names) != count:
            raise InputError(
                f"there are {len(names)} labels for {count} classes.", where=graph.name,
                hint="one label a line, in the order of the scores",
            )  # fmt: skip
        about["output"] = {
            "kind": "classes", "scores": scores, "classes": numbers, "labels": list(names),
        }  # fmt: skip
    return graph, about


def _signature(graph: Graph, name: str) -> dict[str, Any]:
    t = graph.types[name]
    return {"name": name, "dtype": str(t.dtype), "shape": list(t.shape)}


def _count(exe: Executable) -> int:
    """Numbers that the model has learned (and a few that the compiler adds)."""
    used = {s.source: s for s in exe.program.slots if s.kind == "constant"}
    return sum(int(np.prod(s.shape)) for s in used.values())


# ---- programs and parameters --------------------------------------------------------------------


def _parts(
    goals: Sequence[Target],
    executables: Sequence[Executable],
    plain: Mapping[str, np.ndarray],
    web: WebOptions,
) -> tuple[dict[str, bytes], list[dict[str, Any]], dict[str, dict[str, str]]]:
    """Files by name, the manifest's programs, and what fell to wasm by target. ``plain``: the
    model's parameters before any target's algorithms transformed them."""
    parts: dict[str, bytes] = {}
    entries: list[dict[str, Any]] = []
    fallbacks: dict[str, dict[str, str]] = {}
    pool, users = ParameterPool(), []
    for goal, exe in zip(goals, executables):
        at = slug(goal)
        program, tensors = logical(exe.program, exe.params)
        program, names = pool.add(program, tensors, find_derived(tensors, plain), plain)
        users.append(names)
        parts[f"program.{at}.json"] = _json(program.to_json())
        entry = {"target": program.target, "program": f"program.{at}.json", "codes": {}}
        for kind, data in _codes(exe).items():
            name = f"kernels.{at}.{DEVICES[kind].module or 'json'}"
            parts[name] = data
            entry["codes"][kind] = name
        entries.append(entry)
        fallbacks[at] = {str(k): str(v) for k, v in program.meta.get("fallback", {}).items()}
    stored = coding.encode(pool.tensors, web.weights)
    files = shards(stored, users, int(web.shard_mb * 2**20))
    for k, (names, by) in enumerate(files, 1):
        name = f"params-{k:05d}-of-{len(files):05d}.safetensors"
        parts[name] = b"".join(safetensors.chunks({n: stored[n] for n in names}))
        for u in by:
            entries[u].setdefault("params", []).append(name)
    for entry in entries:
        entry.setdefault("params", [])
    return parts, entries, fallbacks


def _codes(exe: Executable) -> dict[str, bytes]:
    """One file for each kind of device: a module as it is, shader texts as JSON."""
    modules = {f".{row.module}": row.kind for row in DEVICES.values() if row.module}
    files: dict[str, bytes] = {}
    texts: dict[str, str] = {}
    for name, data in exe.codes.items():
        kind = modules.get(Path(name).suffix)
        if kind is not None:
            files[kind] = data
        else:
            texts[name] = data.decode()
    if texts:
        files[exe.program.target.split()[0]] = _json(texts)
    return files


# ---- the folder ---------------------------------------------------------------------------------


def _check_place(folder: Path) -> None:
    if folder.is_dir() and not (folder / MANIFEST).is_file() and any(folder.iterdir()):
        raise PackageError(
            "the folder is not empty, and it is no bundle that could be replaced.",
            where=str(folder), hint="name a new folder",
        )  # fmt: skip
    if folder.exists() and not folder.is_dir():
        raise PackageError("there is a file of this name.", where=str(folder))


def _write(folder: Path, parts: Mapping[str, bytes]) -> None:
    """Write beside the folder, then put it in place by renaming."""
    folder = folder.absolute()
    mark = f"{os.getpid()}-{secrets.token_hex(4)}"
    new, old = (folder.parent / f".{folder.name}.{what}-{mark}" for what in ("new", "old"))
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        new.mkdir()
        for name, data in parts.items():
            file = new / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
        if folder.exists():
            folder.rename(old)
        new.rename(folder)
    except OSError as e:
        if old.exists() and not folder.exists():
            old.rename(folder)
        raise PackageError(
            f"the bundle cannot be written: {e.strerror or e}.", where=str(folder),
            hint="check that the folder is writable, and that the disk has room",
        ) from None  # fmt: skip
    finally:
        shutil.rmtree(new, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def _identity(data: bytes) -> dict[str, Any]:
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def _size(n: int) -> str:
    return f"{n / 2**20:.2f} MiB" if n >= 2**20 else f"{n / 2**10:.1f} KiB"
