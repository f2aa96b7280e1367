"""Networks whose output is an image or a list of boxes: U-Net and a YOLO-style detector."""

from __future__ import annotations

from typing import Any

import numpy as np

from .builder import Net


def unet() -> Any:
    """U-Net (2015), four levels from 16 channels: transposed convolutions, skip connections;
    input [1, 3, 128, 128], output a probability per pixel."""
    n = Net("unet", seed=14)

    def double(x: str, out: int) -> str:
        return n.conv_bn(n.conv_bn(x, out, 3), out, 3)

    def up(x: str, out: int) -> str:
        c = n.channels[x]
        w = n.param(n.fresh("up"), lambda: n.normal((c, out, 2, 2), (2.0 / c) ** 0.5))
        b = n.param(n.fresh("up"), lambda: n.normal((out,), 0.05))
        y = n.op("ConvTranspose", x, w, b, kernel_shape=[2, 2], strides=[2, 2])
        n.channels[y] = out
        return y

    x, skips = n.input("image", [1, 3, 128, 128]), []
    for width in (16, 32, 64):
        skips.append(double(x, width))
        x = n.pool("Max", skips[-1], 2, 2)
    x = double(x, 128)
    for skip in reversed(skips):
        width = n.channels[skip]
        x = double(n.concat(skip, up(x, width)), width)
    return n.build(n.op("Sigmoid", n.conv(x, 1, 1, gain=1.0)), names=["mask"])


def yolo(classes: int = 20) -> Any:
    """A detector in the style of YOLO v3 to v5 with two scales: C3-like blocks with swish, nearest
    Resize, Split of the prediction, sigmoid decode of boxes against grids and anchors.

    Input [1, 3, 160, 160]; output [1, 3·(11² + 21²), 5 + classes]: x, y, w, h in pixels, scores.
    """
    n = Net("yolo", seed=15)

    def cbs(x: str, out: int, kernel: int, stride: int = 1) -> str:
        return n.conv_bn(x, out, kernel, "Swish", stride=stride, eps=1e-3)

    def block(x: str, out: int, shortcut: bool = True) -> str:
        left, right = cbs(x, out // 2, 1), cbs(x, out // 2, 1)
        y = cbs(cbs(left, out // 2, 1), out // 2, 3)
        return cbs(n.concat(n.op("Add", left, y) if shortcut else y, right), out, 1)

    def pyramid(x: str, out: int) -> str:
        x = cbs(x, out // 2, 1)
        pools = [x]
        for _ in range(3):
            pools.append(n.pool("Max", pools[-1], 5, 1, pad=2))
        return cbs(n.concat(*pools), out, 1)

    def decode(x: str, size: int, anchors: list[tuple[int, int]]) -> str:
        each = 5 + classes
        y = n.conv(x, 3 * each, 1, gain=0.2)
        y = n.op("Reshape", y, n.ints(1, 3, each, size, size))
        y = n.op("Sigmoid", n.op("Transpose", y, perm=[0, 1, 3, 4, 2]))
        xy, wh, rest = n.op("Split", y, n.ints(2, 2, each - 4), outputs=3, axis=4)
        rows, columns = np.mgrid[0:size, 0:size].astype(np.float32)
        grid = n.const(np.stack([columns, rows], -1)[None, None] - np.float32(0.5))
        two, step = n.const(np.float32(2)), n.const(np.float32(160 / size))
        xy = n.op("Mul", n.op("Add", n.op("Mul", xy, two), grid), step)
        sizes = n.const(np.array(anchors, np.float32).reshape(1, 3, 1, 1, 2))
        wh = n.op("Mul", n.op("Pow", n.op("Mul", wh, two), two), sizes)
        y = n.op("Concat", xy, wh, rest, axis=4)
        return n.op("Reshape", y, n.ints(1, -1, each))

    x = cbs(n.input("image", [1, 3, 160, 160]), 16, 6, 2)  # 6×6 with padding 3: 161 → 81
    x = block(cbs(x, 32, 3, 2), 32)
    middle = block(cbs(x, 64, 3, 2), 64)
    deep = pyramid(block(cbs(cbs(middle, 128, 3, 2), 128, 3), 128), 128)
    deep = cbs(deep, 64, 1)
    scales = n.const(np.array([1, 1, 2, 2], np.float32))
    up = n.op(
        "Resize", deep, "", scales,
        mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor",
    )  # fmt: skip
    crop = n.op("Slice", up, n.ints(0, 0), n.ints(21, 21), n.ints(2, 3))
    n.channels[crop] = 64
    fine = block(n.concat(crop, middle), 64, shortcut=False)
    small = decode(fine, 21, [(10, 13), (16, 30), (33, 23)])
    large = decode(deep, 11, [(30, 61), (62, 45), (59, 119)])
    return n.build(n.op("Concat", small, large, axis=1), names=["boxes"])
