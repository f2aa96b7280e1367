"""What converts the calls of each class of layers."""

from __future__ import annotations

from collections.abc import Sequence

from . import activations, attention, conv, core, functions, merge, normal, preprocess, rnn, shape
from .context import Converter, KerasContext

# Layers whose results are masked as what they are called on; others let a mask end, or say of their
# results what is masked.
_KEEP_MASKS = frozenset(
    (
        "Activation", "ReLU", "LeakyReLU", "PReLU", "ELU", "ThresholdedReLU", "Softmax", "Dropout",
        "GaussianDropout", "GaussianNoise", "AlphaDropout", "SpatialDropout1D",
        "ActivityRegularization", "Identity", "Dense", "BatchNormalization", "LayerNormalization",
        "GroupNormalization", "UnitNormalization", "Rescaling", "Normalization",
        "MultiHeadAttention", "GroupQueryAttention", "GroupedQueryAttention", "TimeDistributed",
    )
)  # fmt: skip
_ALL: dict[str, Converter] = {
    # Files of Keras 2's kind do not say that a node is an operation, but few have a layer's name.
    **functions.OPERATIONS,
    **activations.CONVERTERS,
    **attention.CONVERTERS,
    **conv.CONVERTERS,
    **core.CONVERTERS,
    **merge.CONVERTERS,
    **normal.CONVERTERS,
    **functions.CONVERTERS,
    **preprocess.CONVERTERS,
    **rnn.CONVERTERS,
    **shape.CONVERTERS,
}


def _masked(convert: Converter) -> Converter:
    """The converter, and the mask of what the layer is called on for its result."""

    def converted(n: KerasContext) -> Sequence[str]:
        made = convert(n)
        made = [made] if isinstance(made, str) else list(made)
        mask = n.mask_of(n.tensors[0])
        if mask and made and not n.mask_of(made[0]):
            n.set_mask(made[0], mask)
        return made

    return converted


CONVERTERS: dict[str, Converter] = {
    name: _masked(c) if name in _KEEP_MASKS else c for name, c in _ALL.items()
}
