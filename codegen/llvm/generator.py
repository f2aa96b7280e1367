"""The ``llvm`` target: flat, vectorised, unrolled kernels to optimised native code.

``resolve`` asks LLVM what a target string means (which registers, fused multiply-add, …);
``emit`` writes the IR (``kernel.py``), optimises it and compiles it to object code. Nothing here
loads or runs code.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache

import llvmlite.binding as llvm

from ...ir.stmt import Function
from ...ir.target import Target
from ...runtime import forks
from ...runtime.errors import CodegenError, TargetError
from .kernel import Module, kernel

# What each core has, by the beginning of LLVM's name of a processor; the longest that fits counts:
# KiB of its second-level cache, and bytes that reach it in a cycle from beyond, measured while it
# computes.
_CORES = {
    "": (512, 4), "znver4": (1024, 8), "znver5": (1024, 8), "znver6": (1024, 8),
    "x86-64-v4": (1024, 4), "haswell": (256, 4), "broadwell": (256, 4), "skylake": (256, 4),
    "skylake-avx512": (1024, 4), "cascadelake": (1024, 4), "cooperlake": (1024, 4),
    "icelake-server": (1280, 4), "tigerlake": (1280, 4), "alderlake": (1280, 4),
    "raptorlake": (2048, 4), "sapphirerapids": (2048, 4), "emeraldrapids": (2048, 4),
    "graniterapids": (2048, 4), "neoverse": (1024, 4), "apple-m": (1024, 8),
}  # fmt: skip
_PREFETCHES = ("x86_64", "aarch64", "arm64")
THREADS = ",+atomics"  # what wasm objects for a shared memory have besides

_READY = False
# What a triple without -mcpu and -mattr means where LLVM's own default would be soft-float or
# without the vectors that every such processor has.
_BASELINE = {
    "riscv64": ("generic-rv64", "+m,+a,+f,+d,+c", "lp64d"),
    # what every browser since 2021 (Safari since 2023) and Node since 16 have
    "wasm32": ("", "+simd128,+nontrapping-fptoint,+sign-ext,+bulk-memory,+mutable-globals", ""),
}
# The width of size_t where it is not 64 bits.
_SIZE_BITS = {"wasm32": 32, "i386": 32, "i686": 32, "arm": 32, "armv7": 32, "riscv32": 32}


@dataclass(frozen=True)
class LLVMModule:
    """``source``: the IR after optimisation. ``object``: a relocatable object file.
    ``unoptimised``: the IR as it was written."""

    source: str
    object: bytes
    target: Target
    unoptimised: str
    shared_bytes: int = 0  # a processor has no workgroups

    @property
    def assembly(self) -> str:
        """The machine code as text."""
        module = parsed(self.source)
        with _codegen(self.target):
            return machine_of(self.target).emit_assembly(module)


def baseline(triple: str) -> str:
    """The attributes that ``-mtriple`` alone means; empty where they are LLVM's own."""
    return _BASELINE.get(triple.split("-", maxsplit=1)[0], ("", "", ""))[1]


def resolve(target: Target) -> Target:
    """``target`` with triple, processor and capabilities filled in; the same when it was resolved.

    Without ``-mtriple`` and ``-mcpu`` the target is this machine with all its features. A given
    ``-vector_bits`` other than 128 is kept.

    Raises :class:`TargetError` for a triple or processor that LLVM does not know.
    """
    _initialise()
    host = llvm.get_process_triple()
    triple, cpu, attributes = target.mtriple or host, target.mcpu, target.mattr
    if triple == host and not cpu:
        cpu = llvm.get_host_cpu_name()
        attributes = attributes or llvm.get_host_cpu_features().flatten()
    arch = triple.split("-")[0]
    base = _BASELINE.get(arch)
    if base is not None:
        cpu, attributes = cpu or base[0], attributes or base[1]
    filled = replace(target, mtriple=triple, mcpu=cpu, mattr=attributes)
    facts = _probe(triple, cpu, attributes)
    bits = target.vector_bits if target.vector_bits != 128 else facts.vector_bits
    return replace(
        _with_core(filled), vector_bits=bits, num_vector_registers=facts.registers,
        has_fma=facts.fma, has_masked_memory=facts.masked, has_prefetch=arch in _PREFETCHES,
    )  # fmt: skip


def _with_core(target: Target) -> Target:
    """``target`` with what is known of its processor's cores; a browser's may be any."""
    if target.mtriple.startswith("wasm32"):
        return target
    kib, speed = _CORES[max(filter(target.mcpu.startswith, _CORES), key=len)]
    return replace(target, cache_bytes=kib << 10, memory_bytes=speed)


def emit(functions: Sequence[Function], target: Target) -> LLVMModule:
    """One module with all ``functions``; each becomes an exported ``void NAME(int64* args)``.

    Raises :class:`CodegenError` for a loop nest that has no meaning on a CPU.
    """
    target = resolve(target)
    facts = _probe(target.mtriple, target.mcpu, target.mattr)
    wide = target.vector_bits >= 512 and facts.x86
    arch = target.mtriple.split("-", maxsplit=1)[0]
    module = Module(
        target, has_half=facts.half, wide=wide, size_bits=_SIZE_BITS.get(arch, 64),
        unsigned_offsets=arch == "wasm32",
    )  # fmt: skip
    for f in functions:
        kernel(module, f)
    machine = machine_of(target)
    text = module.text(f'target triple = "{target.mtriple}"\n')
    try:
        made = parsed(text)
        made.verify()
    except RuntimeError as e:
        names = ", ".join(f.name for f in functions)
        raise CodegenError(f"LLVM rejects the generated code: {e}", where=names) from e
    made.data_layout = str(machine.target_data)
    _optimise(made, target)
    with _codegen(target):
        code = machine.emit_object(made)
    return LLVMModule(str(made), code, target, text)


forks.awaited(
    llvm.ffi.lib._lock._lock
)  # of llvmlite: who is inside of LLVM, whose own locks we cannot reach
_SWITCHES = forks.awaited()  # a child would keep a switch as it is


@contextmanager
def _codegen(target: Target) -> Iterator[None]:
    """LLVM's switches are of the whole process. Loop strength reduction rewrites addresses so that
    it is no longer known that they do not wrap, and WebAssembly's loads could not have offsets."""
    reduce_strength = not target.mtriple.startswith("wasm32")
    with _SWITCHES:
        if not reduce_strength:
            llvm.set_option("weft", "-disable-lsr=1")
        try:
            yield
        finally:
            if not reduce_strength:
                llvm.set_option("weft", "-disable-lsr=0")


def linker(target: Target) -> str:
    """Empty: the device links the objects when it loads them."""
    return ""


def link(codes: Mapping[str, bytes], target: Target) -> tuple[dict[str, bytes], dict[str, str]]:
    """The code objects of a program by name, and the name of the one that holds each kernel: here
    every object stays what it is, and the device links them."""
    return dict(codes), {name: name for name in codes}


def parsed(text: str) -> llvm.ModuleRef:
    """A module of its own context: types and constants of LLVM's shared one are there for ever."""
    return llvm.parse_assembly(text, llvm.create_context())


def _optimise(module: llvm.ModuleRef, target: Target) -> None:
    idle = _builders(target)
    builder = idle.pop() if idle else _builder(target)
    try:
        passes = builder.getModulePassManager()
        try:
            passes.run(module, builder)
        finally:  # llvmlite's own close finds another _dispose, which does nothing: 86 KiB a module
            llvm.newpassmanagers.NewPassManager._dispose(passes)
            passes.detach()
    finally:
        idle.append(builder)


@lru_cache(maxsize=16)
def _builders(target: Target) -> list[llvm.PassBuilder]:
    """The builders of passes that no thread uses just now. llvmlite never frees all of one (1.5
    KiB), so they are used again."""
    return []


def _builder(target: Target) -> llvm.PassBuilder:
    options = llvm.create_pipeline_tuning_options(target.opt_level)
    options.loop_vectorization = target.opt_level > 1
    options.slp_vectorization = False  # tiles are vectors already; SLP re-packs address sums
    options.loop_unrolling = False
    return llvm.create_pass_builder(machine_of(target), options)


def _initialise() -> None:
    global _READY
    if not _READY:
        llvm.initialize_all_targets()
        llvm.initialize_all_asmprinters()
        _READY = True


@dataclass(frozen=True)
class _Facts:
    x86: bool
    vector_bits: int
    registers: int
    fma: bool
    masked: bool
    half: bool  # converts float16 in hardware


_PROBE = """
declare <16 x float> @llvm.fma.v16f32(<16 x float>, <16 x float>, <16 x float>)
declare <16 x float> @llvm.masked.load.v16f32.p0(ptr, i32, <16 x i1>, <16 x float>)
define void @probe(ptr %p, ptr %q, <16 x i1> %m) "prefer-vector-width"="512" {
  %a = load <16 x float>, ptr %p, align 64
  %b = call <16 x float> @llvm.masked.load.v16f32.p0(
      ptr %q, i32 4, <16 x i1> %m, <16 x float> zeroinitializer)
  %c = call <16 x float> @llvm.fma.v16f32(<16 x float> %a, <16 x float> %b, <16 x float> %b)
  store <16 x float> %c, ptr %p, align 64
  ret void
}
define float @half(ptr %p) {
  %h = load half, ptr %p
  %f = fpext half %h to float
  ret float %f
}
"""


@lru_cache(maxsize=64)
def _probe(triple: str, cpu: str, attributes: str) -> _Facts:
    """Compiles a small program and looks at the instructions: LLVM's own tables of processors,
    which it does not export, answer what the processor has."""
    if (cpu or attributes) and (cpu, attributes) not in _trusted(triple):
        _check_names(triple, cpu, attributes)
    machine = machine_of(replace(Target.parse("llvm"), mtriple=triple, mcpu=cpu, mattr=attributes))
    module = llvm.parse_assembly(f'target triple = "{triple}"\n{_PROBE}')
    module.data_layout = str(machine.target_data)
    text = machine.emit_assembly(module)
    arch = triple.split("-", maxsplit=1)[0]
    if arch in ("x86_64", "i686", "i386"):
        bits = 512 if "zmm" in text else 256 if "ymm" in text else 128
        masked = "{%k" in text or "vmaskmov" in text
        half = "vcvtph2ps" in text
        return _Facts(True, bits, 32 if bits == 512 else 16, "vfmadd" in text, masked, half)
    if arch.startswith(("aarch64", "arm64")):
        return _Facts(False, 128, 32, True, False, True)
    if arch.startswith("riscv"):
        has_vectors = "vsetvli" in text or "vsetivli" in text
        half = "__extendhfsf2" not in text
        fma = "fmadd" in text or "vfmadd" in text or "vfmacc" in text
        return _Facts(False, 128 if has_vectors else 32, 32, fma, has_vectors, half)
    return _Facts(False, 128, 16, "fmaf" not in text, False, "__extendhfsf2" not in text)


def _trusted(triple: str) -> list[tuple[str, str]]:
    """Processor and attributes that need no check: our defaults and this machine's."""
    base = _BASELINE.get(triple.split("-", maxsplit=1)[0], ("", "", ""))
    known = [base[:2], (base[0], base[1] + THREADS)]
    if triple == llvm.get_process_triple():
        known.append((llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()))
    return known


def _check_names(triple: str, cpu: str, attributes: str) -> None:
    """LLVM only mutters about names that it does not know, and may abort the process later;
    therefore it is asked in another process."""
    try:
        llvm.Target.from_triple(triple)
    except RuntimeError:
        return  # reported by _machine
    script = (
        "import sys, llvmlite.binding as b\n"
        "b.initialize_all_targets(); b.initialize_all_asmprinters()\n"
        "t, c, f = sys.argv[1:]\n"
        "m = b.Target.from_triple(t).create_target_machine(cpu=c, features=f)\n"
        "m.emit_assembly(b.parse_assembly('define void @f() {\\n  ret void\\n}'))\n"
    )
    command = [sys.executable, "-c", script, triple, cpu, attributes]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode == 0 and not done.stderr:
        return
    complaint = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[0]
    raise TargetError(
        f"LLVM does not accept -mcpu={cpu!r} -mattr={attributes!r} for {triple}: {complaint}.",
        hint="names are LLVM's: x86-64-v3, znver4, cortex-a72, generic-rv64; +avx2,-avx512f",
    )


@lru_cache(maxsize=16)
def machine_of(target: Target) -> llvm.TargetMachine:
    _initialise()
    arch = target.mtriple.split("-")[0]
    abi = _BASELINE.get(arch, ("", "", ""))[2]
    try:
        kind = llvm.Target.from_triple(target.mtriple)
    except RuntimeError as e:
        raise TargetError(
            f"LLVM has no target for the triple {target.mtriple!r}: {e}.",
            hint="for example -mtriple=aarch64-linux-gnu",
        ) from None
    return kind.create_target_machine(
        cpu=target.mcpu, features=target.mattr, opt=min(3, max(0, target.opt_level)),
        reloc="static" if arch == "wasm32" else "pic", codemodel="default", abiname=abi,
    )  # fmt: skip
