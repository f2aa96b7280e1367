"""Tuning on a Dask cluster: two workers on this machine, each a process of its own."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import weft
from support import tune_hooks
from support.command_line import out, save
from support.hubs import Server
from weft.benchmarks.zoo.builder import Net
from weft.codegen import resolve
from weft.compiler.cli.main import main
from weft.compiler.graph.builder import GraphBuilder
from weft.compiler.schedules.choices import config_text
from weft.compiler.tune import cluster, search, tuner
from weft.compiler.tune.cluster import DaskExecutor
from weft.compiler.tune.on_worker import Needs, about
from weft.compiler.tune.records import Records
from weft.compiler.tune.remote import RemoteExecutor
from weft.compiler.tune.search import Space
from weft.compiler.tune.task import Task, tasks_of
from weft.runtime.errors import TuneError
from weft.runtime.rpc.client import connect
from weft.runtime.rpc.host import LocalHub

pytest.importorskip("lightgbm", reason="the extra 'tune' is not installed")
dask = pytest.importorskip("distributed", reason="the extra 'dask' is not installed")
TRIALS = 18  # so many that the cost model chooses the last ones


@contextmanager
def scheduler(folder, workers):
    """A cluster on loopback, by its address."""
    with dask.LocalCluster(
        n_workers=workers, threads_per_worker=1, processes=True, host="127.0.0.1",
        dashboard_address="127.0.0.1:0", local_directory=str(folder),
    ) as made:  # fmt: skip
        yield made.scheduler_address


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """The folder that hooks write into."""
    folder = tmp_path_factory.mktemp("log")
    with pytest.MonkeyPatch.context() as m:
        m.setenv("TUNE_HOOKS_LOG", str(folder))
        yield folder


@pytest.fixture(scope="module")
def address(tmp_path_factory, log):
    with scheduler(tmp_path_factory.mktemp("dask"), 2) as found:
        yield found


@pytest.fixture(autouse=True)
def unhurried(monkeypatch):
    """What a search chooses does not depend on how fast it is."""
    monkeypatch.setattr(tuner, "BREED_SECONDS", 1e6)
    monkeypatch.setattr(search, "SAMPLES", 5)


def model():
    """Two convolutions that differ: two tasks."""
    rng = np.random.default_rng(1)
    b = GraphBuilder("small")
    y = b.input("x", "float32", (1, 16, 8, 8))
    for kernel in (5, 3):
        w = rng.standard_normal((16, 16, kernel, kernel)).astype(np.float32) / 20
        attrs = {"pads": (kernel // 2,) * 4, "strides": (2, 2)}
        (y,) = b.add("conv", [y, b.constant(w)], attrs)
    return b.finish([y])


def tuned(trials=TRIALS, **options):
    """The records of a search and how far it came."""
    records = Records(None)
    done = weft.tune(model(), records=records, trials=trials, threads=1, **options)
    return records, done


def contents(records):
    """All that records say, but for when they were made."""
    rows = [{**asdict(r), "config": config_text(r.config), "made": ""} for r in records]
    return sorted(rows, key=lambda row: (row["key"], row["config"]))


def pids(address):
    with dask.Client(address, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=120)  # one that was killed is started again
        return client.run(os.getpid)


@pytest.fixture(scope="module")
def alone():
    """What a search finds without a cluster."""
    with pytest.MonkeyPatch.context() as m:
        m.setattr(tuner, "BREED_SECONDS", 1e6)
        m.setattr(search, "SAMPLES", 5)
        records, _ = tuned(measure=tune_hooks.quick)
    return contents(records)


def test_two_workers_find_what_one_machine_does(address, alone):
    with DaskExecutor(address, tune_hooks.quick) as executor:
        assert executor.slots == 2
        records, done = tuned(executor=executor)
    assert done.measured == TRIALS and len({s.task.key for s in done.states if s.rounds}) == 2
    assert contents(records) == alone


def test_a_worker_that_is_killed_loses_no_record(address, alone, log):
    before = set(pids(address).values())
    killed = []

    def kill():
        end = time.monotonic() + 120
        while time.monotonic() < end and not (log / "victim").exists():
            time.sleep(0.02)
        killed.append(int((log / "victim").read_text()))
        os.kill(killed[0], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    with DaskExecutor(address, tune_hooks.doomed) as executor:
        records, done = tuned(executor=executor)
    killer.join()
    assert killed[0] in before and killed[0] not in pids(address).values()
    assert done.measured == TRIALS and contents(records) == alone


def test_a_candidate_that_crashes_takes_no_worker(address):
    before = pids(address)
    with DaskExecutor(address, tune_hooks.crash) as executor:
        records, done = tuned(2, executor=executor)
    assert done.states_count == {"ok": 1, "crashed": 1}
    assert any("SIGSEGV" in r.message for r in records)
    assert pids(address) == before


def test_one_that_loops_is_given_up(address):
    (task, *_) = tasks_of(model(), resolve("llvm"))
    space = Space(task, random.Random(0))
    other = next(c for c in iter(space.random, None) if c.trace != space.default.trace)
    with DaskExecutor(address, tune_hooks.hang) as executor:
        (m,) = executor.measure(task, [other.config], 1, 0.5)
        assert m.state == "timeout" and "no answer" in m.message
        (m,) = executor.measure(task, [{}], 1, 300)
        assert m.state == "ok" and m.machine == about().machine


def test_an_interrupt_ends_what_runs_and_keeps_the_records(address):
    """What runs would go on for ever."""
    records = Records(None)

    def interrupt(progress):
        if progress.measured:
            raise KeyboardInterrupt

    with DaskExecutor(address, tune_hooks.hang) as executor:
        options = {"trials": TRIALS, "threads": 1, "timeout": 10_000.0}
        with pytest.raises(KeyboardInterrupt):
            weft.tune(model(), records=records, executor=executor, tell=interrupt, **options)
        assert [r.state for r in records] == ["ok"]  # nothing is said of what was given up
        (task, *_) = tasks_of(model(), resolve("llvm"))
        (m,) = executor.measure(task, [{}], 1, 300)  # the workers are free again
        assert m.state == "ok"


def test_candidates_are_built_on_the_workers(address):
    (task, *_) = tasks_of(model(), resolve("llvm"))
    broken = replace(task, types={})
    with DaskExecutor(address) as executor:
        (made,) = executor.build(task, [{}], 300)
        (none,) = executor.build(broken, [{}], 300)
    exe = made.executable()
    assert exe.program.target == str(task.target) and len(exe.outputs) == 1
    assert none.state != "ok" and not none.package and none.message


def test_templates_are_measured_by_the_workers(address):
    te = weft.te

    @te.template
    def scale(knobs):
        a = te.placeholder((1 << 12,), name="A")
        b = te.compute((1 << 12,), lambda i: a[i] * 2, name="B")
        s = te.create_schedule(b)
        _, i = s[b].split(b.op.axes[0], knobs.choose("lanes", [4, 8, 16], 8))
        s[b].vectorize(i)
        return s, [a, b]

    with DaskExecutor(address) as executor:
        done = weft.tune(scale, trials=3, threads=1, executor=executor)
    assert done.states_count == {"ok": 3} and scale.best()


def test_the_command_line_for_real(address, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    n = Net("conv")
    save(n.build(n.op("Relu", n.conv(n.input("image", [1, 8, 9, 9]), 16, 5)), names=["y"]))
    words = ["tune", "model.onnx", "--threads", "1", "--trials", "3", "--records", "r.sqlite"]
    assert main([*words, "--dask", address]) == 0
    text = out(capsys)
    assert "3 of 3 measured" in text and text.endswith("records: r.sqlite (3)\n")
    assert "of peak" not in text  # it is of other machines
    found = Records(Path("r.sqlite"))
    assert [r.state for r in found] == ["ok"] * 3 and sum(r.winner for r in found) == 1
    assert all(0 < r.seconds < 1 and r.machine == about().machine for r in found)
    tuned, plain = (weft.compile("model.onnx", records=r, cache=False) for r in (found, False))
    found.close()
    x = np.random.default_rng(2).standard_normal((1, 8, 9, 9)).astype(np.float32)
    np.testing.assert_allclose(tuned(x), plain(x), rtol=1e-4, atol=1e-4)
    with pytest.raises(SystemExit):
        main(["tune", "--list", "--dask", address])
    assert "it is for a search" in capsys.readouterr().err


def test_what_cannot_measure_is_told(address, monkeypatch, tmp_path):
    monkeypatch.setattr(cluster, "CONNECT", 2.0)
    with pytest.raises(TuneError, match=r"tcp://127.0.0.1:9: .*cannot be reached[\s\S]*scheduler"):
        DaskExecutor("tcp://127.0.0.1:9")
    with pytest.raises(TuneError, match=r"cannot be reached"):
        DaskExecutor("carrier-pigeon://127.0.0.1")
    with (
        scheduler(tmp_path, 0) as empty,
        pytest.raises(TuneError, match=r"no workers[\s\S]*dask worker tcp"),
    ):
        DaskExecutor(empty)
    with DaskExecutor(address) as executor:
        with pytest.raises(
            TuneError, match=r"\d of its workers[\s\S]*kernels are for 'llvm -mtriple=r"
        ):
            executor.resolve(weft.Target.parse("llvm -mtriple=riscv64-linux-gnu"))
        with pytest.raises(TuneError, match="none for webgpu"):
            executor.resolve(weft.Target.parse("webgpu"))
        (task, *_) = tasks_of(model(), resolve("llvm"))
        with pytest.raises(TuneError, match=r"a Dask worker on .* are to have 4096"):
            executor.measure(task, [{}], 4096, 300)
    with pytest.raises(TuneError, match="closed"):
        executor.measure(task, [{}], 1, 300)
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(TuneError, match=r"weft\[dask\]"):
        DaskExecutor(address)


def test_a_worker_without_weft_is_told(tmp_path):
    code = (
        "import json, sys; sys.path[:] = json.loads(sys.argv[1]); sys.modules['weft'] = None\n"
        "from distributed.cli.dask_worker import main\n"
        "main([sys.argv[2], '--no-nanny', '--nthreads', '1', '--host', '127.0.0.1',"
        " '--dashboard-address', '127.0.0.1:0', '--death-timeout', '60'])"
    )
    with scheduler(tmp_path, 0) as address, dask.Client(address, set_as_default=False) as client:
        words = [sys.executable, "-c", code, json.dumps(sys.path), address]
        worker = subprocess.Popen(words, cwd=tmp_path, stderr=subprocess.DEVNULL)
        try:
            client.wait_for_workers(1, timeout=120)
            with (
                DaskExecutor(address) as executor,
                pytest.raises(TuneError, match=r"cannot be used there: .*No.*weft[\s\S]*install"),
            ):
                executor.resolve(weft.Target.parse("llvm"))
        finally:
            worker.kill()
            worker.wait()


def test_what_a_worker_must_be():
    here = about()
    needs = Needs.to_run(resolve("llvm"))
    assert needs.unmet(here) == ""
    assert Needs.to_run(resolve("llvm -mcpu=x86-64")).unmet(here) == "" or "x86" not in here.target
    assert "weft 9.9" in needs.unmet(replace(here, version="9.9"))
    assert "other sources" in needs.unmet(replace(here, fingerprint=""))
    board = str(resolve("llvm -mtriple=aarch64-linux-gnu -mcpu=cortex-a72"))
    assert "-mcpu=cortex-a72" in needs.unmet(replace(here, target=board))
    assert "--threads 1" in replace(needs, threads=2).unmet(replace(here, threads=1))


# -- built on a cluster, measured on devices of a hub ----------------------------------------------


@pytest.fixture
def hub():
    with LocalHub() as made, Server(made.link, "board"):
        yield made


def test_a_cluster_builds_for_devices_of_a_hub(address, hub, capsys, monkeypatch, tmp_path):
    """The process that searches builds nothing."""

    def build(self, config):
        raise AssertionError("it was built here")

    monkeypatch.setattr(Task, "build", build)
    monkeypatch.chdir(tmp_path)
    n = Net("conv")
    save(n.build(n.op("Relu", n.conv(n.input("image", [1, 8, 9, 9]), 16, 5)), names=["y"]))
    where = ["--rpc", hub.url, "--token", hub.token, "--key", "board", "--dask", address]
    words = ["tune", "model.onnx", "--trials", "4", "--threads", "1", "--records", "r.sqlite"]
    assert main([*words, *where]) == 0
    assert "4 of 4 measured" in out(capsys)
    found = Records(Path("r.sqlite"))
    assert [r.state for r in found] == ["ok"] * 4 and sum(r.winner for r in found) == 1
    found.close()


def test_what_the_cluster_cannot_build_is_told_of_the_candidate(address, hub):

    def turn(wait):
        return connect(hub.url, token=hub.token, key="board", wait=wait)

    with DaskExecutor(address) as cluster, RemoteExecutor(turn, builder=cluster) as executor:
        goal = executor.resolve(weft.Target.parse("llvm"))
        assert executor.slots == 1 + cluster.slots
        (task, *_) = tasks_of(model(), goal)
        space = Space(task, random.Random(0))
        good = next(c for c in iter(space.random, None) if c.trace != space.default.trace).config
        states = executor.measure(task, [{}, good], 1, 300)
        assert [m.state for m in states] == ["ok", "ok"]
        late = executor.measure(task, [{**good, "nobody asks": 1}], 1, 0.0)
        assert [m.state for m in late] == ["timeout"] and "no answer" in late[0].message
