"""Locks, and what a fork must not break.

In the child of a fork lives the one thread that forked. A lock that another thread held is held
there by nobody, for ever; what that thread was changing stays as it was at that moment. So every
lock of weft is made here (``tests/house`` sees to it) and is one of two kinds:

* :func:`renewed` where a lock is held for long, as that of an executable during a call. A fork does
  not wait for it, and the child has a new one. What it guards must be right wherever the other
  thread was.
* :func:`awaited` where a lock is held for moments, or guards what cannot be left half way (LLVM,
  SQLite). A fork waits until it is free, so that nobody is inside.

:func:`before` and :func:`in_child` are for what else has to be given up or made anew: connections,
threads. All of this is weak: it goes when its owner goes.

Locks are re-entrant, since a signal handler, a finaliser or a hook of a debugger may run in the
middle of any function of ours and call another one.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from importlib import import_module
from types import ModuleType
from typing import Any, Protocol, TypeVar
from weakref import ref

T = TypeVar("T")


class Lock(Protocol):
    """What :class:`threading.RLock` is."""

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Take it; returns whether it was to be had."""
        ...

    def release(self) -> None:
        """Give it back, as often as it was taken."""
        ...

    def __enter__(self) -> bool: ...

    def __exit__(self, kind: Any, error: Any, trace: Any, /) -> None: ...


_Hooks = dict["ref[Any]", tuple[Callable[[Any], None], ...]]

_forking: Lock = threading.RLock()  # one fork at a time
_awaited: list[ref[Any]] = []
_before: _Hooks = {}
_in_child: _Hooks = {}
_held: list[list[Lock]] = []  # by forks under way, the innermost last


def renewed(owner: object, name: str) -> Lock:
    """A lock that is to be ``owner.name`` (an object or a module); in the child of a fork that
    attribute is a new lock. A thread that forks while it holds the lock gives back the one that it
    took, and holds nothing any more."""
    in_child(owner, lambda found: setattr(found, name, threading.RLock()))
    return threading.RLock()


def awaited(lock: Lock | None = None) -> Lock:
    """A lock that forks wait for: a new one, or a re-entrant one of a package that we use."""
    made = threading.RLock() if lock is None else lock
    if not any(r() is made for r in _awaited):
        _awaited.append(ref(made, _awaited.remove))
    return made


imports = awaited()
"""Held while a module is imported in the middle of things: Python's own locks of modules are among
those that a child finds held by nobody."""


def load_module(name: str, package: str | None = None) -> ModuleType:
    """:func:`importlib.import_module`, for who does that inside of a function."""
    with imports:
        return import_module(name, package)


def before(owner: T, do: Callable[[T], None]) -> None:
    """Have ``do(owner)`` called before a fork, when all awaited locks are held."""
    _add(_before, owner, do)


def in_child(owner: T, do: Callable[[T], None]) -> None:
    """Have ``do(owner)`` called in the child of a fork, before anything else runs there."""
    _add(_in_child, owner, do)


def _add(hooks: _Hooks, owner: Any, do: Callable[[Any], None]) -> None:
    key = ref(owner, lambda gone: hooks.pop(gone, None))
    hooks[key] = (*hooks.get(key, ()), do)


def _call(hooks: _Hooks) -> None:
    for key, functions in hooks.copy().items():
        owner = key()
        for do in functions if owner is not None else ():
            do(owner)


def _take(locks: Sequence[Lock]) -> list[Lock]:
    """All locks. It holds none while it waits for one: whoever has that may want another."""
    last = locks[0]
    while True:
        last.acquire()
        held = [last]
        for lock in locks:
            if lock is last:
                continue
            if not lock.acquire(blocking=False):
                last = lock
                break
            held.append(lock)
        else:
            return held
        _release(held)


def _release(held: Sequence[Lock]) -> None:
    for lock in reversed(held):
        lock.release()


def _prepare() -> None:
    locks = [lock for r in list(_awaited) if (lock := r()) is not None]
    held = _take([_forking, *locks])
    _held.append(held)
    _call(_before)


def _go_on() -> None:
    _release(_held.pop())


def _begin() -> None:
    held = _held.pop()
    _call(_in_child)
    _release(held)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_prepare, after_in_parent=_go_on, after_in_child=_begin)

__all__ = ["Lock", "awaited", "before", "imports", "in_child", "load_module", "renewed"]
