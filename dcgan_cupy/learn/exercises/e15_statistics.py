"""15: mean and variance by channel."""

import numpy as np

from ..exercise import Case, Mistake, Out, exercise
from ..goals import sectors


def reference(x):
    x = x.astype(np.float64)
    return {"mean": x.mean(axis=0), "var": x.var(axis=0)}


def cases(rng):
    def case(rows, C, center, rtol=2e-5, about=""):
        x = (center + rng.normal(0, 1, (rows, C))).astype(np.float32)
        arguments = {"x": x, "mean": Out((C,)), "var": Out((C,)), "rows": np.int32(rows), "C": np.int32(C)}
        return Case(arguments, -(-C // 32), 32, rtol, about=about)

    return [
        case(3, 2, 0),
        case(35, 5, 0.5),
        case(300, 64, 4000, 5e-4, "all values lie near 4000, and what is subtracted must be as near"),
    ]


def unbiased(x):
    return {"var": x.astype(np.float64).var(axis=0, ddof=1)}


def deviation(x):
    return {"var": x.astype(np.float64).std(axis=0)}


def sums(x):
    x = x.astype(np.float64)
    return {"var": ((x - x.mean(axis=0)) ** 2).sum(axis=0)}


EXERCISE = exercise(
    __file__,
    "a variance that survives a large mean",
    "06-batchnorm",
    "statistics",
    reference,
    cases,
    goals=(sectors(1.1),),
    mistakes=(
        Mistake("divided by rows - 1: that is the unbiased estimate; here it is the plain average", unbiased),
        Mistake("this is the standard deviation, the variance's square root", deviation),
        Mistake("this is the sum of the squares; the average is wanted", sums),
    ),
    hints=(
        "Take the mean in a first loop over the rows. What does a second loop add up?",
        "The second loop adds (x - mean)^2: numbers of the variance's own size, in which little is lost.",
        "float d = x[r * C + c] - m; d2 += d * d; and at the end var[c] = d2 / rows.",
    ),
)
