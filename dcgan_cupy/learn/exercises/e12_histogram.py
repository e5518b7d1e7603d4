"""12: atomics in shared memory first."""

import numpy as np

from ..exercise import Case, Mistake, Updated, exercise
from ..goals import atomics, barriers


def reference(x, counts):
    return {"counts": counts + np.bincount(x, minlength=16)}


def cases(rng):
    def case(n, grid):
        x, counts = rng.integers(0, 16, n).astype(np.int32), rng.integers(0, 5, 16).astype(np.int32)
        return Case({"x": x, "counts": Updated(counts), "n": np.int32(n)}, grid, 64)

    return [case(3, 1), case(333, 2), case(2000, 4)]


def written_over(x, counts):
    return {"counts": np.bincount(x, minlength=16).astype(np.int32)}


EXERCISE = exercise(
    __file__,
    "counting without a queue",
    "04-reductions",
    "histogram",
    reference,
    cases,
    goals=(atomics(4), barriers(8)),
    mistakes=(Mistake("counts is written over: what is counted is added to what it holds", written_over),),
    hints=(
        "__shared__ int part[BINS]; what does it hold when a block begins? Anything: write zeros first.",
        "Zeros, barrier, count with atomicAdd(&part[x[i]], 1), barrier, add part to counts.",
        "Other blocks add to counts at the same time, so that too needs atomicAdd: one for each bin and block.",
    ),
)
