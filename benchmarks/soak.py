"""Does memory come back? Runs, compiles and loads for minutes, and compares.

    make soak                                      100,000 inferences, 2,000 of all else
    make soak ARGS="--targets llvm,opencl"         on others than the processor
    python -m weft.benchmarks.soak --limit 0.5     percent that the process may grow by

Each phase repeats one thing and drops what it made. After a tenth of it (caches are full then, the
allocator has what it needs) the size of the process and the living objects of weft are noted, and
at the end once more. The status is 1 where a phase has grown by more than the limit.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..compiler.driver import compile as compile_model
from ..compiler.graph.builder import GraphBuilder
from ..compiler.graph.graph import Graph
from ..compiler.kernels.build import build
from ..ir import te
from ..runtime.errors import InputError
from ..runtime.executor import load

STATM = Path("/proc/self/statm")
VARIANTS = 8  # models of other sizes: a cache of one would show nothing


@dataclass(frozen=True, slots=True)
class Phase:
    """``work(k)`` is repeated ``count`` times."""

    name: str
    count: int
    work: Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Reading:
    """Bytes of the process in memory, and how many objects of each class of weft are alive."""

    bytes: int
    objects: Counter[str]

    @classmethod
    def now(cls) -> Reading:
        """What is there without garbage."""
        gc.collect()
        size = int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        root = f"{__name__.partition('.')[0]}."
        kinds = (k for k in map(type, gc.get_objects()) if k.__module__ != __name__)
        objects = Counter(k.__qualname__ for k in kinds if str(k.__module__).startswith(root))
        return cls(size, objects)


@dataclass(frozen=True, slots=True)
class Result:
    """A phase: how long it took, and what was there after its first tenth and at its end."""

    phase: Phase
    seconds: float
    before: Reading
    after: Reading

    @property
    def percent(self) -> float:
        """How much the process has grown by."""
        return (self.after.bytes / self.before.bytes - 1) * 100

    @property
    def more(self) -> Counter[str]:
        """The classes of weft with more objects than before, and how many more."""
        return self.after.objects - self.before.objects

    def __str__(self) -> str:
        before, after = self.before.bytes / 2**20, self.after.bytes / 2**20
        more = ", ".join(f"{n} {kind}" for kind, n in self.more.most_common(5)) or "none"
        return (
            f"{self.phase.name:<24}{self.phase.count:>8} times {self.seconds:>8.1f} s"
            f"{before:>9.2f} → {after:.2f} MiB ({self.percent:+.2f} %), more objects: {more}"
        )


def soak(phase: Phase) -> Result:
    """Carry a phase out."""
    begin = time.perf_counter()
    warm = max(1, phase.count // 10)
    for k in range(warm):
        phase.work(k)
    before = Reading.now()
    for k in range(warm, phase.count):
        phase.work(k)
    return Result(phase, time.perf_counter() - begin, before, Reading.now())


def model(variant: int) -> Graph:
    """A matrix product, a residual and a ReLU: small, so that thousands are compiled in minutes."""
    rng, size = np.random.default_rng(variant), 16 + variant
    b = GraphBuilder(f"soak{variant}")
    x = b.input("x", "float32", (2, size))
    (y,) = b.add("matmul", [x, b.constant(rng.random((size, size), np.float32), "w")])
    (y,) = b.add("add", [y, x])
    (y,) = b.add("relu", [y])
    return b.finish([y])


def phases(target: str, counts: argparse.Namespace, folder: Path) -> Iterator[Phase]:
    """What is repeated on a target."""
    models = [model(k) for k in range(VARIANTS)]
    inputs = [np.ones(m.types["x"].shape, np.float32) for m in models]
    exe = compile_model(models[0], target)
    packages = []
    for k, m in enumerate(models):
        packages.append(folder / f"{target.split(maxsplit=1)[0]}{k}.weft")
        compile_model(m, target).save(packages[-1])

    def infer(k: int) -> None:
        x = inputs[0]
        if k % 4 == 0:
            exe.run({"x": np.asfortranarray(x)})  # copied first
        elif k % 1000 == 1:
            try:
                exe(x[0])
            except InputError:
                return
        else:
            exe(x)

    def compiled(k: int) -> None:
        n = k % VARIANTS
        compile_model(models[n], target, cache=False)(inputs[n])

    def cached(k: int) -> None:
        n = k % VARIANTS
        compile_model(models[n], target)(inputs[n])

    def loaded(k: int) -> None:
        n = k % VARIANTS
        load(packages[n])(inputs[n])

    def built(k: int) -> None:
        extent = 64 + k % VARIANTS
        a = te.placeholder((extent,), name="a")
        s = te.create_schedule(te.compute((extent,), lambda i: a[i] + 1, name="b"))
        x = np.zeros(extent, np.float32)
        build(s, [a, *s.outputs])(x, x.copy())

    yield Phase(f"{target}: infer", counts.inferences, infer)
    yield Phase(f"{target}: load, run, drop", counts.loads, loaded)
    yield Phase(f"{target}: compile, run, drop", counts.compiles, compiled)
    yield Phase(f"{target}: the same, cached", counts.compiles, cached)
    if target.split(maxsplit=1)[0] == "llvm":
        yield Phase(f"{target}: build, run, drop", counts.builds, built)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; its status is 1 where a phase has grown by more than the limit."""
    parser = argparse.ArgumentParser(prog="python -m weft.benchmarks.soak", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--targets", default="llvm", help="separated by commas (default: llvm)")
    parser.add_argument("--inferences", type=int, default=100_000, help="(default: 100000)")
    for what in ("compiles", "loads", "builds"):
        parser.add_argument(f"--{what}", type=int, default=2000, help="(default: 2000)")
    parser.add_argument("--limit", type=float, default=1, help="percent of growth (default: 1)")
    given = parser.parse_args(arguments)
    if not STATM.exists():
        parser.error(f"the size of the process is read from {STATM}, which this system lacks")
    Reading.now()  # the list of all objects is the largest thing that is made here
    grown = []
    with tempfile.TemporaryDirectory(prefix="weft-soak-") as folder:
        for target in given.targets.split(","):
            for phase in phases(target, given, Path(folder)):
                if phase.count > 0:
                    result = soak(phase)
                    print(result, flush=True)
                    grown += [phase.name] if result.percent > given.limit else []
    for name in grown:
        print(f"{name} has grown by more than {given.limit} %")
    return 1 if grown else 0


if __name__ == "__main__":
    sys.exit(main())
