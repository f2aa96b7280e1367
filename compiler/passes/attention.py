"""Find attention in a graph: a matrix product, scale and mask, softmax, a matrix product.

    q   k
     \\ /
    matmul ─ div c ─ add mask ─ softmax ─ matmul     ->    attention(q, k, v, mask)
                                          /
                                         v

What front-ends make is rewritten where nothing but the last product needs what lies between. Scale
and mask may be missing. The same sums are made in the same types as before.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..graph.graph import Graph, Node
from .rewrite import Rewrite


def fuse_attention(graph: Graph) -> Graph:
    """``graph`` with ``attention`` in the place of the operators that it is made of, which are then
    dead."""
    return Rewrite(graph).run(_visit)


@dataclass
class _Scores:
    """What leads to the rows of a softmax."""

    product: Node
    scale: float = 1.0
    mask: str = ""


def _visit(r: Rewrite, n: Node) -> str | None:
    rows = _softmax_rows(r, n.inputs[0]) if n.op == "matmul" else None
    found = None if rows is None else _scores(r, rows)
    if found is None:
        return None
    q, k = found.product.inputs
    v, shape = n.inputs[1], r.type(n.inputs[0]).shape
    types = [r.type(t) for t in (q, k, v)]
    same = len({(t.dtype, len(t.shape), t.shape[:-2]) for t in types}) == 1
    if not same or len(shape) < 2 or not types[0].dtype.is_float or 0 in shape:
        return None
    mask = [found.mask] if found.mask else []
    if mask and (r.type(found.mask).dtype != types[0].dtype or not r.type(found.mask).shape):
        return None
    return r.add(n, "attention", [q, k, v, *mask], {"scale": found.scale})


def _softmax_rows(r: Rewrite, name: str) -> str | None:
    """What ``name`` is the softmax of along its last axis; None where it is something else, or
    where others read it."""
    softmax = r.producer(name, "softmax")
    if softmax is None or not r.sole(name):
        return None
    last = softmax.attrs["axis"] in (-1, len(r.type(name).shape) - 1)
    return softmax.inputs[0] if last else None


def _scores(r: Rewrite, name: str) -> _Scores | None:
    """The product behind ``scale * product + mask``; None where it is something else, or where
    others read what lies between."""
    scale, mask, shape = 1.0, "", r.type(name).shape
    node = r.producer(name)
    if node is not None and node.op == "add" and r.sole(name):
        chain = [i for i in node.inputs if r.type(i).shape == shape and r.sole(i)]
        chain = [i for i in chain if _leads_to_product(r, i)]
        if not chain:
            return None
        mask = node.inputs[1] if chain[0] == node.inputs[0] else node.inputs[0]
        name, node = chain[0], r.producer(chain[0])
    if node is not None and node.op in ("mul", "div") and r.sole(name):
        factor = _number(r, node.inputs[1])
        if factor is None or not factor:
            return None
        scale = factor if node.op == "mul" else 1.0 / factor
        name, node = node.inputs[0], r.producer(node.inputs[0])
    if node is None or node.op != "matmul" or not r.sole(name):
        return None
    return _Scores(node, scale, mask)


def _leads_to_product(r: Rewrite, name: str) -> bool:
    node = r.producer(name)
    if node is not None and node.op in ("mul", "div"):
        node = r.producer(node.inputs[0])
    return node is not None and node.op == "matmul"


def _number(r: Rewrite, name: str) -> float | None:
    value = r.const(name)
    return float(value.reshape(-1)[0]) if value is not None and value.size == 1 else None
