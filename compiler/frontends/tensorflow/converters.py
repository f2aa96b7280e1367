"""All of TensorFlow's operators that weft has: a name to its converter."""

from __future__ import annotations

from . import lists, ops_conv, ops_flow, ops_index, ops_math, ops_move, ops_shape, ops_state
from .context import Converter

CONVERTERS: dict[str, Converter] = {
    **lists.CONVERTERS,
    **ops_conv.CONVERTERS,
    **ops_flow.CONVERTERS,
    **ops_index.CONVERTERS,
    **ops_math.CONVERTERS,
    **ops_move.CONVERTERS,
    **ops_shape.CONVERTERS,
    **ops_state.CONVERTERS,
}

# Their converters ask for the extent of no axis whose size only data knows, or go by its size.
TAKERS = frozenset(CONVERTERS) - {
    "BatchToSpace", "BatchToSpaceND", "CropAndResize", "Cross", "DepthToSpace", "Diag",
    "Dilation2D", "DynamicPartition", "DynamicStitch", "Einsum", "EnsureShape", "InTopK",
    "InTopKV2", "LRN", "MatrixBandPart", "MatrixDiag", "MatrixDiagPart", "MatrixDiagPartV2",
    "MatrixDiagPartV3", "MatrixDiagV2", "MatrixDiagV3", "MatrixSetDiag", "MatrixSetDiagV2",
    "MatrixSetDiagV3", "MaxPoolWithArgmax", "MirrorPad", "ParallelDynamicStitch", "Reverse",
    "ReverseSequence", "ReverseV2", "Roll", "SegmentMax", "SegmentMean", "SegmentMin",
    "SegmentProd", "SegmentSum", "SpaceToBatch", "SpaceToBatchND", "SpaceToDepth",
    "UnsortedSegmentMax", "UnsortedSegmentMin", "UnsortedSegmentProd", "UnsortedSegmentSum",
}  # fmt: skip

__all__ = ["CONVERTERS", "TAKERS"]
