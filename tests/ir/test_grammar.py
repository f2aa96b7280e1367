"""The grammar in the docstring of ``weft.ir`` is true to the classes, and none is missing."""

import dataclasses
import re
from itertools import chain

import pytest
import weft.ir
from weft.ir import expr, stmt, te, tensor
from weft.ir.expr import Expr
from weft.ir.operations import extern, scan
from weft.ir.schedule import loops, primitives, stage, trace, transforms
from weft.ir.schedule.schedule import create_schedule

MODULES = (expr, stmt, tensor, extern, scan, loops, transforms, stage, trace, primitives)
ABSTRACT = {"Operation", "_Reading", "Primitive"}  # a base; the machinery of primitives
WORDS = {
    "bool | int | float": "number",
    "Expr": "expr",
    "Stmt": "stmt",
    "Buffer | Var": "param",
    "tuple[IterVar, int]": "share",
    "Mapping[str, object]": "hints",
    "Value": "value",
}


def grammar() -> dict[str, list[str]]:
    """Constructor -> ``type name`` of its fields, as written."""
    assert weft.ir.__doc__ is not None
    text = re.sub(r"--.*", "", weft.ir.__doc__.split("::", 1)[1])
    found = re.findall(r"(?:=|\|)\s+([A-Z]\w+)\(([^)]*)\)", text)
    return {name: [" ".join(f.split()) for f in fields.split(",")] for name, fields in found}


def word(annotation: str) -> str:
    for pattern, mark in ((r"tuple\[(.+), \.\.\.\]", "*"), (r"frozenset\[(.+)\]", "*")):
        if m := re.fullmatch(pattern, annotation):
            return word(m[1]) + mark
    if m := re.fullmatch(r"(\w+) \| None", annotation):
        return word(m[1]) + "?"
    return WORDS.get(annotation, annotation)


def classes() -> dict[str, type]:
    members = chain.from_iterable(vars(m).values() for m in MODULES)
    kinds = {c for c in members if isinstance(c, type) and dataclasses.is_dataclass(c)}
    ours = {m.__name__ for m in MODULES}
    return {c.__name__: c for c in kinds if c.__module__ in ours and c.__name__ not in ABSTRACT}


@pytest.mark.parametrize("name", sorted(classes()))
def test_a_class_has_the_fields_of_the_grammar(name):
    cls = classes()[name]
    attributes = {"dtype"} if issubclass(cls, Expr) else set()
    if issubclass(cls, tensor.Operation):
        attributes = {"name", "attrs"}
    fields = dataclasses.fields(cls)
    assert attributes <= {f.name for f in fields}
    written = [f"{word(str(f.type))} {f.name}" for f in fields if f.name not in attributes]
    assert grammar()[name] == written


def test_no_constructor_is_invented():
    assert set(grammar()) - set(classes()) == {"Tensor", "Schedule", "Stage"}


def test_a_schedule_its_stages_and_tensors_have_these_fields():
    a = te.placeholder((4,), name="A")
    b = te.compute((4,), lambda i: a[i] * 2.0, "B")
    s = create_schedule(b)
    for thing in (b, s, s[b]):
        for field in grammar()[type(thing).__name__]:
            assert hasattr(thing, field.split()[1]), field
