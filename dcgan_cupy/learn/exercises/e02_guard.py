"""02: the guard of the tail."""

import numpy as np

from ..exercise import Case, Out, exercise


def reference(x, a):
    return {"y": a * x}


def cases(rng):
    def case(n, block):
        x = rng.integers(-9, 10, n).astype(np.float32)
        return Case({"x": x, "y": Out((n,)), "a": np.float32(3), "n": np.int32(n)}, -(-n // block), block)

    return [case(1, 32), case(64, 64), case(1000, 128)]


EXERCISE = exercise(
    __file__,
    "the tail",
    "02-guard",
    "scale",
    reference,
    cases,
    hints=(
        "1000 elements in blocks of 128 need 8 blocks: 1024 threads. What do the last 24 do?",
        "The last element is n - 1. So which i are too large?",
        "if (i >= n) return;",
    ),
)
