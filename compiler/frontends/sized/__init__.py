"""Tensors whose size only data knows, as front-ends build them.

Such a tensor has a *bound*, known at compile time, which is its shape in the graph, and for each
axis that is not fixed a *size*: an int64 scalar of the graph, computed like any other tensor.
Elements beyond the size are there and mean nothing. So passes, schedules, kernels and devices have
static shapes, as always; what an operator must be told (that a sum ends at the size, that the
second part of a concatenation begins there) a rule writes into the graph, in ordinary operators,
when the operator is added (``rules.py``, ``moves.py``). An operator without a rule is refused.

``values.py`` says what is known of the integers of small tensors, and so gives the bounds;
``sizing.py`` has the arithmetic of sizes; ``compaction.py`` what makes sizes out of data,
``choices.py`` what branches make.
"""

from __future__ import annotations

from .sizing import Extent, Sizing
from .values import Values

__all__ = ["Extent", "Sizing", "Values"]
