"""A whole target from outside of weft: C source, the machine's compiler, ctypes."""

import subprocess
import tempfile
from ctypes import CDLL, c_void_p
from functools import partial
from pathlib import Path
from timeit import timeit

import numpy as np
from weft.codegen import TextGenerator
from weft.ir.alu import Op
from weft.ir.expr import Binary, Call, Cast, Const, Load, Reinterpret, Select, Unary, Var
from weft.ir.stmt import Alloc, For, If, Let, Seq, Store
from weft.ir.target import Target
from weft.runtime.errors import CodegenError
from weft.runtime.runner import deliver

TYPES = {"float32": "float", "int32": "int", "bool": "char", "int64": "long", "uint32": "unsigned"}
WORDS = {Op.FLOORDIV: "DIV", Op.FLOORMOD: "MOD", Op.MIN: "MIN", Op.MAX: "MAX"}
SIGNS = {**dict.fromkeys(WORDS, ","), Op.NOT: "!", Op.NEG: "-", Op.ABS: "fabsf"}
HEAD = """#include <math.h>
#define DIV(a, b) ((a) / (b) - ((a) % (b) < 0))
#define MOD(a, b) (((a) % (b) + (b)) % (b))
#define MIN(a, b) ((a) < (b) || (a) != (a) ? (a) : (b))
#define BITS(to, from, a) (((union { from x; to y; }) { a }).y)
#define MAX(a, b) ((a) > (b) || (a) != (a) ? (a) : (b))
"""
FORMS = {  # the C of each node of a loop nest
    Const: lambda e: f"({float(e.value)!r}F)" if e.dtype.is_float else f"({int(e.value)})",
    Var: lambda e: f"v{id(e)}",
    Binary: lambda e: f"{WORDS.get(e.op, '')}({c(e.a)} {SIGNS.get(e.op, e.op.value)} {c(e.b)})",
    Unary: lambda e: f"({SIGNS[e.op]}({c(e.a)}))",
    Cast: lambda e: f"(({c_type(e)}) {c(e.value)})",
    Reinterpret: lambda e: f"BITS({c_type(e)}, {c_type(e.value)}, {c(e.value)})",
    Select: lambda e: f"({c(e.cond)} ? {c(e.if_true)} : {c(e.if_false)})",
    Call: lambda e: f"{e.name}f({', '.join(map(c, e.args))})",
    Load: lambda e: f"b{id(e.buffer)}[{c(e.indices[0])}]",
    Store: lambda s: f"b{id(s.buffer)}[{c(s.indices[0])}] = {c(s.value)};",
    Let: lambda s: f"{{ {c_type(s.var)} {c(s.var)} = {c(s.value)}; {c(s.body)} }}",
    Alloc: lambda s: f"{{ {array(s.buffer, 'b')}[{c(s.buffer.shape[0])}]; {c(s.body)} }}",
    Seq: lambda s: " ".join(map(c, s.stmts)),
    For: lambda s: "for (int {0} = {1}; {0} < {1} + {2}; {0}++) {{ {3} }}".format(
        *map(c, (s.var, s.minimum, s.extent, s.body))),
    If: lambda s: f"if ({c(s.cond)}) {{ {c(s.then)} }} else {{ {c(s.otherwise)} }}",
    type(None): lambda s: "",
}  # fmt: skip


def c(node):
    for kind, form in FORMS.items():
        if isinstance(node, kind):
            return form(node)
    raise CodegenError(f"the toy target has no C for {node}")


def c_type(node):
    return TYPES[str(node.dtype)]


def array(buffer, prefix):
    return f"{c_type(buffer)} {prefix}{id(buffer)}"


def source(f, target):
    params = ", ".join(array(b, "*restrict b") for b in f.params)
    return f"{HEAD}void {f.name}({params}) {{ {c(f.body)} }}\n"


class ToyProgram:
    def __init__(self, program, codes, storage):
        self.program, self.storage, self.folder = program, storage, tempfile.TemporaryDirectory()
        source, library = (Path(self.folder.name, n) for n in ("toy.c", "toy.so"))
        source.write_bytes(b"".join(codes.values()))
        command = ["cc", "-O2", "-DinfF=INFINITY", "-DnanF=NAN", "-shared", "-fPIC", "-lm", "-o"]
        subprocess.run([*command, library, source], check=True)
        self.library = CDLL(str(library))

    def _enter(self, arrays):
        own = [np.empty(s.nbytes, np.uint8) for s in self.program.slots]
        slots = [own[root] for root in self.storage.roots]
        given = {**self.storage.constants, **dict(zip(self.program.inputs.values(), arrays))}
        for k, a in given.items():
            slots[k][:] = np.frombuffer(np.ascontiguousarray(a).tobytes(), np.uint8)
        return slots

    def _step(self, step, slots):
        self.library[step.kernel](*(c_void_p(slots[k].ctypes.data) for k in step.args))

    def run(self, arrays, out=None):
        slots = self._enter(arrays)
        for step in self.program.steps:
            self._step(step, slots)
        outputs = zip(self.program.outputs.values(), self.storage.outputs.values())
        return deliver([slots[k].view(s.dtype.numpy).reshape(s.shape) for k, s in outputs], out)

    def time(self, arrays, repeat):
        slots, steps = self._enter(arrays), self.program.steps
        row = [partial(self._step, step, slots) for step in steps]
        return np.array([[timeit(f, number=1) * 1e9 for f in row] for _ in range(repeat)])

    def close(self):
        self.folder.cleanup()


TARGET, GENERATOR = Target("toyc", distinct_buffers=True, vector_bits=8), TextGenerator(source)
