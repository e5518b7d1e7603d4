"""Steps 2 to 4 of the textbook's transposed convolution: insert zeros, pad, flip the kernel.

What follows is conv2d_forward.
"""

import numpy as np

from ..device import Array, Device
from ..errors import UserError
from .check import count, need_rank4, need_shape
from .conv_geometry import need_stride
from .tiles import BLOCK, ceil_div

I32 = np.int32


def zero_insert(
    dev: Device, x: Array, z: Array, kernel: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int]
) -> None:
    """Steps 2 and 3 of the textbook's transposed convolution.   kernels/conv_transpose2d/zero_insert.cu

    Shapes: x [N, H, W, C], z [N, ZH, ZW, C] by zero_insert_size (more rows at the end are output_padding); pairs.
    """
    where = "zero_insert"
    need_rank4(where, x=x, z=z)
    n, h, w, c = x.shape
    for step in stride:
        need_stride(where, step)
    pads = tuple(k - 1 - p for k, p in zip(kernel, padding))
    if z.shape[0] != n or z.shape[3] != c:
        raise UserError(f"{where}: z: need [{n}, zh, zw, {c}], got {z.shape}")
    total = count(where, z.size)
    dev.kernel("conv_transpose2d/zero_insert.cu", "zero_insert")(
        ceil_div(total, BLOCK),
        BLOCK,
        x,
        z,
        I32(n),
        I32(h),
        I32(w),
        I32(c),
        I32(z.shape[1]),
        I32(z.shape[2]),
        I32(stride[0]),
        I32(stride[1]),
        I32(pads[0]),
        I32(pads[1]),
    )


def flip_kernel(dev: Device, w: Array, flipped: Array) -> None:
    """flipped[kh,kw,ic,oc] = w[KH-1-kh, KW-1-kw, oc, ic].   kernels/conv_transpose2d/zero_insert.cu"""
    need_rank4("flip_kernel", w=w)
    kh, kw, oc, ic = w.shape
    count("flip_kernel", w.size)
    need_shape("flip_kernel", "flipped", flipped, (kh, kw, ic, oc))
    dev.kernel("conv_transpose2d/zero_insert.cu", "flip_kernel")(
        ceil_div(w.size, BLOCK), BLOCK, w, flipped, I32(kh), I32(kw), I32(ic), I32(oc)
    )
