"""Names in WGSL kernels."""

from weft.codegen.clike import Scopes
from weft.codegen.wgsl import _Kernel


def test_names_are_no_types():
    class Names(Scopes):
        words = _Kernel.words

    scopes = Names("here")
    made = [scopes.name("i") for _ in range(70)]
    assert made[6:8] == ["i7", "i9"]
    assert "i31" in made and "i33" in made and not {"i16", "i32", "i64"} & set(made)
