"""Open questions of schedule rules: what a tuner may decide.

A rule asks ``ctx.choose("conv.tile", options, default)`` where several answers lead to right
schedules. Without a tuner the answer is the rule's own, analytical ``default``; a tuner or a record
answers through a configuration, a plain mapping of names to values that survives JSON. The space of
a computation is thus defined by running its rules: which questions come up may depend on earlier
answers.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Value = int | str | bool | tuple[int, ...]
Config = Mapping[str, Value]


@dataclass(frozen=True)
class Choice:
    """One question: its options in an order in which neighbours are alike, and the rule's own
    answer, which is one of them."""

    name: str
    options: tuple[Value, ...]
    default: Value


class Choices:
    """Answers the questions of one scheduling job and keeps what was asked and taken.

    Parameters
    ----------
    config : answers by name. One that is no option of its question (a record of other rules, a
        mutation that changed an earlier answer) gives way to the default.
    pick : answers what ``config`` does not; the default's where it is None.
    """

    def __init__(self, config: Config | None = None, pick: Callable[[Choice], Value] | None = None):
        self._config, self._pick = dict(config or {}), pick
        self.asked: dict[str, Choice] = {}
        self.taken: dict[str, Value] = {}

    def choose(self, name: str, options: Sequence[Value], default: Value) -> Value:
        """The answer to the question ``name``, which must be new."""
        assert name not in self.asked, f"{name} is asked twice"
        assert default in options, (name, options, default)
        choice = Choice(name, tuple(options), default)
        value = self._config.get(name)
        if not any(value == o and type(value) is type(o) for o in options):
            value = default if name in self._config or self._pick is None else self._pick(choice)
        assert value is not None
        self.asked[name], self.taken[name] = choice, value
        return value

    @property
    def is_default(self) -> bool:
        """Whether every answer was the rule's own."""
        return all(v == self.asked[k].default for k, v in self.taken.items())


def config_text(config: Config) -> str:
    """The one text of a configuration: JSON with sorted names."""
    return json.dumps(dict(config), sort_keys=True, separators=(",", ":"))


def config_of(text: str) -> dict[str, Value]:
    """The configuration of :func:`config_text`; raises ValueError when it is not one."""
    data = json.loads(text)
    if not isinstance(data, dict):
        raise ValueError("a configuration is an object")
    return {k: _value(v) for k, v in data.items()}


def _value(v: Any) -> Value:
    if isinstance(v, list) and all(isinstance(n, int) and not isinstance(n, bool) for n in v):
        return tuple(v)
    if isinstance(v, int | str):
        return v
    raise ValueError(f"{v!r} is no value of a configuration")
