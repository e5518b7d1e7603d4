"""08: a planted race."""

import numpy as np

from ..exercise import Case, Mistake, Out, exercise
from ..goals import barriers


def reference(x, steps):
    for _ in range(steps):
        x = np.roll(x, 1) + np.roll(x, -1)
    return {"y": x}


def cases(rng):
    def case(steps):
        x = rng.integers(-9, 10, 64).astype(np.float32)
        return Case({"x": x, "y": Out((64,)), "steps": np.int32(steps)}, 1, 64)

    return [case(1), case(10)]


def with_itself(x, steps):
    for _ in range(steps):
        x = np.roll(x, 1) + np.roll(x, -1) + x
    return {"y": x}


EXERCISE = exercise(
    __file__,
    "two barriers are missing",
    "04-reductions",
    "add_neighbours",
    reference,
    cases,
    goals=(barriers(21),),
    mistakes=(
        Mistake("a number is replaced by its neighbours' sum, and does not take part in it itself", with_itself),
    ),
    hints=(
        "Thread 5 reads s[4] and s[6]. Thread 4 may be a step ahead, or a step behind: both are wrong.",
        "A barrier must stand between the reads and the write. So what was read has to wait somewhere: in a register.",
        "float sum = ...; __syncthreads(); s[t] = sum; __syncthreads();",
    ),
)
