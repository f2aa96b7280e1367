"""Random small modules, exported, read by weft and compared: in an environment that has both.

    PYTHONPATH=…:build/judges/pytorch/lib/python3.11/site-packages \
        python tests/judges/pytorch_random.py [COUNT] [SEED]

Each module is a chain of layers drawn by chance over an image or a sequence; it goes through
``weft.load(module, example_inputs=…)`` (decomposed) and through ``torch.export.save`` (as traced).
"""

import io
import random
import sys

import numpy as np
import torch
import weft
from support.front_ends import outputs_of
from torch import nn


def image_layer(rng, c, size):
    """A layer for ``[N, c, size, size]``: itself, channels and extent of its result."""
    o, k, s = rng.choice([2, 4, 6]), rng.choice([1, 2, 3]), rng.choice([1, 2])
    after = (size + 2 * (k // 2) - k) // s + 1
    g = rng.choice([1, 2])
    target = rng.randint(2, 9)
    mode = rng.choice(["nearest", "bilinear", "bicubic", "nearest-exact"])
    return rng.choice([
        (nn.Conv2d(c, o, k, s, k // 2, groups=g if c % g == o % g == 0 else 1), o, after),
        (nn.ConvTranspose2d(c, o, 3, s, 1, output_padding=s - 1), o, (size - 1) * s + s),
        (nn.MaxPool2d(k, s, k // 2, ceil_mode=False), c, after),
        (nn.AvgPool2d(k, s, k // 2, count_include_pad=rng.random() < 0.5), c, after),
        (nn.AdaptiveAvgPool2d(target), c, target),
        (nn.AdaptiveMaxPool2d(target), c, target),
        (nn.Upsample(target, mode=mode), c, target),
        (nn.BatchNorm2d(c), c, size), (nn.GroupNorm(2, c), c, size),
        (nn.InstanceNorm2d(c), c, size), (nn.LayerNorm(size), c, size),
        (nn.ReflectionPad2d(1), c, size + 2), (nn.ReplicationPad2d(1), c, size + 2),
        (nn.ZeroPad2d(1), c, size + 2),
        (nn.PReLU(c), c, size), (nn.Dropout2d(), c, size),
        *((a, c, size) for a in (nn.ReLU(True), nn.GELU(), nn.SiLU(True), nn.Hardswish(),
                                 nn.ELU(), nn.Softplus(), nn.Sigmoid(), nn.LeakyReLU(0.1, True))),
    ])  # fmt: skip


def sequence_layer(rng, c):
    """A layer for ``[N, L, c]``: itself and the width of its result."""
    o = rng.choice([4, 8])
    return rng.choice([
        (nn.Linear(c, o), o), (nn.LayerNorm(c), c), (nn.RMSNorm(c), c), (nn.Softmax(-1), c),
        (First(nn.LSTM(c, o, rng.choice([1, 2]), batch_first=True)), o),
        (First(nn.GRU(c, o, batch_first=True, bidirectional=True)), 2 * o),
        (First(nn.RNN(c, o, batch_first=True)), o),
        (Self(nn.MultiheadAttention(c, 2, batch_first=True)), c),
        (nn.TransformerEncoderLayer(c, 2, 8, batch_first=True, norm_first=rng.random() < 0.5), c),
        (nn.Tanh(), c), (nn.GLU(), c // 2) if c % 4 == 0 else (nn.Mish(), c),
    ])  # fmt: skip


class First(nn.Module):
    """The sequence that a recurrent network puts out."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x)[0]


class Self(First):
    """Attention of a sequence to itself."""

    def forward(self, x):
        return self.inner(x, x, x)[0]


def made(rng):
    """A module in its answering mode, and its input."""
    layers = []
    if rng.random() < 0.6:
        c, size = rng.choice([2, 4]), rng.randint(5, 11)
        x = torch.randn(rng.choice([1, 2]), c, size, size)
        for _ in range(rng.randint(2, 6)):
            if size < 3 or size > 24:
                break
            layer, c, size = image_layer(rng, c, size)
            layers.append(layer)
    else:
        c = 8
        x = torch.randn(2, rng.randint(3, 6), c)
        for _ in range(rng.randint(1, 4)):
            if c < 4:
                break
            layer, c = sequence_layer(rng, c)
            layers.append(layer)
    return nn.Sequential(*layers).eval(), x


def main(count=100, seed=0):
    worst, failed = 0.0, 0
    for k in range(count):
        rng = random.Random(seed * 100003 + k)
        torch.manual_seed(k)
        module, x = made(rng)
        with torch.no_grad():
            want = module(x.clone()).numpy()
            file = io.BytesIO()
            torch.export.save(torch.export.export(module, (x.clone(),)), file)
        try:
            for graph in (
                weft.load(module, example_inputs=(x.clone(),)),
                weft.load(file.getvalue()),
            ):
                (got,) = outputs_of(graph, {graph.inputs[0]: x.numpy()})
                error = np.abs(got - want).max() / max(np.abs(want).max(), 1e-6)
                worst = max(worst, error)
                if got.shape != want.shape or not error <= 1e-4:
                    raise ValueError(f"{error:.1e}, {got.shape} for {want.shape}")
        except Exception as e:
            failed += 1
            print(f"module {k}: {type(e).__name__}: {str(e)[:300]}\n{module}")
    print(f"{count} modules, {failed} wrong, largest relative error {worst:.1e}")
    return failed


if __name__ == "__main__":
    sys.exit(bool(main(*map(int, sys.argv[1:]))))
