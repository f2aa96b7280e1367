"""The first networks: MNIST CNN, AlexNet, VGG-11, SqueezeNet."""

from __future__ import annotations

from typing import Any

from .builder import Net


def mnist_cnn() -> Any:
    """Two convolutions, two linear layers, softmax; input [1, 1, 28, 28]."""
    n = Net("mnist_cnn", seed=1)
    x = n.input("image", [1, 1, 28, 28])
    x = n.pool("Max", n.act(n.conv(x, 32, 3), "Relu"), 2, 2)
    x = n.pool("Max", n.act(n.conv(x, 64, 3), "Relu"), 2, 2)
    x = n.act(n.linear(n.op("Flatten", x), 64 * 7 * 7, 128), "Relu")
    return n.build(n.op("Softmax", n.linear(x, 128, 10), axis=1), names=["probabilities"])


def alexnet(hidden: int = 1024) -> Any:
    """AlexNet (2012) with its local response normalisation and grouped convolutions. ``hidden`` is
    the width of the two linear layers; the original has 4096, which is 230 MB of weights."""
    n = Net("alexnet", seed=2)
    x = n.input("image", [1, 3, 224, 224])
    x = n.act(n.conv(x, 96, 11, stride=4, pad=2), "Relu")
    x = n.pool("Max", n.op("LRN", x, size=5, alpha=1e-4, beta=0.75, bias=1.0), 3, 2)
    x = n.act(n.conv(x, 256, 5, group=2), "Relu")
    x = n.pool("Max", n.op("LRN", x, size=5, alpha=1e-4, beta=0.75, bias=1.0), 3, 2)
    x = n.act(n.conv(x, 384, 3), "Relu")
    x = n.act(n.conv(x, 384, 3, group=2), "Relu")
    x = n.pool("Max", n.act(n.conv(x, 256, 3, group=2), "Relu"), 3, 2)
    x = n.op("Dropout", n.op("Flatten", x))
    x = n.op("Dropout", n.act(n.linear(x, 256 * 6 * 6, hidden), "Relu"))
    x = n.linear(n.act(n.linear(x, hidden, hidden), "Relu"), hidden, 1000)
    return n.build(n.op("Softmax", x, axis=-1), names=["probabilities"])


def vgg11(hidden: int = 512) -> Any:
    """VGG-11 (2014). ``hidden`` as in :func:`alexnet`; the original's 4096 is 530 MB."""
    n = Net("vgg11", seed=3)
    x = n.input("image", [1, 3, 224, 224])
    for widths in ((64,), (128,), (256, 256), (512, 512), (512, 512)):
        for width in widths:
            x = n.act(n.conv(x, width, 3), "Relu")
        x = n.pool("Max", x, 2, 2)
    x = n.op("Reshape", x, n.ints(0, -1))
    x = n.act(n.linear(x, 512 * 7 * 7, hidden), "Relu")
    x = n.act(n.linear(x, hidden, hidden), "Relu")
    return n.build(n.linear(x, hidden, 1000), names=["logits"])


def squeezenet() -> Any:
    """SqueezeNet 1.1 (2016): fire modules, ceil-mode pooling, no linear layer."""
    n = Net("squeezenet", seed=4)

    def fire(x: str, squeeze: int, expand: int) -> str:
        x = n.act(n.conv(x, squeeze, 1), "Relu")
        left, right = n.conv(x, expand, 1), n.conv(x, expand, 3)
        return n.concat(n.act(left, "Relu"), n.act(right, "Relu"))

    x = n.input("image", [1, 3, 224, 224])
    x = n.act(n.conv(x, 64, 3, stride=2, pad=0), "Relu")
    x = n.pool("Max", x, 3, 2, ceil_mode=1)
    x = n.pool("Max", fire(fire(x, 16, 64), 16, 64), 3, 2, ceil_mode=1)
    x = n.pool("Max", fire(fire(x, 32, 128), 32, 128), 3, 2, ceil_mode=1)
    x = fire(fire(fire(fire(x, 48, 192), 48, 192), 64, 256), 64, 256)
    x = n.act(n.conv(n.op("Dropout", x), 1000, 1), "Relu")
    x = n.op("Flatten", n.op("GlobalAveragePool", x))
    return n.build(n.op("Softmax", x, axis=1), names=["probabilities"])
