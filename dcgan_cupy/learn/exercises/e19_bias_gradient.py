"""19: a bias's gradient."""

import numpy as np

from ..exercise import Case, Mistake, Updated, exercise
from ..goals import atomics, barriers, no_conflicts, sectors


def reference(dy, db):
    return {"db": db + dy.sum(axis=0)}


def cases(rng):
    def case(rows, C):
        dy, db = rng.integers(1, 10, (rows, C)).astype(np.float32), rng.integers(1, 10, C).astype(np.float32)
        arguments = {"dy": dy, "db": Updated(db), "rows": np.int32(rows), "C": np.int32(C)}
        return Case(arguments, -(-C // 32), (32, 4))

    return [case(5, 3), case(50, 37), case(64, 64)]


def not_added(dy):
    return {"db": dy.sum(axis=0)}


def one_row_of_threads(dy, db):
    return {"db": db + dy[::4].sum(axis=0)}


EXERCISE = exercise(
    __file__,
    "a sum by channel",
    "07-convolution",
    "bias_gradient",
    reference,
    cases,
    goals=(sectors(1.1), atomics(0), barriers(6), no_conflicts()),
    mistakes=(
        Mistake("parameter gradients add up: db += sum, not db = sum", not_added),
        Mistake("only the rows of the threads with threadIdx.y == 0 are in it", one_row_of_threads),
    ),
    hints=(
        "for (int r = threadIdx.y; r < rows; r += ROW_THREADS) takes this thread's rows of channel c, if c < C.",
        "Write the sum to part[threadIdx.y][threadIdx.x]; after a barrier, let threadIdx.y == 0 add the others.",
        "The barrier stands outside of every if, also for the threads whose c is no channel.",
    ),
)
