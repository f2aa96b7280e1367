"""Tuning for what is no processor: through drivers here, and on devices of a hub."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import weft
from support.places import need
from weft.compiler.graph.builder import GraphBuilder
from weft.compiler.schedules.choices import Choices
from weft.compiler.tune import programs
from weft.compiler.tune import remote as remote_module
from weft.compiler.tune.executor import LocalExecutor
from weft.compiler.tune.records import Record, Records, best_of
from weft.compiler.tune.remote import RemoteExecutor
from weft.compiler.tune.task import Task, tasks_of
from weft.compiler.tune.tuner import tune
from weft.ir.target import Target
from weft.runtime.errors import RPCError, TuneError
from weft.runtime.rpc.chrome import Chromium
from weft.runtime.rpc.client import connect
from weft.runtime.rpc.host import LocalHub

pytest.importorskip("lightgbm", reason="the extra 'tune' is not installed")


def small():
    """One convolution with padding: sums in registers, in draws and in workgroups."""
    rng = np.random.default_rng(1)
    b = GraphBuilder("conv")
    x = b.input("x", "float32", (1, 8, 6, 6))
    w = b.constant(rng.standard_normal((8, 8, 3, 3)).astype(np.float32) / 20)
    (y,) = b.add("conv", [x, w, b.constant(np.ones(8, np.float32))], {"pads": (1,) * 4})
    (y,) = b.add("relu", [y])
    return b.finish([y])


def tuned(records: Records, target: str, **options) -> int:
    """How many kernels of a compilation are scheduled as a record says."""
    exe = weft.compile(small(), target, records=records, cache=False, **options)
    return sum(f["tuned"] for f in exe.program.meta["kernels"].values())


def other_schedule(task: Task) -> Record:
    """A record of a schedule that is not the default one."""
    asked = Choices()
    task.nests(asked)
    question = next(c for c in asked.asked.values() if len(c.options) > 1)
    config = {question.name: next(o for o in question.options if o != question.default)}
    return Record(task.key, str(task.target), 1, config, "ok", 1e-6, winner=True)


@pytest.mark.parametrize("target", ["opencl", "webgpu", "webgl", "opengl"])
def test_kernels_of_every_kind_have_open_questions(target):
    """Without a record the schedule is the default one; with one it is not, and is right."""
    goal = weft.codegen.resolve(target)
    (task, *_) = tasks_of(small(), goal)
    records = Records(None)
    assert tuned(records, target) == 0
    records.put(other_schedule(task))
    assert tuned(records, target) == 1


def test_a_search_on_a_driver_of_this_machine():
    need("opencl")
    records = Records(None)
    done = tune(small(), "opencl", records=records, trials=3, kernels=1)
    (state,) = done.states
    assert done.measured == 3 and state.champion is not None
    assert {r.state for r in records} <= {"ok"}
    (device,) = {r.device for r in records}
    with LocalExecutor() as here:
        assert device == here.device(Target.parse("opencl")) != ""
    # What won is what a compilation takes, whether or not that is the default schedule.
    best = records.best(state.task.key, str(state.task.target), 2)
    assert best is not None and best.config == state.champion.config


def test_a_kind_that_nothing_here_runs_is_refused(monkeypatch):
    from weft.compiler.tune import executor
    from weft.runtime.devices.probe import Probe

    monkeypatch.setattr(executor, "probe", lambda kind: Probe(kind, False, reason="no driver"))
    with pytest.raises(TuneError, match="cannot be timed on this machine: no driver"):
        tune(small(), "opencl", records=Records(None), trials=1)


# -- on devices of a hub --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hub():
    need("webgl")
    with LocalHub() as made, Chromium(f"{made.link}?key=tune"):
        yield made


@contextmanager
def on(hub: LocalHub, timeout: float = 60.0, **options):
    def turn(wait: float):
        return connect(hub.url, token=hub.token, key="tune", timeout=timeout, wait=wait)

    with RemoteExecutor(turn, wait=60.0, **options) as made:
        yield made


@pytest.mark.parametrize("target", ["webgl", "webgpu"])
def test_a_search_in_a_browser(hub, target):
    records = Records(None)
    with on(hub) as executor:
        done = tune(
            small(), target, records=records, trials=4, kernels=1, timeout=60, executor=executor
        )
    (state,) = done.states
    assert done.states_count == {"ok": 4} and state.champion is not None
    (device,) = {r.device for r in records}
    assert "swiftshader" in device.lower()
    # A bundle's target has the limits that pages promise, whatever this browser has.
    best = records.best(state.task.key, str(weft.codegen.resolve(target)), 1)
    assert best is not None and best.config == state.champion.config


def test_what_candidates_do_in_a_browser_is_survived(hub, monkeypatch):
    """A shader that is refused, a wrong result, and one at which the device is lost."""
    goal = weft.codegen.resolve("webgl")
    (task, *_) = tasks_of(small(), goal)
    plain, lost = Task.build, []

    def build(self, config):
        exe = plain(self, config)
        if config.get("spoil") == "shader":
            exe._codes = {k: v.replace(b"void main", b"void mine") for k, v in exe._codes.items()}
        elif config.get("spoil") == "result":
            codes = exe._codes.items()
            exe._codes = {k: v.replace(b"max(", b"min(") for k, v in codes}
            assert exe._codes != plain(self, config)._codes
        return exe

    monkeypatch.setattr(Task, "build", build)
    with on(hub) as executor:
        executor.resolve(Target.parse("webgl"))
        configs = [{}, {"spoil": "shader"}, {"spoil": "result"}]
        states = executor.measure(task, configs, 1, 600)
        assert [m.state for m in states] == ["ok", "failed", "wrong"]
        assert "main" in states[1].message and states[0].seconds > 0

        # The session ends in the middle of a batch: another turn takes what it had.
        (session,) = hub.hub.sessions.values()
        running = programs._Ready.run

        def run(self):
            lost.append(set(hub.hub.sessions))
            if len(lost) == 1:
                hub._loop.call_soon_threadsafe(session.client.close)
                end = time.monotonic() + 60
                while session.id in hub.hub.sessions and time.monotonic() < end:
                    time.sleep(0.01)
            return running(self)

        monkeypatch.setattr(programs._Ready, "run", run)
        (m,) = executor.measure(task, [{}], 1, 600)
        assert m.state == "ok" and executor.slots == 1
        assert len(lost) == 2 and not lost[0] & lost[1]


class Silent:
    """A device that never answers, or goes away each time."""

    name, targets = "silent", {"webgl": {"name": "none", "limits": {}}}

    def __init__(self, step: str):
        self.step = step

    def target(self, kind: str) -> str:
        return kind

    def runner(self):
        def make(program, codes, storage):
            raise RPCError.of(self.step, "it was silent")

        return make

    def array(self, a):
        return a

    def reconnect(self):
        pass

    def close(self):
        pass


@pytest.mark.parametrize(("step", "state"), [("timeout", "timeout"), ("peer gone", "crashed")])
def test_a_device_that_is_lost_each_time_is_the_candidates_fault(step, state):
    (task, *_) = tasks_of(small(), weft.codegen.resolve("webgl"))
    with RemoteExecutor(lambda wait: Silent(step), devices=2) as executor:
        executor.resolve(Target.parse("webgl"))
        assert executor.slots == 2
        (m,) = executor.measure(task, [{}], 1, 60)
        assert m.state == state and "silent" in m.message


def test_a_search_ends_when_the_last_device_is_gone():
    (task, *_) = tasks_of(small(), weft.codegen.resolve("webgl"))
    turns = iter([Silent("peer gone")])

    def turn(wait: float):
        made = next(turns, None)
        if made is None:
            raise RPCError.of("queue", "there is none with this key")
        return made

    with RemoteExecutor(turn) as executor:
        executor.resolve(Target.parse("webgl"))
        with pytest.raises(TuneError, match="none came back"):
            executor.measure(task, [{}], 1, 60)


def test_devices_of_another_kind_do_not_share_the_work():
    other = Silent("timeout")
    other.targets = {"webgl": {"name": "another", "limits": {}}}
    turns = iter([Silent("timeout"), other])
    with RemoteExecutor(lambda wait: next(turns)) as executor:
        executor.resolve(Target.parse("webgl"))
        assert executor.slots == 1 and executor.refused == ("another",)


def test_several_devices_share_the_work(monkeypatch):
    """Each measures what the others do not, at the same time."""
    from weft.compiler.tune.measure import Measurement

    both, names = threading.Barrier(2, timeout=60), set()

    class Named(Silent):
        def __init__(self, number):
            super().__init__("timeout")
            self.name = f"phone {number}"

    turns = iter([Named(1), Named(2)])

    def measure(self, task, configs, place):
        both.wait()
        return [Measurement("ok", 1e-3) for _ in configs]

    monkeypatch.setattr(remote_module.Workbench, "measure", measure)
    (task, *_) = tasks_of(small(), weft.codegen.resolve("webgl"))
    with RemoteExecutor(lambda wait: next(turns), devices=2) as executor:
        executor.resolve(Target.parse("webgl"))
        threads = [
            threading.Thread(
                target=lambda: names.update(m.machine for m in executor.measure(task, [{}], 1, 60))
            )
            for _ in range(2)
        ]
        for t in threads:
            t.start()
        for t in threads:
            t.join(60)
    assert names == {"phone 1", "phone 2"}


# -- whose records count --------------------------------------------------------------------------


def record(device: str, config: int, seconds: float, **more) -> Record:
    return replace(Record("k", "webgl", 1, {"a": config}, "ok", seconds), device=device, **more)


def test_records_of_one_renderer():
    mine = [record("Mali", 1, 3.0), record("Mali", 2, 2.0, winner=True), record("Mali", 3, 1.0)]
    assert best_of(mine, 1) is mine[1]
    assert best_of([], 1) is None
    assert best_of([*mine, record("Adreno", 4, 0.1)], 1, "mali") is mine[1]


def test_of_several_renderers_the_mean_of_what_all_have_measured_counts():
    found = [
        record("Mali", 1, 4.0), record("Adreno", 1, 4.0),
        record("Mali", 2, 1.0, winner=True), record("Adreno", 2, 32.0),
        record("Mali", 3, 3.0), record("Adreno", 3, 2.0, winner=True),
        record("Adreno", 4, 0.1),
    ]  # fmt: skip
    best = best_of(found, 1)
    assert best is not None and best.config == {"a": 3}
    nobody = best_of(found, 1, "PowerVR")  # nothing was measured there
    assert nobody is not None and nobody.config == {"a": 3}


def test_records_of_devices_live_side_by_side(tmp_path):
    store = Records(tmp_path / "r.sqlite")
    store.put(record("Mali", 1, 3.0), record("Adreno", 1, 2.0), record("Adreno", 2, 1.0))
    assert [r.device for r in store.of("k", "webgl", 1, "Mali")] == ["Mali"]
    store.crown(record("Mali", 1, 3.0))
    assert [r.winner for r in store.of("k", "webgl", 1, "Adreno")] == [False, False]
    assert [r.device for r in store.elsewhere("k", "webgl", 1, "Adreno")] == ["Mali"]
