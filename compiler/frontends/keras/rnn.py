"""Recurrent layers, unrolled over their sequence, whose length is static."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .cells import Cell, cell_of
from .context import Converter, KerasContext, Tensor
from .layer import Layer

MAX_STEPS = 1 << 14  # unrolled: compiling takes some milliseconds for each step


def time_first(n: KerasContext, x: str) -> str:
    """[batch, time, …] as [time, batch, …], and back."""
    rank = n.rank(x)
    return n.add("transpose", [x], perm=(1, 0, *range(2, rank)))


def step_of(n: KerasContext, x: str, t: int) -> str:
    """Step ``t`` of [time, …]."""
    shape = n.shape(x)
    starts = (t, *(0 for _ in shape[1:]))
    part = n.add("slice", [x], starts=starts, shape=(1, *shape[1:]))
    return n.add("reshape", [part], shape=shape[1:])


def reversed_time(n: KerasContext, x: str, axis: int = 1) -> str:
    """The last step first."""
    shape = n.shape(x)
    if not shape[axis]:
        return x
    starts = tuple(d - 1 if k == axis else 0 for k, d in enumerate(shape))
    steps = tuple(-1 if k == axis else 1 for k in range(len(shape)))
    return n.add("slice", [x], starts=starts, shape=shape, steps=steps)


def _rnn(n: KerasContext) -> list[str]:
    """Any recurrent layer: its cell, step by step."""
    x, state, mask = _inputs(n)
    if n.rank(x) < 3:
        n.error(f"a sequence is {n.typeof(x)}.")
    if n.flag("stateful", False):
        n.unsupported("a recurrent layer that is stateful: its state is kept from call to call")
    if n.flag("time_major", False):
        n.unsupported("a recurrent layer that is time_major")
    steps = n.shape(x)[1]
    if not 1 <= steps <= MAX_STEPS:
        n.unsupported(f"a sequence of {steps} steps; {MAX_STEPS} is the most, 1 the least")
    cell = cell_of(n, n.layer.part("cell"))
    inputs = cell.prepared(time_first(n, x))
    states = state or cell.zeros()
    if len(states) != len(cell.zeros()):
        n.error(f"it is called with {len(states)} states, its cell has {len(cell.zeros())}.")
    masks = time_first(n, n.to(mask, "bool")) if mask else ""
    sequence = n.flag("return_sequences", False)
    outputs, states = _unrolled(n, cell, inputs, states, masks)
    if sequence:
        shape = n.shape(outputs[0])
        parts = [n.add("reshape", [o], shape=(1, *shape)) for o in outputs]
        y = time_first(n, n.add("concat", parts, axis=0) if len(parts) > 1 else parts[0])
        if mask:
            n.set_mask(y, mask)
    else:
        y = outputs[-1]
    return [y, *states] if n.flag("return_state", False) else [y]


def _inputs(n: KerasContext) -> tuple[str, list[str], str]:
    """The sequence, the states it begins with, and its mask."""
    tensors = n.tensors
    given: Any = n.kwargs.get("initial_state", n.args[1] if len(n.args) > 1 else None)
    state = list(tensors[1:])
    if given is not None:
        found: list[str] = []
        _flatten(given, found)
        state = [n.cast(s) for s in found]
    if n.opt("num_constants", 0):
        n.unsupported("a recurrent layer with constants")
    mask = n.given(2, "mask")
    return tensors[0], state, mask if isinstance(mask, Tensor) else n.mask_of(tensors[0])


def _flatten(value: Any, found: list[str]) -> None:
    if isinstance(value, list | tuple):
        for v in value:
            _flatten(v, found)
    elif isinstance(value, Tensor):
        found.append(value)


def _unrolled(
    n: KerasContext, cell: Cell, inputs: Sequence[str], states: list[str], masks: str
) -> tuple[list[str], list[str]]:
    """The outputs, in the order in which they are made, and the last states."""
    steps = n.shape(inputs[0])[0]
    order = range(steps)[::-1] if n.flag("go_backwards", False) else range(steps)
    zero_out = n.flag("zero_output_for_mask", False)
    outputs: list[str] = []
    for t in order:
        out, new = cell.step([step_of(n, i, t) for i in inputs], states)
        if masks:
            # A masked step changes nothing; its output is the one before.
            on = step_of(n, masks, t)
            zero = n.scalar(0, out)
            before = zero if zero_out or not outputs else outputs[-1]
            out = _where(n, on, out, before)
            new = [_where(n, on, a, b) for a, b in zip(new, states)]
        outputs.append(out)
        states = new
    return outputs, states


def _where(n: KerasContext, on: str, new: str, old: str) -> str:
    wide = n.add("reshape", [on], shape=(n.shape(on)[0], *(1,) * (n.rank(new) - 1)))
    return n.add("where", [wide, new, old])


def _bidirectional(n: KerasContext) -> list[str]:
    """One layer forward, one backward, whose outputs are put together."""
    x, state, mask = _inputs(n)
    parts = [n.layer.part("forward_layer"), n.layer.part("backward_layer")]
    half = len(state) // 2
    results = []
    for k, part in enumerate(parts):
        given = state[half * k : half * (k + 1)]
        results.append(_called(n, part, x, given, mask))
    config = parts[0].config
    y, back = results[0][0], results[1][0]
    if config.get("return_sequences"):
        back = reversed_time(n, back)
    states = [*results[0][1:], *results[1][1:]] if config.get("return_state") else []
    mode = n.config.get("merge_mode", "concat")
    if mode is None:
        return [y, back, *states]
    if mode == "concat":
        both = n.add("concat", [y, back], axis=n.rank(y) - 1)
    elif mode in ("sum", "ave", "mul"):
        both = n.add("mul" if mode == "mul" else "add", [y, back])
        if mode == "ave":
            both = n.add("div", [both, n.scalar(2, both)])
    else:
        n.error(f"merge_mode is {mode!r}.")
    if mask and config.get("return_sequences"):
        n.set_mask(both, mask)
    return [both, *states]


def _called(n: KerasContext, layer: Layer, x: str, state: Sequence[str], mask: str) -> list[str]:
    kwargs = {"mask": mask} if mask else {}
    if not state:
        return n.call(layer, [x], **kwargs)
    return n.call(layer, [x, *state], **kwargs)


def _time_distributed(n: KerasContext) -> str:
    """A layer on every step: on a batch of all of them."""
    x = n.x
    batch, steps, *rest = n.shape(x)
    inner = n.layer.part("layer")
    if n.mask() and inner.class_name in CONVERTERS:
        n.unsupported(f"{inner.class_name} on every step, of which some are masked")
    y = n.call(inner, [n.add("reshape", [x], shape=(batch * steps, *rest))])[0]
    return n.add("reshape", [y], shape=(batch, steps, *n.shape(y)[1:]))


CONVERTERS: dict[str, Converter] = {
    **dict.fromkeys(("RNN", "SimpleRNN", "LSTM", "GRU"), _rnn),
    **{f"ConvLSTM{d}D": _rnn for d in (1, 2, 3)},
    "Bidirectional": _bidirectional,
    "TimeDistributed": _time_distributed,
}
