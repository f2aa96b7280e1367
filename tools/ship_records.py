"""Write the tuning records that come with weft: .venv/bin/python tools/ship_records.py RECORDS...

Of the tasks of the zoo's models, takes the configuration that won the last comparison in one of the
given files of records, where that is not the default one. Rewrites ``compiler/tune/shipped/``, but
for records of other families of processors, which stay as they are.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from itertools import product
from pathlib import Path

from weft.benchmarks import zoo
from weft.codegen.llvm import generator as llvm
from weft.compiler.kernels.facts import trace_hash
from weft.compiler.options import ACCURACIES, CompileOptions
from weft.compiler.schedules.choices import Choices
from weft.compiler.tune.records import Record, Records, read_records
from weft.compiler.tune.task import tasks_of
from weft.ir.target import Target

MODELS = ("resnet18", "resnet50", "mobilenet_v2", "mnist_cnn", "encoder", "vgg11")
FILE = Path(__file__).parents[1] / "compiler" / "tune" / "shipped" / "llvm.jsonl"
MARGIN = 0.03  # a gain that is less than this may be noise


def main(sources: list[str]) -> int:
    if not sources:
        print(__doc__)
        return 2
    store = Records(None)
    for name in sources:
        store.merge(read_records(Path(name)))
    target = llvm.resolve(Target.parse("llvm"))
    found: dict[tuple[str, int], Record] = {}
    for name, accuracy in product(MODELS, ACCURACIES):
        model = zoo.random_model(name)
        options = CompileOptions(shapes=zoo.shapes(model), accuracy=accuracy)
        for task in tasks_of(model, target, options):
            default = _trace(task, Choices())
            for threads in (1, 2):
                measured = {r.trace: r for r in store.of(task.key, str(target), threads)}
                won = [r for r in measured.values() if r.winner]
                if not won or won[0].trace == default or default not in measured:
                    continue
                usual, best = measured[default].seconds, won[0].seconds
                same = _trace(task, Choices(won[0].config)) == won[0].trace
                if same and usual and best and best < usual * (1 - MARGIN):
                    found[task.key, threads] = replace(won[0], target=target.family, machine="")
    kept = [r for r in read_records(FILE) if r.target != target.family]
    lines = sorted(kept + list(found.values()), key=lambda r: (r.target, r.task, r.key, r.threads))
    FILE.write_text("".join(r.to_json() + "\n" for r in lines), encoding="utf-8")
    print(f"{FILE}: {len(found)} records of {target.family}, {len(kept)} of other processors")
    return 0


def _trace(task, choices: Choices) -> str:
    _, schedule, _ = task.schedule(choices)
    return trace_hash(schedule)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
