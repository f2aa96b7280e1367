"""Normalisations of com.microsoft, with the sums that ONNX Runtime's optimiser fuses into them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .compose import cast, expect, number, op, reshape, row, shape_of, transpose, typed
from .context import Converter, NodeContext
from .ops_cut import cut
from .ops_nn import layer_statistics, rms_statistic


def _skip_norm(simplified: bool) -> Converter:
    """norm(input + skip + bias), and on demand its statistics and the sum."""
    gamma, last = 2, 3 if simplified else 4

    def convert(n: NodeContext) -> Sequence[str]:
        shape, epsilon = shape_of(n, 0, 2, 3), n.attr("epsilon", 1e-12)
        skip = shape_of(n, 1, 2, 3)
        if skip[-2:] != shape[-2:] or skip[:-2] not in ((), (1,), shape[:-2]):
            n.error(f"its input 1 (skip) is {typed(n, 1)}, which does not add to {typed(n, 0)}.")
        for k in range(gamma, last + 1):
            expect(n, k, shape[-1:], "a parameter of each column")
        total = op(n, "add", n.inputs[0], n.inputs[1])
        total = op(n, "add", total, n.input(last)) if n.input(last) else total
        parameters = [n.inputs[gamma], *([n.input(3)] if not simplified and n.input(3) else [])]
        name = "rms_norm" if simplified else "layer_norm"
        made = [n.add(name, [total, *parameters], axis=-1, epsilon=epsilon), "", "", total]
        if simplified and n.output_wanted(2):
            made[2] = rms_statistic(n, total, (len(shape) - 1,), epsilon)
        if not simplified and (n.output_wanted(1) or n.output_wanted(2)):
            made[1:3] = layer_statistics(n, total, (len(shape) - 1,), epsilon)
        return made[: n.n_outputs]

    return convert


def _embed_layer_norm(n: NodeContext) -> Sequence[str]:
    """layer_norm(words + positions + segments); the mask's sums; the sum of embeddings."""
    batch, length = shape_of(n, 0, 2)
    width = shape_of(n, 2, 2)[1]
    places = shape_of(n, 3, 2)
    for k, what in ((1, "segment_ids"), (7, "mask")):
        expect(n, k, (batch, length), what)
    for k in (5, 6):
        expect(n, k, (width,), "a parameter of each column")
    if bool(n.input(1)) != bool(n.input(4)):
        n.error("segment_ids and segment_embedding come together, but one is absent.")
    total = n.add("gather", [n.inputs[2], n.inputs[0]], axis=0)
    if n.input(8):
        if shape_of(n, 8, 2) not in ((batch, length), (1, length)):
            n.error(f"position_ids is {typed(n, 8)}, not {[batch, length]}.")
        position = n.add("gather", [n.inputs[3], n.input(8)], axis=0)
    elif places[0] < length:
        n.error(f"there are {places[0]} embeddings of positions for a length of {length}.")
    else:
        position = reshape(n, cut(n, n.inputs[3], 0, 0, length), (1, length, width))
    total = op(n, "add", total, position)
    if n.input(1):
        total = op(n, "add", total, n.add("gather", [n.input(4), n.input(1)], axis=0))
    y = n.add("layer_norm", [total, *n.inputs[5:7]], axis=-1, epsilon=n.attr("epsilon", 1e-12))
    index = ""
    if n.output_wanted(1):
        index = n.constant(np.zeros(batch, np.int32))
        if n.input(7):
            ones = cast(n, op(n, "equal", n.input(7), number(n, 1, n.input(7))), "int32")
            index = n.add("reduce_sum", [ones], axes=(1,), keepdims=False)
    return [y, index, total][: n.n_outputs]


def _group_norm(skips: bool) -> Converter:
    """Channels are last (``channels_last=1``) or axis 1; SiLU follows where ``activation`` is 1."""

    def convert(n: NodeContext) -> Sequence[str]:
        shape = shape_of(n, 0, 4)
        last, x = bool(n.attr("channels_last", 1)), n.inputs[0]
        channels = shape[3 if last else 1]
        for k in (1, 2, *((4,) if skips else ())):
            expect(n, k, (channels,), "a parameter of each channel")
        if skips:
            skip, side = n.inputs[3], (channels,) if last else (channels, 1, 1)
            if len(n.typeof(skip).shape) == 2:
                skip = reshape(n, skip, (shape[0], 1, 1, channels) if last else (shape[0], *side))
            x = op(n, "add", x, skip)
            x = op(n, "add", x, reshape(n, n.input(4), side)) if n.input(4) else x
        total, dtype = x, str(typed(n, 0).dtype)
        x = transpose(n, x, (0, 3, 1, 2)) if last else x
        y = n.add(
            "group_norm",
            [x, *(cast(n, p, dtype) for p in n.inputs[1:3])],
            num_groups=n.attr("groups"),
            epsilon=n.attr("epsilon", 1e-5),
        )
        if n.attr("activation") not in (0, 1):
            n.unsupported(f"the activation {n.attr('activation')}; 0 is none, 1 is SiLU")
        y = n.add("swish", [y]) if n.attr("activation") else y
        return [transpose(n, y, (0, 2, 3, 1)) if last else y, total][: n.n_outputs]

    return convert


_GROUPS: dict[str, type] = {
    "channels_last": int,
    "activation": int,
    "groups": int,
    "epsilon": float,
}

CONVERTERS: dict[str, Converter] = {
    "EmbedLayerNormalization": row(
        _embed_layer_norm,
        "input_ids segment_ids? word_embedding position_embedding segment_embedding? gamma beta"
        " mask? position_ids?",
        epsilon=float,
        mask_index_type=int,
    ),
    "GroupNorm": row(_group_norm(False), "X gamma beta", **_GROUPS),
    "SkipGroupNorm": row(_group_norm(True), "X gamma beta skip bias?", **_GROUPS),
    "SkipLayerNormalization": row(_skip_norm(False), "input skip gamma beta? bias?", epsilon=float),
    "SkipSimplifiedLayerNormalization": row(
        _skip_norm(True), "input skip gamma bias?", epsilon=float
    ),
}
