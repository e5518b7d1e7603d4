"""10: a tree of shuffles."""

import numpy as np

from ..exercise import Case, Mistake, Out, exercise
from ..goals import atomics, barriers, sectors, shared_requests


def reference(x):
    return {"y": x.sum(axis=1)}


def cases(rng):
    def case(R, C):
        x = rng.integers(-9, 10, (R, C)).astype(np.float32)
        return Case({"x": x, "y": Out((R,)), "R": np.int32(R), "C": np.int32(C)}, -(-R // 4), 128)

    return [case(2, 40), case(5, 1), case(9, 130), case(16, 256)]


def lanes_below_16(x):
    return {"y": x[:, np.arange(x.shape[1]) % 32 < 16].sum(axis=1)}


def lane_0(x):
    return {"y": x[:, ::32].sum(axis=1)}


EXERCISE = exercise(
    __file__,
    "lanes read each other",
    "04-reductions",
    "sum_rows",
    reference,
    cases,
    goals=(shared_requests(0), barriers(0), atomics(0), sectors(1.2)),
    mistakes=(
        Mistake("the numbers of lanes 16 to 31 are missing: the first step is 16 lanes wide", lanes_below_16),
        Mistake("this is what lane 0 has added by itself, before any shuffle", lane_0),
    ),
    hints=(
        "After the step of 16, lane 0 has its own number and lane 16's. With 8 it gets those of lanes 8 and 24.",
        "Every lane of the mask must come to the shuffle; so it stands in no if.",
        "for (int d = 16; d > 0; d /= 2) sum += __shfl_down_sync(0xffffffffu, sum, d); only lane 0 has all of it.",
    ),
)
