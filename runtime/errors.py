"""The errors that a user of weft may meet.

Every error that is the user's to mend derives from :class:`WeftError` and says where it happened,
what is wrong, why, and what to do. Our own invariants are plain ``assert`` statements; one that
does not hold, like any other error that nobody foresaw, reaches the user as :class:`InternalError`
(``guard.py``).
"""

from __future__ import annotations


class WeftError(Exception):
    """Base of all errors that weft raises on purpose.

    Parameters
    ----------
    message : what is wrong and why, one or more full sentences.
    where : the place in the user's terms (``"model.onnx, node 'conv1' (Conv)"``).
    hint : what to do about it.
    """

    def __init__(self, message: str, *, where: str | None = None, hint: str | None = None):
        self.message, self.where, self.hint = message, where, hint
        text = f"{where}: {message}" if where else message
        super().__init__(f"{text}\n  hint: {hint}" if hint else text)

    def __reduce__(self):  # keyword arguments survive pickling (worker processes send errors home)
        return (_rebuild, (type(self), self.message, self.where, self.hint))


def _rebuild(cls: type[WeftError], message: str, where: str | None, hint: str | None) -> WeftError:
    return cls(message, where=where, hint=hint)


class ExprError(WeftError):
    """A tensor expression is ill-typed or malformed."""


class ScheduleError(WeftError):
    """A schedule primitive was called with something it cannot do."""


class LoweringError(WeftError):
    """A schedule cannot be lowered, or a pass left an ill-formed loop nest (see ``verify``)."""


class TargetError(WeftError):
    """A target string is malformed, or the target cannot do what is asked of it."""


class CodegenError(WeftError):
    """The code generator of a target cannot express a loop nest."""


class GraphError(WeftError):
    """A graph is ill-formed: cyclic, ill-typed, with contradicting shapes."""


class ModelError(WeftError):
    """A model file cannot be read: damaged, malformed, or asking for what it must not have."""


class UnsupportedError(ModelError):
    """A model is sound but uses operators, attributes or types that weft does not have."""


class InputError(WeftError):
    """An executable was called with wrong names, shapes or dtypes."""


class ClosedError(WeftError):
    """An executable or a kernel was used after it was closed."""


class PackageError(WeftError):
    """A compiled package is damaged, foreign, or of another version."""


class ExportError(WeftError):
    """Kernels cannot become the file that was asked for, or such a file cannot be loaded."""


class RecordError(WeftError):
    """A file of tuning records is damaged, foreign, or of another version."""


class FolderError(WeftError):
    """A folder of the user's cannot be used, or others could have written what it holds."""


class TuneError(WeftError):
    """Tuning cannot start or go on."""


class DeviceError(WeftError):
    """A device is missing, too small, or failed."""


class RPCError(DeviceError):
    """Something elsewhere cannot be reached, or does not serve any more.

    ``step`` says what failed: ``"connect"``, ``"refused"``, ``"queue"``, ``"upload"``,
    ``"compile"``, ``"run"``, ``"timeout"`` or ``"peer gone"``.
    """

    step = "peer gone"

    @classmethod
    def of(cls, step: str, message: str, *, where: str | None = None, hint: str | None = None):
        """The error of a step."""
        made = cls(f"{step}: {message}", where=where, hint=hint)
        made.step = step
        return made

    def __reduce__(self):
        rebuild, about = super().__reduce__()
        return (rebuild, about, {"step": self.step})


class InternalError(WeftError):
    """A fault of weft's own, or memory that ran out: where it happened, the error itself as its
    ``__cause__``."""
