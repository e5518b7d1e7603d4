"""What a label's one-hot maps add to a convolution, plain or transposed, and their weights' gradient."""

import numpy as np

from ..errors import UserError
from .check import count, need_rank4, need_shape
from .conv_geometry import conv2d_output_size
from .epilogue import NONE, Epilogue
from .tiles import BLOCK, ceil_div, neighbours

I32 = np.int32
CPU_BLOCK = 4  # threads: each is a loop over many pixels, and there are few


def label_maps_forward(
    dev, w, label, y, classes, size, stride, padding, transposed: bool, activation: Epilogue = NONE
) -> None:
    """y = activation(y + the convolution of the label's maps).   kernels/label_maps.cu

    Shapes: w [KH, KW, C + classes, O] (transposed: [KH, KW, O, C + classes]), the maps' weights are read; label int32
    [N], outside [0, classes): nothing is added; y [N, OH, OW, O]; size, stride, padding pairs, size the input's.
    """
    where = "label_maps_forward"
    sizes, v = _sizes(where, dev, w, label, "y", y, classes, size, stride, padding, transposed)
    kernel = dev.kernel("label_maps.cu", where, V=v, TRANSPOSED=int(transposed), **activation.macros())
    block = CPU_BLOCK if dev.tiles == "cpu" else BLOCK
    kernel(ceil_div(y.shape[0] * y.shape[1] * (y.shape[3] // v), block), block, w, label, y, *sizes)


def label_maps_backward(dev, dy, label, dw, classes, size, stride, padding, transposed: bool) -> None:
    """The maps' part of dw += the gradient of their weights.   kernels/label_maps.cu

    Shapes: as in label_maps_forward.
    """
    where = "label_maps_backward"
    sizes, v = _sizes(where, dev, dw, label, "dy", dy, classes, size, stride, padding, transposed)
    kernel = dev.kernel("label_maps.cu", where, V=v, TRANSPOSED=int(transposed))
    block = CPU_BLOCK if dev.tiles == "cpu" else BLOCK
    threads = dw.shape[0] * dw.shape[1] * classes * (dy.shape[3] // v)
    kernel(ceil_div(threads, block), block, dy, label, dw, *sizes)


def _sizes(where, dev, w, label, name, out, classes, size, stride, padding, transposed):
    """The kernels' 14 integers and their V.   Raises: UserError unless the shapes are those of one convolution."""
    need_rank4(where, w=w, **{name: out})
    (n, oh, ow, o), (kh, kw, *channels) = out.shape, w.shape
    wide, narrow = channels[::-1] if transposed else channels
    if narrow != o or not 1 <= classes < wide:
        need = f"[kh, kw, {o}, more than {classes}]" if transposed else f"[kh, kw, more than {classes}, {o}]"
        raise UserError(f"{where}: w: need {need} for {classes} classes and {name} {out.shape}, got {w.shape}")
    need_shape(where, "label", label, (n,))
    for of_y, of_x, kernel, s, p in zip((oh, ow), size, (kh, kw), stride, padding, strict=True):
        large, small = (of_y, of_x) if transposed else (of_x, of_y)
        if conv2d_output_size(where, large, kernel, s, p) != small:
            raise UserError(
                f"{where}: {name}: need the output of an input of {tuple(size)} px, kernel {(kh, kw)}, stride {stride},"
                f" padding {padding}, got {out.shape}"
            )
    count(where, max(out.size, w.size))
    sizes = (n, *size, wide - classes, classes, oh, ow, o, kh, kw, *stride, *padding)
    return tuple(I32(value) for value in sizes), neighbours(dev.tiles, o, 16)
