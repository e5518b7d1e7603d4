"""05: loads and stores of 16 bytes."""

import numpy as np

from ..exercise import Case, Mistake, Updated, exercise
from ..goals import requests, sectors


def reference(x, y, a):
    return {"y": a * x + y}


def cases(rng):
    def case(n, block):
        x, y = rng.integers(1, 10, (2, n)).astype(np.float32)
        return Case({"x": x, "y": Updated(y), "a": np.float32(3), "n": np.int32(n)}, -(-n // (4 * block)), block)

    return [case(4, 32), case(7, 32), case(1001, 64), case(4096, 128)]


def no_tail(x, y, a):
    whole = len(x) // 4 * 4
    return {"y": np.concatenate([(a * x + y)[:whole], y[whole:]])}


EXERCISE = exercise(
    __file__,
    "four floats at once",
    "03-coalescing",
    "axpy",
    reference,
    cases,
    goals=(requests(100), sectors(1.1)),
    mistakes=(Mistake("the last n % 4 elements are left as they were", no_tail),),
    hints=(
        "Ask first whether all four elements i .. i + 3 exist.",
        "float4 u = *reinterpret_cast<const float4*>(x + i); change the four parts, and store the float4 the same way.",
        "if (i + 4 <= n) { two loads, four sums, one store } else the loop, one by one.",
    ),
)
