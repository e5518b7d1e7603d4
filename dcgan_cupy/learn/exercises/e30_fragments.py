"""30: the fragments of mma.m16n8k8."""

import numpy as np

from ..exercise import Case, Mistake, Out, exercise
from ..goals import shared_requests


def reference(A, B, C):
    return {"D": A @ B + C}


def cases(rng):
    def case(N):
        A, B, C = (rng.integers(1, 10, shape).astype(np.float32) for shape in ((N, 16, 8), (N, 8, 8), (N, 16, 8)))
        return Case({"A": A, "B": B, "C": C, "D": Out((N, 16, 8))}, N, 32)

    return [case(1), case(3)]


def quarters_exchanged(A, B, C):
    """a[1] and a[2] the other way round."""
    moved = A.copy()
    moved[:, 8:, :4], moved[:, :8, 4:] = A[:, :8, 4:], A[:, 8:, :4]
    return reference(moved, B, C)


def b_turned(A, B, C):
    return reference(A, B.swapaxes(1, 2), C)


def c_missing(A, B, C):
    return reference(A, B, 0 * C)


def c_turned(D):
    """c[1] and c[2] the other way round, reading C and writing D."""
    out = D.copy()
    out[:, :8, 1::2], out[:, 8:, ::2] = D[:, 8:, ::2], D[:, :8, 1::2]
    return out


def d_exchanged(A, B, C):
    return {"D": c_turned(reference(A, B, C)["D"])}


def c_exchanged(A, B, C):
    return reference(A, B, c_turned(C))


EXERCISE = exercise(
    __file__,
    "which lane holds what",
    "14-tensor-cores",
    "multiply",
    reference,
    cases,
    goals=(shared_requests(0),),
    mistakes=(
        Mistake(
            "a[1] is eight rows below a[0], a[2] four columns to the right, not the other way round", quarters_exchanged
        ),
        Mistake("b is exchanged: t counts its rows, g its columns", b_turned),
        Mistake("c is missing: d = a b + c", c_missing),
        Mistake("d[1] is to the right of d[0], d[2] is eight rows below it, not the other way round", d_exchanged),
        Mistake("c[1] is to the right of c[0], c[2] is eight rows below it, not the other way round", c_exchanged),
    ),
    hints=(
        "A has rows of 8: A[row, column] is A[row * 8 + column]. Lane 5 has g = 1 and t = 1, so a[0] is A[1 * 8 + 1].",
        "In a, i % 2 moves eight rows down and i / 2 four columns to the right. In c, i % 2 moves one to the right.",
        "a[i] = A[(g + i % 2 * 8) * 8 + t + i / 2 * 4]; c[i] = C[(g + i / 2 * 8) * 8 + 2 * t + i % 2].",
    ),
)
