"""03: a loop over the grid."""

import numpy as np

from ..exercise import Case, Out, exercise
from ..goals import sectors


def reference(x):
    return {"y": np.maximum(x, 0)}


def cases(rng):
    def case(n, grid, block):
        x = rng.integers(-9, 10, n).astype(np.float32)
        return Case({"x": x, "y": Out((n,)), "n": np.int32(n)}, grid, block)

    return [case(70, 1, 64), case(5, 2, 32), case(1000, 3, 64), case(2048, 4, 64)]


EXERCISE = exercise(
    __file__,
    "more elements than threads",
    "02-guard",
    "relu",
    reference,
    cases,
    goals=(sectors(1.1),),
    hints=(
        "A loop can begin at another place in every thread. By how much must it step so that no two threads meet?",
        "4 blocks of 64 threads are 256: thread 3 takes the elements 3, 259, 515, ...",
        "for (int i = first; i < n; i += gridDim.x * blockDim.x) ...; the loop's condition is the guard.",
    ),
)
