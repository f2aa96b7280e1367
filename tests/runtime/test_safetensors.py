"""The safetensors reader and writer."""

import json

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from weft.runtime import safetensors
from weft.runtime.dtype import ALL_DTYPES
from weft.runtime.errors import PackageError


def written(tensors: dict[str, np.ndarray]) -> np.ndarray:
    data = b"".join(bytes(c) for c in safetensors.chunks(tensors))
    assert len(data) == safetensors.size(tensors)
    return np.frombuffer(data, np.uint8)


def file_of(header: object, body: bytes = b"") -> np.ndarray:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return np.frombuffer(len(text).to_bytes(8, "little") + text + body, np.uint8)


def test_every_dtype_and_shape_comes_back():
    tensors = {
        f"{d}-{len(shape)}-{shape}": np.arange(int(np.prod(shape))).reshape(shape).astype(d.numpy)
        for d in ALL_DTYPES
        for shape in [(), (1,), (0,), (3, 0), (5,), (2, 3, 4), (16, 16)]
    }
    found = safetensors.parse(written(tensors), "here")
    assert found.keys() == tensors.keys()
    for name, a in tensors.items():
        assert (found[name].dtype, found[name].shape) == (a.dtype, a.shape)
        assert found[name].tobytes() == a.tobytes()


def test_a_transposed_array_is_stored_row_major():
    a = np.arange(6, dtype=np.int16).reshape(2, 3).T
    np.testing.assert_array_equal(safetensors.parse(written({"a": a}), "")["a"], a)


def test_bfloat16_has_its_own_tag():
    data = written({"w": np.array([1.5, -2], ml_dtypes.bfloat16)})
    assert b'"dtype":"BF16"' in data.tobytes()
    assert safetensors.parse(data, "")["w"].tolist() == [1.5, -2]


def test_bytes_do_not_depend_on_the_order_of_names():
    a, b = np.ones(3, np.float32), np.zeros(2, np.int8)
    assert written({"a": a, "b": b}).tobytes() == written({"b": b, "a": a}).tobytes()


def test_metadata_is_skipped():
    head = {"__metadata__": {"k": "v"}, "x": {"dtype": "U8", "shape": [2], "data_offsets": [0, 2]}}
    assert safetensors.parse(file_of(head, b"ab"), "")["x"].tolist() == [97, 98]


def entry(dtype="U8", shape=(2,), offsets=(0, 2)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (np.zeros(3, np.uint8), "ends before its header"),
        (np.full(16, 255, np.uint8), "does not fit"),
        (file_of(b"{"), "damaged"),
        (file_of(b"[" * 100_000), "damaged"),
        (file_of([1, 2]), "damaged"),
        (file_of({"x": entry("U7")}, b"ab"), "U7"),
        (file_of({"x": entry(shape=[3])}, b"ab"), "'x' does not fit its place"),
        (file_of({"x": entry(offsets=[0, 4], shape=[4])}, b"ab"), "'x' does not fit its place"),
        (file_of({"x": entry(shape=[-2], offsets=[2, 0])}, b"ab"), "not a size"),
        (file_of({"x": entry(shape=[2.0])}, b"ab"), "not a size"),
        (file_of({"x": entry(shape=[0, 2**70], offsets=[0, 0])}), "damaged"),
        (file_of({"x": entry(), "y": entry()}, b"ab"), "overlap or leave gaps"),
        (file_of({"x": entry(offsets=[1, 3])}, b"abc"), "overlap or leave gaps"),
        (file_of({"x": entry()}, b"abc"), "after the last tensor"),
    ],
)
def test_damage_is_named(data, words):
    with pytest.raises(PackageError, match=words) as e:
        safetensors.parse(data, "m.weft, params")
    assert str(e.value).startswith("m.weft, params: the parameters are damaged")


@settings(deadline=None)
@given(st.data())
def test_any_change_of_bytes_is_an_array_or_a_package_error(data):
    good = written({"a": np.arange(4, dtype=np.float32), "b": np.ones((2, 1), np.int64)}).copy()
    for _ in range(data.draw(st.integers(1, 3))):
        k = data.draw(st.integers(0, good.size - 1))
        good[k] = data.draw(st.integers(0, 255))
    cut = good[: data.draw(st.integers(0, good.size))]
    for mutant in (good, cut):
        try:
            found = safetensors.parse(mutant, "")
        except PackageError:
            continue
        assert all(isinstance(a, np.ndarray) for a in found.values())
