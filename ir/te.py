"""The user's module for writing kernels: ``from weft import te``.

>>> A = placeholder((4,), name="A")
>>> B = compute((4,), lambda i: exp(A[i]), name="B")
>>> s = create_schedule(B)
"""

# ruff: noqa: F401
from .builders import equal, if_then_else, maximum, minimum, not_equal, truncdiv, truncmod
from .expr import cast, const
from .intrin import *  # noqa: F403
from .intrin import call as intrinsic
from .intrin import power as pow
from .intrin import round_even as round
from .reducers import all, any, argmax, argmin, max, min, prod, sum
from .schedule.intrinsics import decl_tensor_intrin
from .schedule.loops import thread_axis
from .schedule.schedule import create_schedule
from .tensor import comm_reducer, compute, placeholder, reduce_axis, var
