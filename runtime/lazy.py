"""A property that is computed once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, Self, TypeVar, overload

T = TypeVar("T")


class lazy(Generic[T]):
    """A property that is computed when it is first asked for, and then an attribute.

    As :class:`functools.cached_property`, but without the lock that this has before Python 3.12:
    one for all objects, which a fork could find held. Two threads may both compute a value.
    """

    def __init__(self, compute: Callable[[Any], T]):
        self.func = compute
        self.__doc__ = compute.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...

    @overload
    def __get__(self, instance: object, owner: type) -> T: ...

    def __get__(self, instance: Any, owner: type) -> Any:
        if instance is None:
            return self
        value = instance.__dict__[self._name] = self.func(instance)
        return value


__all__ = ["lazy"]
