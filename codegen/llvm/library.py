"""Kernels for callers in C: one object of kernels, thread pool and functions with C parameters.

A kernel takes one table of 64-bit words. For each, a function of its name takes what a C programmer
expects, pointers and scalars, fills the table, and calls it. Everything else becomes internal, so
that several libraries of weft can live in one process, each with a pool of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import llvmlite.binding as llvm

from ...ir.stmt import Buffer, Function
from ...ir.target import Target
from ...runtime.errors import CodegenError
from .generator import emit, machine_of, parsed, resolve

SUFFIX = "_weft_kernel"  # of the kernel behind an exported function


@dataclass(frozen=True)
class Symbols:
    """The names of a library: of its functions in order, of the function that sets the number of
    threads, of the description of all of them."""

    functions: tuple[str, ...]
    threads: str
    description: str


def library_object(
    functions: Sequence[Function], symbols: Symbols, description: bytes, pool: str, target: Target
) -> bytes:
    """The relocatable object of a library.

    Parameters
    ----------
    functions : lowered kernels in the order of ``symbols.functions``.
    description : what the data symbol ``symbols.description`` holds, ended by a zero byte.
    pool : the thread pool as LLVM IR for the target.

    Raises
    ------
    CodegenError : a loop nest has no meaning on a processor.
    """
    target = resolve(target)
    kernels = [replace(f, name=n + SUFFIX) for f, n in zip(functions, symbols.functions)]
    code = emit(kernels, target)
    machine = machine_of(target)
    layout = str(machine.target_data)
    text = _entries(functions, symbols, description, target)
    try:
        module = parsed(code.source)
        context = module._context
        for part in (text, pool):
            other = llvm.parse_assembly(part, context)
            other.data_layout = layout
            module.link_in(other)
        keep = {*symbols.functions, symbols.threads, symbols.description}
        for value in (*module.functions, *module.global_variables):
            shown = value.linkage is llvm.Linkage.external and not value.is_declaration
            if shown and value.name not in keep:
                value.linkage = llvm.Linkage.internal
        module.verify()
        return machine.emit_object(module)
    except RuntimeError as e:
        raise CodegenError(f"LLVM cannot join the library: {e}.", where=symbols.threads) from None


def _entries(
    functions: Sequence[Function], symbols: Symbols, description: bytes, target: Target
) -> str:
    """The functions for C, as LLVM IR. They answer 0, or 1 where a pointer is null."""
    lines = [f'target triple = "{target.mtriple}"', "declare i32 @weft_pool_resize(i32)"]
    for f, name in zip(functions, symbols.functions):
        params, stores, nulls = [], [], []
        for k, p in enumerate(f.params):
            slot = f"  %s{k} = getelementptr inbounds i64, ptr %table, i64 {k}"
            if isinstance(p, Buffer):
                params.append(f"ptr %p{k}")
                nulls.append(f"%p{k}")
                stores += [slot, f"  store ptr %p{k}, ptr %s{k}"]
                continue
            d = p.dtype
            floats = {32: "float", 64: "double"} if d.is_float else {}
            kind = floats.get(d.bits, f"i{max(8, d.bits)}")  # other floats by their bits
            sign = "" if d.is_float else " zeroext" if d.kind != "int" else " signext"
            params.append(f"{kind}{sign if d.bits < 32 else ''} %p{k}")
            stores += [slot, *_word(k, kind, d.kind == "int"), f"  store i64 %w{k}, ptr %s{k}"]
        lines += [
            f"declare void @{name}{SUFFIX}(ptr)",
            f"define i32 @{name}({', '.join(params)}) nounwind {{",
            f"  %table = alloca i64, i64 {max(1, len(f.params))}, align 8",
        ]
        wrong = "false"
        for k, p in enumerate(nulls):
            lines += [f"  %n{k} = icmp eq ptr {p}, null", f"  %o{k} = or i1 {wrong}, %n{k}"]
            wrong = f"%o{k}"
        lines += [
            f"  br i1 {wrong}, label %refuse, label %go",
            "refuse:",
            "  ret i32 1",
            "go:",
            *stores,
            f"  call void @{name}{SUFFIX}(ptr %table)",
            "  ret i32 0",
            "}",
        ]
    data = "".join(f"\\{b:02x}" for b in description + b"\0")
    lines += [
        f'@{symbols.description} = constant [{len(description) + 1} x i8] c"{data}"',
        f"define i32 @{symbols.threads}(i32 %n) nounwind {{",
        "  %some = icmp sgt i32 %n, 1",
        "  %count = select i1 %some, i32 %n, i32 1",
        "  %more = sub i32 %count, 1",
        "  %have = call i32 @weft_pool_resize(i32 %more)",
        "  %all = add i32 %have, 1",
        "  ret i32 %all",
        "}",
    ]
    return "\n".join([*lines, ""])


def _word(k: int, kind: str, signed: bool) -> list[str]:
    """A scalar parameter as the 64-bit word of a table: integers extended, floats by their bits."""
    if kind == "double":
        return [f"  %w{k} = bitcast double %p{k} to i64"]
    if kind == "float":
        return [f"  %b{k} = bitcast float %p{k} to i32", f"  %w{k} = zext i32 %b{k} to i64"]
    if kind == "i64":
        return [f"  %w{k} = or i64 %p{k}, 0"]
    return [f"  %w{k} = {'sext' if signed else 'zext'} {kind} %p{k} to i64"]
