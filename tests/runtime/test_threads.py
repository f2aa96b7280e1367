"""How many threads run parallel loops: of the process, and of a program at most."""

import ctypes
from dataclasses import replace

import numpy as np
import pytest
import weft
from weft.compiler.cli.main import main
from weft.compiler.graph.builder import GraphBuilder
from weft.compiler.kernels.cache import KernelCache
from weft.ir.target import Target
from weft.runtime.devices.cpu import cpu
from weft.runtime.errors import InputError, TargetError, WeftError
from weft.runtime.executor import Executable, load

NUMBERS = [0, -1, 1025, True, False, 2.0, "2", None, np.float32(2)]


@pytest.fixture(autouse=True)
def threads():
    before = weft.get_num_threads()
    yield
    weft.set_num_threads(before)


@pytest.fixture(scope="module")
def graph():
    b = GraphBuilder("g")
    x = b.input("x", "float32", (64, 4096))
    return b.finish(list(b.add("exp", [x])))


def test_the_process_has_as_many_as_it_is_told():
    for n in (3, np.int64(2), 1):
        weft.set_num_threads(n)
        assert weft.get_num_threads() == n


@pytest.mark.parametrize("n", NUMBERS)
def test_what_is_no_number_of_threads(n, graph):
    before = weft.get_num_threads()
    with pytest.raises(InputError, match=r"is no number of threads(.|\n)*from 1 to 1024"):
        weft.set_num_threads(n)
    assert weft.get_num_threads() == before
    if n is not None:  # no limit
        with pytest.raises(InputError, match="is no number of threads"):
            weft.compile(graph, threads=n)


def parts(most: int, begin: int, end: int) -> list[tuple[int, int]]:
    """What the bodies of one loop were given."""
    seen = []
    kind = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
    body = kind(lambda _, b, e: seen.append((b, e)))
    i64, pointer = ctypes.c_int64, ctypes.c_void_p
    address = cpu._native().parallel_for_at_most(most)
    loop = ctypes.CFUNCTYPE(None, pointer, pointer, i64, i64)(address)
    loop(ctypes.cast(body, pointer), None, begin, end)
    return sorted(seen)


@pytest.mark.parametrize("most", [1, 2, 3, 4, 7])
def test_a_loop_has_no_more_parts_than_threads(most):
    """A part is run by one thread, so that no more than ``most`` can be at work."""
    weft.set_num_threads(4)
    for begin, end in ((3, 103), (0, 1), (-7, 8), (5, 5), (5, 3)):
        found = parts(most, begin, end)
        assert [n for b, e in found for n in range(b, e)] == list(range(begin, end))
        assert len(found) <= most or most >= 4
    assert len(parts(4, 0, 1000)) > 4  # no limit: as ever, several parts a thread


def test_a_program_keeps_its_limit(graph, tmp_path, monkeypatch):
    asked, real = [], cpu._Native.parallel_for_at_most

    def spy(self, threads):
        asked.append(threads)
        return real(self, threads)

    monkeypatch.setattr(cpu._Native, "parallel_for_at_most", spy)
    weft.set_num_threads(4)
    x = np.linspace(-1, 1, 64 * 4096, dtype=np.float32).reshape(64, 4096)
    cache = KernelCache(None, 1 << 20)
    want = weft.compile(graph, cache=cache)(x)
    exe = weft.compile(graph, threads=2, cache=cache)
    assert cache.stats().misses == 1  # kernels are the same for any number
    np.testing.assert_array_equal(exe(x), want)
    exe.save(tmp_path / "m.weft")
    np.testing.assert_array_equal(load(tmp_path / "m.weft")(x), want)
    assert asked == [0, 2, 2]
    assert Target.parse(exe.program.target).num_threads == 2
    assert Target.parse("llvm -num_threads=2").family == Target.parse("llvm").family


def test_where_there_are_no_threads(graph):
    with pytest.raises(TargetError, match="threads=2 has no effect on programs for webgpu"):
        weft.compile(graph, "webgpu", threads=2)
    with pytest.raises(TargetError, match="no effect on programs for wasm"):
        weft.compile(graph, "wasm -num_threads=2")
    with pytest.raises(InputError, match="-1 is no number of threads"):
        weft.compile(graph, "llvm -num_threads=-1")
    one, other = weft.compile_many(graph, ["llvm", "webgpu -fallback=none"], threads=2)
    assert "-num_threads=2" in one.program.target
    assert "num_threads" not in other.program.target


@pytest.mark.parametrize("text", ["0x2", "-3", "many", "4096", "2.5"])
def test_a_package_with_a_damaged_limit(graph, text):
    exe = weft.compile(graph)
    program = replace(exe.program, target=f"llvm -num_threads={text}")
    with pytest.raises(WeftError, match="is no number of threads"):
        Executable(program, exe.codes, exe.params).prepare()


def test_the_command_line(graph, tmp_path):
    weft.compile(graph).save(tmp_path / "m.weft")
    np.save(tmp_path / "x.npy", np.ones((64, 4096), np.float32))
    words = ["run", str(tmp_path / "m.weft"), "--input", str(tmp_path / "x.npy")]
    assert main([*words, "--threads", "3"]) == 0
    assert weft.get_num_threads() == 3
