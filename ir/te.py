"""The user's module for writing kernels: ``from weft import te``.

>>> A = placeholder((4,), name="A")
>>> B = compute((4,), lambda i: exp(A[i]), name="B")
>>> s = create_schedule(B)
"""

from .expr import (
    cast,
    const,
    equal,
    if_then_else,
    maximum,
    minimum,
    not_equal,
    truncdiv,
    truncmod,
)
from .intrin import *  # noqa: F403
from .intrin import call as intrinsic
from .schedule import create_schedule, thread_axis
from .tensor import (
    all,
    any,
    argmax,
    argmin,
    comm_reducer,
    compute,
    max,
    min,
    placeholder,
    prod,
    reduce_axis,
    sum,
    var,
)
