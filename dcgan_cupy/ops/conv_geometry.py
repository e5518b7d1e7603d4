"""The geometry of convolutions: output sizes, and the 13 integers that every convolution kernel takes."""

from functools import lru_cache

import numpy as np

from ..errors import UserError
from .check import count

I32 = np.int32
SIZES = ("N", "H", "W", "IC", "OH", "OW", "OC", "KH", "KW", "stride_h", "stride_w", "pad_h", "pad_w")


def need_stride(where: str, stride: int) -> None:
    if stride < 1:
        raise UserError(f"{where}: stride: need at least 1, got {stride}")


def conv2d_output_size(where: str, size: int, kernel: int, stride: int, padding: int) -> int:
    """(size + 2 * padding - kernel) // stride + 1. Raises: UserError if the window does not fit once."""
    need_stride(where, stride)
    out = (size + 2 * padding - kernel) // stride + 1
    if out < 1:
        raise UserError(
            f"{where}: x: need a height and width of at least {kernel - 2 * padding} (kernel {kernel}, padding"
            f" {padding}), got {size}"
        )
    return out


def conv_transpose2d_output_size(
    where: str, size: int, kernel: int, stride: int, padding: int, output_padding: int
) -> int:
    """stride * (size - 1) + kernel - 2 * padding + output_padding. Raises: UserError if nothing is left."""
    need_stride(where, stride)
    out = stride * (size - 1) + kernel - 2 * padding + output_padding
    if out < 1:
        raise UserError(
            f"{where}: x: need an output of at least 1 pixel, got {out} from size {size}, kernel {kernel}, stride"
            f" {stride}, padding {padding}, output_padding {output_padding}"
        )
    return out


def zero_insert_size(size: int, kernel: int, stride: int, padding: int, output_padding: int) -> int:
    """The size of the zero-inserted and padded input: (size-1)*stride + 1 + 2*(kernel-padding-1) + output_padding."""
    return (size - 1) * stride + 1 + 2 * (kernel - padding - 1) + output_padding


@lru_cache(maxsize=None)
def convolution_sizes(where: str, x, w, y, stride, padding) -> tuple:
    """The shapes of a convolution x * w -> y, checked against each other, as the kernels' 13 integers."""
    for name, shape in (("x", x), ("w", w), ("y", y)):
        if len(shape) != 4 or 0 in shape:
            raise UserError(f"{where}: {name}: need 4 axes without an empty one, got {shape}")
        count(f"{where}: {name}", int(np.prod(shape, dtype=np.int64)))
    (n, h, w_in, ic), (kh, kw, w_ic, oc) = x, w
    if w_ic != ic:
        raise UserError(f"{where}: w: need [kh, kw, {ic}, oc] for {ic} channels of x, got {w}")
    oh = conv2d_output_size(where, h, kh, stride[0], padding[0])
    ow = conv2d_output_size(where, w_in, kw, stride[1], padding[1])
    if y != (n, oh, ow, oc):
        raise UserError(
            f"{where}: y: need shape {(n, oh, ow, oc)} for x {x} and w {w}, stride {stride}, padding {padding}, got {y}"
        )
    return tuple(I32(v) for v in (n, h, w_in, ic, oh, ow, oc, kh, kw, *stride, *padding))


def covers(x, w, padding) -> bool:
    """The filter is as large as the image: each image is one row of a matrix."""
    return x.shape[1:3] == w.shape[:2] and padding == (0, 0)


def known_sizes(known: bool, sizes) -> dict[str, str]:
    """All sizes but the batch as a promise to the compiler: divisions by them become shifts and multiplications."""
    promised = zip(SIZES[1:], sizes[1:]) if known else ()
    return {"KNOWN": ", ".join(f"{name} = {value}" for name, value in promised) or "(void)0"}
