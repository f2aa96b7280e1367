"""Fourier transforms beside numpy, which the specification follows; STFT beside ONNX Runtime."""

from __future__ import annotations

import numpy as np
import pytest
import weft
from support.contrib import Data, Node
from weft.runtime.errors import ModelError, UnsupportedError

data = Data(41)


def pairs(z: np.ndarray) -> np.ndarray:
    return np.stack([z.real, z.imag], -1).astype(np.float32)


def dft(x: np.ndarray, length: int | None, axis: int, **attrs: int) -> Node:
    given = None if length is None else np.int64(length)
    inputs = [x, given, np.int64(axis)]
    return Node("DFT", inputs, attrs, (1, 2), domain="", opset=20, rtol=1e-4, atol=2e-4)


@pytest.mark.parametrize("length", [1, 2, 7, 16, 60, 521, 600, 1024, 1030])
@pytest.mark.parametrize("axis", [0, 1])
def test_dft(length: int, axis: int) -> None:
    shape = (length, 3) if axis == 0 else (2, length)
    z = data(*shape) + 1j * data(*shape)
    dft(pairs(z), None, axis).check([pairs(np.fft.fft(z, axis=axis))])
    dft(pairs(z), None, axis, inverse=1).check([pairs(np.fft.ifft(z, axis=axis))])
    x = z.real.astype(np.float32)
    half = np.fft.rfft(x, axis=axis)
    dft(x[..., None], None, axis, onesided=1).check([pairs(half)])
    back = np.fft.irfft(half, n=length, axis=axis).astype(np.float32)
    node = dft(pairs(half), length, axis, inverse=1, onesided=1)
    node.check([back[..., None]])


@pytest.mark.parametrize("length", [5, 12])
def test_a_length_of_its_own(length: int) -> None:
    x = data(2, 8)
    dft(x[..., None], length, 1).check([pairs(np.fft.fft(x, n=length))])


@pytest.mark.parametrize("onesided", [0, 1])
@pytest.mark.parametrize(
    ("step", "length", "windowed"), [(3, 8, True), (8, 8, True), (5, 16, False)]
)
def test_stft(onesided: int, step: int, length: int, windowed: bool) -> None:
    window = np.hanning(length).astype(np.float32) if windowed else None
    inputs = [data(2, 37, 1), np.int64(step), window, np.int64(length)]
    attrs = {"onesided": onesided}
    Node("STFT", inputs, attrs, (1, 2, 3), domain="", opset=17, atol=1e-4).check()


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("onesided", [0, 1])
def test_rfft_and_back(count: int, onesided: int) -> None:
    x = data(2, 6, 8)
    axes = tuple(range(3 - count, 3))
    z = (np.fft.rfftn if onesided else np.fft.fftn)(x, axes=axes)
    attrs = {"signal_ndim": count, "onesided": onesided}
    Node("Rfft", [x], attrs, atol=1e-4).check([pairs(z)])
    Node("Irfft", [pairs(z)], attrs, atol=1e-4).check([x])


def test_refusals() -> None:
    with pytest.raises(UnsupportedError, match="prime factors"):
        weft.load(dft(np.zeros((4099, 1), np.float32), None, 0).model)
    with pytest.raises(ModelError, match="neither 1"):
        weft.load(dft(data(4, 3), None, 0).model)
    with pytest.raises(ModelError, match="every 0 samples"):
        inputs = [data(1, 9, 1), np.int64(0), None, np.int64(4)]
        weft.load(Node("STFT", inputs, {}, (1, 3), domain="", opset=17).model)
