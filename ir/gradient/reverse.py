"""From a result back to what it was computed from, operation by operation.

The adjoint of a tensor is the sum of what its readers contribute. A reader ``Y[a] = f(T[g(a)], …)``
contributes ``adj_T[t] = sum over g(a) = t of adj_Y[a] * df/dT[g(a)]``: written so, each gradient is
a ``te.compute`` that gathers, and schedules, fusion and all targets take it like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ...runtime.dtype import INT32
from ...runtime.errors import ExprError
from ..alu import Op
from ..builders import all_of, equal, if_then_else
from ..expr import ZERO, Binary, Expr, IterVar, Read, Reduce, as_int, cast, const
from ..reducers import prod as product
from ..reducers import sum as summed
from ..simplify import Analyzer
from ..tensor import ComputeOp, Operation, Tensor
from ..visit import structural_equal, substitute
from .local import partials
from .preimage import preimage


def gradient(
    output: Tensor, inputs: Tensor | Sequence[Tensor], head: Tensor | None = None
) -> list[Tensor]:
    """The gradients of ``output`` by ``inputs``, as tensor expressions.

    Reverse mode (Griewank & Walther, "Evaluating Derivatives", ch. 3).

    Parameters
    ----------
    output : a tensor of floats.
    inputs : tensors of floats that it may depend on: placeholders or what lies between.
    head : the adjoint of ``output``, of its dtype and shape ``[*batch, *output.shape]``. The
        gradient of an input has the shape ``[*batch, *input.shape]``: ``sum(head * d output /
        d input)``. Without it ``output`` must have one element, whose gradient is taken.

    ``max`` and ``min`` of equal elements divide the gradient among them; at other points where a
    function has no derivative its value is one of those beside.

    Raises
    ------
    ExprError : something on the way has no derivative; names the stage.

    >>> A = placeholder((4, 8), name="A")
    >>> k = reduce_axis(8, "k")
    >>> B = compute((4,), lambda i: sum(A[i, k] * A[i, k], axis=k), name="B")
    >>> gradient(B, A, head=placeholder((4,), name="dB"))
    [A.grad: float32[4, 8]]
    """
    wanted = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    for t in (output, *wanted):
        if not isinstance(t, Tensor):
            raise _error(f"{t!r} is {type(t).__name__}, not a tensor")
        if not t.dtype.is_float:
            raise _error(f"{t} has no gradient: only floats have", hint="convert it to float32")
    batch = _batch(output, head)
    return _Reverse(output, wanted, head, batch).gradients()


def _error(message: str, where: str = "te.gradient", hint: str | None = None) -> ExprError:
    return ExprError(f"{message}.", where=where, hint=hint)


def _batch(output: Tensor, head: Tensor | None) -> tuple[Expr, ...]:
    """The axes that ``head`` has in front of those of ``output``."""
    if head is None:
        if any(as_int(n) != 1 for n in output.shape):
            raise _error(
                f"{output} has many elements, each with a gradient of its own",
                hint="give head=te.placeholder(output.shape): what each of them weighs, or reduce "
                "it to one element first",
            )
        return ()
    extra = head.ndim - output.ndim
    same = extra >= 0 and all(
        structural_equal(a, b) for a, b in zip(head.shape[extra:], output.shape)
    )
    if not same or head.dtype != output.dtype:
        raise _error(
            f"the head {head} does not end like {output}",
            hint="it has the dtype of the output and its shape, after axes of its own",
        )
    return head.shape[:extra]


def _axes(extents: Sequence[Expr], name: str) -> tuple[IterVar, ...]:
    return tuple(IterVar(f"{name}{k}", INT32, ZERO, e, "data") for k, e in enumerate(extents))


def _between(root: Operation, targets: set[Operation]) -> list[Operation]:
    """The operations from ``targets`` to ``root``, producers first."""
    order: dict[Operation, bool] = {}  # whether a target is at or below it
    stack = [root]
    while stack:
        op = stack[-1]
        below = [t.op for t in op.inputs]
        todo = [o for o in below if o not in order]
        if todo and op not in order:
            stack += todo
            continue
        order[stack.pop()] = op in targets or any(order[o] for o in below)
    return [op for op, leads in order.items() if leads]


def _together(found: Mapping[Read, Expr]) -> dict[Read, Expr]:
    """Reads of one element are one."""
    made: dict[Read, Expr] = {}
    for read, d in found.items():
        same = next((r for r in made if structural_equal(r, read)), None)
        if same is None:
            made[read] = d
        else:
            made[same] = made[same] + d
    return made


class _Reverse:
    def __init__(
        self,
        output: Tensor,
        wanted: Sequence[Tensor],
        head: Tensor | None,
        batch: tuple[Expr, ...],
    ):
        self.output, self.wanted, self.batch = output, wanted, batch
        self.order = _between(output.op, {t.op for t in wanted})
        self.reached = set(self.order)
        # What readers contribute to the adjoint of each tensor: a value over axes.
        self.parts: dict[Tensor, list[tuple[tuple[IterVar, ...], Expr]]] = {}
        self.adjoints: dict[Tensor, Tensor] = {}
        if head is not None:
            self.adjoints[output] = head
        else:
            self.parts[output] = [(_axes(output.shape, "i"), const(1, output.dtype))]

    def gradients(self) -> list[Tensor]:
        for op in reversed(self.order):
            for t in op.outputs:
                if (t in self.parts or t in self.adjoints) and op.inputs:
                    if not isinstance(op, ComputeOp):
                        kind = type(op).__name__
                        raise _error(
                            f"{op.name} is a {kind}, whose derivative weft does not know",
                            hint="write it with te.compute, or give the gradient of what follows "
                            "it as head",
                        )
                    self._back(op, t, self._adjoint(t))
        return [self._adjoint(t) for t in self.wanted]

    def _adjoint(self, t: Tensor) -> Tensor:
        """The sum of all contributions; all readers have been visited."""
        if t not in self.adjoints:
            self.adjoints[t] = self._total(t)
        return self.adjoints[t]

    def _total(self, t: Tensor) -> Tensor:
        name, parts = f"{t.name}.grad", self.parts.get(t, [])
        axes = _axes((*self.batch, *t.shape), "i")
        if not parts:  # nothing depends on it
            parts = [(axes, const(0, t.dtype))]
        if len(parts) == 1:
            return _compute(name, *parts[0])
        terms: list[Expr] = []
        for k, (own, value) in enumerate(parts):
            if isinstance(value, Reduce):
                terms.append(_compute(f"{name}.{k}", own, value)[axes])
            else:
                terms.append(substitute(value, dict(zip(own, axes))))
        total = terms[0]
        for term in terms[1:]:
            total = total + term
        return _compute(name, axes, total)

    # ------------------------------------------------------------------ one operation

    def _back(self, op: ComputeOp, y: Tensor, adjoint: Tensor) -> None:
        """What ``y``, one of the results of ``op``, contributes to what it reads."""
        body = op.body[y.value_index]
        batch = _axes(self.batch, "b")
        bar = adjoint[(*batch, *op.axes)]
        condition: Expr | None = None
        if isinstance(body, Reduce):
            bar, condition = self._reduction(op, y, body, bar)
            body = body.sources[body.index]
        try:
            found = partials(body, bar)
        except ExprError as e:
            raise ExprError(e.message, where=f"te.gradient: {op.name}", hint=e.hint) from None
        for read, value in _together(found).items():
            if read.tensor.op in self.reached:
                self._contribute(op, batch, read, value, condition)

    def _contribute(
        self,
        op: ComputeOp,
        batch: tuple[IterVar, ...],
        read: Read,
        value: Expr,
        condition: Expr | None,
    ) -> None:
        t = read.tensor
        element = _axes(t.shape, "i")
        points = preimage((*op.axes, *op.reduce_axes), read.indices, element)
        an = Analyzer()
        for v in (*element, *points.free):
            an.bind(v, v.minimum, v.minimum + v.extent - 1)
        value = substitute(value, points.values)
        both = points.condition
        if condition is not None:
            both = all_of([both, substitute(condition, points.values)])
        both = an.simplify(both)
        if points.free:
            reduced = summed(value, axis=points.free, where=both)
            assert isinstance(reduced, Expr)
            value = reduced
        else:
            value = if_then_else(both, value, const(0, value.dtype))
            value = an.simplify(value)
        self.parts.setdefault(t, []).append(((*batch, *element), value))

    # ------------------------------------------------------------------ reductions

    def _reduction(self, op: ComputeOp, y: Tensor, body: Reduce, bar: Expr) -> tuple[Expr, Expr]:
        """What reaches a source of a reduction, and for which of its points."""
        result, source = body.reducer.result[0], body.sources[0]
        zero = const(0, source.dtype)
        kind = result.op if isinstance(result, Binary) and len(body.sources) == 1 else None
        if kind is Op.ADD:
            return bar, body.condition
        if kind is Op.MAX or kind is Op.MIN:
            chosen = equal(source, y[tuple(op.axes)])
            ties = _reduced(op, body, f"{y.name}.ties", cast(chosen, source.dtype), summed)
            return if_then_else(chosen, bar / ties, zero), body.condition
        if kind is Op.MUL:  # the product of the others, without a division by 0
            empty = equal(source, 0)
            zeros = _reduced(op, body, f"{y.name}.zeros", cast(empty, source.dtype), summed)
            factor = if_then_else(empty, const(1, source.dtype), source)
            others = _reduced(op, body, f"{y.name}.others", factor, product)
            one = equal(zeros, if_then_else(empty, const(1, source.dtype), zero))
            return bar * if_then_else(one, others / factor, zero), body.condition
        raise _error(
            f"the reduction {body.reducer.name!r} has no derivative",
            where=f"te.gradient: {op.name}",
            hint="te.sum, te.prod, te.max and te.min have one",
        )


def _reduced(op: ComputeOp, body: Reduce, name: str, value: Expr, how: Callable) -> Expr:
    """A second reduction over the points of the first one, at the element that ``op`` computes."""
    data = tuple(IterVar(a.name, INT32, a.minimum, a.extent, "data") for a in op.axes)
    over = tuple(IterVar(a.name, INT32, a.minimum, a.extent, "reduce") for a in body.axes)
    fresh = dict(zip((*op.axes, *body.axes), (*data, *over)))
    result = how(substitute(value, fresh), axis=over, where=substitute(body.condition, fresh))
    return _compute(name, data, result)[tuple(op.axes)]


def _compute(name: str, axes: tuple[IterVar, ...], value: Expr) -> Tensor:
    return ComputeOp(name, axes, (value,)).outputs[0]
