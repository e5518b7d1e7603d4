"""22: the gather without taps that miss."""

import numpy as np

from ..exercise import Mistake, exercise
from ..goals import branches
from .conv_cases import SHAPES, input_case
from .e20_input_gradient import reference


def cases(rng):
    return [input_case(rng, shape) for shape in (*SHAPES[:3], (1, 6, 4, 32, 1, 4, 4, 2, 2, 1, 1))]


def with_phase(of, asked=False):
    """of(place, pad, stride): where the taps begin.   asked: a tap counts only where its division is exact."""

    def wrong(dy, w, dx, stride_h, stride_w, pad_h, pad_w):
        _, H, W, _ = dx
        _, OH, OW, _ = dy.shape
        total = np.zeros(dx, np.float32)
        for h, col in np.ndindex(H, W):
            for kh in range(of(h, pad_h, stride_h), w.shape[0], stride_h):
                for kw in range(of(col, pad_w, stride_w), w.shape[1], stride_w):
                    if asked and ((h + pad_h - kh) % stride_h or (col + pad_w - kw) % stride_w):
                        continue
                    oh, ow = int((h + pad_h - kh) / stride_h), int((col + pad_w - kw) / stride_w)
                    if 0 <= oh < OH and 0 <= ow < OW:
                        total[:, h, col] += dy[:, oh, ow] @ w[kh, kw].T
        return {"dx": total}

    return wrong


one_phase = with_phase(lambda place, pad, stride: 0)
without_pad = with_phase(lambda place, pad, stride: place % stride)
without_pad_asked = with_phase(lambda place, pad, stride: place % stride, asked=True)


def first_tap_only(dy, w, dx, stride_h, stride_w, pad_h, pad_w):
    first = w.copy()
    first[stride_h:], first[:, stride_w:] = 0, 0
    return reference(dy, first, dx, stride_h, stride_w, pad_h, pad_w)


EXERCISE = exercise(
    __file__,
    "only the taps that hit",
    "08-transposed",
    "conv2d_backward_input",
    reference,
    cases,
    goals=(branches(560, "is a tap still looked at in vain, or a remainder still asked in a loop?"),),
    mistakes=(
        Mistake("every pixel begins at tap 0; it should begin at its phase, (h + pad_h) % stride_h", one_phase),
        Mistake("the phase is the remainder of h + pad_h, not of h", without_pad),
        Mistake("the phase is the remainder of h + pad_h, not of h", without_pad_asked),
        Mistake("each pixel has its first tap only; the next ones are a stride further", first_tap_only),
    ),
    hints=(
        "With stride 2 and pad 1, row h = 0 meets the taps 1 and 3, row 1 the taps 0 and 2. What of h makes it so?",
        "The loop is for (int kh = a_h; kh < KH; kh += stride_h); in it (h + pad_h - kh) / stride_h is exact.",
        "What remains to ask is 0 <= oh and oh < OH. Nothing is asked about remainders.",
    ),
)
