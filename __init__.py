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

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import runtime
    from .compiler.check.check import check
    from .compiler.driver import compile, compile_many
    from .compiler.frontends import load
    from .compiler.kernels.build import build
    from .compiler.register import register_op, register_target
    from .compiler.tune.records import Records
    from .compiler.tune.tuner import tune
    from .compiler.web.bundle import bundle
    from .ir import te
    from .ir.target import Target
    from .runtime.errors import WeftError
    from .runtime.executor import Executable
    from .runtime.version import __version__

# public name -> (module, attribute of it; empty: the module itself)
_LAZY = {
    "load": (".compiler.frontends", "load"),
    "compile": (".compiler.driver", "compile"),
    "compile_many": (".compiler.driver", "compile_many"),
    "check": (".compiler.check.check", "check"),
    "build": (".compiler.kernels.build", "build"),
    "bundle": (".compiler.web.bundle", "bundle"),
    "tune": (".compiler.tune.tuner", "tune"),
    "Records": (".compiler.tune.records", "Records"),
    "register_op": (".compiler.register", "register_op"),
    "register_target": (".compiler.register", "register_target"),
    "te": (".ir.te", ""),
    "runtime": (".runtime", ""),
    "Target": (".ir.target", "Target"),
    "WeftError": (".runtime.errors", "WeftError"),
    "Executable": (".runtime.executor", "Executable"),
    "__version__": (".runtime.version", "__version__"),
}

__all__ = [
    "Executable",
    "Records",
    "Target",
    "WeftError",
    "__version__",
    "build",
    "bundle",
    "check",
    "compile",
    "compile_many",
    "load",
    "register_op",
    "register_target",
    "runtime",
    "te",
    "tune",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'weft' has no attribute {name!r}")
    module, attribute = _LAZY[name]
    value = import_module(module, __name__)
    if attribute:
        value = getattr(value, attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
