"""The Winograd rung: nine products on Winograd tiles, 2 x 2 pixels each. For kernel 4, stride 2, padding 1."""

import numpy as np

from . import tiles
from .conv2d_tiled import aligned, sum_parts
from .conv_geometry import known_sizes
from .epilogue import NONE
from .tiles import ceil_div

I32 = np.int32


def forward(dev, x, w, bias, y, sizes, known, activation):
    (n, oh, ow, oc), ic = y.shape, x.shape[3]
    tile = tiles.winograd_rows(dev.tiles, oc, ic, 4 * ic, aligned(dev, x, y, bias), known)
    bn, v = tile.bn, tiles.neighbours(dev.tiles, oc, 16)
    groups = ceil_div(oc, bn)
    (u,) = dev.scratch(9 * 4 * ic * groups * bn)
    taps = dev.kernel("conv2d/winograd_taps.cu", "winograd_taps", TILE_WIDTH=bn, NEIGHBOURS=v)
    taps((4 * ic, groups), bn // v, w, u, I32(ic), I32(oc))
    kernel = _kernel(dev, "forward", tile, known, sizes, activation)
    grid = tile.grid(n * ceil_div(oh, 2) * ceil_div(ow, 2), oc)
    kernel(grid, 9 * tile.threads, x, u, bias, y, *sizes[:7], shared_bytes=tile.shared_bytes(tile.a_pitch, tile.bm))


def backward_input(dev, dy, w, bias, dx, sizes, known, activation):
    (n, h, w_out, ic), oc = dx.shape, dy.shape[3]
    tile = tiles.winograd_rows(dev.tiles, ic, oc, oc, aligned(dev, dy, dx, bias), known)
    bn, v = tile.bn, tiles.neighbours(dev.tiles, oc, 16)
    groups = ceil_div(ic, bn)
    (u,) = dev.scratch(9 * 4 * oc * groups * bn)
    taps = dev.kernel("conv2d/winograd_taps.cu", "winograd_taps_transposed", TILE_WIDTH=bn, NEIGHBOURS=v)
    taps((oc // v, groups, 4), bn, w, u, I32(ic), I32(oc))
    kernel = _kernel(dev, "backward_input", tile, known, sizes, activation)
    grid = (*tile.grid(n * ceil_div(h, 4) * ceil_div(w_out, 4), ic), 4)  # for each of the 4 phases
    kernel(grid, 9 * tile.threads, dy, u, bias, dx, *sizes[:7], shared_bytes=tile.shared_bytes(tile.a_pitch, tile.bm))


def backward_weight(dev, x, dy, dw, sizes, known):
    (n, oh, ow, oc), ic = dy.shape, x.shape[3]
    count = n * ceil_div(oh, 2) * ceil_div(ow, 2)
    tile = tiles.winograd_columns(dev.tiles, oc, ic, aligned(dev, x, dy), known)
    grid = tile.grid(4 * ic, oc)
    size = tiles.splits(dev.tiles, grid[0] * grid[1], count, tile.bk)
    splits = ceil_div(count, size)
    (parts,) = dev.scratch(splits * dw.size)
    kernel = _kernel(dev, "backward_weight", tile, known, sizes, NONE)
    shared = tile.shared_bytes(tile.bm, tile.bk)
    kernel((*grid, splits), 9 * tile.threads, x, dy, parts, *sizes[:7], I32(size), shared_bytes=shared)
    sum_parts(dev, parts, dw, splits)


def _kernel(dev, direction, tile, known, sizes, activation):
    macros = {**tile.macros(), **known_sizes(known, sizes[:7]), **activation.macros()}
    return dev.kernel(f"conv2d/{direction}_5_winograd.cu", f"conv2d_{direction}", **macros)
