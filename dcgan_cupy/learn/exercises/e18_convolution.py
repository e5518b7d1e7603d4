"""18: a convolution with stride and padding."""

import numpy as np

from ..exercise import Mistake, exercise
from ..goals import sectors
from .conv_cases import SHAPES, forward_case


def reference(x, w, y, stride_h, stride_w, pad_h, pad_w):
    padded = np.pad(x, ((0, 0), (pad_h, pad_h), (pad_w, pad_w), (0, 0)))
    _, OH, OW, _ = y
    total = np.zeros(y, np.float32)
    for kh, kw in np.ndindex(w.shape[:2]):
        seen = padded[:, kh : kh + OH * stride_h : stride_h, kw : kw + OW * stride_w : stride_w][:, :OH, :OW]
        total += seen @ w[kh, kw]
    return {"y": total}


def cases(rng):
    return [forward_case(rng, shape) for shape in SHAPES]


def turned(x, w, y, stride_h, stride_w, pad_h, pad_w):
    return reference(x, w[::-1, ::-1], y, stride_h, stride_w, pad_h, pad_w)


def without_padding(x, w, y, stride_h, stride_w, pad_h, pad_w):
    moved = np.pad(x, ((0, 0), (0, 2 * pad_h), (0, 2 * pad_w), (0, 0)))
    return reference(moved, w, y, stride_h, stride_w, 0, 0)


def weights_exchanged(x, w, y, stride_h, stride_w, pad_h, pad_w):
    KH, KW, IC, OC = w.shape
    return reference(x, w.reshape(KH, KW, OC, IC).swapaxes(2, 3), y, stride_h, stride_w, pad_h, pad_w)


EXERCISE = exercise(
    __file__,
    "a strided convolution",
    "07-convolution",
    "conv2d_forward",
    reference,
    cases,
    goals=(sectors(1.2),),
    mistakes=(
        Mistake("the kernel is turned by 180 degrees: tap kh belongs to the row oh * stride_h - pad_h + kh", turned),
        Mistake("the window begins at oh * stride_h - pad_h, not at oh * stride_h", without_padding),
        Mistake("the weights are w[kh, kw, ic, oc], with oc fastest", weights_exchanged),
    ),
    hints=(
        "oc = i % OC; then i / OC counts pixels of y, and ow, oh and n come of it in the same way.",
        "Three loops: kh, kw, ic. After kh compute the row of x and skip the tap if it lies outside; so with kw.",
        "sum += x[((n * H + h) * W + col) * IC + ic] * w[((kh * KW + kw) * IC + ic) * OC + oc];",
    ),
)
