"""A compiled model as a folder that any web server can serve: ``weft.bundle``.

    index.html runtime/HASH/page/…            the page
    weft.js runtime/HASH/…                    the runtime: import { load } from './weft.js'
    bundle.json                               programs, size and SHA-256 of each part, model card
    program.TARGET.HASH.json                  Program.to_json
    kernels.TARGET.HASH.json or .wasm         shader texts by kernel; one wasm module
    params-00001-of-00002.HASH.safetensors    constants, shared by the programs
    bundle.files.json                         what weft wrote (``folder.py``)

The same model and options give the same bytes. What is there already is replaced file by file, so
that the folder holds the old bundle or the new one at any time, and files of others stay.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from ...ir.target import Target
from ...runtime import safetensors
from ...runtime.crops import numbers_of
from ...runtime.devices.table import BROWSER, DEVICES, code_kind
from ...runtime.errors import InputError, WeftError
from ...runtime.executor import Executable
from ...runtime.guard import guarded
from ...runtime.labels import read_labels
from ...runtime.sizes import known
from ...runtime.version import __version__
from ..driver import GraphCompiler, compile_options, resolved
from ..frontends import UnboundGraph, bind, load
from ..graph.graph import Graph
from ..kernels.cache import KernelCache
from ..options import CompileOptions, ProgressCallback
from ..tune.records import Records
from . import folder as places
from . import page
from . import weights as coding
from .derived import find_derived
from .folder import MANIFEST, VERSION, identity, named
from .images import SIZE, layout_of
from .parameters import ParameterPool, logical, shards
from .process import Classes, Image, class_output, image_input, image_of, labels_of

WEB = tuple(row.kind for row in DEVICES.values() if BROWSER in row.hosts)  # what a page can run


@dataclass(frozen=True)
class WebOptions:
    """What a bundle is beside its programs; see :func:`bundle`.

    Raises :class:`InputError` for shards or a coding of weights that are not possible, and for
    texts that UTF-8 cannot hold.
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
        for text in (self.title or "", *(self.labels or ())):
            if not text.isascii() and text.encode("utf-8", "replace").decode() != text:
                raise InputError(f"{text!a} is no text: there is half a character in it.")


@dataclass(frozen=True)
class Bundle:
    """What was written. ``files``: bytes by name. ``fallbacks``: the work of a shader target that
    runs on wasm, and why, by target. ``kept``: files of the user's that stayed where weft would
    have written or removed its own, such as a page that was edited."""

    path: Path
    files: Mapping[str, int]
    manifest: Mapping[str, Any]
    fallbacks: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    kept: tuple[str, ...] = ()

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
        if self.kept:
            lines.append(f"  kept, since they were edited: {', '.join(self.kept)}")
        return "\n".join(lines)


@guarded
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
    threads: int | None = None,
    progress: ProgressCallback | None = None,
    cache: bool | KernelCache = True,
    records: bool | Records = True,
    renderer: str = "",
    accuracy: str = "fast",
) -> Bundle:
    """Compile a model into a folder that is a web page.

    Parameters
    ----------
    model, shapes, constants, opt_level, threads, progress, cache, records, renderer, accuracy : as
        for :func:`weft.compile`.
    path : the folder. Of a bundle that is there already, the files that weft wrote are replaced;
        other files in it stay, and so does an ``index.html`` that was edited. Any other folder must
        be empty.
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
        targets, shapes, constants, opt_level=opt_level, threads=threads, progress=progress,
        cache=cache, records=records, renderer=renderer, accuracy=accuracy,
    )  # fmt: skip
    return write_bundle(model, path, options, web)


def write_bundle(
    model: Any, path: str | os.PathLike[str], options: CompileOptions, web: WebOptions
) -> Bundle:
    """As :func:`bundle`, for the targets of ``options``."""
    goals = options.targets
    kinds = [g.kind for g in goals]
    if not goals or not set(kinds) <= set(WEB) or len({slug(g) for g in goals}) != len(goals):
        raise InputError(
            f"a bundle cannot be for {', '.join(map(str, goals)) or 'no target'}.",
            hint=f"targets of a page: {', '.join(WEB)}, each once",
        )
    place = places.survey(path)
    graph, about = prepare(_graph(model, options, web.image), web.image, web.classes, web.labels)
    compiler = GraphCompiler(graph.verify(), options)
    executables = []
    for goal in goals:
        try:
            executables.append(compiler.compile(resolved(goal)))
        except WeftError as e:
            others = tuple(g.kind for g in goals if g.fallback == goal.kind)
            if not others:
                raise
            hint = f"{e.hint}; or leave {goal.kind} out: --no-fallback, targets={others}"
            raise type(e)(e.message, where=e.where, hint=hint) from e
    # The simplified graph's weights are those that algorithms transform.
    weights = compiler.weights
    parts, manifest, fallbacks = data_of(goals, executables, graph.name, web, about, weights)
    parts |= page.files(manifest)
    parts[MANIFEST] = _json(manifest)
    kept = places.put(place, parts)
    parts[places.LIST] = places.list_of(parts.items())
    sizes = {k: len(v) for k, v in sorted(parts.items()) if k not in kept}
    return Bundle(Path(path), sizes, manifest, {k: v for k, v in fallbacks.items() if v}, kept)


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
        "files": {k: identity(parts[k]) for k in sorted(parts)},
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
            "outputs": [
                _signature(graph, o) for o in graph.outputs if o not in numbers_of(graph.cropped)
            ],
        }
    }
    meanings = read_labels(graph.meta, graph.name)
    for output in about["model"]["outputs"]:
        if output["name"] in meanings:  # of its numbers: strings that they index, or columns
            output["labels"] = list(meanings[output["name"]])
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
    """``bounded`` are the axes along which the shape is what there is at most."""
    t = graph.types[name]
    spec = {"name": name, "dtype": str(t.dtype), "shape": list(t.shape)}
    if name in graph.cropped:
        spec["bounded"] = sorted(graph.cropped[name])
    return spec


def _count(exe: Executable) -> int:
    """Numbers that the model has learned (and a few that the compiler adds)."""
    used = {s.source: s for s in exe.program.slots if s.kind == "constant"}
    return sum(int(np.prod(known(s.shape))) for s in used.values())


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
        text = _json(program.to_json())
        parts[named(f"program.{at}", "json", text)] = text
        entry = {
            "target": program.target,
            "program": named(f"program.{at}", "json", text),
            "codes": {},
        }
        for kind, data in _codes(exe).items():
            name = named(f"kernels.{at}", DEVICES[kind].module or "json", data)
            parts[name] = data
            entry["codes"][kind] = name
        entries.append(entry)
        fallbacks[at] = {str(k): str(v) for k, v in program.meta.get("fallback", {}).items()}
    stored = coding.encode(pool.tensors, web.weights)
    files = shards(stored, users, int(web.shard_mb * 2**20))
    for k, (names, by) in enumerate(files, 1):
        data = b"".join(safetensors.chunks({n: stored[n] for n in names}))
        name = named(f"params-{k:05d}-of-{len(files):05d}", "safetensors", data)
        parts[name] = data
        for u in by:
            entries[u].setdefault("params", []).append(name)
    for entry in entries:
        entry.setdefault("params", [])
    return parts, entries, fallbacks


def _codes(exe: Executable) -> dict[str, bytes]:
    """One file for each kind of device: a module as it is, shader texts as JSON."""
    files: dict[str, bytes] = {}
    texts: dict[str, str] = {}
    for name, data in exe.codes.items():
        kind = code_kind(name)
        if kind:
            files[kind] = data
        else:
            texts[name] = data.decode()
    if texts:
        files[exe.program.target.split()[0]] = _json(texts)
    return files


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def _size(n: int) -> str:
    return f"{n / 2**20:.2f} MiB" if n >= 2**20 else f"{n / 2**10:.1f} KiB"
