"""21: a picture with zeros between its pixels."""

import numpy as np

from ..exercise import Case, Mistake, Out, exercise
from ..goals import sectors


def reference(x, z, stride_h, stride_w, pad_h, pad_w):
    _, H, W, _ = x.shape
    full = np.zeros(z, np.float32)
    full[:, pad_h : pad_h + H * stride_h : stride_h, pad_w : pad_w + W * stride_w : stride_w][:, :H, :W] = x
    return {"z": full}


def cases(rng):
    def case(N, H, W, C, stride, pad, more=0):
        x = rng.integers(1, 10, (N, H, W, C)).astype(np.float32)
        ZH, ZW = ((size - 1) * s + 1 + 2 * p + more for size, s, p in zip((H, W), stride, pad, strict=True))
        values = {"N": N, "H": H, "W": W, "C": C, "ZH": ZH, "ZW": ZW}
        values |= {"stride_h": stride[0], "stride_w": stride[1], "pad_h": pad[0], "pad_w": pad[1]}
        scalars = {name: np.int32(value) for name, value in values.items()}
        return Case({"x": x, "z": Out((N, ZH, ZW, C))} | scalars, -(-N * ZH * ZW * C // 64), 64)

    return [
        case(1, 1, 2, 1, (1, 2), (0, 0)),
        case(1, 2, 3, 2, (2, 3), (1, 2)),
        case(2, 3, 4, 3, (2, 2), (2, 3), more=2),
        case(1, 3, 4, 32, (2, 2), (1, 1)),
    ]


def one_zero_more(x, z, stride_h, stride_w, pad_h, pad_w):
    N, H, W, C = x.shape
    full = np.zeros((N, z[1] + H + W, z[2] + H + W, C), np.float32)
    rows = slice(pad_h, pad_h + H * (stride_h + 1), stride_h + 1)
    full[:, rows, pad_w : pad_w + W * (stride_w + 1) : stride_w + 1] = x
    return {"z": full[:, : z[1], : z[2]]}


def without_padding(x, z, stride_h, stride_w):
    return reference(x, z, stride_h, stride_w, 0, 0)


def repeated(x, z, stride_h, stride_w, pad_h, pad_w):
    """Copies of the pixel in the zeros' places."""
    wide = x.repeat(stride_h, axis=1).repeat(stride_w, axis=2)
    full = np.zeros((len(x), z[1] + stride_h, z[2] + stride_w, x.shape[3]), np.float32)
    full[:, pad_h : pad_h + wide.shape[1], pad_w : pad_w + wide.shape[2]] = wide
    return {"z": full[:, : z[1], : z[2]]}


EXERCISE = exercise(
    __file__,
    "zeros between the pixels",
    "08-transposed",
    "zero_insert",
    reference,
    cases,
    goals=(sectors(1.1),),
    mistakes=(
        Mistake("stride - 1 zeros stand between neighbours, not stride", one_zero_more),
        Mistake("the padding is missing: x[., 0, 0, .] belongs at z[., pad_h, pad_w, .]", without_padding),
        Mistake("pixels stand where zeros belong: only multiples of the stride have one", repeated),
    ),
    hints=(
        "Take the padding away first: down = zh - pad_h. A pixel is there only if down is a multiple of stride_h.",
        "Ask three things on each axis: not before the first, a multiple of the stride, not behind the last. Else 0.",
        "x's element is ((n * H + down / stride_h) * W + right / stride_w) * C + c.",
    ),
)
