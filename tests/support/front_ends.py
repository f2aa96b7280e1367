"""What tests of front-ends share: a graph's outputs by numpy, and files that are damaged."""

import numpy as np
from weft.compiler.graph.evaluate import evaluate_graph


def outputs_of(graph, given):
    """The outputs of ``graph`` by the references of its operators: judges the converters alone."""
    made = {**given, **graph.constants, **evaluate_graph(graph, given)}
    return [made[o] for o in graph.outputs]


def mutated(rng: np.random.Generator, data: bytes) -> bytes:
    """``data`` with one to three places where bytes change, go or come."""
    changed = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        at = int(rng.integers(len(changed))) if changed else 0
        kind = rng.integers(4) if changed else 2
        if kind == 0:
            changed[at] = int(rng.integers(256))
        elif kind == 1:
            del changed[at : at + int(rng.integers(1, 9))]
        elif kind == 2:
            changed[at:at] = rng.bytes(int(rng.integers(1, 9)))
        else:
            changed[at] ^= 1 << int(rng.integers(8))
    return bytes(changed)
