"""Subgraphs in operators, and results of which only data know the size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..flat import UNKNOWN
from ..model import FileModel
from ..sized.compaction import coordinates
from ..tensorflow.ops_flow import choice, loop
from .context import Converter, TfliteContext


def _condition(n: TfliteContext, model: FileModel) -> FileModel:
    facts = [model.extra[v] for v in model.outputs.values()]
    if len(facts) != 1 or facts[0].kind != "bool":
        n.error(f"its condition makes {', '.join(f.kind for f in facts) or 'nothing'}, not a bool.")
    return model


def _if(n: TfliteContext) -> Sequence[str]:
    if not n.required(0).dtype.is_bool or n.required(0).size != 1:
        n.error(f"its condition is {n.type(0)}, not one bool.")
    if n.required(0).shape:
        n.inputs[0] = n.reshape(n.inputs[0], ())
    return choice(n, n.attr("then"), n.attr("other"))


def _while(n: TfliteContext) -> Sequence[str]:
    cond, body = _condition(n, n.attr("cond")), n.attr("body")
    if not len(n) == len(body.inputs) == len(body.outputs) == len(cond.inputs):
        n.error(f"its {len(n)} values do not fit its body and condition.")
    return loop(n, cond, body, len(n))


def _call(n: TfliteContext) -> Sequence[str]:
    return n.walk.inside(n.attr("body"), n.inputs) or [UNKNOWN] * n.n_outputs


def _where(n: TfliteContext) -> str:
    """The coordinates of what is not zero, a row each."""
    s, t = n.sizing, n.required(0)
    if not t.shape or not t.size:
        n.unsupported(f"the places of {t}")
    lines, size = coordinates(s, n.inputs[0])
    columns = [s.add("reshape", [line], shape=(*s.shape(line), 1)) for line in lines]
    made = s.add("concat", columns, axis=1) if len(columns) > 1 else columns[0]
    s.emitter.values.stated[made] = (0, max(t.shape) - 1)
    return n.sized(made, {0: s.number(size)})


def _suppression(soft: bool) -> Converter:
    """Boxes that overlap too much with better ones are left out; the places of the others, zeros
    behind them, and how many there are. ``soft``: their scores, too."""

    def convert(n: TfliteContext) -> Sequence[str]:
        boxes, scores, most = n.required(0), n.required(1), n.number(2)
        if len(boxes.shape) != 2 or boxes.shape[1] != 4 or scores.shape != boxes.shape[:1]:
            n.error(f"boxes {boxes} and scores {scores} do not fit.")
        n.checked([most])
        limit = min(most, boxes.shape[0])
        if not limit:
            none = [n.constant(np.zeros(most, np.int32)), n.constant(np.zeros(most, np.float32))]
            return [*(none if soft else none[:1]), n.constant(np.array(0, np.int32))]
        given = [
            n.reshape(n.inputs[0], (1, *boxes.shape)),
            n.reshape(n.inputs[1], (1, 1, *scores.shape)),
            n.constant(np.array(limit, np.int64)), n.reshape(n.inputs[3], ()),
            n.reshape(n.inputs[4], ()),
        ]  # fmt: skip
        if soft:
            width = n.const(5)
            if width is None or width.size != 1:
                n.error("the width of its soft suppression is not one number.")
            if width.reshape(-1)[0] > 0:
                given.append(n.reshape(n.inputs[5], ()))
        rows, count, values = n.add_many("non_max_suppression", given, 3, limit=limit)
        places = n.add("slice", [rows], starts=(0, 2), shape=(limit, 1))
        places = n.add("cast", [n.reshape(places, (limit,))], to="int32")
        number = n.add("cast", [count], to="int32")
        number = n.reshape(number, ())
        there = n.add("less", [n.constant(np.arange(limit, dtype=np.int32)), number])
        made = [places, values] if soft else [places]
        padded = []
        for x in made:
            x = n.add("where", [there, n.reshape(x, (limit,)), n.full(0, x)])
            padded.append(n.add("pad", [x], pads=(0, most - limit)) if most > limit else x)
        return [*padded, number]

    return convert


CONVERTERS: dict[str, Converter] = {
    "CALL": _call,
    "IF": _if,
    "NON_MAX_SUPPRESSION_V4": _suppression(soft=False),
    "NON_MAX_SUPPRESSION_V5": _suppression(soft=True),
    "WHERE": _where,
    "WHILE": _while,
}
