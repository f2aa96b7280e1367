"""weft: a tensor compiler. One kernel definition, woven into every target.

>>> import weft
>>> exe = weft.compile("model.onnx")                    # doctest: +SKIP
>>> scores = exe(image)                                 # doctest: +SKIP
>>> exe.save("model.weft")                              # doctest: +SKIP
>>> exe = weft.runtime.load("model.weft")               # doctest: +SKIP

Nothing below is imported before it is asked for: a machine that only runs packages never loads the
compiler, and ``import weft`` costs next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import runtime
    from .compiler import te
    from .compiler.check.check import check
    from .compiler.driver import compile, compile_many
    from .compiler.frontends import load
    from .compiler.kernels.build import build
    from .compiler.kernels.export import export
    from .compiler.register import register_op, register_target
    from .compiler.tune.cluster import DaskExecutor
    from .compiler.tune.records import Records
    from .compiler.tune.remote import RemoteExecutor
    from .compiler.tune.tuner import tune
    from .compiler.web.bundle import bundle
    from .ir.target import Target
    from .runtime.devices.cpu.cpu import get_num_threads, set_num_threads
    from .runtime.errors import WeftError
    from .runtime.executor import Executable
    from .runtime.library import load_library
    from .runtime.rpc import api as rpc
    from .runtime.version import __version__

# public name -> (module, attribute of it; empty: the module itself)
_LAZY = {
    "load": (".compiler.frontends", "load"),
    "compile": (".compiler.driver", "compile"),
    "compile_many": (".compiler.driver", "compile_many"),
    "check": (".compiler.check.check", "check"),
    "build": (".compiler.kernels.build", "build"),
    "export": (".compiler.kernels.export", "export"),
    "load_library": (".runtime.library", "load_library"),
    "bundle": (".compiler.web.bundle", "bundle"),
    "tune": (".compiler.tune.tuner", "tune"),
    "DaskExecutor": (".compiler.tune.cluster", "DaskExecutor"),
    "Records": (".compiler.tune.records", "Records"),
    "RemoteExecutor": (".compiler.tune.remote", "RemoteExecutor"),
    "register_op": (".compiler.register", "register_op"),
    "register_target": (".compiler.register", "register_target"),
    "te": (".compiler.te", ""),
    "runtime": (".runtime", ""),
    "rpc": (".runtime.rpc.api", ""),
    "Target": (".ir.target", "Target"),
    "set_num_threads": (".runtime.devices.cpu.cpu", "set_num_threads"),
    "get_num_threads": (".runtime.devices.cpu.cpu", "get_num_threads"),
    "WeftError": (".runtime.errors", "WeftError"),
    "Executable": (".runtime.executor", "Executable"),
    "__version__": (".runtime.version", "__version__"),
}

__all__ = [
    "DaskExecutor",
    "Executable",
    "Records",
    "RemoteExecutor",
    "Target",
    "WeftError",
    "__version__",
    "build",
    "bundle",
    "check",
    "compile",
    "compile_many",
    "export",
    "get_num_threads",
    "load",
    "load_library",
    "register_op",
    "register_target",
    "rpc",
    "runtime",
    "set_num_threads",
    "te",
    "tune",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'weft' has no attribute {name!r}")
    module, attribute = _LAZY[name]
    from .runtime.forks import load_module

    value = load_module(module, __name__)
    if attribute:
        value = getattr(value, attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
