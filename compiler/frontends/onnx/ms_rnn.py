"""DynamicQuantizeLSTM of com.microsoft: an LSTM whose products are of integers."""

from __future__ import annotations

from collections.abc import Sequence

from .compose import cast, op, reshape, row, shape_of, transpose
from .context import Converter, NodeContext
from .ops_cut import cut
from .ops_rnn import Direction, Recurrent, lstm


class _Quantized(Direction):
    """Data is quantised before each product, by the range of all that is multiplied at once."""

    def __init__(self, r: Recurrent, index: int):
        super().__init__(r, index)
        self.parameters: dict[str, tuple[str, str]] = {}  # by weights: scale and zero point

    def weight(self, i: int) -> str:
        name = super().weight(i)
        if i in (1, 2):
            self.parameters[name] = self._of(8 if i == 1 else 10), self._of(9 if i == 1 else 11)
        return name

    def _of(self, i: int) -> str:
        """Scale or zero point of this direction: one number, or one for each column."""
        n, shape = self.n, shape_of(self.n, i, 1, 2)
        columns = shape[1] if len(shape) == 2 else 1
        if shape[0] != self.r.count or columns not in (1, self.r.gates * self.hidden):
            n.error(f"its input {i} has the shape {list(shape)}.")
        part = cut(n, n.inputs[i], 0, self.index, 1)
        return reshape(n, part, (columns,) if columns > 1 else ())

    def product(self, x: str, w: str, bias: str) -> str:
        n, (scale, zero) = self.n, self.parameters[w]
        y, x_scale, x_zero = n.add_many("dynamic_quantize_linear", [x], 3)
        total = n.add("matmul_integer", [y, transpose(n, w, (1, 0)), x_zero, zero])
        y = op(n, "mul", cast(n, total, "float32"), op(n, "mul", x_scale, scale))
        return op(n, "add", y, bias) if bias else y


def _dynamic_quantize_lstm(n: NodeContext) -> Sequence[str]:
    """The weights are transposed to how LSTM has them."""
    if str(n.typeof(n.inputs[0]).dtype) != "float32":
        n.error("its data is not float32.")
    for i in (1, 2):
        shape_of(n, i, 3)
        n.inputs[i] = transpose(n, n.inputs[i], (0, 2, 1))
    return lstm(n, _Quantized)[: n.n_outputs]


CONVERTERS: dict[str, Converter] = {
    "DynamicQuantizeLSTM": row(
        _dynamic_quantize_lstm,
        "X W R B? sequence_lens? initial_h? initial_c? P? W_scale W_zero_point R_scale"
        " R_zero_point",
        hidden_size=int,
        direction=str,
        clip=float,
        activations=tuple,
        activation_alpha=tuple,
        activation_beta=tuple,
        input_forget=int,
    ),
}
