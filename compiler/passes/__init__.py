"""Graph passes: plain functions ``Graph -> Graph``, one idea per file.

``pipeline`` is the list of them, in order, and what runs it: ``fold`` constants, ``transposes`` to
where they cost least, ``simplify`` by exact rules, ``batchnorm`` into weights, ``cse`` and ``dead``
for every target, then what a target wants. ``fuse`` then cuts the graph into kernels and ``memory``
places what they make. ``rewrite`` is the frame that the passes share.
"""

from __future__ import annotations

from .batchnorm import fold_batch_norm
from .cse import eliminate_common
from .dead import eliminate_dead
from .fold import fold_constants
from .simplify import simplify

__all__ = [
    "eliminate_common",
    "eliminate_dead",
    "fold_batch_norm",
    "fold_constants",
    "simplify",
]
