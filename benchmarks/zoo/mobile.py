"""Small networks: MobileNet v1, v2, v3-small, EfficientNet-B0 and -Lite0, ShuffleNet v2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .builder import Net


def _divisible(width: float, by: int = 8) -> int:
    new = max(by, int(width + by / 2) // by * by)
    return new + by if new < 0.9 * width else new


def _squeeze_excite(n: Net, x: str, squeezed: int, act: str, gate: str) -> str:
    c = n.channels[x]
    s = n.act(n.conv(n.op("GlobalAveragePool", x), squeezed, 1), act)
    s = n.conv(s, c, 1)
    if gate == "HardSigmoid":
        return n.op("Mul", x, n.op("HardSigmoid", s, alpha=1 / 6, beta=0.5))
    return n.op("Mul", x, n.op("Sigmoid", s))


def mobilenet_v1() -> Any:
    """MobileNet v1 (2017): depthwise and pointwise convolutions in turn."""
    n = Net("mobilenet_v1", seed=9)
    x = n.conv_bn(n.input("image", [1, 3, 224, 224]), 32, 3, stride=2)
    plan = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5]
    for out, stride in [*plan, (1024, 2), (1024, 1)]:
        x = n.conv_bn(x, n.channels[x], 3, stride=stride, group=n.channels[x])
        x = n.conv_bn(x, out, 1)
    return n.build(n.classifier(x), names=["logits"])


def mobilenet_v2() -> Any:
    """MobileNet v2 (2018): inverted residuals, linear bottlenecks, ReLU6."""
    n = Net("mobilenet_v2", seed=10)
    x = n.conv_bn(n.input("image", [1, 3, 224, 224]), 32, 3, "Relu6", stride=2)
    for expand, out, depth, first in [
        (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2),
        (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
    ]:  # fmt: skip
        for i in range(depth):
            stride, c, y = (first if i == 0 else 1), n.channels[x], x
            if expand != 1:
                y = n.conv_bn(y, c * expand, 1, "Relu6")
            y = n.conv_bn(y, c * expand, 3, "Relu6", stride=stride, group=c * expand)
            y = n.conv_bn(y, out, 1, None, gain=1.0)
            x = n.op("Add", x, y) if stride == 1 and c == out else y
    return n.build(n.classifier(n.conv_bn(x, 1280, 1, "Relu6")), names=["logits"])


def mobilenet_v3() -> Any:
    """MobileNet v3-small (2019): squeeze-excite with hard sigmoid, hard swish."""
    n = Net("mobilenet_v3", seed=11)
    x = n.conv_bn(n.input("image", [1, 3, 224, 224]), 16, 3, "HardSwish", stride=2)
    for kernel, wide, out, se, act, stride in [
        (3, 16, 16, True, "Relu", 2), (3, 72, 24, False, "Relu", 2), (3, 88, 24, False, "Relu", 1),
        (5, 96, 40, True, "HardSwish", 2), (5, 240, 40, True, "HardSwish", 1),
        (5, 240, 40, True, "HardSwish", 1), (5, 120, 48, True, "HardSwish", 1),
        (5, 144, 48, True, "HardSwish", 1), (5, 288, 96, True, "HardSwish", 2),
        (5, 576, 96, True, "HardSwish", 1), (5, 576, 96, True, "HardSwish", 1),
    ]:  # fmt: skip
        c, y = n.channels[x], x
        if wide != c:
            y = n.conv_bn(y, wide, 1, act)
        y = n.conv_bn(y, wide, kernel, act, stride=stride, group=wide)
        if se:
            y = _squeeze_excite(n, y, _divisible(wide / 4), "Relu", "HardSigmoid")
        y = n.conv_bn(y, out, 1, None, gain=1.0)
        x = n.op("Add", x, y) if stride == 1 and c == out else y
    x = n.op("Flatten", n.op("GlobalAveragePool", n.conv_bn(x, 576, 1, "HardSwish")))
    x = n.act(n.linear(x, 576, 1024), "HardSwish")
    return n.build(n.linear(x, 1024, 1000), names=["logits"])


# EfficientNet-B0: kernel, expansion, channels, depth, stride of the first
_EFFICIENTNET = [
    (3, 1, 16, 1, 1), (3, 6, 24, 2, 2), (5, 6, 40, 2, 2), (3, 6, 80, 3, 2),
    (5, 6, 112, 3, 1), (5, 6, 192, 4, 2), (3, 6, 320, 1, 1),
]  # fmt: skip


def efficientnet_b0() -> Any:
    """EfficientNet-B0 (2019): squeeze-excite and swish."""
    n = Net("efficientnet_b0", seed=12)
    x = n.input("image", [1, 3, 224, 224])
    return n.build(_efficientnet(n, x, "Swish", squeeze=True), names=["logits"])


def efficientnet_lite0(weights: Mapping[str, np.ndarray]) -> Any:
    """EfficientNet-Lite0 (2020) with trained parameters: B0 without squeeze-excite, with ReLU6.

    Input ``image`` [N, 3, 224, 224], (pixel - 127) / 128 in RGB; output ``logits`` [N, 1000].
    """
    n = Net("efficientnet_lite0", weights=weights)
    x = n.input("image", ["N", 3, 224, 224])
    return n.build(_efficientnet(n, x, "Relu6", squeeze=False), names=["logits"])


def _same(size: int, kernel: int, stride: int) -> list[int]:
    """Padding of TensorFlow's SAME: the odd element goes to the end."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return [total // 2, total // 2, total - total // 2, total - total // 2]


def _efficientnet(n: Net, x: str, act: str, squeeze: bool) -> str:
    def layer(x: str, out: int, kernel: int, names: str, act: str | None, **kw: Any) -> str:
        conv, bn = names.split()
        x = n.conv(x, out, kernel, bias=False, name=conv, **kw)
        return n.act(n.batch_norm(x, eps=1e-3, name=bn), act)

    size, block = 112, 0
    x = layer(x, 32, 3, "_conv_stem _bn0", act, stride=2, pad=_same(224, 3, 2))
    for kernel, expand, out, depth, first in _EFFICIENTNET:
        for i in range(depth):
            stride, c, y, at = (first if i == 0 else 1), n.channels[x], x, f"_blocks.{block}."
            wide = c * expand
            if expand != 1:
                y = layer(y, wide, 1, f"{at}_expand_conv {at}_bn0", act)
            pad = _same(size, kernel, stride)
            names = f"{at}_depthwise_conv {at}_bn1"
            y = layer(y, wide, kernel, names, act, stride=stride, pad=pad, group=wide)
            if squeeze:
                y = _squeeze_excite(n, y, max(1, c // 4), "Swish", "Sigmoid")
            y = layer(y, out, 1, f"{at}_project_conv {at}_bn2", None, gain=1.0)
            x = n.op("Add", x, y) if stride == 1 and c == out else y
            size, block = -(-size // stride), block + 1
    return n.classifier(layer(x, 1280, 1, "_conv_head _bn1", act), name="_fc")


def shufflenet_v2() -> Any:
    """ShuffleNet v2 1.0x (2018): channel split, channel shuffle by reshape and transpose."""
    n = Net("shufflenet_v2", seed=13)

    def shuffle(x: str, size: int) -> str:
        c = n.channels[x]
        y = n.op("Reshape", x, n.ints(1, 2, c // 2, size, size))
        y = n.op("Transpose", y, perm=[0, 2, 1, 3, 4])
        y = n.op("Reshape", y, n.ints(1, c, size, size))
        n.channels[y] = c
        return y

    def branch(x: str, half: int, stride: int) -> str:
        y = n.conv_bn(n.conv_bn(x, half, 1), half, 3, None, stride=stride, group=half)
        return n.conv_bn(y, half, 1)

    x = n.conv_bn(n.input("image", [1, 3, 224, 224]), 24, 3, stride=2)
    x, size = n.pool("Max", x, 3, 2, pad=1), 56
    for out, depth in ((116, 4), (232, 8), (464, 4)):
        half, size = out // 2, size // 2
        for i in range(depth):
            if i == 0:
                c = n.channels[x]
                left = n.conv_bn(n.conv_bn(x, c, 3, None, stride=2, group=c), half, 1)
                right = branch(x, half, 2)
            else:
                left, right = n.op("Split", x, n.ints(half, half), outputs=2, axis=1)
                n.channels[left] = n.channels[right] = half
                right = branch(right, half, 1)
            x = shuffle(n.concat(left, right), size)
    x = n.op("ReduceMean", n.conv_bn(x, 1024, 1), axes=[2, 3], keepdims=0)
    return n.build(n.linear(x, 1024, 1000), names=["logits"])
