"""``weft tune``: search for better schedules, and look after what was found."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ...runtime import knobs
from ...runtime.errors import RecordError, TuneError, WeftError
from .arguments import Parser, duration, graph_options, is_package, positive
from .models import check_file, options_of

if TYPE_CHECKING:
    from ..tune.records import Record, Records

SEARCH = (
    "target", "shape", "opt_level", "accuracy", "trials", "time", "threads", "timeout", "seed",
    "plot",
)  # fmt: skip


def add_parser(sub: argparse._SubParsersAction, raw: type) -> None:
    """The words of the command line."""
    p: Parser = sub.add_parser(
        "tune", help="search for faster schedules of a model's kernels", formatter_class=raw,
        description="Measure other schedules of a model's kernels on this machine and record them."
        "\nThe next compilation uses the best ones. A search that was interrupted goes on.",
        epilog="examples:\n  weft tune model.onnx --shape N=1 --time 10m\n"
        "  weft tune model.onnx --trials 500 --records model.sqlite --plot progress.svg\n"
        "  weft tune --list\n"
        "  weft tune --export records.jsonl\n"
        "  weft tune --merge other.sqlite --merge more.jsonl",
    )  # fmt: skip
    p.add_argument("model", nargs="?", help="an ONNX file")
    graph_options(p, "this machine, or less of it")
    p.add_argument("--trials", type=positive, metavar="N", help="schedules to measure at most")
    p.add_argument("--time", type=duration, metavar="TIME", help="such as 90s, 10m, 2h "
                   "(default: 10m, or no limit with --trials)")  # fmt: skip
    p.add_argument("--threads", type=positive, metavar="N", help="default: as programs use")
    p.add_argument("--timeout", type=duration, default=20.0, metavar="TIME",
                   help="give a schedule up after this (default: 20s)")  # fmt: skip
    p.add_argument("--seed", type=int, default=0, help="of the search's chance (default: 0)")
    p.add_argument("--records", metavar="FILE", help="default: WEFT_RECORDS, else the user's own")
    p.add_argument("--plot", metavar="FILE.svg", help="write the progress as an image")
    g = p.add_argument_group("records")
    g.add_argument("--list", action="store_true", help="show the best record of each kernel")
    g.add_argument("--export", metavar="FILE", help="write all records as JSON lines")
    g.add_argument("--merge", action="append", default=[], metavar="FILE",
                   help="take over the records of a file, SQLite or JSON lines")  # fmt: skip
    p.counts_if(SEARCH, lambda a: a.model, "it is for a search and needs a model")
    p.set_defaults(run=tune_model)


def tune_model(args: argparse.Namespace) -> int:
    """``weft tune``: the search, and the upkeep of its records."""
    from ..tune.records import Records, read_records

    file = Path(args.records) if args.records else knobs.records_file()
    if file is None:
        raise RecordError(
            "records are turned off.", where="WEFT_RECORDS=0", hint="give a file: --records FILE"
        )
    upkeep = args.list or args.export or args.merge
    if args.model is None and not upkeep:
        raise TuneError("there is no model to tune.", hint="weft tune model.onnx; weft tune --help")
    others = [r for name in args.merge for r in read_records(Path(name))]
    records = Records(file, must_exist=bool(upkeep and not args.merge and args.model is None))
    try:
        if args.merge:
            changed = records.merge(others)
            print(f"{file}: {changed} of {len(others)} records taken over, {len(records)} in all")
        if args.model is not None:
            _search(args, records)
        if args.export:
            print(f"{args.export}: {records.export(Path(args.export))} records")
        if args.list:
            _list(records)
    finally:
        records.close()
    return 0


def _search(args: argparse.Namespace, records: Records) -> None:
    path = check_file(args.model)
    if is_package(path):
        raise TuneError(
            "a package cannot be tuned.", where=str(path), hint="tune the ONNX file, then compile"
        )
    from ...codegen.llvm import generator as llvm
    from ..kernels.roofline import measure_peaks
    from ..tune.tuner import TuneSettings, search
    from ..tune.view import live, sparkline, svg

    options = options_of(args, stores=False)
    threads = args.threads or knobs.num_threads()
    limit = args.time if args.time or args.trials else 600.0
    peak = measure_peaks(llvm.resolve(options.targets[0]), threads).flops
    with live(peak) as tell:
        settings = TuneSettings(
            args.trials, limit, threads, args.timeout, args.seed, tell=tell
        )  # fmt: skip
        done = search(path, options, records, settings)
    _summary(done, peak)
    if done.history:
        print(f"\n{sparkline(done.history)}")
    if args.plot:
        try:
            Path(args.plot).write_text(svg(done.history, path.name), encoding="utf-8")
        except OSError as e:
            raise WeftError(f"the plot cannot be written: {e}.", where=args.plot) from None
    print(f"records: {records.path} ({len(records)})")


def _summary(done, peak: float) -> None:
    from ..tune.view import head

    wide = max([len(s.task.name) for s in done.states], default=4)
    print(f"{'task':<{wide}}  calls        ms   GFLOP/s  of peak   gain")
    for s in done.states:
        if s.champion is None:
            continue
        share = s.gflops * 1e9 / peak if peak else 0.0
        print(
            f"{s.task.name:<{wide}}  {s.task.calls:>5}  {s.seconds * 1e3:8.4f}  {s.gflops:8.1f}"
            f"  {share:7.1%}  {s.gain:.3f}"
        )
    print(head(done))


def _list(records: Records) -> None:
    groups: dict[tuple[str, str, int], list[Record]] = {}
    for r in records:
        groups.setdefault((r.key, r.target, r.threads), []).append(r)
    print(f"{'ms':>9}  {'GFLOP/s':>8}  threads  tried  kernel and configuration")
    for (key, target, threads), tried in groups.items():
        best = records.best(key, target, threads)
        if best is None or best.seconds is None or best.threads != threads:
            print(f"{'-':>9}  {'-':>8}  {threads:>7}  {len(tried):>5}  {tried[0].task}: no success")
            continue
        from ..tune.tuner import describe

        print(
            f"{best.seconds * 1e3:9.4f}  {best.flops / best.seconds * 1e-9:8.1f}  {threads:>7}"
            f"  {len(tried):>5}  {best.task}: {describe(best.config)}"
        )
    print(f"{len(records)} records of {len(groups)} kernels in {records.path}")
