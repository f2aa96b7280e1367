"""Random schedules for devices with workgroups: every nest bound to blocks and threads, operands
and partial results in shared memory, extents that nothing divides."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
from weft.ir.expr import IterVar, as_int
from weft.ir.lower import KernelFunction
from weft.ir.meaning.interp import run
from weft.ir.schedule.loops import thread_axis
from weft.ir.schedule.schedule import Schedule, create_schedule
from weft.ir.schedule.stage import Stage
from weft.ir.tensor import ComputeOp, Tensor

from support.random_schedules import KINDS, Kinds


def build_gpu(
    kind: str, seed: int, kinds: Kinds = KINDS
) -> tuple[list[Tensor], list[Tensor], Schedule]:
    """(inputs, outputs, schedule) for a seed."""
    rng = random.Random(seed)
    inputs, outputs = kinds[kind](rng)
    s = create_schedule(outputs)
    for stage in [x for x in reversed(s.stages) if isinstance(x.op, ComputeOp)]:
        if stage.reduce_axes:
            kinds_of = [_own, _own, _crossed, *([_together] if len(stage.body) == 1 else [])]
            rng.choice(kinds_of)(s, stage, rng)
        elif not stage.is_output and rng.random() < 0.5:
            stage.compute_inline()
        else:
            _spread(stage, list(stage.axes), rng)
    return inputs, outputs, s


def build_shared(
    kind: str, seed: int, kinds: Kinds = KINDS
) -> tuple[list[Tensor], list[Tensor], Schedule]:
    """The same with stages and copies of operands that are computed at any loop of a kernel, mostly
    in shared memory, by any threads: fewer or more than other loops of the kernel are bound to,
    along indices that it has otherwise or not, or by none at all."""
    rng = random.Random(seed)
    inputs, outputs = kinds[kind](rng)
    s = create_schedule(outputs)
    for stage in [x for x in reversed(s.stages) if isinstance(x.op, ComputeOp)]:
        readers = [r for r in s.consumers(stage) if r.attach.kind != "inline"]
        if stage.is_output or len(readers) != 1 or rng.random() < 0.2:
            _spread(stage, list(stage.axes), rng)
        elif not stage.reduce_axes and rng.random() < 0.2:
            stage.compute_inline()
            continue
        else:
            _anywhere(stage, readers[0], rng)
        for t in dict.fromkeys(r.tensor for r in stage.reads()):
            if rng.random() < 0.35:
                _anywhere(s[s.cache_read(t, "shared", [stage])], stage, rng)
    return inputs, outputs, s


def _anywhere(stage: Stage, reader: Stage, rng: random.Random) -> None:
    """Computed at a loop of ``reader``, its own loops cut, ordered and bound at random."""
    kinds = {a: reader.annotations[a].kind.value for a in reader.leaves if a in reader.annotations}
    at = [a for a in reader.leaves if kinds.get(a) != "vectorized"]
    if not at:
        return
    stage.set_scope(rng.choice(["shared", "shared", "shared", "local", "global"]))
    stage.compute_at(reader, rng.choice(at))
    loops = list(stage.leaves)
    if len(stage.axes) > 1 and rng.random() < 0.5:
        loops = [stage.fuse(*stage.axes), *stage.reduce_axes]
    cut: list[IterVar] = []
    for a in loops:
        factor = rng.choice([2, 3, 4, 5, 8, 16])
        cut += stage.split(a, factor) if rng.random() < 0.6 else [a]
    rng.shuffle(cut)
    stage.reorder(*cut)
    data = [a for a in cut if not stage.is_reduce(a)]
    rng.shuffle(data)
    for tag in rng.sample(["threadIdx.x", "threadIdx.x", "threadIdx.y"], rng.randint(0, 2)):
        small = [a for a in data if (as_int(stage.extents()[a]) or 99) <= 16]
        bound = [x.tag for x in stage.annotations.values()]
        if small and tag not in bound:
            stage.bind(small[0], thread_axis(tag))
            data = [a for a in data if a is not small[0]]
    if data and stage.leaves[-1] is data[0] and rng.random() < 0.5:
        rng.choice([stage.vectorize, stage.unroll])(data[0])


def _fused(stage: Stage, loops: Sequence[IterVar]) -> IterVar:
    return stage.fuse(*loops) if len(loops) > 1 else loops[0]


def _spread(stage: Stage, loops: list[IterVar], rng: random.Random) -> IterVar:
    """Bind the data loops of a stage; gives the loop of the threads, inside of which it may have
    loops of its own."""
    inner: list[IterVar] = []
    if rng.random() < 0.6:
        outer, lane = stage.split(loops[-1], factor=rng.choice([2, 3, 4]))
        loops, inner = [*loops[:-1], outer], [lane]
    if len(loops) > 1 and rng.random() < 0.5:
        outer, row = stage.split(loops[-2], factor=rng.choice([2, 3]))
        loops, inner = [*loops[:-2], outer, loops[-1]], [row, *inner]
    stage.reorder(*loops, *inner)
    axes = ["x", "y"] if len(loops) > 1 and rng.random() < 0.4 else ["x"]
    split = rng.randint(1, len(loops) - 1) if len(axes) > 1 else len(loops)
    parts = [loops[split:], loops[:split]] if len(axes) > 1 else [loops]
    blocks, threads = [], []
    for part in parts:
        block, thread = stage.split(_fused(stage, part), factor=rng.choice([1, 2, 3, 4, 5, 8]))
        blocks.append(block)
        threads.append(thread)
    stage.reorder(*reversed(blocks), *reversed(threads))
    for axis, block, thread in zip(axes, blocks, threads):
        stage.bind(block, thread_axis(f"blockIdx.{axis}"))
        stage.bind(thread, thread_axis(f"threadIdx.{axis}"))
    reduced = any(map(stage.is_reduce, stage.leaves))
    for a in inner[:-1]:
        stage.unroll(a)
    if inner and not reduced:
        rng.choice([stage.vectorize, stage.unroll])(inner[-1])
    return threads[0]


def _own(s: Schedule, stage: Stage, rng: random.Random) -> None:
    """A thread computes its results in registers; operands may come through shared memory."""
    acc = s[s.cache_write(stage.op.outputs, "local")]
    at = _spread(stage, list(stage.axes), rng)
    acc.compute_at(stage, at)
    reduce = list(acc.reduce_axes)
    rng.shuffle(reduce)
    if rng.random() < 0.6:
        outer, inner = acc.split(reduce[0], factor=rng.choice([2, 3, 4]))
        reduce = [outer, *reduce[1:], inner]
    data = list(acc.axes)
    acc.reorder(*reduce, *data)
    if rng.random() < 0.4:
        rng.choice([acc.vectorize, acc.unroll])(data[-1])
    if rng.random() < 0.5:
        acc.unroll(reduce[-1])
    for producer in acc.producers():
        if rng.random() < 0.6:
            for t in producer.op.outputs:
                if any(r.tensor is t for r in acc.reads()):
                    _shared(s[s.cache_read(t, "shared", [acc])], stage, acc, reduce[0])


def _shared(copy: Stage, stage: Stage, acc: Stage, at: IterVar) -> None:
    """The threads of the workgroup copy what all of them need next."""
    copy.compute_at(acc, at)
    threads = {
        ann.tag: as_int(stage.extents()[a]) or 1
        for a, ann in stage.annotations.items()
        if ann.tag.startswith("threadIdx")
    }
    loop = _fused(copy, copy.axes)
    for tag, n in threads.items():
        loop, inner = copy.split(loop, factor=n)
        copy.bind(inner, thread_axis(tag))


def _together(s: Schedule, stage: Stage, rng: random.Random) -> None:
    """Threads share the terms of a result; what each has is added up by all."""
    _, own = stage.split(_fused(stage, stage.reduce_axes), factor=rng.choice([2, 3, 4, 8]))
    result = stage.op.outputs[0]
    part = s[s.rfactor(result, own)]
    part.set_scope("shared")
    register = s[s.cache_write(part.op.outputs[0], "local")]
    part.bind(part.leaves[0], thread_axis("threadIdx.x"))
    register.compute_at(part, part.leaves[0] if rng.random() < 0.5 else part.leaves[-1])
    total = s[s.cache_write(result, "local")]
    block = _fused(stage, stage.axes)
    if rng.random() < 0.5:
        block, inner = stage.split(block, factor=rng.choice([2, 3]))
    else:
        inner = block
    stage.bind(block, thread_axis("blockIdx.x"))
    part.compute_at(stage, inner)
    total.compute_at(stage, inner)


def _crossed(s: Schedule, stage: Stage, rng: random.Random) -> None:
    """The threads of a workgroup share the terms of a result, or of a few."""
    loops, lanes = list(stage.axes), []
    if rng.random() < 0.4:
        loops[-1], lane = stage.split(loops[-1], factor=rng.choice([2, 3, 4]))
        lanes.append(lane)
    stage.reorder(*loops)
    block = _fused(stage, loops)
    outer, own = stage.split(
        _fused(stage, stage.reduce_axes) if rng.random() < 0.7 else stage.reduce_axes[-1],
        factor=rng.choice([1, 2, 3, 4, 5, 8]),
    )
    stage.reorder(*[a for a in stage.leaves if stage.is_reduce(a)], *lanes)
    if rng.random() < 0.5:
        block, row = stage.split(block, factor=rng.choice([2, 3]))
        stage.bind(row, thread_axis("threadIdx.y"))
    stage.bind(block, thread_axis("blockIdx.x"))
    stage.bind(own, thread_axis("threadIdx.x"))
    if lanes:
        rng.choice([stage.vectorize, stage.unroll])(lanes[0])
    for producer in stage.producers():
        for t in producer.op.outputs:
            if rng.random() < 0.4 and any(r.tensor is t for r in stage.reads()):
                _shared(s[s.cache_read(t, "shared", [stage])], stage, stage, outer)


def run_kernels(kernels: Sequence[KernelFunction], arrays: Sequence[np.ndarray]) -> None:
    """The functions one after another in the interpreter, with scratch between them."""
    scratch: dict = {}
    for k in kernels:
        for b in k.scratch:
            if b not in scratch:
                scratch[b] = np.full([as_int(n) for n in k.shape(b)], 7, b.dtype.numpy)
        run(k.function, [*(arrays[n] for n in k.args), *(scratch[b] for b in k.scratch)])
