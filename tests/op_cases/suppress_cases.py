"""Non-maximum suppression."""

import numpy as np

from op_cases import Case, rand


def _numbers(most=3, overlap=0.3, least=None, sigma=None) -> list:
    """The inputs behind boxes and scores."""
    floats = [None if x is None else np.array([x], np.float32) for x in (overlap, least, sigma)]
    while floats[-1] is None:
        floats.pop()
    return [np.array(most, np.int64), *floats]


def _grid(batch: int, n: int, step: int = 3) -> np.ndarray:
    """Boxes [batch, n, 4] with corners on a grid, in any order: many overlap by equal parts, some
    are lines, some the same."""
    k = np.arange(batch * n)
    corners = [k % 5, k * step % 7, k * k % 6, (k + k * k) % 8]
    return np.stack(corners, axis=-1).reshape(batch, n, 4).astype(np.float32)


def _scores(batch: int, classes: int, n: int) -> np.ndarray:
    """Scores in steps of a quarter, so that many are equal; some are zeros of either sign."""
    k = np.arange(batch * classes * n)
    s = (k * 7 % 11 - 2) / np.float32(4)
    s[k % 9 == 4] = -0.0
    return s.reshape(batch, classes, n).astype(np.float32)


_SPECIAL = np.array([np.nan, np.inf, 0.5, -np.inf, np.nan, 3, -0.0, 0, 1e-42], np.float32)

CASES = [
    *(
        Case(
            "non_max_suppression",
            [_grid(b, n), _scores(b, c, n), *_numbers(most, overlap, least)],
            {"limit": min(n, limit)},
            note=f"{most} {overlap} {least}",
        )
        for b, c, n, most, overlap, least, limit in (
            (1, 1, 1, 1, 0.5, None, 1),
            (2, 3, 19, 4, 0.3, 0.1, 4),
            (1, 2, 40, 100, 0.0, None, 40),
            (1, 2, 33, 5, 1.0, -1.0, 9),
            (1, 1, 300, 20, 0.6, 0.0, 20),
            (1, 2, 16, 0, 0.5, None, 16),
            (1, 2, 16, -3, 0.5, None, 16),
            (1, 2, 16, 3, 0.5, 9.0, 16),
            (0, 2, 5, 3, 0.5, None, 3),
            (2, 0, 5, 3, 0.5, None, 3),
            (1, 2, 0, 3, 0.5, None, 0),
            (1, 2, 5, 3, 0.5, None, 0),
        )
    ),
    Case(
        "non_max_suppression",
        [rand(2, 17, 4, low=0, high=3), rand(2, 2, 17), *_numbers(9, 0.2, -1)],
        {"limit": 9, "center_point_box": True},
        note="center",
    ),
    *(
        Case(
            "non_max_suppression",
            [_grid(1, 9), _SPECIAL.reshape(1, 1, 9), *_numbers(9, 0.9, least, sigma)],
            {"limit": 9},
            note=f"special {least} {sigma}",
        )
        for least, sigma in ((None, None), (0.0, None), (-np.inf, None), (None, 0.0))
    ),
    *(  # of 21 boxes the first few
        Case(
            "non_max_suppression",
            [
                _grid(2, 21),
                _scores(2, 2, 21),
                *_numbers(4, 0.3, least),
                *([None] if least is not None else [None, None]),
                np.array([size]),
            ],
            {"limit": 4},
            note=f"{size} boxes {least}",
        )
        for size, least in ((0, None), (3, None), (17, 0.0), (21, None), (99, 0.5))
    ),
    *(
        Case(
            "non_max_suppression",
            [
                rand(1, n, 4, low=0, high=2),
                rand(1, 2, n, low=0, high=1),
                *_numbers(most, 0.4, least, sigma),
            ],
            {"limit": min(n, most)},
            note=f"soft {most} {least} {sigma}",
        )
        for n, most, least, sigma in (
            (12, 12, 0.1, 0.5),
            (25, 25, None, 0.2),
            (25, 7, 0.0, 0.9),
            (25, 9, 0.2, 0.0),
        )
    ),
]
