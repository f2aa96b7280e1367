"""What operations of Core ML mean, as plain as numpy has it: loops over windows, steps and places.

Written after the documents of coremltools (``NeuralNetwork.proto``, the operations of MIL), and
nothing of weft is used.
"""

import itertools
import math

import numpy as np

SAMPLING = ("STRICT_ALIGN_CORNERS", "ALIGN_CORNERS", "DEFAULT", "OFFSET_CORNERS", "UNALIGN_CORNERS")


def same(size, kernel, strides, dilations=None, lower=False):
    """Pads, a pair an axis, that keep ``ceil(size / stride)`` windows."""
    pads = []
    for m, k, s, d in zip(size, kernel, strides, dilations or [1] * len(size)):
        total = max((math.ceil(m / s) - 1) * s + (k - 1) * d + 1 - m, 0)
        small, large = total // 2, total - total // 2
        pads.append((large, small) if lower else (small, large))
    return pads


def conv(x, w, b=None, strides=None, pads=None, dilations=None, groups=1):
    """[N, C, ...] and weights [F, C / groups, ...]."""
    rank = x.ndim - 2
    strides, dilations = strides or [1] * rank, dilations or [1] * rank
    x = np.pad(x.astype(np.float64), [(0, 0), (0, 0), *(pads or [(0, 0)] * rank)])
    reach = [(k - 1) * d + 1 for k, d in zip(w.shape[2:], dilations)]
    outs = [(m - r) // s + 1 for m, r, s in zip(x.shape[2:], reach, strides)]
    y = np.zeros((x.shape[0], w.shape[0], *outs))
    each_in, each_out = w.shape[1], w.shape[0] // groups
    for f in range(w.shape[0]):
        g = f // each_out
        part = x[:, g * each_in : (g + 1) * each_in]
        for at in itertools.product(*map(range, outs)):
            cut = tuple(
                slice(o * s, o * s + r, d) for o, s, r, d in zip(at, strides, reach, dilations)
            )
            window = part[(slice(None), slice(None), *cut)]
            y[(slice(None), f, *at)] = (window * w[f]).reshape(len(x), -1).sum(1)
    return y if b is None else y + b.reshape(-1, *[1] * rank)


def conv_transpose(x, w, b=None, strides=None, pads=None, groups=1, out=None):
    """[N, C, ...] and weights [C, F / groups, ...]; pads are cut off; ``out`` are extents."""
    rank = x.ndim - 2
    strides = strides or [1] * rank
    whole = [(m - 1) * s + k for m, s, k in zip(x.shape[2:], strides, w.shape[2:])]
    y = np.zeros((x.shape[0], w.shape[1] * groups, *(h + 8 for h in whole)))
    each_in, each_out = x.shape[1] // groups, w.shape[1]
    for c in range(x.shape[1]):
        g = c // each_in
        for at in itertools.product(*map(range, x.shape[2:])):
            cut = tuple(slice(o * s, o * s + k) for o, s, k in zip(at, strides, w.shape[2:]))
            place = (slice(None), slice(g * each_out, (g + 1) * each_out), *cut)
            y[place] += x[(slice(None), c, *at)].reshape(-1, 1, *[1] * rank) * w[c]
    pads = pads or [(0, 0)] * rank
    out = out or [h - a - z for h, (a, z) in zip(whole, pads)]
    y = y[(slice(None), slice(None), *(slice(p[0], p[0] + o) for p, o in zip(pads, out)))]
    return y if b is None else y + b.reshape(-1, *[1] * rank)


def pool(x, kind, kernel, strides=None, pads=None, ceil=False, exclude=False):
    """``max``, ``average`` or ``l2`` over the last axes."""
    rank = len(kernel)
    strides, pads = strides or [1] * rank, pads or [(0, 0)] * rank
    size, outs = x.shape[-rank:], []
    for m, k, s, (a, z) in zip(size, kernel, strides, pads):
        o = ((m + a + z - k + (s - 1 if ceil else 0)) // s) + 1
        if ceil and (a or z) and (o - 1) * s >= m + a:
            o -= 1
        outs.append(o)
    y = np.zeros((*x.shape[:-rank], *outs))
    for at in itertools.product(*map(range, outs)):
        starts = [o * s - a for o, s, (a, _) in zip(at, strides, pads)]
        inside = tuple(slice(max(b, 0), min(b + k, m)) for b, k, m in zip(starts, kernel, size))
        window = x[(..., *inside)].reshape(*x.shape[:-rank], -1).astype(np.float64)
        if kind == "max":
            found = window.max(-1)
        elif kind == "l2":
            found = np.sqrt((window**2).sum(-1))
        else:
            count = window.shape[-1]
            if not exclude:  # what of the window lies on the padded data
                count = math.prod(
                    min(b + k, m + z) - b for b, k, m, (_, z) in zip(starts, kernel, size, pads)
                )
            found = window.sum(-1) / count
        y[(..., *at)] = found
    return y


def places(size, out, mode):
    """Where ``out`` places lie on an axis of ``size`` elements."""
    if mode in ("STRICT_ALIGN_CORNERS", "ALIGN_CORNERS"):
        at = np.linspace(0, size - 1, out)
        if out == 1:
            at = np.array([(size - 1) / 2 if mode == "ALIGN_CORNERS" else 0.0])
    elif mode == "DEFAULT":
        at = np.linspace(0, size - size / out, out)
    elif mode == "OFFSET_CORNERS":
        spacing = max(1, size - 1) / out
        at = np.linspace(0.5 * spacing, 0.5 * spacing + (out - 1) * spacing, out)
    else:
        spacing = size / out
        at = np.arange(out) * spacing + 0.5 * spacing - 0.5
    return np.clip(at, 0, size - 1)


def bilinear(x, rows, columns):
    """The last two axes read at rows and columns, which are no whole numbers."""
    for axis, at in ((-2, rows), (-1, columns)):
        low = np.floor(at).astype(int)
        high = np.minimum(low + 1, x.shape[axis] - 1)
        part = (at - low).reshape([-1 if k == x.ndim + axis else 1 for k in range(x.ndim)])
        x = np.take(x, low, axis) * (1 - part) + np.take(x, high, axis) * part
    return x


def resize(x, outs, mode):
    """The last two axes to extents."""
    return bilinear(x, *(places(s, o, mode) for s, o in zip(x.shape[-2:], outs)))


def crop(image, box, outs, mode, scale=1.0, normalized=False):
    """A box [top, left, bottom, right] of an image [C, H, W]."""
    at = []
    for k in range(2):
        size, out = image.shape[k + 1], outs[k]
        low, high = (box[k + j] * scale * (size - 1 if normalized else 1) for j in (0, 2))
        length = high - low
        if mode == "OFFSET_CORNERS":
            found = (np.arange(out) + 0.5) * max(1, length) / out
        elif mode == "DEFAULT":
            found = np.arange(out) * (length + 1) / out
        else:
            found = np.linspace(0, length, out)
            if out == 1 and mode == "ALIGN_CORNERS":
                found = np.array([length / 2])
        at.append(np.clip(found, 0, length) + low)
    return bilinear(image, *at)


def sigmoid(x):
    """The logistic function."""
    return 1 / (1 + np.exp(-x))


def erf(x):
    """The error function of each element."""
    return np.vectorize(math.erf)(x)


def softmax(x, axis=-1):
    """Exponentials over their sum."""
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def normalised(x, axes, epsilon):
    """Less the mean, over the root of variance and epsilon."""
    centred = x - x.mean(axes, keepdims=True)
    return centred / np.sqrt((centred**2).mean(axes, keepdims=True) + epsilon)


def lrn(x, size, alpha, beta, k, axis=1):
    """Across channels, with a window around each."""
    y = np.empty_like(x, dtype=np.float64)
    x = np.moveaxis(x, axis, 0)
    view = np.moveaxis(y, axis, 0)
    for c in range(len(x)):
        near = x[max(c - (size - 1) // 2, 0) : c + size // 2 + 1]
        view[c] = x[c] / (k + alpha / size * (near**2).sum(0)) ** beta
    return y


# --- recurrent networks: gates by their names -------------------------------------------------


def rnn(x, w, r, b, h, f=np.tanh, limit=np.inf):
    """Every state of x [steps, batch, input]."""
    found = []
    for xt in x:
        h = f(np.clip(xt @ w.T + h @ r.T + b, -limit, limit))
        found.append(h)
    return np.stack(found)


def gru(x, w, r, b, h, f=sigmoid, g=np.tanh, limit=np.inf):
    """Weights are dicts of the gates z, r, o; the state is reset before the product."""
    found = []
    for xt in x:
        z = f(np.clip(xt @ w["z"].T + h @ r["z"].T + b["z"], -limit, limit))
        s = f(np.clip(xt @ w["r"].T + h @ r["r"].T + b["r"], -limit, limit))
        o = g(np.clip(xt @ w["o"].T + (h * s) @ r["o"].T + b["o"], -limit, limit))
        h = (1 - z) * o + z * h
        found.append(h)
    return np.stack(found)


def lstm(x, weights, state, functions=(sigmoid, np.tanh, np.tanh), p=None,
         limits=(np.inf, np.inf), coupled=False):  # fmt: skip
    """Weights of the input, of the state and biases are dicts of the gates i, f, o, z, peepholes of
    i, f, o; ``limits`` are of sums and of cells: every state, the last cell."""
    (w, r, b), (h, c), (f, g, k), (limit, cell) = weights, state, functions, limits
    p, found = p or dict.fromkeys("ifo", 0.0), []
    for xt in x:
        total = {n: xt @ w[n].T + h @ r[n].T + b[n] for n in "ifoz"}
        i = f(np.clip(total["i"] + p["i"] * c, -limit, limit))
        forget = 1 - i if coupled else f(np.clip(total["f"] + p["f"] * c, -limit, limit))
        z = g(np.clip(total["z"], -limit, limit))
        c = np.clip(c * forget + i * z, -cell, cell)
        o = f(np.clip(total["o"] + p["o"] * c, -limit, limit))
        h = k(c) * o
        found.append(h)
    return np.stack(found), c
