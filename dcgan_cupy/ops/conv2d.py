"""The convolution and its gradients: check, choose the rung, launch.

All functions write into arrays that the caller gives; the tiled and the Winograd rung need scratch memory of the device
beside them.
"""

import numpy as np

from ..choices import FUSED, STEPS
from ..device import Array, Device
from . import conv2d_steps as steps
from . import conv2d_tiled as tiled
from . import conv2d_winograd as winograd
from .check import need_shape, rows_and_channels
from .conv_geometry import convolution_sizes
from .epilogue import NONE, Epilogue
from .own_rung import function
from .rungs import check_rung, chosen_rung, need_fusing
from .tiles import BLOCK, CHANNELS, ROW_THREADS, ceil_div

I32 = np.int32


def conv2d_forward(
    dev: Device,
    x: Array,
    w: Array,
    bias: Array | None,
    y: Array,
    stride: tuple[int, int],
    padding: tuple[int, int],
    rung: str = "textbook",
    known: bool = False,
    activation: Epilogue = NONE,
) -> None:
    """y[n,oh,ow,oc] = bias[oc] + sum of x[n, oh*s-p+kh, ow*s-p+kw, ic] * w[kh,kw,ic,oc].   kernels/conv2d/forward_*.cu

    Shapes: x [N, H, W, IC], w [KH, KW, IC, OC], bias [OC] or None, y [N, OH, OW, OC]; stride, padding pairs.
    known: compile this layer's sizes, all but the batch, into the kernel (faster; one more kernel to compile), where
    the device specialises.
    activation: what a result passes before it is written: another pass saved. For the rungs FUSED only.
    """
    where = "conv2d_forward"
    check_rung(where, rung)
    sizes = convolution_sizes(where, x.shape, w.shape, y.shape, stride, padding)
    if bias is not None:
        need_shape(where, "bias", bias, w.shape[3:])
    if own := function(rung, where):
        return own(dev, x, w, bias, y, stride, padding)
    rung, known = chosen_rung(dev, rung, w, stride, padding), known and dev.specialises
    need_fusing(where, "epilogue", rung, activation != NONE)
    if rung == "winograd":
        winograd.forward(dev, x, w, bias, y, sizes, known, activation)
    elif rung == "tiled":
        tiled.forward(dev, x, w, bias, y, stride, padding, sizes, known, activation)
    elif rung in steps.TILES:
        steps.forward(dev, rung, x, w, bias, y, sizes)
    else:
        dev.kernel("conv2d/forward_1_textbook.cu", where)(ceil_div(y.size, BLOCK), BLOCK, x, w, bias, y, *sizes)


def conv2d_backward_input(
    dev: Device,
    dy: Array,
    w: Array,
    bias: Array | None,
    dx: Array,
    stride: tuple[int, int],
    padding: tuple[int, int],
    rung: str = "textbook",
    known: bool = False,
    activation: Epilogue = NONE,
) -> None:
    """dx[n,h,w,ic] = bias[ic] + sum of dy[n, (h+p-kh)/s, (w+p-kw)/s, oc] * w[kh,kw,ic,oc] over exact divisions.

    kernels/conv2d/backward_input_*.cu. A convolution's input gradient (bias None), and a transposed convolution
    forward.
    Shapes: dy [N, OH, OW, OC], w [KH, KW, IC, OC], bias [IC] or None, dx [N, H, W, IC].   known, activation: as in
    conv2d_forward.
    """
    where = "conv2d_backward_input"
    check_rung(where, rung)
    sizes = convolution_sizes(where, dx.shape, w.shape, dy.shape, stride, padding)
    if bias is not None:
        need_shape(where, "bias", bias, w.shape[2:3])
    if own := function(rung, where):
        return own(dev, dy, w, bias, dx, stride, padding)
    rung, known = chosen_rung(dev, rung, w, stride, padding), known and dev.specialises
    need_fusing(where, "epilogue", rung, activation != NONE)
    if rung == "winograd":
        winograd.backward_input(dev, dy, w, bias, dx, sizes, known, activation)
    elif rung == "tiled":
        tiled.backward_input(dev, dy, w, bias, dx, stride, padding, sizes, known, activation)
    elif rung in STEPS:
        steps.backward_input(dev, rung, dy, w, bias, dx, stride, sizes)
    else:
        dev.kernel("conv2d/backward_input_1_textbook.cu", where)(
            ceil_div(dx.size, BLOCK), BLOCK, dy, w, bias, dx, *sizes
        )


def conv2d_backward_weight(
    dev: Device,
    x: Array,
    dy: Array,
    dw: Array,
    stride: tuple[int, int],
    padding: tuple[int, int],
    rung: str = "textbook",
    known: bool = False,
) -> None:
    """dw[kh,kw,ic,oc] += sum of x[n, oh*s-p+kh, ow*s-p+kw, ic] * dy[n,oh,ow,oc].   kernels/conv2d/backward_weight_*.cu

    Shapes: x [N, H, W, IC], dy [N, OH, OW, OC], dw [KH, KW, IC, OC].   known: as in conv2d_forward.
    """
    where = "conv2d_backward_weight"
    check_rung(where, rung)
    sizes = convolution_sizes(where, x.shape, dw.shape, dy.shape, stride, padding)
    if own := function(rung, where):
        return own(dev, x, dy, dw, stride, padding)
    rung, known = chosen_rung(dev, rung, dw, stride, padding), known and dev.specialises
    if rung == "winograd":
        winograd.backward_weight(dev, x, dy, dw, sizes, known)
    elif rung == "tiled" and dw.shape[3] >= tiled.THIN:
        tiled.backward_weight(dev, x, dy, dw, stride, padding, sizes, known)
    elif rung in steps.TILES:
        steps.backward_weight(dev, rung, x, dy, dw, sizes)
    else:
        dev.kernel("conv2d/backward_weight_1_textbook.cu", where)(ceil_div(dw.size, BLOCK), BLOCK, x, dy, dw, *sizes)


def conv2d_backward_bias(dev: Device, dy: Array, db: Array, rung: str = "textbook") -> None:
    """db[c] += sum of dy[..., c].   kernels/conv2d/backward_bias_*.cu"""
    where = "conv2d_backward_bias"
    check_rung(where, rung)
    rows, c = rows_and_channels(where, dy, "dy")
    need_shape(where, "db", db, (c,))
    if rung not in FUSED:
        k = dev.kernel("conv2d/backward_bias_1_textbook.cu", where, CHANNELS=CHANNELS, ROW_THREADS=ROW_THREADS)
        k(ceil_div(c, CHANNELS), (CHANNELS, ROW_THREADS), dy, db, I32(rows), I32(c))
    else:
        tiled.backward_bias(dev, dy, db)
