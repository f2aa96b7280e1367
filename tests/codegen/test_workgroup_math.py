"""Intrinsics on PoCL and lavapipe: error in units in the last place, special values."""

from __future__ import annotations

import numpy as np
import pytest
from kernels import opencl_run, webgpu_run
from kernels.math_cases import BOUNDS, SPECIAL, kernel, reference, ulp
from weft.ir.passes.math import lower_math
from weft.ir.target import Target

N = 1 << 12
DEVICES = {"opencl": opencl_run, "webgpu": webgpu_run}
