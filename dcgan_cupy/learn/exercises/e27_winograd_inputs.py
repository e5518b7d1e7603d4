"""27: Winograd's input transform in two dimensions."""

import numpy as np

from ..exercise import Case, Mistake, Out, exercise
from ..goals import flop, sectors


def reference(x):
    B = np.array([[1, -1, 0], [0, 1, 0], [0, 1, -1]])
    H, W, C = x.shape
    TH, TW = H // 2, W // 2
    v = np.zeros((3, 3, TH, TW, C))
    for th in range(TH):
        for tw in range(TW):
            v[:, :, th, tw] = np.einsum("ri,sj,ijc->rsc", B, B, x[2 * th : 2 * th + 3, 2 * tw : 2 * tw + 3])
    return {"v": v.reshape(9, TH * TW, C)}


def cases(rng):
    def case(TH, TW, C):
        x = rng.integers(-9, 10, (2 * TH + 1, 2 * TW + 1, C)).astype(np.float32)
        v = Out((9, TH * TW, C))
        scalars = {"TH": np.int32(TH), "TW": np.int32(TW), "C": np.int32(C)}
        return Case({"x": x, "v": v} | scalars, -(-TH * TW * C // 64), 64)

    return [case(1, 1, 1), case(2, 3, 3), case(3, 2, 32)]


def one_axis(rows, columns, sign=1):
    def wrong(x):
        B, I = sign * np.array([[1, -1, 0], [0, sign, 0], [0, 1, -1]]), np.eye(3)
        H, W, C = x.shape
        v = np.zeros((3, 3, H // 2, W // 2, C))
        for th, tw in np.ndindex(*v.shape[2:4]):
            patch = x[2 * th : 2 * th + 3, 2 * tw : 2 * tw + 3]
            v[:, :, th, tw] = np.einsum("ri,sj,ijc->rsc", B if rows else I, B if columns else I, patch)
        return {"v": v.reshape(9, -1, C)}

    return wrong


EXERCISE = exercise(
    __file__,
    "the same along both axes",
    "12-winograd",
    "transform_inputs",
    reference,
    cases,
    goals=(flop(12 * 3 * 2 * 32), sectors(1.1)),
    mistakes=(
        Mistake("the patch is as it came: nothing is transformed", one_axis(False, False)),
        Mistake("transformed down the rows only; then the same along each row", one_axis(True, False)),
        Mistake("transformed along the rows only; the same is to be done down the columns", one_axis(False, True)),
        Mistake("d0 - d1 and d1 - d2, not d1 - d0 and d2 - d1", one_axis(True, True, -1)),
    ),
    hints=(
        "Begin with one column: d[0][c], d[1][c], d[2][c] become d[0][c] - d[1][c], d[1][c], d[1][c] - d[2][c].",
        "Do it for the three columns, in place. Then the same with the indices exchanged, for the three rows.",
        "d[0][column] -= d[1][column]; d[2][column] = d[1][column] - d[2][column]; then d[row][0] -= d[row][1]; ...",
    ),
)
