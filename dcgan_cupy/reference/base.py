"""What the references share."""

import numpy as np

Array = np.ndarray
Pair = tuple[int, int]


def f64(a) -> Array:
    return np.asarray(a, dtype=np.float64)


def need(ok: bool, message: str) -> None:
    if not ok:
        raise ValueError(message)
