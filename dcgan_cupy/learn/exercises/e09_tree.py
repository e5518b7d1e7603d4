"""09: a tree in shared memory."""

import numpy as np

from ..exercise import Case, Mistake, Out, exercise
from ..goals import barriers, no_conflicts, shared_requests


def reference(x, y):
    padded = np.zeros(256 * y[0], np.float32)
    padded[: len(x)] = x
    return {"y": padded.reshape(-1, 256).sum(axis=1)}


def cases(rng):
    def case(n):
        x, blocks = rng.integers(-9, 10, n).astype(np.float32), -(-n // 256)
        return Case({"x": x, "y": Out((blocks,)), "n": np.int32(n)}, blocks, 256)

    return [case(1), case(256), case(700), case(1024)]


def half_of_it(x, y):
    padded = np.zeros(256 * y[0], np.float32)
    padded[: len(x)] = x
    return {"y": padded.reshape(-1, 256)[:, :128].sum(axis=1)}


EXERCISE = exercise(
    __file__,
    "a sum as a tree",
    "04-reductions",
    "sum_blocks",
    reference,
    cases,
    goals=(no_conflicts(), barriers(4 * 9), shared_requests(4 * 50)),
    mistakes=(Mistake("this is the sum of each block's first half: the tree lacks its first level", half_of_it),),
    hints=(
        "First every thread writes one place of part, also those behind the end of x. Then a barrier.",
        "A level: for half = 128, threads 0 .. 127 add the upper half to the lower half. Then half = 64, and so on.",
        "The barrier of a level stands outside of the if: all 256 threads must reach it.",
    ),
)
