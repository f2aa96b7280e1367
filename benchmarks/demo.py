"""``make demo``: compile a trained image classifier and show it four photographs, on this
processor and in a browser.

Ends with exit code 1 when weft and ONNX Runtime disagree, or the browser and the processor.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnx
from rich.console import Console
from rich.table import Table

from .. import compile as compile_model
from ..ir.target import Target
from . import demo_web
from .zoo import judge, real

ABOUT = {
    "chelsea.png": "a cat called Chelsea",
    "coffee.png": "a cup of coffee",
    "rocket.jpg": "a rocket, lifting off",
    "motorcycle_left.png": "a motorcycle",
}


def main() -> int:
    # The table must not depend on a terminal being there: a log is as wide as it needs to be.
    console = Console(width=None if sys.stdout.isatty() else 110)
    console.print("[bold]1.[/] EfficientNet-Lite0, trained on ImageNet: building its ONNX file …")
    names, model = real.class_names(), real.efficientnet_lite0()
    with tempfile.TemporaryDirectory(prefix="weft-demo-") as folder:
        path = Path(folder) / "efficientnet-lite0.onnx"
        onnx.save(model, path)
        size = path.stat().st_size / 1e6
        console.print(f"   {path.name}: {len(model.graph.node)} operators, {size:.1f} MB")
        with console.status("compiling for this machine …"):
            begin = time.perf_counter()
            exe = compile_model(path, shapes={"N": 1})
            seconds = time.perf_counter() - begin
    goal = Target.parse(exe.program.target)
    machine = (
        f"{goal.mcpu}, {goal.num_vector_registers} vector registers of {goal.vector_bits} bits"
    )
    console.print(f"[bold]2.[/] Compiled in {seconds:.1f} s for this processor ({machine}):")
    console.print(f"   {len(exe.program.steps)} kernel calls; {exe.memory}", soft_wrap=True)
    console.print("[bold]3.[/] What is in the photographs?")
    table = Table("photograph", "answer", "probability", "ms", "against ONNX Runtime")
    worst, agreed = 0.0, True
    for name in real.PHOTOS:
        image = real.pixels(real.photo(name))
        logits = exe(image)
        times = exe.benchmark(image, repeat=5)
        theirs = judge.reference(model, {"image": image})["logits"]
        error = judge.relative_error(logits, theirs)
        same = np.array_equal(np.argsort(-logits[0])[:5], np.argsort(-theirs[0])[:5])
        worst, agreed = max(worst, error), agreed and same
        p = real.softmax(logits)[0]
        for rank, k in enumerate(np.argsort(-p)[:5]):
            lead = rank == 0
            table.add_row(
                name if lead else (ABOUT[name] if rank == 1 else ""),
                names[k],
                f"{p[k]:7.1%} " + "█" * round(12 * float(p[k])),
                f"{times.median_ms:.2f}" if lead else "",
                f"{error:.1e}, {'same' if same else 'DIFFERENT'} top 5" if lead else "",
                end_section=rank == 4,
            )
    console.print(table)
    if worst > judge.TOLERANCE or not agreed:
        console.print(f"[bold red]weft and ONNX Runtime disagree[/]: relative error {worst:.1e}")
        return 1
    console.print(
        f"[bold green]weft and ONNX Runtime agree[/]: largest relative error {worst:.1e} "
        f"(allowed: {judge.TOLERANCE:.0e})"
    )
    lacking = demo_web.missing()
    if lacking:
        console.print(
            "[yellow]The part in the browser is left out.[/] Missing: " + "; ".join(lacking)
        )
        return 0
    if not demo_web.show(console, model, names):
        console.print("[bold red]the browser and the processor disagree[/]")
        return 1
    console.print("[bold green]The browser and the processor agree[/] on every answer")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
