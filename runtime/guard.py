"""The net under the public functions: an error that weft did not raise on purpose becomes an
:class:`InternalError` that says in which stage it happened, and asks for a report.

Faults are mended where they are; here only the user is told whose they are. What stays as it is:
errors of weft, interrupts, a ``TypeError`` about the arguments of the public function itself,
warnings that somebody turned into errors, what a callback or a signal handler of the user's raises.
"""

from __future__ import annotations

import re
import signal
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from pathlib import Path
from types import CodeType, TracebackType
from typing import NoReturn, ParamSpec, TypeVar

from .errors import InternalError, WeftError
from .version import __version__

P = ParamSpec("P")
T = TypeVar("T")

_ROOT = Path(__file__).resolve().parents[1]
_ARGUMENTS = re.compile(r"\w+(\.\w+)*\(\) (got|missing|takes) ")
_MARK = "_weft_is_the_users"
_LONGEST = 400  # characters of the text of an error, which may hold a whole model

# Rooms and what happens there; the innermost on the way to an error counts. {} is the file.
_STAGES = (
    ("compiler/frontends/", "reading the model"),
    ("compiler/passes/", "in the graph pass {}"),
    ("compiler/graph/", "in the graph ({})"),
    ("compiler/ops/", "in an operator ({})"),
    ("compiler/schedules/", "scheduling a kernel ({})"),
    ("compiler/tune/", "tuning ({})"),
    ("compiler/web/", "making a bundle ({})"),
    ("compiler/check/", "comparing results ({})"),
    ("compiler/kernels/", "compiling kernels ({})"),
    ("compiler/cli/", "in the command line ({})"),
    ("ir/passes/", "lowering, in the pass {}"),
    ("ir/", "lowering ({})"),
    ("codegen/", "generating code ({})"),
    ("runtime/devices/", "on the device ({})"),
    ("runtime/package.py", "with a package"),
    ("runtime/", "running ({})"),
    ("compiler/", "compiling ({})"),
)


def guarded(function: Callable[P, T]) -> Callable[P, T]:
    """``function``, whose unforeseen errors are told as :func:`retold` does."""

    @wraps(function)
    def call(*args: P.args, **options: P.kwargs) -> T:
        try:
            return function(*args, **options)
        except WeftError:
            raise
        except Exception as e:
            retold(e, getattr(function, "__code__", None))

    return call


def retold(e: Exception, public: CodeType | None = None) -> NoReturn:
    """Raise ``e``, which is being handled, as it is where it is the user's to see, else an
    :class:`InternalError` that it is the cause of. ``public``: the code of the function that the
    user called."""
    if _is_the_users(e, public):
        raise e
    raise internal(e) from e


def internal(e: Exception) -> InternalError:
    """What to say of an error that nobody foresaw."""
    frames = traceback.extract_tb(e.__traceback__)
    stage, place = "", ""
    for frame in frames:
        file = Path(frame.filename)
        if file.is_relative_to(_ROOT) and ".venv" not in file.parts:
            name = file.relative_to(_ROOT).as_posix()
            found = next((words for room, words in _STAGES if name.startswith(room)), "")
            if name != "runtime/guard.py" and found:
                stage, place = found.format(file.stem), f"{name}:{frame.lineno}"
    text = str(e)
    text = f"{text[:_LONGEST]} …" if len(text) > _LONGEST else text
    said = f"{type(e).__name__}: {text}" if text else type(e).__name__
    if isinstance(e, MemoryError):
        return InternalError(
            f"the memory of this machine does not suffice ({said}).", where=stage or None,
            hint=f"free some, or give a smaller model or input (weft {__version__}, {place})",
        )  # fmt: skip
    return InternalError(
        f"this is a fault of weft, not yours: {said}.", where=stage or None,
        hint=f"please report it, with the model if you can (weft {__version__}, "
        f"{place or 'no place'}); on the command line, WEFT_DEBUG=1 shows the traceback",
    )  # fmt: skip


def passed_on(callback: Callable[P, T]) -> Callable[P, T]:
    """A callback of the user's, whose errors reach the user as they are: one may end a compilation
    so."""

    @wraps(callback, assigned=(), updated=())
    def call(*args: P.args, **options: P.kwargs) -> T:
        try:
            return callback(*args, **options)
        except Exception as e:
            with suppress(AttributeError):  # a class may have slots
                setattr(e, _MARK, True)
            raise

    return call


def _is_the_users(e: Exception, public: CodeType | None) -> bool:
    if isinstance(e, (WeftError, Warning)) or getattr(e, _MARK, False):
        return True
    codes = _codes(e.__traceback__)
    inside = {c for c in codes if c.co_filename != __file__}
    if isinstance(e, TypeError) and _ARGUMENTS.match(str(e)) and inside <= {public}:
        return True
    handlers = (signal.getsignal(s) for s in signal.valid_signals())
    return bool(set(codes) & {getattr(h, "__code__", None) for h in handlers})


def _codes(tb: TracebackType | None) -> list[CodeType]:
    codes: list[CodeType] = []
    while tb is not None:
        codes.append(tb.tb_frame.f_code)
        tb = tb.tb_next
    return codes
