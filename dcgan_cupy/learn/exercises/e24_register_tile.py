"""24: a matrix product with tiles in registers."""

import numpy as np

from ..exercise import Case, Mistake, Out, exercise
from ..goals import no_conflicts, shared_requests
from .e23_shared_tile import reference


def cases(rng):
    def case(M, N, K):
        a, b = rng.integers(1, 10, (M, K)).astype(np.float32), rng.integers(1, 10, (K, N)).astype(np.float32)
        scalars = {"M": np.int32(M), "N": np.int32(N), "K": np.int32(K)}
        return Case({"a": a, "b": b, "y": Out((M, N))} | scalars, (-(-N // 32), -(-M // 32)), 64)

    return [case(3, 5, 2), case(37, 35, 19), case(64, 32, 32)]


def last_piece(a, b):
    K = a.shape[1]
    return {"y": a[:, (K - 1) // 8 * 8 :] @ b[(K - 1) // 8 * 8 :]}


def neighbours(rows, columns):
    """A thread's rows, or columns, beside each other where they were read."""

    def wrong(a, b):
        def source(count, on):
            place = np.arange(count)
            return place // 32 * 32 + place % 8 * 4 + place % 32 // 8 if on else place

        wide_a, wide_b = np.pad(a, ((0, 32), (0, 0))), np.pad(b, ((0, 0), (0, 32)))
        return {"y": wide_a[source(len(a), rows)] @ wide_b[:, source(b.shape[1], columns)]}

    return wrong


EXERCISE = exercise(
    __file__,
    "a number read once serves four times",
    "10-register-tile",
    "matmul",
    reference,
    cases,
    goals=(shared_requests(2 * 4 * (8 * 8 * 2 + 16)), no_conflicts()),
    mistakes=(
        Mistake("acc must keep what the earlier pieces of k have added", last_piece),
        Mistake("row i of a thread is ty + i * (BM / TM), not ty * TM + i", neighbours(True, False)),
        Mistake("column j of a thread is tx + j * (BN / TN), not tx * TN + j", neighbours(False, True)),
        Mistake("a thread's rows are ty + i * (BM / TM), its columns tx + j * (BN / TN)", neighbours(True, True)),
    ),
    hints=(
        "The loop over k comes first. Inside: TM reads of a_s, TN reads of b_s, then TM * TN products of registers.",
        "A thread's rows are ty + i * (BM / TM), its columns tx + j * (BN / TN).",
        "a_k[i] = a_s[ty + i * (BM / TM)][k]; b_k[j] = b_s[k][tx + j * (BN / TN)]; acc[i][j] += a_k[i] * b_k[j];",
    ),
)
