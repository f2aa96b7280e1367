"""The user's module for writing kernels: ``from weft import te``.

>>> A = placeholder((4,), name="A")
>>> B = compute((4,), lambda i: exp(A[i]), name="B")
>>> s = create_schedule(B)
"""

# ruff: noqa: F401
from .builders import absolute as abs
from .builders import (
    equal,
    floordiv,
    floormod,
    if_then_else,
    likely,
    max_value,
    maximum,
    min_value,
    minimum,
    not_equal,
    reinterpret,
    truncdiv,
    truncmod,
)
from .builders import if_then_else as select
from .comm_reducer import comm_reducer
from .expr import cast, const
from .gradient import gradient
from .hybrid.script import Hybrid
from .intrin import *  # noqa: F403
from .intrin import call as intrinsic
from .intrin import power as pow
from .intrin import round_even as round
from .operations.builder import IRBuilder as ir_builder
from .operations.calls import call_c, call_python
from .operations.extern import extern
from .operations.scan import scan
from .own_intrinsics import register_intrinsic
from .reducers import all, any, argmax, argmin, max, min, prod, sum
from .schedule.intrinsics import decl_tensor_intrin
from .schedule.loops import thread_axis
from .schedule.schedule import create_schedule
from .tensor import compute, placeholder, reduce_axis, size_var, var

hybrid = Hybrid()
