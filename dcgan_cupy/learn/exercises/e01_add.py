"""01: one thread, one element."""

import numpy as np

from ..exercise import Case, Out, exercise


def reference(x, y):
    return {"z": x + y}


def cases(rng):
    def case(n, block):
        x, y = rng.integers(-9, 10, (2, n)).astype(np.float32)
        return Case({"x": x, "y": y, "z": Out((n,))}, n // block, block)

    return [case(64, 64), case(640, 64)]


EXERCISE = exercise(
    __file__,
    "one thread, one element",
    "01-threads",
    "add",
    reference,
    cases,
    hints=(
        "Every thread runs the whole function. What differs is threadIdx.x and blockIdx.x.",
        "Block 3 of 64 threads starts at element 3 * 64.",
        "int i = blockIdx.x * blockDim.x + threadIdx.x;",
    ),
)
