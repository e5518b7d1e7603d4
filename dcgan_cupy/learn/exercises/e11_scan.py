"""11: an exclusive scan."""

import numpy as np

from ..exercise import Case, Mistake, Out, exercise
from ..goals import barriers, no_conflicts, requests, shared_requests


def reference(x):
    return {"y": np.cumsum(x) - x}


def cases(rng):
    def case(n):
        x = rng.integers(1, 10, n).astype(np.int32)
        return Case({"x": x, "y": Out((n,), np.int32), "n": np.int32(n)}, 1, 256)

    return [case(1), case(5), case(200), case(256)]


def inclusive(x):
    return {"y": np.cumsum(x)}


EXERCISE = exercise(
    __file__,
    "a running sum",
    "04-reductions",
    "scan",
    reference,
    cases,
    goals=(barriers(17), shared_requests(250), requests(16), no_conflicts()),
    mistakes=(Mistake("this is the inclusive sum: an element's own number is not part of it", inclusive),),
    hints=(
        "In a level a thread reads a place that another one writes. As in exercise 08, a register lies between.",
        "int left = t >= d ? s[t - d] : 0; barrier; s[t] += left; barrier. Then d *= 2.",
        "s[t] is now the sum up to t and with it. The sum before t stands in s[t - 1]; before 0 there is nothing.",
    ),
)
