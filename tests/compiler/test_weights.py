"""Coding of weights: what is lost, and what is left alone."""

import numpy as np
import pytest
from web.coded import decode
from weft.compiler.web.weights import encode
from weft.runtime.errors import InputError


def weights(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def test_f16_halves_and_stays_close():
    w = weights(64, 32, 3, 3)
    stored = encode({"w": w}, "f16")
    assert stored["w"].nbytes * 2 == w.nbytes
    assert np.allclose(decode(stored)["w"], w, rtol=2**-11, atol=1e-7)


@pytest.mark.parametrize("axis", [0, 1, 3])
def test_int8_finds_the_axis_of_the_channels(axis):
    w = weights(16, 24, 3, 32)
    shape = [1, 1, 1, 1]
    shape[axis] = w.shape[axis]
    w *= np.logspace(-3, 3, w.shape[axis], dtype=np.float32).reshape(shape)
    stored = encode({"w": w}, "int8")
    assert stored["w"].dtype == np.int8 and list(stored["w#scale"].shape) == shape
    error = np.abs(decode(stored)["w"] - w)
    assert (error <= stored["w#scale"] * 0.501).all()


def test_what_cannot_be_coded_stays():
    small, ints = weights(10, 10), np.arange(5000).reshape(50, 100)
    large = weights(64, 64) * 1e6
    broken = weights(64, 64)
    broken[3, 3] = np.inf
    vector = weights(4096)
    for code in ("f32", "f16", "int8"):
        stored = encode({"small": small, "ints": ints}, code)
        assert stored["small"] is small and stored["ints"] is ints
    assert encode({"w": large}, "f16")["w"] is large
    assert encode({"w": broken}, "int8") == {"w": broken}
    assert np.array_equal(decode(encode({"w": broken}, "f16"))["w"][3, 3], np.float32(np.inf))
    assert encode({"w": vector}, "int8") == {"w": vector}


def test_channels_of_zeros():
    w = weights(64, 64)
    w[5] = 0
    back = decode(encode({"w": w}, "int8"))["w"]
    assert np.isfinite(back).all() and (back[5] == 0).all()


def test_an_unknown_code():
    with pytest.raises(InputError, match="f32, f16, int8"):
        encode({}, "int4")
