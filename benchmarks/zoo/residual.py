"""Networks with long connections: ResNet-18 and -50, DenseNet-121, Inception v3."""

from __future__ import annotations

from typing import Any

from .builder import Net


def resnet18() -> Any:
    """ResNet-18 (2015), input [1, 3, 224, 224]."""
    n = Net("resnet18", seed=5)

    def block(x: str, width: int, stride: int) -> str:
        y = n.conv_bn(x, width, 3, stride=stride)
        y = n.conv_bn(y, width, 3, act=None, gain=1.0)
        if stride != 1 or n.channels[x] != width:
            x = n.conv_bn(x, width, 1, act=None, stride=stride, gain=1.0)
        return n.act(n.op("Add", y, x), "Relu")

    x = _stem(n)
    for k, width in enumerate((64, 128, 256, 512)):
        x = block(block(x, width, 1 if k == 0 else 2), width, 1)
    return n.build(n.classifier(x), names=["logits"])


def resnet50() -> Any:
    """ResNet-50 v1.5 (stride in the 3×3 convolution), input [1, 3, 224, 224]."""
    n = Net("resnet50", seed=6)

    def block(x: str, width: int, stride: int) -> str:
        y = n.conv_bn(n.conv_bn(x, width, 1), width, 3, stride=stride)
        y = n.conv_bn(y, 4 * width, 1, act=None, gain=0.5)
        if stride != 1 or n.channels[x] != 4 * width:
            x = n.conv_bn(x, 4 * width, 1, act=None, stride=stride, gain=1.0)
        return n.act(n.op("Add", y, x), "Relu")

    x = _stem(n)
    for k, (width, depth) in enumerate(zip((64, 128, 256, 512), (3, 4, 6, 3))):
        for i in range(depth):
            x = block(x, width, 2 if i == 0 and k > 0 else 1)
    return n.build(n.classifier(x), names=["logits"])


def _stem(n: Net) -> str:
    x = n.input("image", [1, 3, 224, 224])
    return n.pool("Max", n.conv_bn(x, 64, 7, stride=2), 3, 2, pad=1)


def densenet121() -> Any:
    """DenseNet-121 (2016): batch norm before the convolution, growth 32."""
    n = Net("densenet121", seed=7)

    def layer(x: str) -> str:
        y = n.conv_bn(n.act(n.batch_norm(x), "Relu"), 128, 1)
        return n.concat(x, n.conv(y, 32, 3, bias=False))

    x = _stem(n)
    for k, depth in enumerate((6, 12, 24, 16)):
        if k:
            x = n.conv(n.act(n.batch_norm(x), "Relu"), n.channels[x] // 2, 1, bias=False)
            x = n.pool("Average", x, 2, 2)
        for _ in range(depth):
            x = layer(x)
    return n.build(n.classifier(n.act(n.batch_norm(x), "Relu")), names=["logits"])


def inception() -> Any:
    """Inception v3 (2015) with one block of each kind instead of eleven: A (5×5 and double 3×3), B
    (grid reduction), C (factorised 1×7 and 7×1), D (reduction), E (expanded 1×3 and 3×1);
    input [1, 3, 299, 299]."""
    n = Net("inception", seed=8)

    def cbr(x: str, out: int, kernel: Any, **kw: Any) -> str:
        return n.conv_bn(x, out, kernel, eps=1e-3, **kw)

    def average(x: str) -> str:
        return n.pool("Average", x, 3, 1, pad=1, count_include_pad=1)

    x = n.input("image", [1, 3, 299, 299])
    x = cbr(cbr(cbr(x, 32, 3, stride=2, pad=0), 32, 3, pad=0), 64, 3)
    x = cbr(cbr(n.pool("Max", x, 3, 2), 80, 1), 192, 3, pad=0)
    x = n.pool("Max", x, 3, 2)
    double = cbr(cbr(cbr(x, 64, 1), 96, 3), 96, 3)
    x = n.concat(cbr(x, 64, 1), cbr(cbr(x, 48, 1), 64, 5), double, cbr(average(x), 32, 1))
    double = cbr(cbr(cbr(x, 64, 1), 96, 3), 96, 3, stride=2, pad=0)
    x = n.concat(cbr(x, 384, 3, stride=2, pad=0), double, n.pool("Max", x, 3, 2))
    row = cbr(cbr(cbr(x, 128, 1), 128, (1, 7)), 192, (7, 1))
    deep = cbr(cbr(cbr(x, 128, 1), 128, (7, 1)), 128, (1, 7))
    deep = cbr(cbr(deep, 128, (7, 1)), 192, (1, 7))
    x = n.concat(cbr(x, 192, 1), row, deep, cbr(average(x), 192, 1))
    left = cbr(cbr(x, 192, 1), 320, 3, stride=2, pad=0)
    right = cbr(cbr(cbr(cbr(x, 192, 1), 192, (1, 7)), 192, (7, 1)), 192, 3, stride=2, pad=0)
    x = n.concat(left, right, n.pool("Max", x, 3, 2))
    side, deep = cbr(x, 384, 1), cbr(cbr(x, 448, 1), 384, 3)
    side = n.concat(cbr(side, 384, (1, 3)), cbr(side, 384, (3, 1)))
    deep = n.concat(cbr(deep, 384, (1, 3)), cbr(deep, 384, (3, 1)))
    x = n.concat(cbr(x, 320, 1), side, deep, cbr(average(x), 192, 1))
    return n.build(n.classifier(x), names=["logits"])
