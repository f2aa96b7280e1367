"""Which tensors get blocks of channels."""

import numpy as np
import pytest
import weft
from weft.compiler.graph.builder import GraphBuilder
from weft.compiler.passes.layout import choose_layouts
from weft.ir.target import Target

VECTORS = Target.parse("llvm -vector_bits=256 -num_vector_registers=16")


class Net:
    """A graph whose tensors are looked at by the names given here."""

    def __init__(self, channels, side=12):
        self.b = GraphBuilder("net")
        self.rng = np.random.default_rng(2)
        self.x = self.b.input("x", "float32", (1, channels, side, side))

    def weights(self, *shape):
        return self.b.constant(self.rng.standard_normal(shape).astype(np.float32))

    def conv(self, x, filters, channels, size=1, groups=1, stride=1):
        w = self.weights(filters, channels // groups, size, size)
        pad = size // 2
        attrs = {"groups": groups, "strides": (stride,) * 2, "pads": (pad,) * 4}
        return self.add("conv", [x, w], attrs)

    def add(self, op, inputs, attrs=None):
        (y,) = self.b.add(op, inputs, attrs or {})
        return y

    def mean(self, x, axes=(2, 3)):
        return self.b.finish([self.add("reduce_mean", [x], {"axes": axes})])

    def shuffle(self, x, channels, side, groups=2):
        for op, attrs in (
            ("reshape", {"shape": (1, groups, channels // groups, side, side)}),
            ("transpose", {"perm": (0, 2, 1, 3, 4)}),
            ("reshape", {"shape": (1, channels, side, side)}),
        ):
            x = self.add(op, [x], attrs)
        return x


def blocked(graph, *names):
    chosen = choose_layouts(graph, VECTORS)
    return [chosen.types[n].layout is not None for n in names]


def test_convolutions_and_what_follows_them_element_by_element():
    net = Net(3)
    c = net.conv(net.x, 16, 3, 3)
    r = net.add("relu", [c])
    s = net.add("add", [r, net.conv(r, 16, 16, 3)])
    p = net.add("max_pool", [s], {"kernel": (2, 2), "strides": (2, 2)})
    graph = net.mean(p)
    assert blocked(graph, "x", c, r, s, p) == [False, True, True, True, True]


def test_few_channels_stay_rows():
    net = Net(3)
    c = net.conv(net.x, 3, 3, 3)
    graph = net.mean(net.add("relu", [c]))
    assert blocked(graph, c) == [False]


@pytest.mark.parametrize("depthwise", [True, False])
def test_a_shuffle_is_blocked_where_a_depthwise_convolution_reads_it(depthwise):
    """Its elements are taken apart in any case; a dense convolution reads long lines as well as
    blocks, one that works channel by channel with steps does not."""
    net = Net(64, side=24)
    c = net.add("relu", [net.conv(net.x, 24, 64)])
    s = net.shuffle(c, 24, 24)
    d = net.conv(s, 24, 24, 3, groups=24, stride=2) if depthwise else net.conv(s, 24, 24)
    graph = net.mean(net.add("relu", [d]))
    assert blocked(graph, c, s, d) == [True, depthwise, True]


def test_joined_halves_of_a_block_stay_rows():
    """The second part begins within a block."""
    net = Net(64)
    a, b = net.conv(net.x, 12, 64), net.conv(net.x, 12, 64)
    whole = net.add("concat", [a, b], {"axis": 1})
    graph = net.mean(whole, axes=(1, 2, 3))
    assert blocked(graph, a, b, whole) == [True, True, False]
    net = Net(64)
    a, b = net.conv(net.x, 16, 64), net.conv(net.x, 12, 64)
    whole = net.add("concat", [a, b], {"axis": 1})
    graph = net.mean(net.conv(whole, 8, 28))
    assert blocked(graph, a, b, whole) == [True, True, True]


def test_numbers_are_the_same_in_every_layout():
    def build():
        net = Net(5, side=9)
        a = net.add("relu", [net.conv(net.x, 20, 5, 3)])
        s = net.shuffle(a, 20, 9)
        d = net.conv(s, 20, 20, 3, groups=20, stride=2)
        j = net.add("concat", [d, net.conv(s, 12, 20, stride=2)], {"axis": 1})
        return net.b.finish([net.conv(j, 7, 32)])

    x = np.random.default_rng(1).standard_normal((1, 5, 9, 9)).astype(np.float32)
    plain = weft.compile(build(), VECTORS, opt_level=0)(x)
    np.testing.assert_allclose(weft.compile(build(), VECTORS)(x), plain, rtol=2e-5, atol=2e-5)
