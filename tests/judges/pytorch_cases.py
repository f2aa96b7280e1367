"""Small modules, a group of operators each, for tests/judges/pytorch.py."""

# ruff: noqa: UP006, UP035, UP045, E501, PLC3002, PLR0124, PLR0913

from __future__ import annotations

from typing import List, Optional

import torch
import torch.nn.functional as F
from torch import nn


class Of(nn.Module):
    """A function as a module; ``parts`` are its submodules, in order, given to it first."""

    def __init__(self, function, *parts: nn.Module):
        super().__init__()
        self.function, self.parts = function, nn.ModuleList(parts)

    def forward(self, *inputs):
        return self.function(*self.parts, *inputs)


def r(*shape: int) -> torch.Tensor:
    return torch.randn(*shape)


def whole(low: int, high: int, *shape: int) -> torch.Tensor:
    return torch.randint(low, high, shape)


def unary(x, i):
    u = torch.sigmoid(x) * 0.98 + 0.01
    t = torch
    return (
        t.acos(u), t.acosh(u + 1), t.asin(u), t.asinh(x), t.atan(x), t.atanh(u), t.cos(x),
        t.cosh(x), t.erf(x), t.erfc(x), t.exp(x), t.exp2(x), t.expm1(x), t.expm1(x * 1e-4),
        t.log(u), t.log2(u), t.log10(u), t.log1p(u), t.log1p(u * 1e-5), t.reciprocal(u),
        t.rsqrt(u), t.sqrt(u), t.sin(x), t.sinh(x), t.tan(u), t.tanh(x), t.sigmoid(x), t.logit(u),
        t.abs(x), t.abs(i), t.neg(x), t.neg(i), t.sign(x), t.sgn(i), t.ceil(x * 3),
        t.floor(x * 3), t.round(x * 3), t.round(x * 3, decimals=1), t.trunc(x * 3), t.frac(x * 3),
        t.square(x), t.sinc(x), t.deg2rad(x), t.rad2deg(x), t.sqrt(i * i), t.exp(i), t.floor(i),
        t.signbit(x), t.isnan(t.log(x)), t.isinf(x / 0), t.isfinite(t.log(x)), t.isnan(i),
        t.nan_to_num(t.log(x), 3.0, 7.0, -7.0), t.logical_not(i), t.bitwise_not(i),
        t.heaviside(x, t.tensor(0.5)), t.positive(x),
    )  # fmt: skip


def activations(x, w):
    return (
        F.relu(x), F.relu6(x * 4), F.hardtanh(x, -0.5, 0.7), F.hardsigmoid(x * 4),
        F.hardswish(x * 4), F.silu(x), F.mish(x), F.gelu(x), F.gelu(x, approximate="tanh"),
        F.elu(x, 0.7), F.selu(x), F.celu(x, 0.6), F.leaky_relu(x, 0.2), F.prelu(x, w),
        F.prelu(x, w[:1]), F.softplus(x), F.softplus(x * 9, 1.5, 5.0), F.softsign(x),
        F.logsigmoid(x), F.threshold(x, 0.1, -2.0), F.hardshrink(x, 0.4), F.softshrink(x, 0.4),
        F.tanhshrink(x), F.glu(x, 1), F.softmax(x, 1), F.log_softmax(x, -1),
        F.softmin(x, 2), F.dropout(x, 0.5, False), F.normalize(x, dim=1), F.rrelu(x),
    )  # fmt: skip


def arithmetic(x, y, i, j, b):
    t = torch
    n = y + t.sign(y)
    k = j + (j == 0).long()
    return (
        x + y, x + 2, x + 0.5, i + 2, i + 0.5, i + x, b + i, b + b, b + 1, b + 1.5,
        t.add(x, y, alpha=0.3), t.add(i, j, alpha=2), x - y, 1 - x, 1 - i, t.sub(x, y, alpha=2),
        t.rsub(x, y), t.rsub(x, 3, alpha=2), x * y, x * 2, i * 2, i * 1.5, b * b, b * 3, x / n,
        i / k, i / 2, 3 / n, x // n, i // k, i // 3, (x * 5) // 0.7, x % n, i % k, i % -3, x % 0.7,
        t.fmod(x * 5, n), t.fmod(i, k), t.fmod(i, 3), t.div(x * 5, n, rounding_mode="trunc"),
        t.div(i, k, rounding_mode="trunc"), t.div(i, k, rounding_mode="floor"),
        t.div(x * 5, n, rounding_mode="floor"), t.pow(x.abs(), y), x**2, x**3, x.abs() ** 0.5,
        x.abs() ** -0.5, n**-1, n**-2, x.abs() ** 1.7, i**2, 2**x, 2.5**i, i**0.5,
        t.atan2(x, y), t.atan2(x * 0, y), t.hypot(x, y), t.copysign(x, y), t.xlogy(x, y.abs()),
        t.logaddexp(x, y), t.lerp(x, y, 0.3), t.lerp(x, y, y), t.addcmul(x, x, y, value=0.5),
        t.addcdiv(x, x, n, value=2), t.maximum(x, y), t.minimum(i, j), t.max(x, y), t.fmax(x, y),
        t.fmin(x, t.log(y)), x.clamp(-0.5, 0.5), i.clamp(min=2), i.clamp(0.5, 2.5),
        x.clamp(y - 1, y), x.clamp_min(0.1), x.clamp_max(0.1), i.float() + x.double(),
        x + t.tensor(2), i + t.tensor(2.5), x.half() + 1, x.half() + x, i.int() + i, i.short() * 3,
    )  # fmt: skip


def logic(x, y, i, j, b):
    t = torch
    return (
        x == y, i == j, i == 2, x != y, x < y, x <= 0, i > j, i > 1.5, i >= 2, x < i, b == b, b != (i > 1),
        b & (i > 1), b | (i > 1), b ^ (i > 1), ~b, i & j, i | j, i ^ j, i & 3, i << 1, i >> 1,
        (i - 5) >> 1, t.logical_and(x, i), t.logical_or(x, i), t.logical_xor(b, i),
        t.where(b, x, y), t.where(b, x, 0.5), t.where(b, 1, i), t.where(b, 1.0, 0.0),
        x.masked_fill(b, -1.5), i.masked_fill(b, 7), t.any(b), b.any(1), b.all(0), t.all(i > -9),
        i.any(0, keepdim=True), t.count_nonzero(i),
        x.to(t.int32), i.to(t.float64), b.float(), x.bool(), i.bool(), x.type_as(i), x.to(i.dtype),
        (x * 3).to(t.uint8) * 0, t.bitwise_left_shift(i, 2), b < (i > 1),
    )  # fmt: skip


def convolutions(a, b, c, d, e, f, g, h, x1, x2, x3):
    return a(x1), b(x2), c(x3), d(x2), e(x1), f(x2), g(x3), h(x2), b(x2[0])


def linear(a, b, c, x, y, z, v):
    t = torch
    return (
        a(x), b(x[0]), c(y, y), x @ y.transpose(1, 2), t.bmm(x, y.transpose(1, 2)), t.mm(x[0], y[0].T),
        t.mv(x[0], v), t.dot(v, v), t.outer(v, v), t.addmm(z, x[0], y[0].T),
        t.addmm(z, x[0], y[0].T, beta=0.5, alpha=2), t.baddbmm(z[None], x, y.transpose(1, 2)),
        t.addmv(v[:3], x[0], v), t.einsum("bij,bkj->bik", x, y), t.einsum("bij->bj", x), v @ y[0].T,
        x @ v, t.addbmm(z, x, y.transpose(1, 2)), F.linear(x, y[0]), t.linalg.vector_norm(x),
        F.cosine_similarity(x, y, dim=2), F.pairwise_distance(x, y), t.cross(x[..., :3], y[..., :3], dim=2),
        (i := whole_i(x)) @ i.T,
    )  # fmt: skip


def whole_i(x):
    return (x[0] * 5).long()


def norms(a, b, c, d, e, f, g, h, x, y):
    return (
        a(x), b(y), c(x), d(x), e(x), f(x), g(x), h(x), F.layer_norm(x, (5,)),
        F.rms_norm(x, (4, 5), eps=1e-3), F.instance_norm(x), F.group_norm(x, 2),
        F.batch_norm(x, None, None, training=True), F.local_response_norm(x, 3, 0.1, 0.6, 1.1),
    )  # fmt: skip


def pools(x1, x2, x3):
    return (
        F.max_pool1d(x1, 3, 2, 1), F.max_pool2d(x2, 3, 2, 1), F.max_pool2d(x2, (2, 3), ceil_mode=True),
        F.max_pool2d(x2, 2, 1, dilation=2), F.max_pool3d(x3, 2), F.max_pool2d(x2[0], 2),
        F.max_pool2d(x2, 3, 2, 1, return_indices=True), F.avg_pool1d(x1, 3, 2, 1),
        F.avg_pool2d(x2, 3, 2, 1), F.avg_pool2d(x2, 3, 2, 1, count_include_pad=False),
        F.avg_pool2d(x2, 3, 2, 1, ceil_mode=True), F.avg_pool2d(x2, 3, 3, 1, True, False),
        F.avg_pool2d(x2, 3, 2, 1, divisor_override=5), F.avg_pool3d(x3, 2), F.lp_pool2d(x2.abs(), 2.0, 2),
    )  # fmt: skip


def adaptive(x1, x2, x3):
    return (
        F.adaptive_avg_pool1d(x1, 4), F.adaptive_avg_pool2d(x2, 1), F.adaptive_avg_pool2d(x2, (3, 4)),
        F.adaptive_avg_pool2d(x2, (9, 2)), F.adaptive_avg_pool3d(x3, (2, 3, 1)),
        F.adaptive_max_pool1d(x1, 4), F.adaptive_max_pool2d(x2, (3, 4)),
        F.adaptive_max_pool2d(x2, (7, 9)), F.adaptive_max_pool2d(x2, (2, 5), return_indices=True),
        F.adaptive_avg_pool2d(x2[0], 3),
    )  # fmt: skip


def resizing(x1, x2, x3):
    i = F.interpolate
    return (
        i(x1, scale_factor=2), i(x1, 11), i(x1, 11, mode="linear"),
        i(x2, scale_factor=2), i(x2, scale_factor=1.7), i(x2, (5, 13)), i(x2, (5, 13), mode="nearest-exact"),
        i(x2, scale_factor=0.6, mode="nearest-exact"), i(x2, scale_factor=2, mode="bilinear"),
        i(x2, scale_factor=1.3, mode="bilinear"), i(x2, (5, 13), mode="bilinear", align_corners=True),
        i(x2, scale_factor=1.3, mode="bilinear", recompute_scale_factor=True),
        i(x2, (5, 13), mode="bilinear"), i(x2, (5, 13), mode="bicubic"),
        i(x2, scale_factor=1.6, mode="bicubic", align_corners=True),
        i(x2, (3, 4), mode="bilinear", antialias=True), i(x2, (3, 12), mode="bicubic", antialias=True),
        i(x3, (3, 5, 4), mode="trilinear"), i(x3, scale_factor=2), i(x2, (4, 4), mode="area"),
    )  # fmt: skip


def sampling(x, g):
    return tuple(
        F.grid_sample(x, g, m, p, c)
        for m in ("bilinear", "nearest", "bicubic")
        for p in ("zeros", "border", "reflection")
        for c in (False, True)
    ) + (F.affine_grid(g[:, 0, :2, :].reshape(1, 2, 2).repeat(1, 1, 2)[:, :, :3], (1, 1, 3, 4), False),
         F.unfold(x, (2, 3), dilation=(1, 2), padding=1, stride=2),
         F.fold(x.reshape(1, 12, 9)[:, :8].repeat(1, 1, 2)[:, :, :12], (4, 5), (2, 2)))  # fmt: skip


def views(x, y, b):
    t = torch
    return (
        x.view(6, 4), x.reshape(-1, 2), x.flatten(), x.flatten(1), x.flatten(0, 1), x.unflatten(2, (2, -1)),
        y.squeeze(), y.squeeze(1), y.squeeze((0, 1)), x.unsqueeze(-1), x.permute(2, 0, 1), x.permute(-1, 0, 1),
        x.transpose(0, 2), x[0].t(), x.mT, x.movedim(0, -1), x.movedim((0, 1), (2, 0)), x.swapaxes(0, 1),
        y.expand(2, 5, 3), y.expand(-1, 5, -1), y.expand_as(t.zeros(1, 4, 3)), x.repeat(1, 2, 1), x.repeat(2, 1, 1, 2),
        x.tile((2,)), x.repeat_interleave(2, 1), x.repeat_interleave(3), t.cat([x, x + 1], 1), t.cat([x, x.long()], -1),
        t.cat([t.zeros(0), x[0, 0]]), t.stack([x, x], 1), t.hstack([x, x]), t.vstack([x[0], x[0]]), t.dstack([x[0], x[0]]),
        *x.split(2, 1), *x.split([1, 3], 2), *x.chunk(2, 2), *x.tensor_split(2, 1), *x.tensor_split((1, 2), 2),
        *x.unbind(1), x.select(1, -1), x[:, 1:], x[..., ::2], x[:, -2:, None, 1:-1], x.narrow(2, 1, 2), x[1, 2, 3],
        x.flip(0, 2), t.fliplr(x), x.roll(1, 1), x.roll((1, -2), (0, 2)), x.roll(5), t.rot90(x, 1, (1, 2)), t.rot90(x, 3, (0, 2)),
        x.unfold(2, 2, 1), x.unfold(1, 3, 2), t.as_strided(x, (2, 3), (4, 2), 1), x[0].diagonal(), x.diagonal(1, 1, 2),
        t.diag_embed(x[0]), t.diag_embed(x[0], 1), t.diag(x[0, 0]), t.diag(x[0]), x.tril(), x[0].triu(1), b.tril(-1), t.atleast_3d(x[0]),
        t.atleast_2d(x[0, 0]), t.meshgrid(x[0, 0], y[0, 0], indexing="ij"), t.meshgrid(x[0, 0], y[0, 0], indexing="xy"),
        t.broadcast_tensors(x[:1], y.reshape(3, 1)), x.contiguous(), x.clone(), x.detach(), x.view_as(x + 0), t.block_diag(x[0], x[1]),
    )  # fmt: skip


def padding(x, b):
    return (
        F.pad(x, (1, 2)), F.pad(x, (1, 2, 0, 3), value=1.5), F.pad(x, (-1, 2)), F.pad(x[0], (1, 2), mode="reflect"),
        F.pad(x, (1, 0, 2, 1), mode="replicate"), F.pad(x, (1, 2, 1, 1), mode="circular"), F.pad(b, (1, 1), value=True),
        F.pixel_shuffle(x, 2), F.pixel_unshuffle(x, 2), F.channel_shuffle(x, 2), F.pad(x, (1, -2, -1, 0)),
        F.pad(x, (2, 1, 1, 2), mode="reflect"),
    )  # fmt: skip


def making(x):
    t = torch
    n = x.shape[0]
    return (
        t.zeros(2, 3) + x[0, 0], t.ones(2, dtype=t.int32), t.full((2, 2), 3), t.full((2,), 0.5), t.full((1,), True),
        t.zeros_like(x), t.ones_like(x, dtype=t.int64), t.full_like(x, 2), x.new_zeros(3), x.new_ones(2, 2), x.new_full((2,), 7),
        t.arange(5), t.arange(1, 7, 2), t.arange(0, 1, 0.3), t.arange(5, 0, -2), t.arange(n), t.linspace(0, 1, 5), t.linspace(3, -1, 4),
        t.eye(3), t.eye(2, 4), t.tril_indices(3, 3), t.triu_indices(3, 4, 1), t.scalar_tensor(2.5), t.tensor([1, 2]) + n, x.sum() * 0 + n,
        t.arange(2.5, 5), t.empty(2).fill_(3),
    )  # fmt: skip


def reductions(x, i, b):
    t = torch
    return (
        x.sum(), x.sum(1), x.sum((0, 2), keepdim=True), i.sum(), i.sum(0), b.sum(), x.sum(dtype=t.float64), x.mean(), x.mean(-1),
        x.mean((1, 2)), x.prod(), x.prod(1), i.prod(1), x.amax(), x.amax((0, 1)), x.amin(2, True), x.max(), i.min(), *x.max(1), *i.min(0, True),
        *x.aminmax(), *t.aminmax(x, dim=1), x.argmax(), x.argmax(1), i.argmin(0, True), x.var(), x.var(1), x.var((0, 2), correction=0), x.std(),
        x.std(2, True), x.std(1, unbiased=False), t.var_mean(x, 1), t.std_mean(x), x.var(1, correction=2), x.norm(), x.norm(1, 2),
        t.linalg.vector_norm(x, 3, 1), t.linalg.vector_norm(x, float("inf"), 1), t.linalg.vector_norm(x, float("-inf"), 1),
        t.linalg.vector_norm(x, 0, 1), t.linalg.vector_norm(x, 1, (0, 1), True), t.logsumexp(x, 1), x.cumsum(1), i.cumsum(0), x.cumprod(2),
        t.logcumsumexp(x, 1), b.cumsum(1), x.nansum(1), t.count_nonzero(i, 1), b.float().mean(), F.mse_loss(x, x * 2), F.l1_loss(x, x + 1),
        F.mse_loss(x, x * 2, reduction="sum"), t.bucketize(x, t.tensor([-1.0, 0.0, 1.0])), *t.median(x, 1), x.median(), *x.kthvalue(2, 2),
        t.linalg.norm(x[0]), x.sum(()), x.norm(3),
    )  # fmt: skip


def orders(x, i):
    t = torch
    return (
        *x.topk(2, 1), *x.topk(3, 2, largest=False), *x.sort(1), *x.sort(2, descending=True), *t.sort(i, dim=0, stable=True),
        *t.sort(i, stable=True, dim=1, descending=True), x.argsort(1), t.argsort(i, stable=True), x.msort(),
    )  # fmt: skip


def indexing(x, i, j, b, m):
    t = torch
    return (
        x[i], x[:, i % 3], x[i, j], x[:, i % 3, j], x[i, :, j], x[i[:, None], j], x[..., j], t.gather(x, 1, m), t.gather(x, 2, m),
        x.index_select(1, i % 3), x.take(i), t.take_along_dim(x, x.argsort(1), 1), F.embedding(i, x[0]), F.one_hot(i, 4), x[-1], x[t.tensor([1, -1])],
        x.scatter(1, m, 5.0), x.scatter(2, m, x + 1), x.scatter_add(1, m, x), x.scatter_reduce(1, m, x, "sum"),
        x.scatter_reduce(1, m, x, "amax", include_self=False), x.scatter_reduce(2, m, x, "prod"), x.index_add(1, i[:3] % 3, x, alpha=2),
        x.index_copy(2, j[:4] * 0 + t.arange(4), x), x.index_fill(1, t.tensor([0, 2]), 3.0), x.slice_scatter(x[:, :2] * 2, 1, 1, 3),
        x.slice_scatter(x[..., :2] * 2, 2, 0, 4, 2), x.select_scatter(x[0] * 2, 0, 1), t.diagonal_scatter(x[0], x[0, :, 0], 1),
        x.index_put((i[:2], j[:2] % 3), x[0, :2] * 2), x.index_put((t.tensor([0, 1]),), t.tensor(2.0)), x.index_put((t.tensor([0, 1, 0]), t.tensor([1, 1, 1])), x[0, :3], accumulate=True),
        x.index_put((b,), t.tensor(9.0)), x[:, t.tensor([True, False, True])], t.masked_select(x[0, 0], t.tensor([True, False, True, True])),
        t.masked_fill(x, b, 0.5), x.index_put((t.tensor([1]), t.tensor([2])), x[0, 0] * 3),
    )  # fmt: skip


def in_place(x, y):
    a = x.clone()
    a[:, 1] = 0.5
    a[0].mul_(2)
    a[..., ::2] += y[..., ::2]
    b = a.transpose(0, 2)
    b.add_(1)
    c = a.view(-1)
    c[3:9].zero_()
    d = torch.zeros(2, 3, 4)
    d[0] = a[0]
    d[1, :2].copy_(y[1, :2])
    e = F.relu_(y.clone())
    f = e.unsqueeze(0)
    f.clamp_(max=0.5)
    g = y.clone()
    p, q = g.split(2, 2)
    p.exp_()
    q.fill_(2)
    h = torch.empty(4).fill_(1.5)
    h.masked_fill_(h > 1, 3)
    k = y.clone()
    k[torch.tensor([1])] = -1.0
    u = y.clone()
    for part in u.unbind(1):
        part.sub_(0.5)
    w = torch.arange(4)
    w += 2
    w *= w
    z = y.clone().permute(1, 2, 0)
    z[1].neg_()
    return a, b, c, d, e, f, g, p + q, h, k, u, w, z


def attention(q, k, v, m, kk, b):
    s = F.scaled_dot_product_attention
    return (
        s(q, k, v), s(q, k, v, is_causal=True), s(q, k, v, m), s(q, k, v, m > 0), s(q, k, v, scale=0.2),
        s(q, kk, kk, enable_gqa=True), s(q, k, v, b), s(q[0], k[0], v[0]), s(q[:, :, :3], k, v),
    )  # fmt: skip


def recurrent(a, b, c, d, e, f, g, x, y):
    return a(x), b(x), c(y), d(x), e(x[0]), f(x[0]), g(x[0]), a(x[:, 0])


def transformer(a, b, x):
    return a(x), b(x, x, x)


class Sized(nn.Module):
    """Sizes that follow from those of the input."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(6, 4)

    def forward(self, x, y):
        b, t, _ = x.shape
        z = self.layer(x).reshape(b, t * 4)
        half = z[:, : (t * 4) // 2]
        places = torch.arange(t) + b
        mask = torch.ones(t, t).tril()
        return {
            "half": half, "places": places, "mask": mask @ y, "n": b * 2,
            "wide": torch.zeros(b, t + 1) + 1, "mean": x.sum(1) / t, "up": y.expand(b, t, 2),
            "last": x[:, -1], "pad": F.pad(z, (0, 8 - t)),
        }  # fmt: skip


class Quiet(nn.Module):
    """A part without gradients, constants of its own, and a buffer."""

    def __init__(self):
        super().__init__()
        self.register_buffer("scale", torch.arange(3.0), persistent=False)
        self.register_buffer("shift", torch.ones(3) / 3)
        self.drop = nn.Dropout(0.5)

    def forward(self, x):
        with torch.no_grad():
            y = x * self.scale + torch.tensor([0.5, 1.0, 2.0])
        return self.drop(y + self.shift), y, x, x.half(), x.bfloat16().float(), None, 3


class Narrow(nn.Module):
    """An inverted residual network (Sandler et al., "MobileNetV2", 2018) of a few channels, with a
    head of attention over its pixels."""

    def __init__(self, width: int = 8):
        super().__init__()

        def block(i, o, k, s, groups=1):
            return nn.Sequential(
                nn.Conv2d(i, o, k, s, k // 2, groups=groups, bias=False),
                nn.BatchNorm2d(o),
                nn.ReLU6(inplace=True),
            )

        def inverted(w):
            return nn.Sequential(
                block(w, 4 * w, 1, 1),
                block(4 * w, 4 * w, 3, 1, 4 * w),
                nn.Conv2d(4 * w, w, 1),
                nn.BatchNorm2d(w),
            )

        self.stem = block(3, width, 3, 2)
        self.blocks = nn.ModuleList(inverted(width) for _ in range(3))
        self.norm = nn.LayerNorm(width)
        self.attend = nn.MultiheadAttention(width, 2, batch_first=True)
        self.head = nn.Linear(width, 10)
        for m in self.modules():
            if isinstance(m, nn.BatchNorm2d):
                m.running_mean.uniform_(-0.2, 0.2)
                m.running_var.uniform_(0.5, 1.5)

    def forward(self, x):
        x = self.stem(x)
        for b in self.blocks:
            x = x + b(x)
        x = F.max_pool2d(x, 2)
        t = self.norm(x.flatten(2).transpose(1, 2))
        t = t + self.attend(t, t, t, need_weights=False)[0]
        return F.softmax(self.head(t.mean(1)), -1)


def dims(**names):
    return {k: torch.export.Dim(k, min=lo, max=hi) for k, (lo, hi) in names.items()}


def _conv_parts():
    return (
        nn.Conv1d(4, 6, 3, 2, 1), nn.Conv2d(4, 6, (3, 2), padding=(1, 0), groups=2), nn.Conv3d(2, 3, 2, dilation=2),
        nn.Conv2d(4, 4, 3, padding="same", groups=4, bias=False), nn.ConvTranspose1d(4, 3, 3, 2, 1, output_padding=1),
        nn.ConvTranspose2d(4, 6, (2, 3), 2, groups=2, dilation=(1, 2)), nn.ConvTranspose3d(2, 2, 2), nn.Conv2d(4, 3, 2, padding="valid"),
    )  # fmt: skip


def _norm_parts():
    parts = (
        nn.BatchNorm2d(4), nn.BatchNorm1d(6), nn.LayerNorm(5), nn.LayerNorm((4, 5), bias=False), nn.GroupNorm(2, 4),
        nn.InstanceNorm2d(4, affine=True), nn.RMSNorm(5), nn.InstanceNorm2d(4, track_running_stats=True),
    )  # fmt: skip
    for p in parts:
        for t in (*p.parameters(), *p.buffers()):
            if t.is_floating_point():
                t.data.uniform_(0.5, 1.5)
    return parts


def _boolean(*shape: int) -> torch.Tensor:
    return torch.rand(*shape) > 0.5


CASES = {
    "unary": lambda: (Of(unary), (r(2, 3), whole(-4, 5, 2, 3))),
    "activations": lambda: (Of(activations), (r(2, 4, 3), r(4).abs())),
    "arithmetic": lambda: (
        Of(arithmetic), (r(2, 3), r(2, 3), whole(0, 9, 2, 3), whole(-4, 5, 3), _boolean(2, 3))),
    "logic": lambda: (
        Of(logic), (r(2, 3), r(2, 3), whole(0, 5, 2, 3), whole(0, 5, 3), _boolean(2, 3))),
    "convolutions": lambda: (
        Of(convolutions, *_conv_parts()), (r(2, 4, 9), r(2, 4, 6, 7), r(1, 2, 4, 5, 4))),
    "linear": lambda: (
        Of(linear, nn.Linear(5, 4), nn.Linear(5, 3, bias=False), nn.Bilinear(5, 5, 2)),
        (r(2, 3, 5), r(2, 3, 5), r(3, 3), r(5))),
    "norms": lambda: (Of(norms, *_norm_parts()), (r(2, 4, 4, 5), r(3, 6))),
    "pools": lambda: (Of(pools), (r(2, 3, 9), r(1, 2, 7, 8), r(1, 2, 4, 5, 4))),
    "adaptive": lambda: (Of(adaptive), (r(2, 3, 9), r(1, 2, 7, 9), r(1, 2, 4, 5, 4))),
    "resizing": lambda: (Of(resizing), (r(1, 2, 7), r(1, 2, 6, 8), r(1, 1, 3, 4, 4))),
    "sampling": lambda: (Of(sampling), (r(1, 2, 6, 9), torch.rand(1, 3, 4, 2) * 2.6 - 1.3)),
    "views": lambda: (Of(views), (r(2, 3, 4), r(1, 1, 3), _boolean(3, 3))),
    "padding": lambda: (Of(padding), (r(1, 4, 4, 6), _boolean(1, 2, 2))),
    "making": lambda: (Of(making), (r(3, 4),)),
    "reductions": lambda: (Of(reductions), (r(2, 3, 4), whole(0, 4, 3, 4), _boolean(2, 3))),
    "orders": lambda: (Of(orders), (r(2, 3, 5), whole(0, 3, 3, 5))),
    "indexing": lambda: (
        Of(indexing), (r(2, 3, 4), whole(0, 2, 5), whole(0, 3, 5), _boolean(2, 3, 4), whole(0, 3, 2, 3, 4))),
    "in_place": lambda: (Of(in_place), (r(2, 3, 4), r(2, 3, 4))),
    "attention": lambda: (
        Of(attention), (r(2, 4, 5, 8), r(2, 4, 6, 8), r(2, 4, 6, 8), r(5, 6), r(2, 2, 6, 8), torch.ones(5, 6, dtype=torch.bool).tril(-1))),
    "recurrent": lambda: (
        Of(recurrent, nn.LSTM(4, 3, 2, bidirectional=True), nn.GRU(4, 3, batch_first=True), nn.LSTM(3, 2, bias=False), nn.RNN(4, 3, 2, nonlinearity="relu"),
           nn.LSTMCell(4, 3), nn.GRUCell(4, 3), nn.RNNCell(4, 3)), (r(5, 2, 4), r(4, 1, 3))),
    "transformer": lambda: (
        Of(transformer, nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), nn.MultiheadAttention(8, 2, batch_first=True)), (r(2, 5, 8),)),
    "sized": lambda: (
        Sized(), (r(2, 5, 6), r(5, 2)),
        (lambda d: {"x": {0: d["b"], 1: d["t"]}, "y": {0: d["t"]}})(dims(b=(2, 9), t=(3, 8)))),
    "narrow": lambda: (Narrow(), (r(2, 3, 24, 24),)),
    "quiet": lambda: (Quiet(), (r(2, 3),)),
}  # fmt: skip


class Scripted(nn.Module):
    """Branches, loops, lists, tuples, defaults, and changes in place, for TorchScript."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 4)])
        self.norm = nn.BatchNorm1d(4)
        self.steps = 3

    def forward(self, x: torch.Tensor, k: int, scale: Optional[torch.Tensor] = None):
        parts: List[torch.Tensor] = []
        for layer in self.layers:
            x = F.elu(layer(x))
        for i in range(self.steps):
            y = x * float(i + 1) if i % 2 == 0 else x - i
            parts.append(y[:, i : i + k])
        if x.dim() == 2 and scale is None:
            x = self.norm(x)
        total = torch.cat(parts, 1)
        z = torch.zeros_like(total)
        z.add_(1.5).mul_(total)
        values, places = torch.topk(z, 2, dim=1)
        while k < 4:
            k += 2
            values = values + k
        return x, z, (values, places)
