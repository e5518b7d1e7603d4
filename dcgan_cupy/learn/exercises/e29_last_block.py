"""29: a sum by one launch, with the same bits every run."""

import numpy as np

from ..exercise import Case, Mistake, Out, Updated, exercise
from ..goals import atomics


def reference(x):
    return {"y": [x.sum()], "count": [0]}


def cases(rng):
    def case(n, grid):
        x, count = rng.integers(1, 10, n).astype(np.float32), Updated(np.zeros(1, np.int32))
        arguments = {"x": x, "part": Out((grid,)), "count": count, "y": Out((1,)), "n": np.int32(n)}
        return Case(arguments, grid, 32)

    return [case(5, 1), case(100, 3), case(1000, 8)]


def not_set_back(x, part):
    return {"y": [x.sum()], "count": [part[0]]}


def own_part(x, part):
    return {"y": [x[np.arange(len(x)) // 32 % part[0] == part[0] - 1].sum()]}


EXERCISE = exercise(
    __file__,
    "the last block adds up",
    "13-split-sums",
    "sum_all",
    reference,
    cases,
    goals=(atomics(8),),
    mistakes=(
        Mistake("the sum is right, but the next launch will find the count as this one left it", not_set_back),
        Mistake("this is the last block's own part alone", own_part),
    ),
    hints=(
        "Every block does three things: part, fence, atomicAdd. What the last atomicAdd gives is gridDim.x - 1.",
        "Only the block that gets it goes on: fence, then a loop over all the parts from 0 on.",
        "if (atomicAdd(count, 1) != (int)gridDim.x - 1) return; then the sum, y[0] = total, and count[0] = 0.",
    ),
)
