"""What is known of integer expressions, and the simplest form of expressions and loop nests.

``analyzer`` simplifies expressions over hash-consed ``nodes``, by the table of ``rules``, by linear
forms (data and analysis in ``linear``, rewriting with them in ``sums``) and by the arithmetic of
``vectors``; ``ranges`` bounds what they can be, by the arithmetic of ``interval``; ``nest`` does
statements.
"""

from .analyzer import Analyzer
from .interval import Interval
from .linear import linear_form, stride
from .nest import simplify
from .ranges import Intervals, is_index
from .vectors import lanewise, unvaried

__all__ = [
    "Analyzer",
    "Interval",
    "Intervals",
    "is_index",
    "lanewise",
    "linear_form",
    "simplify",
    "stride",
    "unvaried",
]
