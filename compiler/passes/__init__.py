"""Graph passes: plain functions ``Graph -> Graph``, one idea per file.

``GRAPH_PASSES`` are run in order over every graph: ``fold`` constants, ``simplify`` by exact rules,
``batchnorm`` into weights, ``cse`` and ``dead``. ``fuse`` then cuts the graph into kernels and
``memory`` places what they make. ``rewrite`` is the frame that the passes share.
"""

from __future__ import annotations

from collections.abc import Callable

from ..graph import Graph
from .batchnorm import fold_batch_norm
from .cse import eliminate_common
from .dead import eliminate_dead
from .fold import fold_constants
from .simplify import simplify

GraphPass = Callable[[Graph], Graph]

# Simplification comes before the weights are changed, so that a removed identity does not stand
# between a convolution and its scale; a second round merges what that leaves.
GRAPH_PASSES: tuple[GraphPass, ...] = (
    fold_constants,
    simplify,
    eliminate_dead,
    fold_batch_norm,
    eliminate_common,
    simplify,
    fold_constants,
    eliminate_dead,
)

__all__ = [
    "GRAPH_PASSES",
    "eliminate_common",
    "eliminate_dead",
    "fold_batch_norm",
    "fold_constants",
    "simplify",
]
