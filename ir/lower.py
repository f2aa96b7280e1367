"""Lowering: from a schedule to the loop nest that a code generator takes.

``PASSES`` is the whole pipeline, in order; :func:`run_passes` is the one runner, which logs, times,
verifies and dumps each (``WEFT_DEBUG``, ``WEFT_DUMP``). A pass is a function
``(Function, Target) -> Function`` and returns the same object when it has nothing to do.
"""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from ..runtime import knobs
from ..runtime.errors import LoweringError
from .expr import Expr, Load, Var
from .layout import Layout
from .passes.barriers import insert_barriers
from .passes.blocks import spread_statements
from .passes.hoist import hoist_invariants
from .passes.loopnest import build_loop_nest
from .passes.math.math import lower_math
from .passes.partition import partition_loops
from .passes.reuse import reuse_storage
from .passes.share import share_values
from .passes.split import split_host_device
from .passes.storage import flatten_storage, physical_shape
from .passes.unroll import unroll_loops
from .passes.vectorize import vectorize_loops
from .passes.vthread import interleave_vthreads
from .schedule.schedule import Schedule
from .schedule.serial import without_threads
from .simplify import simplify
from .stmt import Alloc, Buffer, Function, Seq, Stmt, Store, allocated, seq
from .target import Target
from .tensor import Tensor
from .verify import verify
from .visit import variables, walk, written_by

Pass = Callable[[Function, Target], Function]


def simplify_body(f: Function, target: Target) -> Function:
    """Simplify index arithmetic, decided conditions, loops of one trip."""
    return f.with_body(simplify(f.body))


PASSES: tuple[tuple[str, Pass], ...] = (
    ("virtual threads", interleave_vthreads),  # before anything splits or names a statement
    ("share", share_values),  # early: from here on the code of a value is as long as its graph
    ("simplify", simplify_body),
    ("hoist", hoist_invariants),  # guards leave the vector loops that they do not read
    ("partition", partition_loops),  # before flattening: guards are still about logical indices
    ("storage", flatten_storage),
    ("reuse", reuse_storage),  # after flattening: any two flat buffers of one type may share
    ("vectorize", vectorize_loops),  # before unrolling: one vector body is copied, not n scalars
    ("unroll", unroll_loops),
    ("simplify again", simplify_body),
    ("barriers", insert_barriers),
    ("host/device split", split_host_device),
    ("math", lower_math),
)
FLAT_AFTER = "storage"

_serial = itertools.count()


def lower(
    schedule: Schedule,
    args: Sequence[Tensor | Var],
    target: Target | str = "llvm",
    name: str = "main",
    layouts: Mapping[Tensor, Layout] | None = None,
) -> Function:
    """The flat, vectorised loop nest of a schedule.

    Parameters
    ----------
    args : the parameters of the function in order: inputs, results, scalar variables.
    layouts : how argument tensors lie in storage; row major where not given.

    Raises
    ------
    ScheduleError, LoweringError : when the schedule cannot be carried out, with the loop nest.
    """
    with _not_too_deep(name):
        goal = Target.parse(target)
        if not goal.max_threads and not goal.texture_memory:
            schedule = without_threads(schedule)
        return run_passes(build_loop_nest(schedule, args, name, layouts), goal)


@contextmanager
def _not_too_deep(name: str) -> Iterator[None]:
    """Passes recur, and Python's stack has an end: expressions that are nested too deep for it are
    refused. (Inlined stages are not: what they come to is cut into variables.)"""
    try:
        yield
    except RecursionError:
        raise LoweringError(
            "an expression of a stage is nested too deep to be lowered.",
            where=name,
            hint="write it as several te.compute, the results of which are stored",
        ) from None


@dataclass(frozen=True, eq=False)
class KernelFunction:
    """One of the functions that carry out a schedule. ``function`` takes, in order, those of the
    arguments with the numbers ``args``, then the ``scratch`` that it reads or writes: memory which
    its fellows share with it."""

    function: Function
    args: tuple[int, ...]
    scratch: tuple[Buffer, ...]

    @staticmethod
    def shape(b: Buffer) -> tuple[Expr, ...]:
        """The physical shape of scratch."""
        return tuple(map(simplify, physical_shape(b)))


def lower_kernels(
    schedule: Schedule,
    args: Sequence[Tensor | Var],
    target: Target | str,
    name: str = "main",
    layouts: Mapping[Tensor, Layout] | None = None,
) -> list[KernelFunction]:
    """The functions of a schedule for a device that runs one nest of bound loops at a time: one for
    each stage at the root, to be launched in order.

    Parameters and errors are those of :func:`lower`. What lies between two nests becomes a
    parameter of both.
    """
    with _not_too_deep(name):
        return _lower_kernels(schedule, args, Target.parse(target), name, layouts or {})


def _lower_kernels(
    schedule: Schedule,
    args: Sequence[Tensor | Var],
    goal: Target,
    name: str,
    layouts: Mapping[Tensor, Layout],
) -> list[KernelFunction]:
    whole = spread_statements(build_loop_nest(schedule, args, name, layouts), goal.max_blocks)
    nests, scratch = split_nests(whole)
    number = {p: k for k, p in enumerate(whole.params)}
    made = []
    for k, nest in enumerate(nests):
        used, written = _touched(nest)
        between = [b for b in scratch if b in used]
        for b in [*between, *(p for p in whole.params if isinstance(p, Buffer) and p in used)]:
            used |= {v for n in physical_shape(b) for v in variables(n)}
        own = [p for p in whole.params if p in used]
        params = (*own, *between)
        writes = frozenset(p for p in params if p in written)
        f = Function(name if k == 0 else f"{name}_{k}", params, nest, writes, whole.attrs)
        made.append(
            KernelFunction(
                run_passes(f, goal), tuple(number[p] for p in own), tuple(between)
            )
        )  # fmt: skip
    return made


def split_nests(f: Function) -> tuple[list[Stmt], list[Buffer]]:
    """The nests of a function, in order, and the buffers that they exchange values through.

    What threads keep in registers or in shared memory does not outlive a kernel: the statements
    from the first to the last that touch such a buffer are one nest. (Stages of a scalar have no
    loop to be computed at.)
    """
    scratch: list[Buffer] = []
    kept: list[Buffer] = []
    body = f.body
    while isinstance(body, Alloc):
        (scratch if body.buffer.scope == "global" else kept).append(body.buffer)
        body = body.body
    stmts = list(body.stmts) if isinstance(body, Seq) else [body]
    touched = [_touched(s)[0] for s in stmts]
    last = {b: max(k for k, t in enumerate(touched) if b in t) for b in kept}
    nests: list[Stmt] = []
    begin = end = 0
    for k, used in enumerate(touched):
        end = max([end, k, *(last[b] for b in kept if b in used)])
        if k < end:
            continue
        inside = set().union(*touched[begin : k + 1])
        own = [b for b in kept if b in inside]
        nests.append(allocated(own, seq(*stmts[begin : k + 1])))
        begin = end = k + 1
    return nests, scratch


def _touched(s: Stmt) -> tuple[set[Buffer | Var], set[Buffer]]:
    """The buffers and variables that occur in a statement, and the buffers that it writes."""
    used: set[Buffer | Var] = set()
    written: set[Buffer] = set()
    for n in walk(s):
        if isinstance(n, Load | Store):
            used.add(n.buffer)
        written.update(written_by(n))
        if isinstance(n, Var):
            used.add(n)
        if isinstance(n, Alloc):
            used |= {v for e in physical_shape(n.buffer) for v in variables(e)}
    return used, written


def run_passes(
    f: Function, target: Target, passes: Sequence[tuple[str, Pass]] = PASSES
) -> Function:
    """Apply passes in order; every one is logged, timed, verified and dumped as asked for."""
    debug, dumping, serial = knobs.debug(), knobs.dump_dir() is not None, next(_serial)
    if dumping:
        knobs.dump(f"{target.slug}/{serial:03}-{f.name}-00-loop-nest.txt", str(f))
    flat = False
    for k, (name, fn) in enumerate(passes, start=1):
        start = time.perf_counter()
        new = fn(f, target)
        flat = flat or name == FLAT_AFTER
        if debug >= 2:
            ms = (time.perf_counter() - start) * 1e3
            same = " (unchanged)" if new is f else ""
            print(f"weft: {f.name}: {name} {ms:.2f} ms{same}", file=sys.stderr)
        if debug >= 3:
            verify(new, flat=flat and k == len(passes), after=name)
        if debug >= 4 and new is not f:
            print(new, file=sys.stderr)
        if dumping and new is not f:
            label = name.replace(" ", "-").replace("/", "-")
            knobs.dump(f"{target.slug}/{serial:03}-{f.name}-{k:02}-{label}.txt", str(new))
        f = new
    verify(f, flat=flat, after=passes[-1][0] if passes else "")
    return f
