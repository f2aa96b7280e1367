"""PyTorch's files as files: what they are known by, damaged ones, what is no network."""

import json
import random
import zipfile

import numpy as np
import pytest
import weft
from support.front_ends import mutated
from support.parity import near
from support.pytorch_answers import HERE, answers
from weft.compiler.frontends import inspect
from weft.compiler.frontends.table import frontend_of
from weft.compiler.frontends.torch import pickles
from weft.compiler.frontends.torch.archive import Archive
from weft.compiler.frontends.torch.converters import CONVERTERS
from weft.runtime.errors import (
    InputError,
    InternalError,
    ModelError,
    UnsupportedError,
    WeftError,
)

QUIET = HERE / "quiet.pt2"


@pytest.mark.parametrize("name", ["quiet.pt2", "quiet.old.pt2", "quiet.state.pth"])
def test_known_by_content(name, tmp_path):
    other = tmp_path / "model.bin"
    other.write_bytes((HERE / name).read_bytes())
    assert frontend_of(other).name == "torch"
    assert frontend_of(other.read_bytes()).name == "torch"


def test_others_are_not_known():
    empty = b"PK\x05\x06" + bytes(18)
    for data in (b"", b"PK", empty, b"\x80\x02}q\x00.", b"\x08\x07"):
        assert frontend_of(data).name != "torch"


@pytest.mark.parity
def test_a_network_compiles_and_answers_as_pytorch_does():
    inputs, (wanted,) = answers("narrow")
    for kind in ("", ".core"):
        got = weft.compile(HERE / f"narrow{kind}.pt2")(*inputs)
        near("torch", f"narrow{kind}.pt2, of seeded weights", "PyTorch 2.13", [(got, wanted)])
        assert (got.argmax(-1) == wanted.argmax(-1)).all()


def test_what_is_in_a_file():
    found = inspect(HERE / "narrow.pt2")
    assert "exported program" in found.format and "2.13" in found.producer
    assert found.operators["conv2d.default"] == 10 and not found.missing
    assert list(found.inputs.values()) == ["float32[2, 3, 24, 24]"]
    sized = inspect(HERE / "sized.pt2")
    assert list(sized.outputs) == [
        "half", "places", "mask", "n", "wide", "mean", "up", "last", "pad",
    ]  # fmt: skip


def test_open_extents_have_names():
    graph = weft.load(HERE / "sized.pt2")
    assert len(graph.symbols) == 2
    assert graph.bind({"x": (3, 4, 6)}).types["half"].shape == (3, 8)
    with pytest.raises(InputError, match="missing"):
        graph.verify()


def test_the_archive_of_older_versions():
    new, old = weft.load(QUIET), weft.load(HERE / "quiet.old.pt2")
    assert [n.op for n in new.nodes] == [n.op for n in old.nodes]
    for a, b in zip(new.constants.values(), old.constants.values()):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", ["quiet.state.pth", "quiet.legacy.pth"])
def test_a_state_dict_is_no_network(name):
    with pytest.raises(
        UnsupportedError, match="holds weights and no network; this file holds 1"
    ) as e:
        weft.load(HERE / name)
    assert "torch.export" in (e.value.hint or "")


def test_a_module_in_memory_needs_torch_and_inputs():
    """A stand-in for a module: CI has no torch."""
    module = type("Module", (), {"__module__": "torch.nn.modules.module"})()
    assert frontend_of(module).name == "torch"
    try:
        import torch  # noqa: F401
    except ImportError:
        with pytest.raises(InputError, match="torch cannot be imported") as e:
            weft.load(module, example_inputs=(np.zeros(1),))
        assert "pip install" in (e.value.hint or "")
    with pytest.raises(InputError, match="example_inputs"):
        weft.load(QUIET, example_inputs=())


def test_converters_have_the_arguments_of_their_schemas():
    lines = (HERE / "schemas.txt").read_text().splitlines()
    schemas = {name: args for name, *args in map(str.split, lines)}
    python = ("_operator.", "torch.", "math.")
    own = [k for k in CONVERTERS if not k.startswith(python) and k != "round"]
    assert set(own) == set(schemas) and len(own) > 500
    places = {"device", "layout", "pin_memory", "memory_format", "non_blocking", "generator"}
    for name in own:
        row, args = CONVERTERS[name], [a for a in schemas[name] if a not in places]
        assert [p for p in row.parameters if p in args] == args, name
        assert set(row.required) <= set(args), name


def repacked(members, tmp_path):
    path = tmp_path / "m.pt2"
    with zipfile.ZipFile(path, "w") as z:
        for name, data in members.items():
            z.writestr(name, data)
    return path.read_bytes()


def refused(data):
    """Whether a model is refused, and by nothing but a WeftError that is not a fault of weft."""
    try:
        weft.load(data)
        return False
    except InternalError:
        raise
    except WeftError as e:
        assert str(e)
        return True


@pytest.mark.parametrize("name", ["quiet.pt2", "quiet.old.pt2"])
def test_damaged_members(name, tmp_path):
    """Bytes of the members, behind an archive that is sound: so that readers see them."""
    rng = np.random.default_rng(1)
    with zipfile.ZipFile(HERE / name) as z:
        members = {n: z.read(n) for n in z.namelist()}
    picked = [n for n in members if n.endswith((".json", ".pt"))]
    count = 0
    for k in range(500):
        victim = picked[k % len(picked)] if k % 2 else max(picked, key=lambda n: len(members[n]))
        made = repacked({**members, victim: mutated(rng, members[victim])}, tmp_path)
        count += refused(made)
    assert 50 < count < 500


def changed(tree, rng):
    """A JSON tree in which one value is another."""
    places, stack = [], [tree]
    while stack:
        node = stack.pop()
        for k, v in node.items() if isinstance(node, dict) else enumerate(node):
            places.append((node, k))
            if isinstance(v, dict | list):
                stack.append(v)
    node, k = rng.choice(places)
    others = [None, True, -1, 0, 3, 2**40, 1.5, "x", [], [1, 2], {}, {"as_int": 2}]
    if rng.random() < 0.2 and isinstance(node, dict):
        del node[k]
    else:
        node[k] = rng.choice([*others, rng.choice(places)[0]])
    return tree


@pytest.mark.parametrize("name", ["quiet", "sized", "padding"])
def test_damaged_descriptions(name, tmp_path):
    """JSON that is sound, and says something else: so that converters see it."""
    rng = random.Random(3)
    with zipfile.ZipFile(HERE / f"{name}.pt2") as z:
        members = {n: z.read(n) for n in z.namelist()}
    (model,) = (n for n in members if n.endswith("models/model.json"))
    tree = json.loads(members[model])
    for node in tree["graph_module"]["graph"]["nodes"]:
        node["metadata"] = {}
    text, count = json.dumps(tree), 0
    for _ in range(100):
        try:
            made = json.dumps(changed(json.loads(text), rng))
        except ValueError:  # a value inside of itself
            continue
        count += refused(repacked({**members, model: made.encode()}, tmp_path))
    assert 10 < count < 100


def test_damaged_archives():
    rng = np.random.default_rng(2)
    data = QUIET.read_bytes()
    assert sum(refused(mutated(rng, data)) for _ in range(300)) > 100
    for length in range(0, len(data), 97):
        assert refused(data[:length])


def test_a_pickle_that_asks_for_more_is_refused(tmp_path):
    for payload in (
        b"cos\nsystem\n(S'true'\ntR.",
        b"\x80\x02cbuiltins\neval\nX\x01\x00\x00\x001\x85R.",
        b"\x80\x02]r\xff\xff\xff\x7f.",  # a memo of two thousand million entries
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n)R.",
    ):
        data = repacked({"m/data.pkl": payload, "m/version": b"3"}, tmp_path)
        with pytest.raises(ModelError):
            pickles.load_archive(Archive(data))
        with pytest.raises(UnsupportedError, match="no network"):
            weft.load(data)


def test_sizes_are_checked_before_memory_is_taken(tmp_path):
    with zipfile.ZipFile(QUIET) as z:
        members = {n: z.read(n) for n in z.namelist()}
    name = next(n for n in members if n.endswith("weights_config.json"))
    for old, new in ((b'"as_int": 3', b'"as_int": 99999999999'), (b'"as_int": 1', b'"as_int": -1')):
        assert old in members[name]
        with pytest.raises(ModelError):
            weft.load(repacked({**members, name: members[name].replace(old, new)}, tmp_path))
