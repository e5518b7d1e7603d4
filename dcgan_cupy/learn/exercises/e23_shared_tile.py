"""23: a matrix product with tiles in shared memory."""

import numpy as np

from ..exercise import Case, Mistake, Out, exercise
from ..goals import sectors, traffic


def reference(a, b):
    return {"y": a @ b}


def cases(rng):
    def case(M, N, K):
        a, b = rng.integers(1, 10, (M, K)).astype(np.float32), rng.integers(1, 10, (K, N)).astype(np.float32)
        scalars = {"M": np.int32(M), "N": np.int32(N), "K": np.int32(K)}
        return Case({"a": a, "b": b, "y": Out((M, N))} | scalars, (-(-N // 16), -(-M // 16)), (16, 16))

    return [case(16, 16, 16), case(3, 5, 2), case(19, 37, 35), case(32, 32, 64)]


def first_piece(a, b):
    return {"y": a[:, :16] @ b[:16]}


EXERCISE = exercise(
    __file__,
    "a tile for the whole block",
    "09-shared-tile",
    "matmul",
    reference,
    cases,
    goals=(traffic(2.0), sectors(1.1)),
    mistakes=(Mistake("only the first 16 of k are in it", first_piece),),
    hints=(
        "Two tiles, a_s and b_s, TILE x TILE each. In step k0 a thread brings a[m, k0 + tx] and b[k0 + ty, n].",
        "Two barriers a step: before anybody multiplies, all have brought; before anybody brings again, all have read.",
        "for (int k = 0; k < TILE; k++) sum += a_s[ty][k] * b_s[k][tx]; what lies outside was brought as 0.0f.",
    ),
)
