"""What an addition touches, counted: its own files, and a row of as few tables as may be.

``ARCHITECTURE.md`` says the same in words ("To add X, touch Y"). Each toy is a whole one, from
outside of the package; what changes among the package's tables while it registers are the places
that one of weft's own would touch.
"""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import weft
from support import toy_frontend, toy_target
from weft.codegen import register_generator
from weft.compiler import schedules
from weft.compiler.frontends.table import register_frontend
from weft.compiler.ops import Kind, OpDef
from weft.compiler.passes import pipeline
from weft.compiler.passes.pipeline import GraphPass
from weft.compiler.schedules import ScheduleRule
from weft.ir import te
from weft.ir.target import Target
from weft.runtime.devices.table import Device, register_device

TABLES = (
    ("weft.compiler.ops", "_registered"),
    ("weft.compiler.frontends.table", "FRONTENDS"),
    ("weft.ir.target", "_KINDS"),
    ("weft.codegen", "_GENERATORS"),
    ("weft.runtime.devices.table", "DEVICES"),
)


def tables() -> dict[str, Any]:
    """Every table of the package: dictionaries, lists and tuples that modules hold."""
    found: dict[str, Any] = {}
    for name, module in sorted(sys.modules.items()):
        if name.startswith(("weft.runtime", "weft.ir", "weft.codegen", "weft.compiler")):
            for key, value in vars(module).items():
                if isinstance(value, dict | list | tuple) and not key.startswith("__"):
                    found[f"{name}.{key}"] = value
    return found


@pytest.fixture
def rows_of():
    """A function that says which tables a registration adds to, by the names in the module that has
    them; they are as before in the end."""
    before = {
        name: list(t.items()) if isinstance(t, dict) else None for name, t in tables().items()
    }
    homes = {id(getattr(sys.modules[module], key)): f"{module}.{key}" for module, key in TABLES}

    def count(register: Callable[[], Any]) -> set[str]:
        sizes = {name: len(t) for name, t in tables().items()}
        register()
        now = tables()
        return {homes.get(id(now[n]), n) for n, size in sizes.items() if len(now[n]) != size}

    yield count
    for name, table in tables().items():
        if isinstance(table, dict) and table != before.get(name, table):
            table.clear()
            table.update(before[name])


def doubled() -> OpDef:
    return OpDef(
        "doubled_here",
        Kind.ELEMENTWISE,
        lambda types, a: [types[0]],
        lambda x, a, out: [te.compute(out[0].shape, lambda *i: x[0][i] * 2, name="doubled")],
        lambda x, a: [x[0] * 2],
    )


def test_an_operator_is_one_row(rows_of):
    assert rows_of(lambda: weft.register_op(doubled())) == {"weft.compiler.ops._registered"}


def test_a_target_is_a_row_of_each_layer(rows_of):
    target = Target("toyhere", distinct_buffers=True, vector_bits=8)
    rows = rows_of(
        lambda: weft.register_target(target, toy_target.GENERATOR, toy_target.ToyProgram)
    )
    assert rows == {
        "weft.ir.target._KINDS",
        "weft.codegen._GENERATORS",
        "weft.runtime.devices.table.DEVICES",
    }


def test_a_front_end_is_one_row(rows_of):
    rows = rows_of(lambda: register_frontend(toy_frontend.ROW))
    assert rows == {"weft.compiler.frontends.table.FRONTENDS"}


def test_a_device_is_one_row(rows_of):
    rows = rows_of(lambda: register_device(Device("toydevice", runner=toy_target.ToyProgram)))
    assert rows == {"weft.runtime.devices.table.DEVICES"}


def test_a_generator_is_one_row(rows_of):
    rows = rows_of(lambda: register_generator("toytext", toy_target.GENERATOR))
    assert rows == {"weft.codegen._GENERATORS"}


def test_a_graph_pass_is_one_row(monkeypatch, tmp_path):
    """It runs at its place, for the targets that want it, and has a dump of its own."""
    seen = []

    def remember(graph, target, options):
        seen.append((target.kind, len(graph.nodes)))
        return graph

    row = GraphPass("remember", remember, lambda target, options: target.max_threads > 0)
    monkeypatch.setattr(pipeline, "PASSES", (*pipeline.PASSES, row))
    monkeypatch.setenv("WEFT_DUMP", str(tmp_path))
    model = toy_frontend.load(toy_frontend.MARK + b"scale 3\nshape 4\n")
    weft.compile(model, "llvm", cache=False)
    assert not seen
    weft.compile(model, "webgpu", cache=False)
    assert seen == [("webgpu", 1)]
    assert len(list(tmp_path.glob("webgpu/graph-*-remember.txt"))) == 1
    np.testing.assert_array_equal(weft.compile(model)(np.ones(4, np.float32)), np.full(4, 3.0))


def test_a_schedule_rule_is_one_row(monkeypatch):
    """It is asked first, and what it does not take goes on to the others."""
    taken = []

    def along_rows(ctx, stage):
        if stage.name != "rows":
            return set()
        ctx.schedule[stage.op].parallel(stage.axes[0])
        taken.append(stage.name)
        return {stage}

    def nest(name):
        x = te.placeholder((8, 16), name="x")
        k = te.reduce_axis(16, name="k")
        return schedules.schedule([te.compute((8,), lambda i: te.sum(x[i, k], axis=k), name=name)],
                                  Target.parse("llvm -mcpu=haswell"))  # fmt: skip

    plain = str(nest("others").trace)
    rule = ScheduleRule("along rows", along_rows, lambda target: not target.max_threads)
    monkeypatch.setattr(schedules, "RULES", (rule, *schedules.RULES))
    assert [str(step) for step in nest("rows").trace] == ["s['rows'].parallel('i')"]
    assert str(nest("others").trace) == plain and taken == ["rows"]
