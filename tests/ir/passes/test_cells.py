"""Proofs that threads keep to cells of their own, against all their addresses."""

import itertools
import random

from weft.ir.expr import Var, const
from weft.ir.passes.cells import Access, Forms, own_cells
from weft.ir.simplify import Analyzer
from weft.ir.stmt import Buffer, Seq
from weft.runtime.dtype import FLOAT32

T, U, Q, R = Var("t"), Var("u"), Var("q"), Var("r")
TAGS = {T: "threadIdx.x", U: "threadIdx.y"}
SHARED = Buffer("S", FLOAT32, (const(1000),), "shared")


def address(rng: random.Random, order: list[Var], extents: dict[Var, int]):
    """A random address: mostly mixed radix, at times cut into lines that are padded."""
    e, stride = const(0), rng.choice([1, 1, 2])
    for v in order:
        e = e + v * stride
        stride *= extents[v] + rng.choice([0, 0, 0, 1, -1])
    e = e + rng.choice([0, 0, 1])
    if rng.random() < 0.5:
        line = rng.choice([2, 3, 5, 6])
        e = e // line * (line + rng.choice([0, 1, 1, -1])) + e % line
    return e


def collide(a, b, extents: dict[Var, int]) -> bool:
    """Whether two threads meet in a cell; all loops run freely. (Addresses read as Python.)"""
    first, second = (compile(str(e), "address", "eval") for e in (a, b))
    names = [v.name for v in extents]
    places = list(itertools.product(*(range(n) for n in extents.values())))
    owners: dict[int, set] = {}
    for p in places:
        at = dict(zip(names, p, strict=True))
        owners.setdefault(eval(first, at), set()).add((at["t"], at["u"]))
    for p in places:
        at = dict(zip(names, p, strict=True))
        if owners.get(eval(second, at), set()) - {(at["t"], at["u"])}:
            return True
    return False


def test_own_cells_are_owned():
    """What is proved holds; and most of what holds is proved."""
    proved = free = 0
    for seed in range(150):
        rng = random.Random(seed)
        extents = {v: rng.randint(1, 4) for v in (T, U, Q, R)}
        order = rng.sample(list(extents), 4)
        analyzer = Analyzer()
        for v, n in extents.items():
            analyzer.bind(v, 0, n - 1)
        a = address(rng, order, extents)
        b = a if rng.random() < 0.7 else address(rng, order, extents)
        forms = Forms(analyzer, TAGS)
        x, y = (Access(SHARED, True, Seq(()), forms.of(e, {})) for e in (a, b))
        tags = [t for v, t in TAGS.items() if extents[v] > 1]
        own, meet = own_cells(x, y, tags, ()), collide(a, b, extents)
        assert not (own and meet), f"seed {seed}: {a} and {b}, {extents}"
        proved, free = proved + own, free + (not meet)
    assert proved > 40 and proved > 0.7 * free
