"""20: the gradient of a convolution's input, as a gather."""

import numpy as np

from ..exercise import Mistake, exercise
from ..goals import atomics
from .conv_cases import SHAPES, input_case


def reference(dy, w, dx, stride_h, stride_w, pad_h, pad_w):
    N, H, W, IC = dx
    _, OH, OW, _ = dy.shape
    # As a scatter, into a picture with room around.
    padded = np.zeros((N, H + 2 * pad_h + stride_h, W + 2 * pad_w + stride_w, IC), np.float32)
    for kh, kw in np.ndindex(w.shape[:2]):
        rows, columns = slice(kh, kh + OH * stride_h, stride_h), slice(kw, kw + OW * stride_w, stride_w)
        padded[:, rows, columns][:, :OH, :OW] += dy @ w[kh, kw].T
    return {"dx": padded[:, pad_h : pad_h + H, pad_w : pad_w + W]}


def cases(rng):
    return [input_case(rng, shape) for shape in SHAPES]


def turned(dy, w, dx, stride_h, stride_w, pad_h, pad_w):
    return reference(dy, w[::-1, ::-1], dx, stride_h, stride_w, pad_h, pad_w)


def rounded_down(dy, w, dx, stride_h, stride_w, pad_h, pad_w):
    _, H, W, _ = dx
    _, OH, OW, _ = dy.shape
    total = np.zeros(dx, np.float32)
    for kh, kw, h, col in np.ndindex(*w.shape[:2], H, W):
        up, left = h + pad_h - kh, col + pad_w - kw
        if up >= 0 and left >= 0 and up // stride_h < OH and left // stride_w < OW:
            total[:, h, col] += dy[:, up // stride_h, left // stride_w] @ w[kh, kw].T
    return {"dx": total}


def pad_subtracted(dy, w, dx, stride_h, stride_w, pad_h, pad_w):
    """h - pad_h - kh for h + pad_h - kh."""
    N, H, W, IC = dx
    moved = np.pad(reference(dy, w, (N, H + 2 * pad_h, W + 2 * pad_w, IC), stride_h, stride_w, 0, 0)["dx"], 0)
    out = np.zeros(dx, np.float32)
    out[:, pad_h:, pad_w:] = moved[:, : max(0, H - pad_h), : max(0, W - pad_w)]
    return {"dx": out}


EXERCISE = exercise(
    __file__,
    "a scatter turned into a gather",
    "08-transposed",
    "conv2d_backward_input",
    reference,
    cases,
    goals=(atomics(0),),
    mistakes=(
        Mistake("tap kh belongs to oh * stride_h = h + pad_h - kh; here the kernel is turned", turned),
        Mistake("taps are counted whose h + pad_h - kh is no multiple of the stride", rounded_down),
        Mistake("forward took pad_h away from the row, so here it is added: h + pad_h - kh", pad_subtracted),
    ),
    hints=(
        "Solve h = oh * stride_h - pad_h + kh for oh. When has it a solution in whole numbers?",
        "int up = h + pad_h - kh; skip the tap if up < 0, if up % stride_h is not 0, or if up / stride_h >= OH.",
        "The same with left = col + pad_w - kw; then sum over oc dy[n, oh, ow, oc] * w[kh, kw, ic, oc].",
    ),
)
