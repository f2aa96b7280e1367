"""Choices with the least cost in sum."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from weft.compiler.passes.assign import minimise


def cost(tables, values):
    return sum(t[tuple(values[v] for v in scope)] for scope, t in tables)


def least(sizes, tables):
    ways = product(*(range(n) for n in sizes.values()))
    return min(cost(tables, dict(zip(sizes, w))) for w in ways)


@st.composite
def problems(draw):
    sizes = {f"v{k}": draw(st.integers(1, 3)) for k in range(draw(st.integers(1, 7)))}
    tables = []
    for _ in range(draw(st.integers(0, 10))):
        scope = tuple(draw(st.permutations(list(sizes)))[: draw(st.integers(0, 3))])
        seed = draw(st.integers(0, 2**31))
        table = np.random.default_rng(seed).integers(0, 9, [sizes[v] for v in scope]).astype(float)
        tables.append((scope, table))
    return sizes, tables


@given(problems())
@settings(max_examples=200, deadline=None)
def test_no_other_choice_costs_less(problem):
    sizes, tables = problem
    found = minimise(sizes, tables)
    assert set(found) == set(sizes)
    assert cost(tables, found) == least(sizes, tables)


@given(problems())
@settings(max_examples=50, deadline=None)
def test_a_narrow_search_still_answers(problem):
    """Every variable has one of its values, and one that no single change would better alone."""
    sizes, tables = problem
    found = minimise(sizes, tables, width=1)
    assert all(0 <= found[v] < n for v, n in sizes.items())
    assert cost(tables, found) >= least(sizes, tables)


def test_a_long_chain_is_exact():
    """A network of 300 layers: more ways than anybody can try, found by way of the last one."""
    rng = np.random.default_rng(3)
    tables = [((k, k + 1), rng.random((2, 2))) for k in range(300)]
    best = np.zeros(2)
    for _, t in tables:
        best = (best[:, None] + t).min(axis=0)
    found = minimise(dict.fromkeys(range(301), 2), tables)
    assert cost(tables, found) == pytest.approx(best.min())


def test_one_table_may_name_a_variable_that_nothing_else_does():
    assert minimise({"a": 3, "b": 2}, [(("a",), np.array([2.0, 1.0, 3.0]))]) == {"a": 1, "b": 0}
