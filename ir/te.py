"""The user's module for writing kernels: ``from weft import te``.

>>> A = placeholder((4,), name="A")
>>> B = compute((4,), lambda i: exp(A[i]), name="B")
>>> s = create_schedule(B)
"""

from .intrin import *  # noqa: F403
