"""What compilations know without having been told: the user's records, and those of weft."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import weft
from weft.benchmarks import zoo
from weft.codegen.llvm import generator as llvm
from weft.compiler.graph.builder import GraphBuilder
from weft.compiler.kernels.facts import trace_hash
from weft.compiler.options import ACCURACIES, CompileOptions
from weft.compiler.schedules.choices import Choices
from weft.compiler.tune import known
from weft.compiler.tune.known import KnownRecords, default_records, shipped
from weft.compiler.tune.records import Record, Records
from weft.compiler.tune.task import tasks_of
from weft.ir.target import Target

MODELS = ("resnet18",)  # those that records were made for


def product():
    b = GraphBuilder("g")
    x = b.input("x", "float32", (64, 96))
    w = np.random.default_rng(0).standard_normal((96, 80)).astype(np.float32)
    (y,) = b.add("matmul", [x, b.constant(w)])
    return b.finish([y])


@pytest.fixture
def other(monkeypatch, processor):
    """Makes a configuration that is not the default one the shipped record of ``product()``."""
    (task,) = tasks_of(product(), processor)
    choices = Choices({})
    task.schedule(choices)
    question = next(c for c in choices.asked.values() if c.name.endswith(".tile"))
    config = {question.name: next(o for o in question.options if o != question.default)}
    _, schedule, _ = task.schedule(Choices(config))
    record = Record(
        task.key, processor.family, 2, config, "ok", 1e-6, winner=True, trace=trace_hash(schedule)
    )
    monkeypatch.setattr(known, "shipped", lambda: {(task.key, processor.family): [record]})
    return record


def trace(target: Target, **options) -> str:
    exe = weft.compile(product(), target, cache=False, **options)
    (facts,) = exe.program.meta["kernels"].values()
    return facts["trace"]


def test_compilations_use_what_is_shipped(monkeypatch, tmp_path, processor, other):
    monkeypatch.setenv("WEFT_RECORDS", str(tmp_path / "none.sqlite"))
    assert trace(processor) == other.trace
    assert trace(processor, records=False) != other.trace
    monkeypatch.setenv("WEFT_RECORDS", "0")
    assert trace(processor) != other.trace


def test_the_users_own_records_come_first(monkeypatch, tmp_path, processor, other):
    path = tmp_path / "mine.sqlite"
    own = Records(path)
    mine = replace(other, target=str(processor), config={}, trace="")
    own.put(mine)
    monkeypatch.setenv("WEFT_RECORDS", str(path))
    assert trace(processor) == trace(processor, records=False)
    found = default_records()
    assert found is not None and found.best(other.key, str(processor), 1) == mine


def test_a_family_is_all_processors_with_the_same_registers(processor, other):
    def best(text: str) -> Record | None:
        return KnownRecords(None).best(other.key, str(llvm.resolve(Target.parse(text))), 1)

    cousin = replace(processor, mcpu="generic", mattr="+nothing")
    assert KnownRecords(None).best(other.key, str(cousin), 1) == other
    stranger = replace(processor, vector_bits=2048)
    assert KnownRecords(None).best(other.key, str(stranger), 1) is None
    assert best("llvm -mtriple=riscv64-linux-gnu") is None


def test_shipped_records_are_of_today():
    """Each gives the schedule that was measured, and models of the zoo use them; otherwise
    ``tools/ship_records.py`` has to be run again, after tuning."""
    families = {family for _, family in shipped()}
    used = set()
    for family in families:
        target = Target.parse(family)
        assert target.family == family
        for name, accuracy in itertools.product(MODELS, ACCURACIES):
            model = zoo.random_model(name)
            options = CompileOptions(shapes=zoo.shapes(model), accuracy=accuracy)
            for task in tasks_of(model, target, options):
                for record in shipped().get((task.key, family), ()):
                    _, schedule, _ = task.schedule(Choices(record.config))
                    assert trace_hash(schedule) == record.trace, record.task
                    assert record.winner and record.state == "ok"
                    used.add((task.key, family))
    assert families and used == set(shipped())
