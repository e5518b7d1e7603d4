"""33: a rung of one's own, in the whole network."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from ..exercise import Mistake, exercise
from ..goals import requests
from .conv_cases import SHAPES, forward_case, integers


def reference(x, w, bias, y, stride_h, stride_w, pad_h, pad_w):
    padded = np.pad(x, ((0, 0), (pad_h, pad_h), (pad_w, pad_w), (0, 0)))
    _, OH, OW, OC = y
    total = np.zeros(y, np.float32) + (np.zeros(OC, np.float32) if bias is None else bias)
    for kh, kw in np.ndindex(w.shape[:2]):
        seen = padded[:, kh : kh + OH * stride_h : stride_h, kw : kw + OW * stride_w : stride_w][:, :OH, :OW]
        total += seen @ w[kh, kw]
    return {"y": total}


def cases(rng):
    def case(shape, biased):
        made = forward_case(rng, shape)
        x, w, y, *_ = made.arguments.values()
        n, oh, ow, oc = y.shape
        bias = integers(rng, oc) if biased else None
        rest = {name: value for name, value in made.arguments.items() if name not in ("x", "w", "y")}
        grid = -(-n * oh * -(-ow // 4) * oc // 64)
        return replace(made, arguments={"x": x, "w": w, "bias": bias, "y": y} | rest, grid=grid)

    wide = (1, 4, 22, 3, 32, 4, 4, 2, 2, 1, 1)
    return [*(case(shape, number % 2) for number, shape in enumerate(SHAPES)), case(wide, True)]


def without_bias(x, w, bias, y, stride_h, stride_w, pad_h, pad_w):
    return reference(x, w, None, y, stride_h, stride_w, pad_h, pad_w)


def border_of_the_first(x, w, bias, y, stride_h, stride_w, pad_h, pad_w):
    """A tap is left out for all four where it lies outside for the first of them."""
    made = np.empty(y, np.float32)
    for first in range(0, y[2], 4):
        start = first * stride_w - pad_w
        inside = np.array([0 <= start + kw < x.shape[2] for kw in range(w.shape[1])])
        seen = reference(x, w * inside[:, None, None], bias, y, stride_h, stride_w, pad_h, pad_w)["y"]
        made[:, :, first : first + 4] = seen[:, :, first : first + 4]
    return {"y": made}


EXERCISE = exercise(
    __file__,
    "a rung of your own",
    "16-a-gan-that-trains",
    "conv2d_forward",
    reference,
    cases,
    goals=(requests(1250),),
    mistakes=(
        Mistake("bias is not added", without_bias),
        Mistake(
            "a tap is left out for all four where it is outside for the first: ask each of them", border_of_the_first
        ),
    ),
    hints=(
        "float sum[4] = {}; the loops over kh, kw and ic are there once, and inside is a loop over the four.",
        "float tap = w[...] before that loop; in it int col = (4 * g + k) * stride_w - pad_w + kw, asked for each k.",
        "Behind the loops: for (int k = 0; k < 4; k++) if (4 * g + k < OW) y[...] = bias ? sum[k] + bias[oc] : sum[k];",
    ),
    rung=Path(__file__).with_name("my_rung_33.py"),
)
