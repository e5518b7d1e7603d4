"""The tiled rung: which matrix product a convolution turns into, and the launches that make it up."""

import numpy as np

from . import tiles
from .channel_groups import channel_groups_of
from .conv_geometry import convolution_sizes, covers, known_sizes
from .epilogue import NONE
from .tiles import BLOCK, ceil_div, line

I32 = np.int32

THIN = 4  # channels below which a matrix product would leave most of its tile empty


def forward(dev, x, w, bias, y, stride, padding, sizes, known, activation=NONE):
    n, oh, ow, oc = y.shape
    if covers(x, w, padding) and (x.shape[1:3] != (1, 1) or oc < THIN):
        k = w.size // oc
        if oc < THIN:
            threads = 1 if dev.tiles == "cpu" else BLOCK  # a fiber costs more than the loop it would share
            dot = dev.kernel("conv2d/dot_products.cu", "dot_products", DOT_THREADS=threads, **activation.macros())
            return dot(y.size, threads, x, w, bias, y, I32(k), I32(oc))
        x, w, stride = x.reshape(n, 1, 1, k), w.reshape(1, 1, k, oc), (1, 1)
        sizes = convolution_sizes("conv2d_forward", x.shape, w.shape, y.shape, stride, padding)
    kw, ic = w.shape[1:3]
    tile = tiles.rows_product(dev.tiles, n * oh * ow, oc, kw * ic, ic, w.size // oc, aligned(dev, x, w, y), known)
    macros = {**tile.macros(), **known_sizes(known, sizes), **activation.macros()}
    kernel = dev.kernel("conv2d/forward_4_tiled.cu", "conv2d_forward", **macros)
    kernel(tile.grid(n * oh * ow, oc), tile.threads, x, w, bias, y, *sizes)


def backward_input(dev, dy, w, bias, dx, stride, padding, sizes, known, activation):
    (n, h, w_out, ic), (kh, kw, _, oc), pixels = dx.shape, w.shape, dy.size // dy.shape[3]
    count = kh * kw * ic
    if covers(dx, w, padding) and bias is None:
        (wt,) = dev.scratch(w.size)
        transpose_weight(dev, w, wt, 1, count, oc)
        return pixels_product(dev, dy, wt, dx, known, activation)
    if ic <= tiles.THIN_INPUT[dev.tiles]:
        images = tiles.column_images(dev.tiles, n, pixels // n * count)
        wt, columns = dev.scratch(w.size, images * (pixels // n) * count)
        transpose_weight(dev, w, wt, 1, count, oc)
        v = ic if ic <= 16 else 1
        gather = dev.kernel(
            "conv2d/gather_columns.cu", "gather_columns", GATHER=v, **known_sizes(known, sizes), **activation.macros()
        )
        for first in range(0, n, images):
            part = dx[first : first + images]
            pixels_product(dev, dy[first : first + images], wt, columns, known)
            gather(ceil_div(part.size // v, BLOCK), BLOCK, columns, bias, part, I32(len(part)), *sizes[1:])
        return
    (wt,) = dev.scratch(w.size)
    transpose_weight(dev, w, wt, kh * kw, ic, oc)
    taps = max(1, kw // stride[1])  # of the phase with fewest: how many pixels of dy lie side by side
    rows = n * ceil_div(h, stride[0]) * ceil_div(w_out, stride[1])
    tile = tiles.rows_product(dev.tiles, rows, ic, taps * oc, oc, taps * oc, aligned(dev, dy, wt, dx), known)
    macros = {**tile.macros(), **known_sizes(known, sizes), **activation.macros()}
    kernel = dev.kernel("conv2d/backward_input_4_tiled.cu", "conv2d_backward_input", **macros)
    kernel((*tile.grid(rows, ic), stride[0] * stride[1]), tile.threads, dy, wt, bias, dx, *sizes)


def backward_weight(dev, x, dy, dw, stride, padding, sizes, known):
    n, oh, ow, oc = dy.shape
    if covers(x, dw, padding):
        k = dw.size // oc
        x, dw, stride = x.reshape(n, 1, 1, k), dw.reshape(1, 1, k, oc), (1, 1)
        sizes = convolution_sizes("conv2d_backward_weight", x.shape, dw.shape, dy.shape, stride, padding)
    _, kw, ic, _ = dw.shape
    depth, k = n * oh * ow, dw.size // oc
    tile = tiles.columns_product(dev.tiles, oc, kw * ic, ic, aligned(dev, x, dy), known)
    grid = tile.grid(k, oc)
    size = tiles.splits(dev.tiles, grid[0] * grid[1], depth, tile.bk)
    splits = ceil_div(depth, size)
    (parts,) = dev.scratch(splits * dw.size)
    macros = {**tile.macros(), **known_sizes(known, sizes)}
    kernel = dev.kernel("conv2d/backward_weight_4_tiled.cu", "conv2d_backward_weight", **macros)
    kernel((*grid, splits), tile.threads, x, dy, parts, *sizes, I32(size))
    sum_parts(dev, parts, dw, splits)


def pixels_product(dev, dy, wt, out, known, activation=NONE):
    """out[m, j] = sum over oc of dy[m, oc] * wt[oc, j], m over all pixels of dy:

    One dense product, a 1 x 1 convolution.
    """
    oc, pixels = dy.shape[3], dy.size // dy.shape[3]
    a, b = dy.reshape(pixels, 1, 1, oc), wt.reshape(1, 1, oc, -1)
    y = out.reshape(-1)[: pixels * b.shape[3]].reshape(pixels, 1, 1, -1)
    sizes = convolution_sizes("conv2d_backward_input", a.shape, b.shape, y.shape, (1, 1), (0, 0))
    forward(dev, a, b, None, y, (1, 1), (0, 0), sizes, known, activation)


def transpose_weight(dev, w, wt, taps: int, rows: int, columns: int):
    """wt[t, c, r] = w[t, r, c].   kernels/conv2d/transpose_weight.cu"""
    v, block = tiles.neighbours(dev.tiles, columns, 8), line(rows)
    transpose = dev.kernel("conv2d/transpose_weight.cu", "transpose_weight", NEIGHBOURS=v)
    transpose((columns // v * ceil_div(rows, block), taps), block, w, wt, I32(rows), I32(columns))


def sum_parts(dev, parts, dw, splits: int):
    """dw[i] += parts[0, i] + parts[1, i] + … in this order.   kernels/conv2d/sum_parts.cu"""
    add = dev.kernel("conv2d/sum_parts.cu", "sum_parts")
    add(ceil_div(dw.size, BLOCK), BLOCK, parts, dw, I32(dw.size), I32(splits))


def aligned(dev, *arrays) -> bool:
    return all(a is None or dev.address(a) % 16 == 0 for a in arrays)


def backward_bias(dev, dy, db):
    """db[c] += sum of dy[..., c], the rows split over blocks.

    Kernels/conv2d/backward_bias_4_split.cu, sum_parts.cu
    """
    rows, c, tile, groups, count, size = channel_groups_of("conv2d_backward_bias", dev, dy)
    tile["NEIGHBOURS"] = tile.pop("V")
    (parts,) = dev.scratch(count * c)
    k = dev.kernel("conv2d/backward_bias_4_split.cu", "conv2d_backward_bias", **tile)
    k((groups, count), (tile["LANES"], tile["ROWS"]), dy, parts, I32(rows), I32(c), I32(size))
    sum_parts(dev, parts, db, count)
