"""The kernel cache: what is stored is found, damage is dropped, writers never meet."""

import logging
import multiprocessing
import os

import pytest
from weft.compiler.kernels import cache as module
from weft.compiler.kernels.cache import KernelCache, fingerprint, kernel_cache, kernel_key
from weft.compiler.kernels.compiled import CompiledGroup, Launch
from weft.runtime.artifact import Param

KERNEL = CompiledGroup.single("k_1", (Param("p0", "float32", (2, 3), "r"),), bytes(range(256)))
MIB = 1 << 20


def fresh(folder, limit=MIB):
    """A cache as a new process sees it: nothing in memory."""
    return KernelCache(folder, limit)


def entry(folder):
    (path,) = folder.rglob("*.kernel")
    return path


def test_what_is_put_is_found_in_memory_and_on_disk(tmp_path):
    cache = fresh(tmp_path)
    key = kernel_key("a", "llvm")
    assert cache.get(key) is None
    cache.put(key, KERNEL)
    assert cache.get(key) == KERNEL
    assert fresh(tmp_path).get(key) == KERNEL
    s = cache.stats()
    assert (s.entries, s.memory_entries, s.memory_hits, s.disk_hits, s.misses) == (1, 1, 1, 0, 1)
    assert s.bytes == entry(tmp_path).stat().st_size and str(tmp_path) in str(s)


def test_every_launch_is_found_again(tmp_path):
    params = (Param("p0", "float32", (2, 3), "r"), Param("p1", "int8", (), "w"))
    group = CompiledGroup(
        "g", params,
        (
            Launch("g", (params[0],), (0,), {"blockIdx.x": 3, "threadIdx.x": 64}, b"first", 96),
            Launch("g_1", params, (2, 1), {"fragment.x": 7}, b""),
            Launch("g_2", (), (), {}, bytes(range(256))),
        ),
        (("float32", (4, 5)), ("int64", ())), "wasm", "no such numbers", {"flops": 3},
    )  # fmt: skip
    fresh(tmp_path).put("aabb", group)
    assert fresh(tmp_path).get("aabb") == group
    assert group.nbytes == 5 + 256 and list(group.codes) == ["g", "g_1", "g_2"]


def test_without_a_folder_it_is_kept_in_memory_only(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cache = KernelCache(None, MIB)
    cache.put("k", KERNEL)
    assert cache.get("k") == KERNEL
    assert cache.stats().entries == 0 and os.listdir(tmp_path) == []


def test_every_part_of_the_key_counts():
    keys = {
        kernel_key("a", "llvm"), kernel_key("b", "llvm"), kernel_key("a", "llvm -mcpu=x"),
        kernel_key("a", "llvm", "split"), kernel_key("a\0llvm", ""),
    }  # fmt: skip
    assert len(keys) == 5
    assert all(len(k) == 64 for k in keys)


def test_another_compiler_has_other_keys(monkeypatch):
    before = kernel_key("a", "llvm")
    monkeypatch.setattr(module, "fingerprint", lambda: "another")
    assert kernel_key("a", "llvm") != before
    assert len(fingerprint()) == 64


@pytest.mark.parametrize(
    "damage",
    [
        lambda d: d[:-1],
        lambda d: d[:10],
        lambda d: b"",
        lambda d: d + b"x",
        lambda d: d[:100] + bytes([d[100] ^ 1]) + d[101:],
        lambda d: b"other magic" + d,
    ],
)
def test_a_damaged_entry_is_dropped_and_logged(tmp_path, damage, caplog):
    fresh(tmp_path).put("aabb", KERNEL)
    path = entry(tmp_path)
    path.write_bytes(damage(path.read_bytes()))
    with caplog.at_level(logging.WARNING, "weft.cache"):
        assert fresh(tmp_path).get("aabb") is None
    assert "dropped the damaged cache entry" in caplog.text
    assert not path.exists()


def test_an_entry_under_a_foreign_name_is_not_believed(tmp_path):
    fresh(tmp_path).put("aabb", KERNEL)
    path = entry(tmp_path)
    path.rename(path.with_name("aacc.kernel"))
    assert fresh(tmp_path).get("aacc") is None


def test_the_least_recently_used_leave_first(tmp_path):
    big = CompiledGroup.single("k", (), bytes(1000))
    keys = [f"{k:02d}ff" for k in range(20)]
    cache = fresh(tmp_path, limit=100_000)
    for k, key in enumerate(keys):
        cache.put(key, big)
        os.utime(cache._path(key), (k, k))
    assert fresh(tmp_path).get(keys[0]) == big  # used now: it is the newest
    small = fresh(tmp_path, limit=10_000)
    small.put("99ff", big)
    left = {p.stem for p in tmp_path.rglob("*.kernel")}
    assert small.stats().bytes <= 10_000
    assert {keys[0], "99ff", keys[19]} <= left and keys[1] not in left


def test_it_stays_bounded_over_many_writes(tmp_path):
    cache = fresh(tmp_path, limit=20_000)
    for k in range(100):
        cache.put(f"{k:02d}ff", CompiledGroup.single("k", (), bytes(1000)))
        assert cache.stats().bytes <= 20_000
    assert cache.stats().entries > 5


def test_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(module, "_MEMORY_LIMIT", 2500)
    monkeypatch.setattr(module, "_OBJECTS", 0)
    cache = KernelCache(None, MIB)
    for name in "abc":
        cache.put(name, CompiledGroup.single("k", (), bytes(1000)))
    assert cache.get("a") is None and cache.get("c") is not None
    cache.put("c", CompiledGroup.single("k", (), bytes(10)))  # replacing frees the bytes
    cache.put("d", CompiledGroup.single("k", (), bytes(1000)))
    assert cache.get("b") is not None


def test_what_describes_a_kernel_counts_too(monkeypatch):
    monkeypatch.setattr(module, "_MEMORY_LIMIT", 1 << 20)
    cache = KernelCache(None, MIB)
    for k in range(1000):
        cache.put(str(k), CompiledGroup.single("k", (), b"c"))
    assert 100 < cache.stats().memory_entries < 400


def test_clear(tmp_path):
    cache = fresh(tmp_path)
    cache.put("aabb", KERNEL)
    cache.put("ccdd", KERNEL)
    assert cache.clear() == 2
    assert cache.get("aabb") is None and cache.stats().entries == 0


def test_a_disk_that_cannot_be_written_is_no_error(tmp_path, caplog):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    cache = fresh(blocked)
    with caplog.at_level(logging.WARNING, "weft.cache"):
        cache.put("aabb", KERNEL)
        cache.put("aacc", KERNEL)
    assert caplog.text.count("cannot be written") == 1
    assert cache.get("aabb") == KERNEL and cache.get("ccdd") is None


def test_a_failed_write_leaves_nothing(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(module.Path, "replace", fail)
    fresh(tmp_path).put("aabb", KERNEL)
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


def _hammer(folder, seed):
    cache = KernelCache(folder, 30_000)
    for k in range(150):
        key = f"{(k * 7 + seed) % 12:02d}ff"
        cache.put(key, CompiledGroup.single(key, (), key.encode() * 500))
        found = KernelCache(folder, 30_000).get(f"{k % 12:02d}ff")
        if found is not None and found.codes[found.symbol] != found.symbol.encode() * 500:
            os._exit(1)


def test_processes_share_a_folder(tmp_path):
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_hammer, args=(tmp_path, k)) for k in range(3)]
    for w in workers:
        w.start()
    for w in workers:
        w.join(60)
    assert [w.exitcode for w in workers] == [0, 0, 0]
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or path.suffix == ".kernel", f"{path} was left behind"


def test_the_environment_chooses_the_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("WEFT_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("WEFT_CACHE_MB", "3")
    assert kernel_cache().folder == tmp_path / "kernels"
    assert kernel_cache().limit_bytes == 3 * MIB
    assert kernel_cache() is kernel_cache()
    monkeypatch.setenv("WEFT_CACHE", "0")
    assert kernel_cache().folder is None
