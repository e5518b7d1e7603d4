"""04: neighbouring threads, neighbouring floats."""

import numpy as np

from ..exercise import Case, Mistake, Out, exercise
from ..goals import sectors


def reference(x, scale):
    return {"y": x * scale}


def cases(rng):
    def case(rows, C, block=64):
        x, scale = rng.integers(-9, 10, (rows, C)).astype(np.float32), rng.permutation(C).astype(np.float32)
        arguments = {"x": x, "scale": scale, "y": Out(x.shape), "rows": np.int32(rows), "C": np.int32(C)}
        return Case(arguments, -(-rows * C // block), block)

    return [case(3, 5), case(37, 11), case(40, 64)]


def by_row(x, scale):
    return {"y": x * scale[: len(x), None]}


EXERCISE = exercise(
    __file__,
    "which index runs fastest",
    "03-coalescing",
    "scale_channels",
    reference,
    cases,
    goals=(sectors(1.1),),
    mistakes=(Mistake("scale belongs to the column c, not to the row r", by_row),),
    hints=(
        "Threads i and i + 1 are neighbours. By how much does r * C + c differ between them?",
        "It should differ by 1: then c grows with i, and r only when a row is over.",
        "c is a remainder, r a quotient, both by C.",
    ),
)
