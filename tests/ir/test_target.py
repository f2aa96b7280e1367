"""Targets as text."""

import re
from pathlib import Path

import pytest
from weft.ir.target import Target, kinds
from weft.runtime.errors import TargetError


@pytest.mark.parametrize(
    "target",
    [
        Target("llvm"),
        Target.parse("llvm"),
        Target.parse("webgl -native_math=exp,fma -ieee_floats"),
        Target("llvm", mtriple="aarch64-linux-gnu", mcpu="cortex-a72", opt_level=1),
        Target("llvm", has_fma=True, has_masked_memory=True, vector_bits=512, mattr="+avx,-sse4a"),
    ],
)
def test_the_text_of_a_target_reads_back(target):
    assert Target.parse(str(target)) == target
    assert Target.parse(target) is target


@pytest.mark.parametrize(
    "text, words",
    [
        ("", "there is no target ''"),
        ("toaster", "targets: " + ", ".join(kinds())),
        ("llvm -speed=9", "has no option '-speed=9'"),
        ("llvm -opt_level=high", "wants a value of type int"),
        ("llvm -native_math=exp,epx", "native_math names 'epx', which is no intrinsic"),
        ("llvm -native_math", "wants a value of type tuple"),
        ("llvm -has_fma=perhaps", "wants a value of type bool"),
    ],
)
def test_malformed_targets_say_what_is_allowed(text, words):
    with pytest.raises(TargetError) as e:
        Target.parse(text)
    assert words in str(e.value)


def test_a_kind_by_its_name_has_no_capabilities():
    """``Target("llvm")`` says nothing of what LLVM can do: everywhere here, targets are parsed."""
    assert Target("llvm") != Target.parse("llvm")
    root = Path(__file__).parents[2]
    places = [root / n for n in ("ir", "codegen", "compiler", "runtime", "benchmarks", "tools")]
    for file in (f for p in places for f in p.rglob("*.py")):
        if file.name != "target.py":
            assert not re.search(rf"\bTarget\(\"({'|'.join(kinds())})\"", file.read_text()), file
