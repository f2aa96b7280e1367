"""All operator cases as one graph: one module, one page or process, one run."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from op_cases import Case
from weft.compiler.graph import Graph, GraphBuilder


def case_graph(cases: Sequence[Case]) -> tuple[Graph, dict[str, np.ndarray]]:
    """A graph with one node for each case, and what to feed it. Output ``k`` of case ``i`` is named
    ``case{i}.{k}``."""
    b = GraphBuilder("cases")
    feeds: dict[str, np.ndarray] = {}
    outputs: list[str] = []
    for i, case in enumerate(cases):
        names = []
        for k, array in enumerate(case.arrays()):
            if array is None:
                names.append("")
                continue
            name = f"in{i}.{k}"
            names.append(b.input(name, str(array.dtype), array.shape))
            feeds[name] = array
        made = [f"case{i}.{k}" for k in range(len(case.out_types()))]
        b.add(case.op, names, case.attrs, outputs=made)
        outputs += made
    return b.finish(outputs), feeds
