"""A label joined to an activation, as one-hot maps behind its channels."""

import numpy as np

from ..errors import UserError
from .check import count, need_rank4, need_shape
from .tiles import BLOCK, ceil_div, neighbours

I32 = np.int32


def concat_label_forward(dev, x, label, y) -> None:
    """y = x and behind its channels K maps, 1 in map label[n], 0 in the others.   kernels/concat.cu

    Shapes: x [N, H, W, C], label int32 [N], y [N, H, W, C + K]. A label outside [0, K) has no map: all are 0.
    """
    where = "concat_label_forward"
    k = _maps(where, x=x, y=y)
    n, h, w, c = x.shape
    need_shape(where, "label", label, (n,))
    total = count(where, y.size)
    dev.kernel("concat.cu", "concat_label_forward")(
        ceil_div(total, BLOCK), BLOCK, x, label, y, I32(n), I32(h * w), I32(c), I32(k)
    )


def concat_label_backward(dev, dy, dx) -> None:
    """dx = the channels of dy that came from x.   kernels/concat.cu   Shapes: dy [N, H, W, C + K], dx [N, H, W, C].

    Weights that take a label's maps beside x lie like that as well: this takes those of x alone.
    """
    where = "concat_label_backward"
    grid, v, sizes = _grid(where, dev, dx=dx, dy=dy)
    dev.kernel("concat.cu", where, V=v)(grid, BLOCK, dy, dx, *sizes)


def concat_label_add(dev, x, y) -> None:
    """The first channels of y += x.   kernels/concat.cu   Shapes: x [N, H, W, C], y [N, H, W, C + K]."""
    where = "concat_label_add"
    grid, v, sizes = _grid(where, dev, x=x, y=y)
    dev.kernel("concat.cu", where, V=v)(grid, BLOCK, x, y, *sizes)


def _grid(where: str, dev, **arrays):
    """Blocks, V and sizes of a kernel over the narrow one of two arrays.   arrays: the narrow one, the wide one."""
    narrow, wide = arrays.values()
    k = _maps(where, **arrays)
    count(where, wide.size)
    n, h, w, c = narrow.shape
    v = neighbours(dev.tiles, c, 16)
    return ceil_div(narrow.size // v, BLOCK), v, (I32(n * h * w), I32(c), I32(k))


def _maps(where: str, **arrays) -> int:
    """K, of a narrow array [N, H, W, C] and a wide one [N, H, W, C + K].   Raises: UserError unless they are that."""
    (first, narrow), (name, wide) = arrays.items()
    need_rank4(where, **arrays)
    k = wide.shape[3] - narrow.shape[3]
    if wide.shape[:3] != narrow.shape[:3] or k < 1:
        raise UserError(
            f"{where}: {name}: need the shape of {first}, {narrow.shape}, with more channels, got {wide.shape}"
        )
    return k
