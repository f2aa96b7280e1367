"""Every environment variable that weft reads, in one place, with its type and meaning.

Read them as ``knobs.debug()``; nothing else in weft looks at ``os.environ``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from .errors import WeftError
from .files import write_file


def _integer(name: str, default: int, low: int = 0) -> int:
    text = os.environ.get(name, "").strip()
    if not text:
        return default
    try:
        value = int(text)
    except ValueError:
        value = low - 1
    if value < low:
        raise WeftError(
            f"{name}={text!r} is not an integer ≥ {low}.", where="environment", hint=f"unset {name}"
        )
    return value


def debug() -> int:
    """``WEFT_DEBUG``: 0 silent, 1 stages and their times, 2 each pass, 3 verify after each pass,
    4 print the loop nest after each pass. From 2 on the kernel cache is not used."""
    return _integer("WEFT_DEBUG", 0)


def dump_dir() -> Path | None:
    """``WEFT_DUMP``: a folder for numbered files, one per pass and kernel; what a target decides
    lies in a folder of that target."""
    text = os.environ.get("WEFT_DUMP", "")
    return Path(text) if text else None


def dump(file: str, text: str) -> None:
    """Write ``text`` to a file, such as ``opencl/memory.txt``, in the folder of ``WEFT_DUMP``;
    nothing where it is not set."""
    folder = dump_dir()
    if folder is None:
        return
    try:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        write_file(folder / file, text, durable=False)
    except OSError as e:
        raise WeftError(
            f"WEFT_DUMP={str(folder)!r} cannot be written: {e.strerror or e}.",
            where="environment",
            hint="name a folder that can be made and written",
        ) from None


def kernels_are_watched() -> bool:
    """Whether somebody wants to see kernels being lowered: they are then compiled anew, since one
    that comes from a cache has no stages to show."""
    return debug() >= 2 or dump_dir() is not None


def num_threads() -> int:
    """``WEFT_NUM_THREADS``: worker threads of the CPU runtime, and of ``wasm -threads`` under Node;
    the default is one per core that this process may use."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS, Windows
        cores = os.cpu_count() or 1
    return _integer("WEFT_NUM_THREADS", cores, low=1)


def pin_threads() -> bool:
    """``WEFT_PIN_THREADS``: 1 binds each worker thread of the CPU runtime to a core of its own
    (Linux; default 0). The calling thread stays free: it is the caller's."""
    return _integer("WEFT_PIN_THREADS", 0) != 0


def cache_dir() -> Path | None:
    """``WEFT_CACHE_DIR``: compiled kernels kept between processes (default
    ``$XDG_CACHE_HOME/weft``, else ``~/.cache/weft``); None for a user without a home."""
    text = os.environ.get("WEFT_CACHE_DIR", "")
    return Path(text) if text else _of_user("XDG_CACHE_HOME", ".cache")


def _of_user(variable: str, default: str) -> Path | None:
    """weft's folder of a kind: where ``variable`` says, else in the home of this user, if any."""
    base = os.environ.get(variable, "")
    try:
        return (Path(base) if base else Path.home() / default) / "weft"
    except RuntimeError:  # a process may run as a user that the system knows nothing about
        return None


def cache_enabled() -> bool:
    """``WEFT_CACHE``: 0 turns the disk cache off."""
    return _integer("WEFT_CACHE", 1) != 0


def cache_limit_bytes() -> int:
    """``WEFT_CACHE_MB``: upper bound of the disk cache in MiB (default 1024); the least recently
    used kernels go first."""
    return _integer("WEFT_CACHE_MB", 1024) << 20


def emcc() -> str:
    """``WEFT_EMCC``: the Emscripten compiler that links ``wasm`` targets (default: ``emcc`` on the
    PATH)."""
    return os.environ.get("WEFT_EMCC", "").strip() or "emcc"


def records_enabled() -> bool:
    """``WEFT_RECORDS``: 0 for no tuning records, not even those that come with weft."""
    return os.environ.get("WEFT_RECORDS", "") != "0"


def records_named() -> bool:
    """Whether ``WEFT_RECORDS`` names a file."""
    return os.environ.get("WEFT_RECORDS", "") not in ("", "0")


def records_file() -> Path | None:
    """``WEFT_RECORDS``: the file of tuning records that compilations use and ``weft tune`` adds to
    (default ``$XDG_DATA_HOME/weft/records.sqlite``, else ``~/.local/share/weft/records.sqlite``);
    None for a user without a home."""
    text = os.environ.get("WEFT_RECORDS", "")
    folder = _of_user("XDG_DATA_HOME", ".local/share")
    return Path(text) if text else folder and folder / "records.sqlite"


def opencl_device() -> str:
    """``WEFT_OPENCL_DEVICE``: which device ``opencl`` programs run on: a part of the name of a
    platform or a device ("pocl", "nvidia"), or PLATFORM:DEVICE as numbers ("0:1"). Default: the
    first GPU, else the first device that there is."""
    return os.environ.get("WEFT_OPENCL_DEVICE", "").strip()


def webgpu_adapter() -> str:
    """``WEFT_WEBGPU_ADAPTER``: which adapter ``webgpu`` programs run on: a part of its name, its
    type ("DiscreteGPU", "CPU") or its backend ("vulkan", "opengl"). Default: a GPU before a
    processor, Vulkan, Metal or Direct3D before OpenGL."""
    return os.environ.get("WEFT_WEBGPU_ADAPTER", "").strip()


def rpc_timeout() -> int:
    """``WEFT_RPC_TIMEOUT``: seconds that Node or a browser may take for one call (default 600:
    software rendering of a large model takes minutes)."""
    return _integer("WEFT_RPC_TIMEOUT", 600, low=1)


def rpc_token() -> str:
    """``WEFT_RPC_TOKEN``: the token of hubs, for who gives none and has none in the hub's address.
    Unlike a command line, other users of the machine cannot read it."""
    return os.environ.get("WEFT_RPC_TOKEN", "").strip()


@contextmanager
def defaults(variables: Mapping[str, str]) -> Iterator[None]:
    """Environment variables that a driver reads while it starts; those that are set already stay,
    and afterwards all is as before."""
    missing = {k: v for k, v in variables.items() if k not in os.environ}
    os.environ.update(missing)
    try:
        yield
    finally:
        for k in missing:
            os.environ.pop(k, None)
