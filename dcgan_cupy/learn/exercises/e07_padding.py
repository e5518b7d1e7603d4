"""07: a tile without bank conflicts."""

import numpy as np

from ..exercise import Case, Out, exercise
from ..goals import no_conflicts


def reference(x):
    return {"y": x.sum(axis=1)}


def cases(rng):
    def case(R, C):
        x = rng.integers(-9, 10, (R, C)).astype(np.float32)
        return Case({"x": x, "y": Out((R,)), "R": np.int32(R), "C": np.int32(C)}, -(-R // 32), 32)

    return [case(1, 3), case(45, 31), case(64, 32)]


EXERCISE = exercise(
    __file__,
    "shared memory has 32 banks",
    "03-coalescing",
    "sum_rows",
    reference,
    cases,
    goals=(no_conflicts(),),
    hints=(
        "tile[lane][k] is word 32 * lane + k. What is left of that by 32?",
        "If rows were P words apart, lane's word would be P * lane + k. Which P gives 32 different remainders?",
        "__shared__ float tile[32][33];",
    ),
)
