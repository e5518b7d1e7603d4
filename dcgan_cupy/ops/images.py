"""Images between bytes and the numbers that the networks take."""

import numpy as np

from ..device import Array, Device
from ..errors import UserError
from .check import count, need_rank4, need_shape, same_size
from .elementwise import launch_each
from .tiles import BLOCK, ceil_div

I32 = np.int32


def images_to_float(
    dev: Device, images: Array, y: Array, index: Array | None = None, flip: Array | None = None
) -> None:
    """y[n] = images[index[n]] / 127.5 - 1, mirrored where flip[n] is not 0.   kernels/images.cu

    Shapes: images uint8 [M, H, W, C], y [N, H, W, C], index int32 [N] or None (image n), flip uint8 [N] or None.
    The index values themselves are not checked here: keep them in [0, M).
    """
    where = "images_to_float"
    need_rank4(where, images=images, y=y)
    n, h, w, c = y.shape
    if images.shape[1:] != (h, w, c) or (index is None and images.shape[0] < n):
        raise UserError(f"{where}: images: need [at least {n}, {h}, {w}, {c}], got {images.shape}")
    for name, a in (("index", index), ("flip", flip)):
        if a is not None:
            need_shape(where, name, a, (n,))
    total = count(where, y.size)
    dev.kernel("images.cu", "images_to_float")(
        ceil_div(total, BLOCK), BLOCK, images, index, flip, y, I32(n), I32(h), I32(w), I32(c)
    )


def images_to_uint8(dev: Device, x: Array, y: Array) -> None:
    """y = x * 127.5 + 127.5, rounded and held in 0 .. 255.   kernels/images.cu"""
    launch_each(dev, "images.cu", "images_to_uint8", same_size("images_to_uint8", x=x, y=y), x, y)
