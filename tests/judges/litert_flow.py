"""Operators of TensorFlow Lite that hold subgraphs, keep states, or make as much as data say; see
``litert_ops``."""

from __future__ import annotations

import numpy as np
from litert_ops import Case, K, V, X, Y


def _recurrent() -> list[Case]:
    rng = np.random.default_rng(7)

    def w(*shape: int) -> K:
        return K(rng.uniform(-1, 1, shape), "float32")

    def lstm(*, joint: bool = False, peephole: bool = False, project: int = 0) -> tuple:
        out = project or 4
        data = [None if joint and k == 0 else w(4, 3) for k in range(4)]
        state = [None if joint and k == 0 else w(4, out) for k in range(4)]
        cell = [w(4) if peephole and not (joint and k == 0) else None for k in range(3)]
        bias = [None if joint and k == 0 else w(4) for k in range(4)]
        both = (w(project, 4), w(project)) if project else (None, None)
        return (*data, *state, *cell, *bias, *both, V((2, out)), V((2, 4)))

    tanh, norms = {"fusedActivationFunction": 4}, (None,) * 4
    x, name = X((2, 5, 3)), "UnidirectionalSequenceLSTM"
    op = "UNIDIRECTIONAL_SEQUENCE_LSTM"
    return [
        Case("lstm", op, (x, *lstm(), *norms), (Y(),), name, tanh),
        Case("lstm_time", op, (X((5, 2, 3)), *lstm(), *norms), (Y(),), name,
             {**tanh, "timeMajor": True}),
        Case("lstm_peephole", op, (x, *lstm(peephole=True), *norms), (Y(),), name,
             {**tanh, "cellClip": 0.4}),
        Case("lstm_joint", op, (x, *lstm(joint=True), *norms), (Y(),), name, tanh),
        Case("lstm_projected", op, (x, *lstm(project=2), *norms), (Y(),), name,
             {**tanh, "projClip": 0.5}),
        Case("lstm_cell", "LSTM", (X((2, 3)), *lstm(), *norms), (Y(),), "LSTM", tanh),
        Case("rnn", "RNN", (X((2, 3)), w(4, 3), w(4, 4), w(4), V((2, 4))), (Y(),), "RNN", tanh),
        Case("sequence_rnn", "UNIDIRECTIONAL_SEQUENCE_RNN",
             (x, w(4, 3), w(4, 4), w(4), V((2, 4))), (Y(),), "SequenceRNN", tanh),
        *(Case(f"both_ways_rnn_{m}", "BIDIRECTIONAL_SEQUENCE_RNN",
               (x, w(4, 3), w(4, 4), w(4), V((2, 4)), w(4, 3), w(4, 4), w(4), V((2, 4)), None, None,
                None), (Y(),) if m else (Y(), Y()), "BidirectionalSequenceRNN",
               {**tanh, "mergeOutputs": m}) for m in (False, True)),
        Case("svdf", "SVDF", (X((2, 3)), w(8, 3), w(8, 5), w(4), V((2, 40))), (Y(),), "SVDF",
             {"rank": 2, "fusedActivationFunction": 1}),
    ]  # fmt: skip


def _flow() -> list[Case]:
    three = K((1.0, 2.0, 3.0), "float32")
    branches = (Case("then", "ADD", (X((3,)), three), options="Add"),
                Case("else", "MUL", (X((3,)), three), options="Mul"))  # fmt: skip
    loop = (Case("cond", "LESS", (X((), "int32"), K(20)), (Y("bool"),), "Less"),
            Case("body", "ADD", (X((), "int32"), K(3)), (Y("int32"),), "Add"))  # fmt: skip
    fixed = {"condSubgraphIndex": 1, "bodySubgraphIndex": 2}
    both = {"thenSubgraphIndex": 1, "elseSubgraphIndex": 2}
    thresholds = (K(0.4, "float32"), K(0.3, "float32"))
    boxes = np.random.default_rng(8).uniform(0, 2, (30, 4))
    boxes = K(np.sort(boxes.reshape(30, 2, 2), 1).reshape(30, 4), "float32")
    scores = X((30,), low=0, high=1)
    return [
        *(Case(f"if_{k}", "IF", (X((), "bool"), X((3,))), (Y(),), "If", both, branches)
          for k in range(3)),
        Case("while", "WHILE", (X((), "int32", -9, 9),), (Y("int32"),), "While", fixed, loop),
        Case("where", "WHERE", (X((3, 4, 2), "bool"),), (Y("int64"),), "Where"),
        Case("where_numbers", "WHERE", (X((20,), "int32", 0, 1),), (Y("int64"),), "Where"),
        *(Case(f"suppression_4_{m}", "NON_MAX_SUPPRESSION_V4", (boxes, scores, K(m), *thresholds),
               (Y("int32"), Y("int32")), "NonMaxSuppressionV4") for m in (5, 40)),
        *(Case(f"suppression_5_{s}", "NON_MAX_SUPPRESSION_V5",
               (boxes, scores, K(12), *thresholds, K(s, "float32")),
               (Y("int32"), Y(), Y("int32")), "NonMaxSuppressionV5") for s in (0.0, 0.5)),
    ]  # fmt: skip


CASES = (*_recurrent(), *_flow())
