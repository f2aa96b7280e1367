"""What of this machine can run which kind of target: drivers, versions, limits, what is missing.

>>> probe("llvm").ok
True
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..errors import DeviceError
from .table import DEVICES, resolve


@dataclass(frozen=True)
class Probe:
    """Whether programs of a target's kind can run here.

    ``description`` names device, driver and versions; ``reason`` says why it is not usable and
    ``hint`` what to install then; ``limits`` are the device's, under the names of the target's
    options where it has them.
    """

    kind: str
    ok: bool
    description: str = ""
    reason: str = ""
    hint: str = ""
    limits: Mapping[str, int] = field(default_factory=dict)


def kinds() -> list[str]:
    """The kinds of targets that this machine can be asked about."""
    return [row.kind for row in DEVICES.values() if row.probe is not None]


def probe(kind: str) -> Probe:
    """Look for what runs ``kind``, one of :func:`kinds`. Never raises for what is missing."""
    if kind not in kinds():
        raise DeviceError(f"there is nothing to look for {kind!r}.", hint=", ".join(kinds()))
    try:
        description, limits = resolve(DEVICES[kind].probe)()
    except DeviceError as e:
        return Probe(kind, False, reason=e.message, hint=e.hint or "")
    return Probe(kind, True, description, limits=limits)


__all__ = ["Probe", "kinds", "probe"]
