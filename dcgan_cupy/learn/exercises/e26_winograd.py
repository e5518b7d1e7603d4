"""26: Winograd's F(2, 2) along one axis."""

import numpy as np

from ..exercise import Case, Mistake, Out, exercise
from ..goals import flop


def reference(x, u):
    return {"y": x[:-1] @ u[0] + x[1:] @ u[2]}


def cases(rng):
    def case(T, IC):
        x, g = rng.integers(-9, 10, (T + 1, IC)), rng.integers(-9, 10, (2, IC, 8))
        u = np.stack([g[0], g[0] + g[1], g[1]]).astype(np.float32)
        arguments = {"x": x.astype(np.float32), "u": u, "y": Out((T, 8)), "T": np.int32(T), "IC": np.int32(IC)}
        return Case(arguments, -(-T // 64), 32)

    return [case(2, 1), case(5, 3), case(64, 6)]


def second_sign(x, u):
    """y1 = m1 + m2."""
    y = reference(x, u)["y"]
    d = np.concatenate([x, 0 * x[:1]])
    for t in range(1, len(y), 2):
        y[t] += 2 * ((d[t] - d[t + 1]) @ u[2])
    return {"y": y}


def first_sign(x, u):
    """m0 = (d1 - d0) g0."""
    y = reference(x, u)["y"]
    for t in range(0, len(y), 2):
        y[t] -= 2 * ((x[t] - x[t + 1]) @ u[0])
    return {"y": y}


EXERCISE = exercise(
    __file__,
    "three products for four",
    "12-winograd",
    "winograd",
    reference,
    cases,
    goals=(flop(32 * (6 * (2 + 3 * 8 * 2) + 2 * 8)),),
    mistakes=(
        Mistake("y1 is m1 - m2, not m1 + m2", second_sign),
        Mistake("m0 is (d0 - d1) g0, not (d1 - d0) g0", first_sign),
    ),
    hints=(
        "Keep three sums for each output channel, m[3][OC], and make two outputs of them after the loop over ic.",
        "For each ic: v[3] = {d0 - d1, d1, d1 - d2}, once; then m[p][oc] += v[p] * u[(p * IC + ic) * OC + oc].",
        "y[t] = m[0] + m[1]; y[t + 1] = m[1] - m[2], if there is a t + 1.",
    ),
)
