"""06: a transpose whose reads and writes are both coalesced."""

import numpy as np

from ..exercise import Case, Mistake, Out, exercise
from ..goals import sectors


def reference(x):
    return {"y": x.T}


def cases(rng):
    def case(R, C):
        x = rng.permutation(R * C).reshape(R, C).astype(np.float32)
        grid = -(-C // 32), -(-R // 32)
        return Case({"x": x, "y": Out((C, R)), "R": np.int32(R), "C": np.int32(C)}, grid, (32, 32))

    return [case(32, 32), case(64, 64), case(3, 5), case(37, 50), case(64, 96)]


def not_turned(x):
    return {"y": x}


def in_place(x):
    """Each tile turned where it stands."""
    y = np.full_like(x.T, np.nan)
    for r in range(0, len(x) // 32 * 32, 32):
        for c in range(0, x.shape[1] // 32 * 32, 32):
            if y[r : r + 32, c : c + 32].shape == (32, 32):
                y[r : r + 32, c : c + 32] = x[r : r + 32, c : c + 32].T
    return {"y": y}


EXERCISE = exercise(
    __file__,
    "a transpose by way of shared memory",
    "03-coalescing",
    "transpose",
    reference,
    cases,
    goals=(sectors(1.1),),
    mistakes=(
        Mistake("the tile comes out as it went in, not turned", not_turned),
        Mistake("each tile is turned but in its old place: x's tile (bx, by) is y's tile (by, bx)", in_place),
    ),
    hints=(
        "A tile goes to another place as a whole: where x has block (bx, by), y has block (by, bx).",
        "So for the write, threadIdx.x counts along a row of y: its column is blockIdx.y * 32 + threadIdx.x.",
        "Between the write of tile[threadIdx.y][threadIdx.x] and the read of tile[threadIdx.x][threadIdx.y] stands"
        " __syncthreads(), which every thread must reach.",
    ),
)
