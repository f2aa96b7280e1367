"""Each group of PyTorch's operators, as it was traced and decomposed, against PyTorch's answers
(``tests/judges/pytorch.py`` wrote both)."""

import pytest
from support.pytorch_answers import HERE, answers, bound, close, evaluated

GROUPS = sorted(p.name.removesuffix(".npz") for p in HERE.glob("*.npz") if ".jit" not in p.name)


@pytest.mark.parametrize("kind", ["", ".core"])
@pytest.mark.parametrize("name", GROUPS)
def test_operators_answer_as_pytorch_does(name, kind):
    inputs, wanted = answers(name)
    got = evaluated(bound(HERE / f"{name}{kind}.pt2", inputs), inputs)
    assert len(got) == len(wanted)
    wrong = [
        (k, str(g.dtype), g.shape, str(w.dtype), w.shape)
        for k, (g, w) in enumerate(zip(got, wanted))
        if g.dtype != w.dtype or g.shape != w.shape or not close(g, w)
    ]
    assert not wrong
