"""14: the gradient of tanh."""

import numpy as np

from ..exercise import Case, Mistake, Out, exercise
from ..goals import flop, sectors


def reference(y, dy):
    return {"dx": dy * (1 - y * y)}


def cases(rng):
    def case(n):
        # eighths, so that products are exact
        y = (rng.integers(-8, 9, n) / 8).astype(np.float32)
        dy = rng.integers(1, 10, n).astype(np.float32)
        return Case({"y": y, "dy": dy, "dx": Out((n,)), "n": np.int32(n)}, -(-n // 64), 64, 1e-6)

    return [case(5), case(100), case(640)]


def again(y, dy):
    return {"dx": dy * (1 - np.tanh(y) ** 2)}


def alone(y):
    return {"dx": 1 - y * y}


def of_sigmoid(y, dy):
    return {"dx": dy * y * (1 - y)}


EXERCISE = exercise(
    __file__,
    "a gradient that needs only the output",
    "05-losses",
    "tanh_backward",
    reference,
    cases,
    goals=(flop(3 * 640), sectors(1.1)),
    mistakes=(
        Mistake("y is tanh(x) already: no second tanh", again),
        Mistake("this is tanh' alone: by the chain rule it is multiplied by dy", alone),
        Mistake("y (1 - y) is the derivative of the sigmoid", of_sigmoid),
    ),
    hints=(
        "The derivative of tanh at x is 1 - tanh(x)^2, and y[i] is tanh(x[i]).",
        "The chain rule: the gradient that came, times the layer's own derivative.",
        "dx[i] = dy[i] * (1.0f - y[i] * y[i]);",
    ),
)
