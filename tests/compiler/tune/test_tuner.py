"""The tuner: it never gets worse, survives what candidates do, and goes on where it was killed."""

import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import weft
from support import tune_hooks
from support.pinned import pinned
from weft.codegen.llvm import generator as llvm
from weft.compiler.graph.builder import GraphBuilder
from weft.compiler.kernels.cache import KernelCache
from weft.compiler.options import CompileOptions
from weft.compiler.schedules.choices import Choices
from weft.compiler.tune import model as cost_model
from weft.compiler.tune import tuner
from weft.compiler.tune.features import NAMES
from weft.compiler.tune.measure import _Bench, measure
from weft.compiler.tune.model import ENOUGH, CostModel
from weft.compiler.tune.records import Record, Records
from weft.compiler.tune.search import Space
from weft.compiler.tune.task import tasks_of
from weft.compiler.tune.tuner import tune
from weft.compiler.tune.worker import Worker
from weft.ir.target import Target
from weft.runtime.errors import TuneError

pytest.importorskip("lightgbm", reason="the extra 'tune' is not installed")
HOST = llvm.resolve(Target.parse("llvm"))  # of what is measured here; all else is pinned


def convolution(kernel=5, stride=2, side=14):
    """One convolution with an activation: one task, with padding."""
    rng = np.random.default_rng(1)
    b = GraphBuilder("conv")
    x = b.input("x", "float32", (1, 16, side, side))
    w = b.constant(rng.standard_normal((32, 16, kernel, kernel)).astype(np.float32) / 20)
    attrs = {"pads": (kernel // 2,) * 4, "strides": (stride, stride)}
    (y,) = b.add("conv", [x, w, b.constant(np.ones(32, np.float32))], attrs)
    (y,) = b.add("relu", [y])
    return b.finish([y])


@pytest.fixture
def store(tmp_path):
    records = Records(tmp_path / "r.sqlite")
    yield records
    records.close()


def facts_of(exe):
    """What is known of the convolution's kernel; the copy of its result has nothing to tune."""
    (facts,) = (f for f in exe.program.meta["kernels"].values() if "conv.tile" in f["choices"])
    return facts


def search(store, trials, **options):
    return tune(convolution(), records=store, trials=trials, threads=1, **options)


def test_a_small_search_and_the_compilation_after_it(store):
    """For real: the best is no slower than the default, and the next compilation uses it."""
    done = search(store, 5)
    (state,) = done.states
    assert done.measured == 5 and len(store) >= 5
    assert state.champion is not None and state.seconds <= state.default_seconds
    best = store.best(state.task.key, str(HOST), 1)
    assert best is not None and best.winner and best.config == state.champion.config
    exe = weft.compile(convolution(), records=store, cache=False)
    facts = facts_of(exe)
    plain = {k: tuple(v) if isinstance(v, list) else v for k, v in facts["choices"].items()}
    assert plain == dict(state.champion.config)
    x = np.random.default_rng(2).standard_normal((1, 16, 14, 14)).astype(np.float32)
    want = weft.compile(convolution(), records=False, cache=False)(x)
    np.testing.assert_allclose(exe(x), want, rtol=1e-4, atol=1e-5)


def test_strict_models_have_kernels_of_their_own(store, processor):
    """What ``accuracy="strict"`` compiles is what the search is over, and its records are used."""
    model = convolution(3, stride=1, side=40)
    fast, strict = (
        tasks_of(model, processor, CompileOptions(accuracy=a)) for a in ("fast", "strict")
    )
    assert [t.name.split("_")[0] for t in (*fast, *strict)] == ["winograd", "conv"]
    space = Space(strict[0], random.Random(0))
    other = next(c for c in iter(space.random, None) if c.trace != space.default.trace)
    store.put(Record(strict[0].key, str(processor), 1, other.config, "ok", 1e-6, True))
    for accuracy, tuned in (("fast", False), ("strict", True)):
        exe = weft.compile(model, processor, records=store, cache=False, accuracy=accuracy)
        assert any(f["tuned"] for f in exe.program.meta["kernels"].values()) is tuned


def test_a_record_is_part_of_the_cache_key(store, tmp_path, processor):
    cache = KernelCache(tmp_path / "cache", 1 << 24)
    plain = weft.compile(convolution(), processor, records=False, cache=cache)
    (task,) = tasks_of(convolution(), processor)
    space = Space(task, random.Random(0))
    other = next(c for c in iter(space.random, None) if c.config != space.default.config)
    store.put(Record(task.key, str(processor), 1, other.config, "ok", 1e-6, True))
    tuned = weft.compile(convolution(), processor, records=store, cache=cache)
    assert cache.stats().misses == 3
    before, after = facts_of(plain), facts_of(tuned)
    assert not before["tuned"] and after["tuned"]
    weft.compile(convolution(), processor, records=store, cache=cache)
    assert cache.stats().misses == 3


def test_an_answer_that_is_no_option_any_more_gives_way_to_the_default(store, processor):
    (task,) = tasks_of(convolution(), processor)
    config = {"conv.tile": (99, 99), "gone": 3}
    store.put(Record(task.key, str(processor), 1, config, "ok", 1e-6, True))
    facts = facts_of(weft.compile(convolution(), processor, records=store, cache=False))
    assert not facts["tuned"] and facts["choices"]["conv.tile"] != [99, 99]


def test_a_record_of_other_rules_is_not_used(store, processor):
    """Its answers may still be options, and mean another schedule than was measured."""
    (task,) = tasks_of(convolution(), processor)
    space = Space(task, random.Random(0))
    other = next(c for c in iter(space.random, None) if c.trace != space.default.trace)
    for trace, tuned in [("0" * 16, False), (other.trace, True)]:
        store.put(Record(task.key, str(processor), 1, other.config, "ok", 1e-6, True, trace))
        exe = weft.compile(convolution(), processor, records=store, cache=False)
        facts = facts_of(exe)
        assert facts["tuned"] is tuned


def test_what_is_not_faster_does_not_win(store):
    (state,) = search(store, 6, measure=tune_hooks.slower).states
    assert state.champion is state.space.default and state.gain == 1.0


@pytest.mark.parametrize(
    ("hook", "became"),
    [
        (tune_hooks.crash, "crashed"),
        (tune_hooks.hang, "timeout"),
        (tune_hooks.raises, "failed"),
    ],
)
def test_candidates_that_die_or_hang_are_recorded(hook, became, store, monkeypatch):
    plain = Worker.run

    def run(self, function, args, timeout):
        # What ends has all the time that a busy machine needs, what hangs is soon given up.
        task, configs, _ = args
        ends = hook is not tune_hooks.hang or all(tune_hooks.is_default(task, c) for c in configs)
        return plain(self, function, args, 500.0 if ends else 1.0)

    monkeypatch.setattr(Worker, "run", run)
    done = search(store, 3, measure=hook)
    (state,) = done.states
    assert done.states_count == {"ok": 1, became: 2}
    states = sorted(r.state for r in store)
    assert states == sorted(["ok", became, became])
    assert state.champion is state.space.default
    if became == "crashed":
        assert any("SIGSEGV" in r.message for r in store)


def test_a_killed_search_goes_on(tmp_path, monkeypatch):
    path, log = tmp_path / "r.sqlite", tmp_path / "pid"
    monkeypatch.setenv("TUNE_HOOKS_LOG", str(log))
    code = (
        "import sys; sys.path[:] = eval(sys.argv[1])\n"
        "import importlib.util as u; from support import pinned, tune_hooks; pinned.pretend()\n"
        "spec = u.spec_from_file_location('t', sys.argv[2]); t = u.module_from_spec(spec)\n"
        "spec.loader.exec_module(t)\n"
        "from pathlib import Path; from weft.compiler.tune.records import Records\n"
        "t.search(Records(Path(sys.argv[3])), 1000, measure=tune_hooks.logged)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code, repr(sys.path), __file__, str(path)])
    end = time.monotonic() + 120
    while time.monotonic() < end and child.poll() is None:
        if path.exists() and path.stat().st_size and len(Records(path)) >= 3:
            break
        time.sleep(0.05)
    assert child.poll() is None, "it ended before it was killed"
    child.send_signal(signal.SIGKILL)
    child.wait()
    worker = int(log.read_text())
    before = list(Records(path))
    assert len(before) >= 3
    store = Records(path)
    done = search(store, 4, measure=tune_hooks.quick)
    after = list(store)
    assert done.measured == 4 and len(after) == len(before) + 4  # nothing was measured twice
    assert len({r.trace for r in after}) == len(after)
    (state,) = done.states
    assert state.gain > 1
    end = time.monotonic() + 120
    while time.monotonic() < end and os.path.exists(f"/proc/{worker}"):
        time.sleep(0.1)
    assert not os.path.exists(f"/proc/{worker}"), "the worker outlives the tuner"


def test_a_search_ends_when_there_is_nothing_left():
    b = GraphBuilder("g")
    x = b.input("x", "float32", (1, 8))
    (y,) = b.add("matmul", [x, b.constant(np.ones((8, 3), np.float32))])
    store = Records(None)
    done = tune(b.finish([y]), records=store, trials=10_000, measure=tune_hooks.quick)
    assert 1 < done.measured < 200 and all(s.exhausted for s in done.states)


def test_it_wants_an_end_a_target_of_this_machine_and_a_library(monkeypatch):
    with pytest.raises(TuneError, match="neither"):
        tune(convolution(), records=Records(None))
    with pytest.raises(TuneError, match="cannot be timed on this machine"):
        tune(convolution(), "llvm -mtriple=riscv64-linux-gnu", records=Records(None), trials=1)
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    with pytest.raises(TuneError, match=r"weft\[tune\]"):
        cost_model.boosting()


def test_worker_answers_and_is_replaced():
    with Worker() as w:
        assert w.run(len, ("abc",), 60).value == 3
        assert w.run(os.abort, (), 60).state == "crashed"
        assert w.run(time.sleep, (60,), 0.2).state == "timeout"
        assert w.run(divmod, (1, 0), 60).state == "failed"
        assert w.run(divmod, (7, 2), 60).value == (3, 1)


def test_wrong_results_are_seen():
    (task,) = tasks_of(convolution(), HOST)
    bench = _Bench(task)
    assert bench.agrees()
    assert not bench.agrees()  # the results were wiped
    bench.results[0][...] = bench.wanted[0]
    bench.results[0].flat[7] += np.abs(bench.wanted[0]).max()
    assert not bench.agrees()


def test_every_kind_of_candidate_computes_the_same():
    (task,) = tasks_of(convolution(3), HOST)
    space = Space(task, random.Random(4))
    seeds = [space.random() for _ in range(3)]
    found = [*seeds, space.mutate(space.default), space.mutate(seeds[0]), space.cross(*seeds[:2])]
    assert {m.state for m in measure(task, [c.config for c in found], 1)} == {"ok"}
    assert all(len(c.features) == len(NAMES) and any(c.features) for c in found)


def tiles_of(target):
    """A space, and each of its tiles with the candidate that has it."""
    (task,) = tasks_of(convolution(), target)
    space = Space(task, random.Random(0))
    tiles = next(c.options for c in space.default.open if c.name == "conv.tile")
    return {t: space.candidate({"conv.tile": t}) for t in tiles}


def test_the_features_tell_tiles_apart(processor):
    """A row of the result has seven elements: where there are registers enough, a tile of all seven
    is of several lines."""
    for (rows, vectors), candidate in tiles_of(processor).items():
        values = dict(zip(NAMES, candidate.features))
        lines, rest = divmod(values["tile"], rows * vectors)
        assert rest == 0 and (lines == 1 or rows == 7)
        # Each step loads a scalar per row and a vector per column of the tile.
        needed = (rows * lines + vectors) / values["tile"]
        assert values["loads_per_step"] == pytest.approx(needed)


def test_the_features_tell_lines_apart():
    """Two lines of seven rows and two vectors are 28 of AVX-512's 32 registers, one is 14 of
    AVX2's 16."""
    for name, accumulators in (("haswell", 14), ("znver5", 28)):
        assert dict(zip(NAMES, tiles_of(pinned(name))[7, 2].features))["tile"] == accumulators


def test_the_analytical_model_tells_good_tiles_from_bad_ones(processor):
    """A row of accumulators waits for each addition; too many do not fit into the registers."""
    known = {t: c.cycles for t, c in tiles_of(processor).items()}
    assert known[1, 1] > 1.5 * min(known.values())
    best = min(known, key=lambda t: known[t])
    assert best[0] * best[1] >= 8


def test_a_search_begins_with_what_the_analytical_model_likes(monkeypatch):
    monkeypatch.setattr(tuner, "BREED_SECONDS", 60.0)
    store = Records(None)
    tune(convolution(), records=store, trials=5, threads=1, measure=tune_hooks.quick)
    (task,) = tasks_of(convolution(), HOST)
    space = Space(task, random.Random(1))
    usual = sorted(space.random().cycles for _ in range(40))
    measured = [space.candidate(r.config) for r in store]
    assert len(measured) == 5 and space.default in measured
    assert all(c.cycles <= usual[10] for c in measured if c is not space.default)


def test_the_cost_model_learns_a_ranking():
    rng = np.random.default_rng(0)
    cost = CostModel()
    rows = rng.random((120, len(cost_model.COLUMNS)))
    for k, row in enumerate(rows[:100]):
        if k < ENOUGH:
            assert cost.predict(rows[100:]) is None
        cost.add("t", tuple(row), 1 + 5 * row[3] if row[3] < 0.9 else None)
    score = cost.predict(rows[100:])
    assert score is not None
    order = np.argsort(np.argsort(-score))
    truth = np.argsort(np.argsort(rows[100:, 3]))
    assert np.corrcoef(order, truth)[0, 1] > 0.5


def test_choices_are_asked_once_and_must_have_their_default():
    choices = Choices({"a": 3})
    assert choices.choose("a", (1, 3), 1) == 3 and not choices.is_default
    assert choices.choose("b", (False, True), False) is False
    with pytest.raises(AssertionError):
        choices.choose("a", (1, 3), 1)
    with pytest.raises(AssertionError):
        choices.choose("c", (1, 3), 2)
    assert Choices({"x": True}).choose("x", (0, 1), 0) == 0  # a bool is no number here
