"""25: the next pieces come while the threads multiply."""

import numpy as np

from ..exercise import Case, Mistake, Out, exercise
from ..goals import barriers, traffic
from .e23_shared_tile import reference


def cases(rng):
    def case(M, N, K):
        a, b = rng.integers(1, 10, (M, K)).astype(np.float32), rng.integers(1, 10, (K, N)).astype(np.float32)
        scalars = {"M": np.int32(M), "N": np.int32(N), "K": np.int32(K)}
        return Case({"a": a, "b": b, "y": Out((M, N))} | scalars, (-(-N // 16), -(-M // 16)), (16, 16))

    return [case(3, 5, 2), case(19, 17, 35), case(32, 16, 64)]


def last_step_missing(a, b):
    K = (a.shape[1] - 1) // 16 * 16
    return {"y": a[:, :K] @ b[:K]}


EXERCISE = exercise(
    __file__,
    "two buffers, one barrier",
    "11-pipeline",
    "matmul",
    reference,
    cases,
    goals=(barriers(2 * 4), traffic(2.2)),
    mistakes=(Mistake("the last step's pieces were never multiplied", last_step_missing),),
    hints=(
        "Before the loop, bring(0). In step 0, bring(1) goes into the other pair, which nobody reads yet.",
        "Who may still be reading the pair that bring(step + 1) writes? Those who are still in step - 1. So the barrier"
        " stands before it.",
        "bring(0); for each step: __syncthreads(); if (step + 1 < steps) bring(step + 1); multiply.",
    ),
)
