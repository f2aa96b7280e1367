"""Memory comes back when the last name of a thing goes, without the cyclic collector.

Nothing here looks at the size of the process: live objects are counted, and what holds native
memory has one.
"""

import gc
import threading
from weakref import ref

import numpy as np
import pytest
import weft
from llvmlite.binding import newpassmanagers
from weft import te
from weft.compiler.graph.builder import GraphBuilder
from weft.ir.visit import Mutator
from weft.runtime.devices.cpu import engine
from weft.runtime.devices.probe import probe
from weft.runtime.errors import ClosedError
from weft.runtime.executor import load
from weft.runtime.ndarray import ALIGNMENT, address, aligned_bytes


@pytest.fixture(autouse=True)
def without_collector():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def alive(kind: type) -> int:
    return sum(type(o) is kind for o in gc.get_objects())


def weights(rows: int = 16, columns: int = 4) -> np.ndarray:
    """Where no kernel may read it: numpy's own arrays may lie at any address."""
    block = aligned_bytes(4 * rows * columns + ALIGNMENT)
    array = block[4 : 4 + 4 * rows * columns].view(np.float32).reshape(rows, columns)
    array[...] = np.arange(array.size).reshape(array.shape)
    return array


def product(w: np.ndarray):
    b = GraphBuilder("product")
    x = b.input("x", "float32", (2, w.shape[0]))
    (y,) = b.add("matmul", [x, b.constant(w, "w")])
    (y,) = b.add("relu", [y])
    return b.finish([y])


X = np.ones((2, 16), np.float32)


def test_engines_go_with_their_libraries(tmp_path):
    weft.compile(product(weights())).save(tmp_path / "m.weft")
    engines, libraries = alive(engine.Engine), alive(engine.Library)
    for _ in range(3 * engine.LINKS):
        load(tmp_path / "m.weft")(X)
    assert alive(engine.Engine) <= engines + 1
    assert alive(engine.Library) == libraries


def test_an_engine_stays_as_long_as_one_of_its_libraries(tmp_path):
    weft.compile(product(weights())).save(tmp_path / "m.weft")
    kept = load(tmp_path / "m.weft")
    want = kept(X)
    for _ in range(2 * engine.LINKS):
        load(tmp_path / "m.weft")
    np.testing.assert_array_equal(kept(X), want)


def test_passes_of_llvm_are_given_back(monkeypatch):
    """llvmlite 0.50 forgets to: its class finds the base's ``_dispose``, which does nothing."""
    made, given_back = [], []
    new = newpassmanagers.ModulePassManager.__init__
    old = newpassmanagers.NewPassManager._dispose

    def create(self, *args):
        made.append(1)
        new(self, *args)

    def dispose(self):
        given_back.append(1)
        old(self)

    monkeypatch.setattr(newpassmanagers.ModulePassManager, "__init__", create)
    monkeypatch.setattr(newpassmanagers.NewPassManager, "_dispose", dispose)
    weft.compile(product(weights()), cache=False)
    assert made and len(given_back) == len(made)


def test_passes_leave_nothing_behind():
    def mutators() -> int:
        return sum(issubclass(type(o), Mutator) for o in gc.get_objects())

    before = mutators()
    weft.compile(product(weights()), cache=False)
    assert mutators() == before


def test_constants_are_held_once():
    w = weights()
    exe = weft.compile(product(w))
    given = ref(w)
    del w
    assert given() is None  # it was copied to where kernels may read it
    [held] = exe.params.values()
    assert address(held) % ALIGNMENT == 0
    [read] = exe._storage.constants.values()
    assert np.shares_memory(held, read)


@pytest.fixture(params=["llvm", "opencl", "opengl", "webgpu"])
def target(request):
    found = probe(request.param)
    if not found.ok:
        pytest.skip(found.reason)
    return request.param


def compiled(target: str, w: np.ndarray | None = None):
    return weft.compile(product(weights() if w is None else w), target, cache=False)


def parts(exe):
    """What holds memory of an executable."""
    runner = exe.prepare().runner
    held = [exe, exe._storage, runner, *exe.params.values(), *exe._storage.constants.values()]
    held += [runner.idle[0].arena, runner._library] if exe.kind == "llvm" else []
    return [ref(h) for h in held]


@pytest.fixture
def freed(monkeypatch, target):
    """The runners whose device's memory was given back, one after the other."""
    kind = type(compiled(target).prepare().runner)
    given_back: list[int] = []
    free = getattr(kind, "_free", lambda runner: None)

    def spy(runner):
        given_back.append(id(runner))
        free(runner)

    monkeypatch.setattr(kind, "_free", spy, raising=False)
    return given_back


def test_all_goes_with_the_last_name(target, freed):
    w = weights()
    exe = compiled(target, w)
    want = exe(X)
    for _ in range(3):
        np.testing.assert_array_equal(exe.run({"x": X})[next(iter(exe.outputs))], want)
    exe.profile(X, repeat=1)
    with pytest.raises(weft.WeftError):
        exe(X[0])
    held = [*parts(exe), ref(w)]
    runners = [] if target == "llvm" else [id(exe.runner)]
    freed.clear()
    del exe, w
    assert [h() for h in held] == [None] * len(held)
    assert freed == runners


def test_all_goes_when_it_is_closed(target, freed):
    exe = compiled(target)
    exe(X)
    held = [h for h in parts(exe) if h() is not exe]
    runners = [] if target == "llvm" else [id(exe.runner)]
    freed.clear()
    with exe:
        pass
    assert [h() for h in held] == [None] * len(held)
    exe.close()
    del exe
    assert freed == runners  # once


@pytest.mark.parametrize(
    "use",
    [
        lambda exe, path: exe(X),
        lambda exe, path: exe.run({"x": X}),
        lambda exe, path: exe.call([X], [np.zeros((2, 4), np.float32)]),
        lambda exe, path: exe.profile(X),
        lambda exe, path: exe.benchmark(X),
        lambda exe, path: exe.prepare(),
        lambda exe, path: exe.runner,
        lambda exe, path: exe.codes,
        lambda exe, path: exe.params,
        lambda exe, path: exe.save(path),
    ],
)
def test_what_was_closed_says_so(use, tmp_path):
    exe = weft.compile(product(weights()))
    before = repr(exe), dict(exe.inputs), dict(exe.outputs), exe.memory
    exe.close()
    with pytest.raises(ClosedError, match=r"product: the executable was closed\.\n  hint: load or"):
        use(exe, tmp_path / "m.weft")
    assert not (tmp_path / "m.weft").exists()
    assert before == (repr(exe), dict(exe.inputs), dict(exe.outputs), exe.memory)


def in_the_middle(exe, do):
    """Have ``do`` called in the middle of every run."""
    runner = exe.prepare().runner
    place, name = (runner.idle[0], "call") if exe.kind == "llvm" else (runner, "_start")
    run = getattr(place, name)

    def middle(*args):
        do()
        return run(*args)

    setattr(place, name, middle)


def test_closing_waits_for_the_call_of_another_thread(target):
    exe = compiled(target)
    want, got = exe(X), []
    inside, go_on = threading.Event(), threading.Event()

    def wait():
        inside.set()
        go_on.wait(60)

    in_the_middle(exe, wait)
    caller = threading.Thread(target=lambda: got.append(exe(X)))
    closer = threading.Thread(target=lambda: (exe.close(), got.append("closed")))
    caller.start()
    inside.wait(60)
    closer.start()
    assert got == []
    go_on.set()
    caller.join()
    closer.join()
    np.testing.assert_array_equal(got[0], want)
    assert got[1] == "closed"


def test_a_call_may_be_interrupted_by_closing(target):
    """As a signal handler or a finaliser does."""
    exe = compiled(target)
    want = exe(X)
    in_the_middle(exe, exe.close)
    np.testing.assert_array_equal(exe(X), want)
    with pytest.raises(ClosedError):
        exe(X)


def add_one():
    A = te.placeholder((8,), name="A")
    B = te.compute((8,), lambda i: A[i] + 1, name="B")
    return weft.build(te.create_schedule(B), [A, B])


def test_kernels_go_with_their_last_name():
    before = alive(engine.Library)
    kernel = add_one()
    kernel(np.zeros(8, np.float32), np.zeros(8, np.float32))
    held = [ref(kernel), ref(kernel.executable), ref(kernel.executable.runner)]
    assert alive(engine.Library) == before + 1
    del kernel
    assert [h() for h in held] == [None] * len(held)
    assert alive(engine.Library) == before


@pytest.mark.parametrize("used", [False, True])
def test_kernels_are_closed(used):
    before = alive(engine.Library)
    arrays = np.zeros(8, np.float32), np.zeros(8, np.float32)
    with add_one() as kernel:
        if used:
            kernel(*arrays)
    kernel.close()
    assert alive(engine.Library) == before
    with pytest.raises(ClosedError, match=r"main: the (kernel|executable) was closed"):
        kernel(*arrays)
