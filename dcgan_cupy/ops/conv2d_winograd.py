"""The Winograd rung: nine products on Winograd tiles, 2 x 2 pixels each. For kernel 4, stride 2, padding 1."""

import numpy as np

from . import tiles
from .conv2d_tiled import aligned, sum_parts, threads_of
from .conv_geometry import known_sizes
from .epilogue import NONE
from .tiles import ceil_div

I32 = np.int32


def forward(dev, x, w, bias, y, sizes, known, activation):
    (n, oh, ow, oc), ic = y.shape, x.shape[3]
    tile = tiles.winograd_rows(dev.kind, oc, ic, 4 * ic, aligned(dev, x, y, bias), known)
    bn, v = tile["BN"], tiles.neighbours(dev.kind, oc, 16)
    groups = ceil_div(oc, bn)
    (u,) = dev.scratch(9 * 4 * ic * groups * bn)
    taps = dev.kernel("conv2d/winograd_taps.cu", "winograd_taps", TILE_WIDTH=bn, NEIGHBOURS=v)
    taps((4 * ic, groups), bn // v, w, u, I32(ic), I32(oc))
    count = n * ceil_div(oh, 2) * ceil_div(ow, 2)
    _launch(
        dev,
        "forward_5_winograd.cu",
        "conv2d_forward",
        tile,
        (ceil_div(count, tile["BM"]), groups),
        known,
        sizes[:7],
        activation,
        x,
        u,
        bias,
        y,
        *sizes[:7],
    )


def backward_input(dev, dy, w, bias, dx, sizes, known, activation):
    (n, h, w_out, ic), oc = dx.shape, dy.shape[3]
    tile = tiles.winograd_rows(dev.kind, ic, oc, oc, aligned(dev, dy, dx, bias), known)
    bn, v = tile["BN"], tiles.neighbours(dev.kind, oc, 16)
    groups = ceil_div(ic, bn)
    (u,) = dev.scratch(9 * 4 * oc * groups * bn)
    taps = dev.kernel("conv2d/winograd_taps.cu", "winograd_taps_transposed", TILE_WIDTH=bn, NEIGHBOURS=v)
    taps((oc // v, groups, 4), bn, w, u, I32(ic), I32(oc))
    count = n * ceil_div(h, 4) * ceil_div(w_out, 4)  # of each of the 4 phases
    _launch(
        dev,
        "backward_input_5_winograd.cu",
        "conv2d_backward_input",
        tile,
        (ceil_div(count, tile["BM"]), groups, 4),
        known,
        sizes[:7],
        activation,
        dy,
        u,
        bias,
        dx,
        *sizes[:7],
    )


def backward_weight(dev, x, dy, dw, sizes, known):
    (n, oh, ow, oc), ic = dy.shape, x.shape[3]
    count = n * ceil_div(oh, 2) * ceil_div(ow, 2)
    tile = tiles.winograd_columns(dev.kind, oc, ic, aligned(dev, x, dy), known)
    grid = (ceil_div(4 * ic, tile["BM"]), ceil_div(oc, tile["BN"]))
    size = tiles.splits(dev.kind, grid[0] * grid[1], count, tile["BK"])
    splits = ceil_div(count, size)
    (parts,) = dev.scratch(splits * dw.size)
    _launch(
        dev,
        "backward_weight_5_winograd.cu",
        "conv2d_backward_weight",
        tile,
        (*grid, splits),
        known,
        sizes[:7],
        NONE,
        x,
        dy,
        parts,
        *sizes[:7],
        I32(size),
    )
    sum_parts(dev, parts, dw, splits)


def _launch(dev, file, symbol, tile, grid, known, sizes, activation, *arguments):
    weight = symbol == "conv2d_backward_weight"
    pitch = tile["BK"] if weight or tile["BK"] == 8 else tile["BK"] + 4  # A_ROW_PITCH of gemm_tile.cuh
    direct = tile.get("TAPS_DIRECT", 0)
    shared = tile["BUFFERS"] * 9 * (pitch * tile["BM"] + (0 if direct else tile["BK"] * tile["BN"]))
    shared = max(shared, 9 * tile["BM"] // tile["PASSES"] * tile["BN"])
    dev.kernel(f"conv2d/{file}", symbol, **tile, **known_sizes(known, sizes), **activation.macros())(
        grid, 9 * threads_of(tile), *arguments, shared_bytes=4 * shared
    )
