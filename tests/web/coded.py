"""What a bundle's weights are after coding, by numpy: the runtime of a page does it."""

from collections.abc import Mapping

import numpy as np
from weft.compiler.web.weights import SCALE


def decode(stored: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What ``encode`` stored, with its losses; float32 again where it was coded."""
    params: dict[str, np.ndarray] = {}
    for name, array in stored.items():
        if name.endswith(SCALE):
            continue
        scale = stored.get(name + SCALE)
        if scale is not None:
            params[name] = array.astype(np.float32) * scale
        else:
            params[name] = array.astype(np.float32) if array.dtype == np.float16 else array
    return params
