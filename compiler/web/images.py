"""How an image becomes the input of a model: the facts that ``weft run`` (on arrays) and bundles
(inside the model) share.

An image is scaled so that it covers ``size / CROP``, the middle is kept, and pixels in 0..1 are
normalised: ``(x - mean) / std``. The numbers are those of ImageNet's validation.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...runtime.dtype import UINT8, DType
from ...runtime.errors import InputError

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))  # mean and std of red, green, blue
CROP = 0.875  # part of the resized image that is kept
SIZE = 224  # where a model leaves it open

Numbers = Sequence[float] | float


def layout_of(dims: Sequence[int | str | None]) -> str | None:
    """``"NCHW"`` or ``"NHWC"``, where three extents can be those of an image: the axis of size 1
    or 3 has the channels, the first one when both have that size."""
    if dims[0] in (1, 3):
        return "NCHW"
    return "NHWC" if dims[2] in (1, 3) else None


def covering(size: tuple[int, int], image: tuple[int, int], crop: float) -> tuple[int, int]:
    """The (height, width) that an image is resized to, so that it covers ``size / crop``."""
    want, have = max(zip(size, image), key=lambda pair: pair[0] / pair[1])
    high, wide = (max(1, round(n * want / have / crop)) for n in image)
    return high, wide


def mean_std(
    mean: Numbers | None, std: Numbers | None, channels: int, where: str
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each channel, float64 [channels]; those not given are
    ImageNet's for three channels, 0 and 1 for one.

    Raises :class:`InputError` for another number of them, a ``std`` of 0, what is not finite.
    """
    usual = IMAGENET if channels == 3 else (0.0, 1.0)
    values = []
    for name, given, default in zip(("mean", "std"), (mean, std), usual):
        v = np.atleast_1d(np.asarray(default if given is None else given, np.float64))
        bad = v.size not in (1, channels) or not np.isfinite(v).all()
        if bad or (name == "std" and (v == 0).any()):
            raise InputError(f"{name}={v.tolist()} does not fit {channels} channels.", where=where)
        values.append(np.broadcast_to(v.reshape(-1), (channels,)))
    return values[0], values[1]


def check_pixels(dtype: DType, mean: Numbers | None, std: Numbers | None, where: str) -> None:
    """Raises :class:`InputError` for a mean or std that an input of pixels would leave unused."""
    if dtype == UINT8 and not (mean is None and std is None):
        raise InputError(
            "the input is of type uint8 and gets pixels as they are: mean and std have no effect.",
            where=where, hint="leave them out",
        )  # fmt: skip
