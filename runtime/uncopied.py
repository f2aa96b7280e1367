"""Objects that are of their process."""

from __future__ import annotations

from typing import ClassVar, NoReturn

from .errors import InputError


class Uncopied:
    """Cannot be copied or pickled: to try is an :class:`InputError` that says what to do.

    Without this class a copy might share code and memory with its original, and a pickle fails far
    from its cause: in the thread that feeds another process.
    """

    __slots__ = ()

    reason: ClassVar[str]
    """Why, after the name of the class."""
    instead: ClassVar[str]
    """What to do."""

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        name = getattr(self, "name", None)
        raise InputError(
            f"it cannot be copied or pickled: {type(self).__name__} {self.reason}.",
            where=name if isinstance(name, str) else type(self).__name__,
            hint=self.instead,
        )


__all__ = ["Uncopied"]
