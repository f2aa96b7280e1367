"""``weft tune``: search for better schedules, and look after what was found."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ...ir.target import HOST
from ...runtime import knobs
from ...runtime.errors import RecordError, TuneError
from ...runtime.files import check_output, write_file
from .arguments import (
    MODEL,
    Parser,
    any_target,
    duration,
    filename,
    graph_options,
    has_threads,
    is_package,
    positive,
    remote_options,
    seed,
)  # fmt: skip
from .models import check_file, options_of, read_files, source_of
from .progress import messages_beside
from .remote import turns
from .streams import say

if TYPE_CHECKING:
    from ..tune.executor import Executor
    from ..tune.records import Record, Records

SEARCH = (
    "target", "shape", "opt_level", "accuracy", "trials", "time", "threads", "timeout", "seed",
    "plot", "kernels", "rpc", "dask",
)  # fmt: skip


def add_parser(sub: argparse._SubParsersAction, raw: type) -> None:
    """The words of the command line."""
    p: Parser = sub.add_parser(
        "tune", help="search for faster schedules of a model's kernels", formatter_class=raw,
        description="Measure other schedules of a model's kernels, here or on devices of a hub, and"
        " record them.\nThe next compilation uses the best ones. A search that was interrupted goes"
        " on.",
        epilog="examples:\n  weft tune model.onnx --shape N=1 --time 10m\n"
        "  weft tune model.onnx --trials 500 --records model.sqlite --plot progress.svg\n"
        "  weft tune model.onnx --target webgl --rpc ws://127.0.0.1:9190 --key phones --time 1h\n"
        "  weft tune model.onnx --dask tcp://192.168.1.7:8786\n"
        "  weft tune model.onnx --target webgpu --rpc LINK --dask tcp://192.168.1.7:8786\n"
        "  weft tune --list\n"
        "  weft tune --export records.jsonl\n"
        "  weft tune --merge other.sqlite --merge more.jsonl",
    )  # fmt: skip
    p.add_argument("model", nargs="?", type=filename, help=MODEL)
    graph_options(p, "what is compiled for later: this machine, or less of it, or with --rpc what "
                  "a device runs")  # fmt: skip
    p.add_argument("--kernels", type=positive, metavar="N",
                   help="only so many, those that compute most (default: all)")  # fmt: skip
    p.add_argument("--trials", type=positive, metavar="N", help="schedules to measure at most")
    p.add_argument("--time", type=duration, metavar="TIME", help="such as 90s, 10m, 2h "
                   "(default: 10m, or no limit with --trials)")  # fmt: skip
    p.add_argument("--threads", type=positive, metavar="N", help="default: as programs use")
    p.add_argument("--timeout", type=duration, default=20.0, metavar="TIME",
                   help="give a schedule up after this (default: 20s)")  # fmt: skip
    p.add_argument("--seed", type=seed, default=0, help="of the search's chance (default: 0)")
    p.add_argument("--records", type=filename, metavar="FILE",
                   help="default: WEFT_RECORDS, else the user's own")  # fmt: skip
    p.add_argument("--plot", type=filename, metavar="FILE.svg",
                   help="write the progress as an image")  # fmt: skip
    p.add_argument("--dask", metavar="ADDRESS",
                   help="measure on a Dask cluster, by its scheduler: tcp://HOST:8786; with --rpc "
                   "build there what the devices measure")  # fmt: skip
    g = p.add_argument_group("records")
    g.add_argument("--list", action="store_true", help="show the best record of each kernel")
    g.add_argument(
        "--export", type=filename, metavar="FILE", help="write all records as JSON lines"
    )
    g.add_argument("--merge", action="append", type=filename, default=[], metavar="FILE",
                   help="take over the records of a file, SQLite or JSON lines")  # fmt: skip
    remote_options(p, "time the schedules", "--rpc-timeout")
    p.add_argument("--devices", type=positive, default=64, metavar="N",
                   help="use so many devices of the key at most (default: all that are free)",
                   )  # fmt: skip
    p.counts_if(("devices",), lambda a: a.rpc, "it is about devices elsewhere and needs --rpc URL")
    p.counts_if(SEARCH, lambda a: a.model, "it is for a search and needs a model")
    p.set_defaults(run=tune_model)


def tune_model(args: argparse.Namespace) -> int:
    """``weft tune``: the search, and the upkeep of its records."""
    from ..tune.records import Records, read_records

    if not args.records and not knobs.records_enabled():
        raise RecordError(
            "records are turned off.", where="WEFT_RECORDS=0", hint="give a file: --records FILE"
        )
    file = Path(args.records) if args.records else knobs.records_file()
    if file is None:
        raise RecordError(
            "this user has no home folder for records.", hint="give a file: --records FILE"
        )
    upkeep = args.list or args.export or args.merge
    if args.model is None and not upkeep:
        raise TuneError("there is no model to tune.", hint="weft tune model.onnx; weft tune --help")
    if args.plot:
        check_output(args.plot, (*read_files(args), file), what="the plot")
    if args.export:
        check_output(args.export, (*read_files(args), file), error=RecordError, what="the export")
    if args.plot and args.export and os.path.realpath(args.plot) == os.path.realpath(args.export):
        raise TuneError("the plot and the export would be one file.", where=args.plot)
    others = [r for name in args.merge for r in read_records(Path(name))]
    records = Records(file, must_exist=bool(upkeep and not args.merge and args.model is None))
    try:
        if args.merge:
            changed = records.merge(others)
            print(f"{file}: {changed} of {len(others)} records taken over, {len(records)} in all")
        if args.model is not None:
            _search(args, records)
        if args.export:
            with messages_beside(args.export):
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
            "a package cannot be tuned.", where=str(path), hint="tune the model, then compile"
        )
    from ...codegen.llvm import generator as llvm
    from ..kernels.roofline import measure_peaks
    from ..tune.tuner import TuneSettings, search
    from ..tune.view import live, sparkline, svg

    if args.threads and not any_target(args, has_threads):
        raise TuneError(f"--threads has no effect on kernels for {args.target}.")
    options = options_of(args, stores=False)
    threads = args.threads or knobs.num_threads()
    limit = args.time if args.time or args.trials else 600.0
    (target,) = options.targets
    # The peak of other machines is not known here.
    here = args.rpc is None and args.dask is None and target.kind == HOST
    peak = measure_peaks(llvm.resolve(target), threads).flops if here else 0.0
    with _executor(args) as executor, live(peak) as tell:
        settings = TuneSettings(
            args.trials, limit, threads, args.timeout, args.seed, tell, args.kernels
        )  # fmt: skip
        done = search(source_of(args), options, records, settings, executor)
    _summary(done, peak)
    if done.history:
        print(f"\n{sparkline(done.history)}")
    if args.plot:
        write_file(args.plot, svg(done.history, path.name), what="the plot")
    print(f"records: {records.path} ({len(records)})")


@contextmanager
def _executor(args: argparse.Namespace) -> Iterator[Executor]:
    """Where candidates are built and measured: here, on a cluster, on devices of a hub."""
    with ExitStack() as stack:
        cluster = None
        if args.dask:
            from ..tune.cluster import DaskExecutor

            cluster = stack.enter_context(DaskExecutor(args.dask))
        if args.rpc is not None:
            from ..tune.remote import RemoteExecutor

            turn = turns(args, args.rpc_timeout or args.timeout)
            remote = stack.enter_context(RemoteExecutor(turn, args.devices, args.wait, cluster))
            yield remote
            for name in remote.refused:
                say(f"not used, since it is of another kind: {name}")
        elif cluster is not None:
            yield cluster
        else:
            from ..tune.executor import LocalExecutor

            yield stack.enter_context(LocalExecutor())


def _summary(done, peak: float) -> None:
    from ..tune.view import head

    wide = max([len(s.task.name) for s in done.states], default=4)
    of_peak = "  of peak" if peak else ""
    print(f"{'task':<{wide}}  calls        ms   GFLOP/s{of_peak}   gain")
    for s in done.states:
        if s.champion is None:
            continue
        share = f"  {s.gflops * 1e9 / peak:7.1%}" if peak else ""
        print(
            f"{s.task.name:<{wide}}  {s.task.calls:>5}  {s.seconds * 1e3:8.4f}  {s.gflops:8.1f}"
            f"{share}  {s.gain:.3f}"
        )
    print(head(done))


def _list(records: Records) -> None:
    from ..tune.records import best_of

    groups: dict[tuple[str, str, int, str], list[Record]] = {}
    for r in records:
        groups.setdefault((r.key, r.target, r.threads, r.device), []).append(r)
    print(f"{'ms':>9}  {'GFLOP/s':>8}  threads  tried  kernel and configuration")
    told = ""
    for (_, target, threads, device), tried in sorted(groups.items(), key=lambda g: g[0][3]):
        if device != told:
            print(f"on {device}, for {target.split(maxsplit=1)[0]}:")
            told = device
        best = best_of(tried, threads)
        if best is None or best.seconds is None:
            print(f"{'-':>9}  {'-':>8}  {threads:>7}  {len(tried):>5}  {tried[0].task}: no success")
            continue
        from ..tune.tuner import describe

        print(
            f"{best.seconds * 1e3:9.4f}  {best.flops / best.seconds * 1e-9:8.1f}  {threads:>7}"
            f"  {len(tried):>5}  {best.task}: {describe(best.config)}"
        )
    print(f"{len(records)} records of {len(groups)} kernels in {records.path}")
