"""All converters of Caffe2's operators."""

from __future__ import annotations

from . import ops_conv, ops_nn, ops_tensor
from .table import Table

CONVERTERS: Table = {**ops_conv.CONVERTERS, **ops_nn.CONVERTERS, **ops_tensor.CONVERTERS}
