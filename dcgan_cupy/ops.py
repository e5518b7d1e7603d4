"""One function for one kernel: check the arguments, choose grid and block, launch. Nothing here allocates.

Every function takes the device first and writes into arrays that the caller gives. Layouts: activations [n, h, w, c],
weights [kh, kw, ic, oc], float32. Sizes and pairs are (h, w).
"""

from functools import lru_cache

import numpy as np

from . import tiles
from .errors import UserError
from .tiles import ceil_div

F32, F64, I32 = np.float32, np.float64, np.int32
BLOCK = 256                 # threads of a block in element-wise kernels
CHANNELS, ROW_THREADS = 32, 8   # the block of the per-channel sums: kernels/include/reduce.cuh
INDEX_LIMIT = 2**31 - 2**16     # kernels count elements in 32-bit integers, and a grid may overhang by a block

RUNGS = ("textbook", "direct", "tiled", "winograd", "best")
"""The rungs of the convolutions. `direct` is `textbook` but for the transposed convolution, where it gathers
(conv2d_backward_input) instead of inserting zeros. `winograd` is for kernel 4, stride 2, padding 1, and `tiled` elsewhere.
`best` takes for each layer and direction what was measured as fastest (tiles.best)."""
FUSED = RUNGS[2:]
"""The rungs whose layers are joined with the activations behind them (layers.fuse)."""
THIN = 4                    # channels below which a matrix product would leave most of its tile empty


def pair(where: str, name: str, value, least: int) -> tuple[int, int]:
    """An int or an (h, w) pair as a pair. Raises: UserError unless both are whole numbers of at least `least`."""
    values = (value, value) if isinstance(value, int | np.integer) else value
    try:
        h, w = values
    except (TypeError, ValueError):
        h = w = None
    if not all(isinstance(v, int | np.integer) and not isinstance(v, bool) and v >= least for v in (h, w)):
        raise UserError(f"{where}: {name}: need a whole number of at least {least}, or a pair (h, w) of them, got {value!r}")
    return int(h), int(w)


def check_rung(where: str, rung: str) -> None:
    """Raises: UserError for an unknown rung."""
    if rung not in RUNGS:
        raise UserError(f"{where}: kernels: need one of {', '.join(RUNGS)}, got {rung!r}")


def _count(where: str, n: int) -> int:
    if n > INDEX_LIMIT:
        raise UserError(f"{where}: size: need at most {INDEX_LIMIT} elements in an array (32-bit indices), got {n}")
    return n


def _elements(where: str, **arrays) -> int:
    """The common size of arrays that must have one shape."""
    (first, a), *rest = arrays.items()
    for name, b in rest:
        if b.shape != a.shape:
            raise UserError(f"{where}: {name}: need the shape of {first}, {a.shape}, got {b.shape}")
    return _count(where, a.size)


def _shape(where: str, name: str, array, want: tuple) -> None:
    if array.shape != want:
        raise UserError(f"{where}: {name}: need shape {want}, got {array.shape}")


def _rank4(where: str, **arrays) -> None:
    for name, a in arrays.items():
        if len(a.shape) != 4:
            raise UserError(f"{where}: {name}: need 4 axes, got shape {a.shape}")


def _channels(where: str, c: int, **arrays) -> None:
    """Each array holds one number a channel; None is left alone."""
    for name, a in arrays.items():
        if a is not None:
            _shape(where, name, a, (c,))


def _rows(where: str, x) -> tuple[int, int]:
    if len(x.shape) < 2:
        raise UserError(f"{where}: x: need [..., channels], got shape {x.shape}")
    return _count(where, x.size) // x.shape[-1], x.shape[-1]


# Element by element

def _each(dev, file, symbol, n, *arguments):
    if n:
        dev.kernel(file, symbol)(ceil_div(n, BLOCK), BLOCK, *arguments, I32(n))


def fill(dev, x, value: float) -> None:
    """x[i] = value.   kernels/elementwise.cu"""
    _each(dev, "elementwise.cu", "fill", _elements("fill", x=x), x, F32(value))


def add(dev, x, y) -> None:
    """y[i] += x[i].   kernels/elementwise.cu"""
    _each(dev, "elementwise.cu", "add", _elements("add", x=x, y=y), x, y)


def relu_forward(dev, x, y) -> None:
    """y = max(x, 0).   kernels/activations.cu"""
    _each(dev, "activations.cu", "relu_forward", _elements("relu_forward", x=x, y=y), x, y)


def relu_backward(dev, y, dy, dx) -> None:
    """dx = dy where y > 0, else 0.   kernels/activations.cu"""
    _each(dev, "activations.cu", "relu_backward", _elements("relu_backward", y=y, dy=dy, dx=dx), y, dy, dx)


def leaky_relu_forward(dev, x, y, slope: float) -> None:
    """y = x where x > 0, else slope * x.   kernels/activations.cu"""
    _each(dev, "activations.cu", "leaky_relu_forward", _elements("leaky_relu_forward", x=x, y=y), x, y, F32(slope))


def leaky_relu_backward(dev, y, dy, dx, slope: float) -> None:
    """dx = dy where y > 0, else slope * dy.   kernels/activations.cu"""
    n = _elements("leaky_relu_backward", y=y, dy=dy, dx=dx)
    _each(dev, "activations.cu", "leaky_relu_backward", n, y, dy, dx, F32(slope))


def tanh_forward(dev, x, y) -> None:
    """y = tanh(x).   kernels/activations.cu"""
    _each(dev, "activations.cu", "tanh_forward", _elements("tanh_forward", x=x, y=y), x, y)


def tanh_backward(dev, y, dy, dx) -> None:
    """dx = dy * (1 - y^2).   kernels/activations.cu"""
    _each(dev, "activations.cu", "tanh_backward", _elements("tanh_backward", y=y, dy=dy, dx=dx), y, dy, dx)


def sigmoid_forward(dev, x, y) -> None:
    """y = 1 / (1 + exp(-x)).   kernels/activations.cu"""
    _each(dev, "activations.cu", "sigmoid_forward", _elements("sigmoid_forward", x=x, y=y), x, y)


def sigmoid_backward(dev, y, dy, dx) -> None:
    """dx = dy * y * (1 - y).   kernels/activations.cu"""
    _each(dev, "activations.cu", "sigmoid_backward", _elements("sigmoid_backward", y=y, dy=dy, dx=dx), y, dy, dx)


# Images

def images_to_float(dev, images, y, index=None, flip=None) -> None:
    """y[n] = images[index[n]] / 127.5 - 1, mirrored where flip[n] is not 0.   kernels/images.cu

    Shapes: images uint8 [M, H, W, C], y [N, H, W, C], index int32 [N] or None (image n), flip uint8 [N] or None.
    The index values themselves are not checked here: keep them in [0, M).
    """
    where = "images_to_float"
    _rank4(where, images=images, y=y)
    n, h, w, c = y.shape
    if images.shape[1:] != (h, w, c) or (index is None and images.shape[0] < n):
        raise UserError(f"{where}: images: need [at least {n}, {h}, {w}, {c}], got {images.shape}")
    for name, a in (("index", index), ("flip", flip)):
        if a is not None:
            _shape(where, name, a, (n,))
    total = _count(where, y.size)
    dev.kernel("images.cu", "images_to_float")(ceil_div(total, BLOCK), BLOCK, images, index, flip, y, I32(n), I32(h), I32(w), I32(c))


def images_to_uint8(dev, x, y) -> None:
    """y = x * 127.5 + 127.5, rounded and held in 0 .. 255.   kernels/images.cu"""
    _each(dev, "images.cu", "images_to_uint8", _elements("images_to_uint8", x=x, y=y), x, y)


# Convolution

def conv2d_output_size(where: str, size: int, kernel: int, stride: int, padding: int) -> int:
    """(size + 2 * padding - kernel) // stride + 1. Raises: UserError if the window does not fit once."""
    out = (size + 2 * padding - kernel) // stride + 1
    if out < 1:
        raise UserError(f"{where}: x: need a height and width of at least {kernel - 2 * padding} (kernel {kernel}, padding {padding}), "
                        f"got {size}")
    return out


def conv_transpose2d_output_size(where: str, size: int, kernel: int, stride: int, padding: int, output_padding: int) -> int:
    """stride * (size - 1) + kernel - 2 * padding + output_padding. Raises: UserError if nothing is left."""
    out = stride * (size - 1) + kernel - 2 * padding + output_padding
    if out < 1:
        raise UserError(f"{where}: x: need an output of at least 1 pixel, got {out} from size {size}, kernel {kernel}, stride {stride}, "
                        f"padding {padding}, output_padding {output_padding}")
    return out


@lru_cache(maxsize=None)
def _convolution(where: str, x, w, y, stride, padding) -> tuple:
    """The shapes of a convolution x * w -> y, checked against each other, as the kernels' 13 integers."""
    for name, shape in (("x", x), ("w", w), ("y", y)):
        if len(shape) != 4 or 0 in shape:
            raise UserError(f"{where}: {name}: need 4 axes without an empty one, got {shape}")
        _count(f"{where}: {name}", int(np.prod(shape, dtype=np.int64)))
    (n, h, w_in, ic), (kh, kw, w_ic, oc) = x, w
    if w_ic != ic:
        raise UserError(f"{where}: w: need [kh, kw, {ic}, oc] for {ic} channels of x, got {w}")
    oh = conv2d_output_size(where, h, kh, stride[0], padding[0])
    ow = conv2d_output_size(where, w_in, kw, stride[1], padding[1])
    if y != (n, oh, ow, oc):
        raise UserError(f"{where}: y: need shape {(n, oh, ow, oc)} for x {x} and w {w}, stride {stride}, padding {padding}, got {y}")
    return tuple(I32(v) for v in (n, h, w_in, ic, oh, ow, oc, kh, kw, *stride, *padding))


def conv2d_forward(dev, x, w, bias, y, stride, padding, rung: str = "textbook", known: bool = False, activation: str = "v") -> None:
    """y[n,oh,ow,oc] = bias[oc] + sum of x[n, oh*s-p+kh, ow*s-p+kw, ic] * w[kh,kw,ic,oc].   kernels/conv2d/forward_*.cu

    Shapes: x [N, H, W, IC], w [KH, KW, IC, OC], bias [OC] or None, y [N, OH, OW, OC]; stride, padding pairs.
    known: compile this layer's sizes, all but the batch, into the kernel (faster; one more kernel to compile).
    activation: what becomes of a result v, as a C expression, before it is written: another pass saved. For the rungs FUSED only.
    """
    where = "conv2d_forward"
    check_rung(where, rung)
    sizes = _convolution(where, x.shape, w.shape, y.shape, stride, padding)
    if bias is not None:
        _shape(where, "bias", bias, w.shape[3:])
    rung = _chosen(dev, rung, w, stride, padding)
    if rung == "winograd":
        _forward_winograd(dev, x, w, bias, y, sizes, known, activation)
    elif rung == "tiled":
        _forward_tiled(dev, x, w, bias, y, stride, padding, sizes, known, activation)
    else:
        dev.kernel("conv2d/forward_1_textbook.cu", where)(ceil_div(y.size, BLOCK), BLOCK, x, w, bias, y, *sizes)


def conv2d_backward_input(dev, dy, w, bias, dx, stride, padding, rung: str = "textbook", known: bool = False,
                          activation: str = "v") -> None:
    """dx[n,h,w,ic] = bias[ic] + sum of dy[n, (h+p-kh)/s, (w+p-kw)/s, oc] * w[kh,kw,ic,oc] over exact divisions.

    kernels/conv2d/backward_input_*.cu. A convolution's input gradient (bias None), and a transposed convolution forward.
    Shapes: dy [N, OH, OW, OC], w [KH, KW, IC, OC], bias [IC] or None, dx [N, H, W, IC].   known, activation: as in conv2d_forward.
    """
    where = "conv2d_backward_input"
    check_rung(where, rung)
    sizes = _convolution(where, dx.shape, w.shape, dy.shape, stride, padding)
    if bias is not None:
        _shape(where, "bias", bias, w.shape[2:3])
    rung = _chosen(dev, rung, w, stride, padding)
    if rung == "winograd":
        _backward_input_winograd(dev, dy, w, bias, dx, sizes, known, activation)
    elif rung == "tiled":
        _backward_input_tiled(dev, dy, w, bias, dx, stride, padding, sizes, known, activation)
    else:
        dev.kernel("conv2d/backward_input_1_textbook.cu", where)(ceil_div(dx.size, BLOCK), BLOCK, dy, w, bias, dx, *sizes)


def conv2d_backward_weight(dev, x, dy, dw, stride, padding, rung: str = "textbook", known: bool = False) -> None:
    """dw[kh,kw,ic,oc] += sum of x[n, oh*s-p+kh, ow*s-p+kw, ic] * dy[n,oh,ow,oc].   kernels/conv2d/backward_weight_*.cu

    Shapes: x [N, H, W, IC], dy [N, OH, OW, OC], dw [KH, KW, IC, OC].   known: as in conv2d_forward.
    """
    where = "conv2d_backward_weight"
    check_rung(where, rung)
    sizes = _convolution(where, x.shape, dw.shape, dy.shape, stride, padding)
    rung = _chosen(dev, rung, dw, stride, padding)
    if rung == "winograd":
        _backward_weight_winograd(dev, x, dy, dw, sizes, known)
    elif rung == "tiled" and dw.shape[3] >= THIN:
        _backward_weight_tiled(dev, x, dy, dw, stride, padding, sizes, known)
    else:
        dev.kernel("conv2d/backward_weight_1_textbook.cu", where)(ceil_div(dw.size, BLOCK), BLOCK, x, dy, dw, *sizes)


def _chosen(dev, rung: str, w, stride, padding) -> str:
    """The rung that runs: winograd where it can, tiled elsewhere."""
    if rung not in ("winograd", "best"):
        return rung
    ic, oc = (ceil_div(count, 128) * 128 for count in w.shape[2:])       # whole tiles, at most
    transformed = 36 * ic * oc                                           # elements of the taps, transformed
    if w.shape[:2] != (4, 4) or stride != (2, 2) or padding != (1, 1) or transformed > INDEX_LIMIT:
        return "tiled"
    return rung if rung == "winograd" else tiles.best(dev.kind, *w.shape[2:])


# The tiled rung: which product a shape turns into

def _covers(x, w, padding) -> bool:
    """The filter is as large as the image: each image is one row of a matrix."""
    return x.shape[1:3] == w.shape[:2] and padding == (0, 0)


SIZES = ("N", "H", "W", "IC", "OH", "OW", "OC", "KH", "KW", "stride_h", "stride_w", "pad_h", "pad_w")


def _known(known: bool, sizes) -> dict[str, str]:
    """All sizes but the batch as a promise to the compiler: divisions by them become shifts and multiplications."""
    return {"KNOWN": ", ".join(f"{name} = {value}" for name, value in zip(SIZES[1:], sizes[1:]))} if known else {}


def _epilogue(activation: str) -> dict[str, str]:
    return {} if activation == "v" else {"ACTIVATION(v)": f"({activation})"}


def _aligned(dev, *arrays) -> bool:
    return all(a is None or dev.address(a) % 16 == 0 for a in arrays)


def _threads(tile) -> int:
    return (tile["BM"] // tile["TM"]) * (tile["BN"] // tile["TN"])


def _forward_tiled(dev, x, w, bias, y, stride, padding, sizes, known, activation="v"):
    n, oh, ow, oc = y.shape
    if _covers(x, w, padding) and (x.shape[1:3] != (1, 1) or oc < THIN):
        k = w.size // oc
        if oc < THIN:
            threads = 1 if dev.kind == "cpu" else BLOCK      # a fiber costs more than the loop it would share
            dot = dev.kernel("conv2d/forward_2_tiled.cu", "dot_products", DOT_THREADS=threads, **_epilogue(activation))
            return dot(y.size, threads, x, w, bias, y, I32(k), I32(oc))
        x, w, stride = x.reshape(n, 1, 1, k), w.reshape(1, 1, k, oc), (1, 1)
        sizes = _convolution("conv2d_forward", x.shape, w.shape, y.shape, stride, padding)
    kw, ic = w.shape[1:3]
    tile = tiles.rows_product(dev.kind, n * oh * ow, oc, kw * ic, ic, w.size // oc, _aligned(dev, x, w, y), known)
    grid = (ceil_div(n * oh * ow, tile["BM"]), ceil_div(oc, tile["BN"]))
    dev.kernel("conv2d/forward_2_tiled.cu", "conv2d_forward", **tile, **_known(known, sizes), **_epilogue(activation))(
        grid, _threads(tile), x, w, bias, y, *sizes)


def _backward_input_tiled(dev, dy, w, bias, dx, stride, padding, sizes, known, activation):
    file = "conv2d/backward_input_2_tiled.cu"
    (n, h, w_out, ic), (kh, kw, _, oc), pixels = dx.shape, w.shape, dy.size // dy.shape[3]
    count = kh * kw * ic
    if _covers(dx, w, padding) and bias is None:
        wt, = dev.scratch(w.size)
        _transpose_weight(dev, w, wt, 1, count, oc)
        return _pixels_product(dev, dy, wt, dx, known, activation)
    if ic <= tiles.THIN_INPUT[dev.kind]:
        images = tiles.column_images(dev.kind, n, pixels // n * count)
        wt, columns = dev.scratch(w.size, images * (pixels // n) * count)
        _transpose_weight(dev, w, wt, 1, count, oc)
        v = ic if ic <= 16 else 1
        gather = dev.kernel(file, "gather_columns", GATHER=v, **_known(known, sizes), **_epilogue(activation))
        for first in range(0, n, images):
            part = dx[first:first + images]
            _pixels_product(dev, dy[first:first + images], wt, columns, known)
            gather(ceil_div(part.size // v, BLOCK), BLOCK, columns, bias, part, I32(len(part)), *sizes[1:])
        return
    wt, = dev.scratch(w.size)
    _transpose_weight(dev, w, wt, kh * kw, ic, oc)
    taps = max(1, kw // stride[1])                           # of the phase with fewest: how many pixels of dy lie side by side
    rows = n * ceil_div(h, stride[0]) * ceil_div(w_out, stride[1])
    tile = tiles.rows_product(dev.kind, rows, ic, taps * oc, oc, taps * oc, _aligned(dev, dy, wt, dx), known)
    grid = (ceil_div(rows, tile["BM"]), ceil_div(ic, tile["BN"]), stride[0] * stride[1])
    dev.kernel(file, "conv2d_backward_input", **tile, **_known(known, sizes), **_epilogue(activation))(
        grid, _threads(tile), dy, wt, bias, dx, *sizes)


def _pixels_product(dev, dy, wt, out, known, activation="v"):
    """out[m, j] = sum over oc of dy[m, oc] * wt[oc, j], m over all pixels of dy: one dense product, a 1 x 1 convolution."""
    oc, pixels = dy.shape[3], dy.size // dy.shape[3]
    a, b = dy.reshape(pixels, 1, 1, oc), wt.reshape(1, 1, oc, -1)
    y = out.reshape(-1)[:pixels * b.shape[3]].reshape(pixels, 1, 1, -1)
    sizes = _convolution("conv2d_backward_input", a.shape, b.shape, y.shape, (1, 1), (0, 0))
    _forward_tiled(dev, a, b, None, y, (1, 1), (0, 0), sizes, known, activation)


def _transpose_weight(dev, w, wt, taps: int, rows: int, columns: int):
    """wt[t, c, r] = w[t, r, c].   kernels/conv2d/backward_input_2_tiled.cu"""
    v, block = tiles.neighbours(dev.kind, columns, 8), _line(rows)
    transpose = dev.kernel("conv2d/backward_input_2_tiled.cu", "transpose_weight", NEIGHBOURS=v)
    transpose((columns // v * ceil_div(rows, block), taps), block, w, wt, I32(rows), I32(columns))


def _line(count: int) -> int:
    """Threads of a block whose threads share all indices but one, which runs to count."""
    return min(BLOCK, ceil_div(count, 32) * 32)


def _backward_weight_tiled(dev, x, dy, dw, stride, padding, sizes, known):
    n, oh, ow, oc = dy.shape
    if _covers(x, dw, padding):
        k = dw.size // oc
        x, dw, stride = x.reshape(n, 1, 1, k), dw.reshape(1, 1, k, oc), (1, 1)
        sizes = _convolution("conv2d_backward_weight", x.shape, dw.shape, dy.shape, stride, padding)
    _, kw, ic, _ = dw.shape
    depth, k = n * oh * ow, dw.size // oc
    tile = tiles.columns_product(dev.kind, oc, kw * ic, ic, _aligned(dev, x, dy), known)
    grid = (ceil_div(k, tile["BM"]), ceil_div(oc, tile["BN"]))
    size = tiles.splits(dev.kind, grid[0] * grid[1], depth, tile["BK"])
    splits = ceil_div(depth, size)
    parts, = dev.scratch(splits * dw.size)
    dev.kernel("conv2d/backward_weight_2_tiled.cu", "conv2d_backward_weight", **tile, **_known(known, sizes))(
        (*grid, splits), _threads(tile), x, dy, parts, *sizes, I32(size))
    _sum_parts(dev, parts, dw, splits)


# The Winograd rung: nine products on Winograd tiles, 2 x 2 pixels each

def _launch_winograd(dev, file, symbol, tile, grid, known, sizes, activation, *arguments):
    weight = symbol == "conv2d_backward_weight"
    pitch = tile["BK"] if weight or tile["BK"] == 8 else tile["BK"] + 4      # A_ROW_PITCH of gemm_tile.cuh
    direct = tile.get("TAPS_DIRECT", 0)
    shared = tile["BUFFERS"] * 9 * (pitch * tile["BM"] + (0 if direct else tile["BK"] * tile["BN"]))
    shared = max(shared, 9 * tile["BM"] // tile["PASSES"] * tile["BN"])
    dev.kernel(f"conv2d/{file}", symbol, **tile, **_known(known, sizes), **_epilogue(activation))(
        grid, 9 * _threads(tile), *arguments, shared_bytes=4 * shared)


def _forward_winograd(dev, x, w, bias, y, sizes, known, activation):
    (n, oh, ow, oc), ic = y.shape, x.shape[3]
    tile = tiles.winograd_rows(dev.kind, oc, ic, 4 * ic, _aligned(dev, x, y, bias), known)
    bn, v = tile["BN"], tiles.neighbours(dev.kind, oc, 16)
    groups = ceil_div(oc, bn)
    u, = dev.scratch(9 * 4 * ic * groups * bn)
    taps = dev.kernel("conv2d/winograd_taps_3.cu", "winograd_taps", TILE_WIDTH=bn, NEIGHBOURS=v)
    taps((4 * ic, groups), bn // v, w, u, I32(ic), I32(oc))
    count = n * ceil_div(oh, 2) * ceil_div(ow, 2)
    _launch_winograd(dev, "forward_3_winograd.cu", "conv2d_forward", tile, (ceil_div(count, tile["BM"]), groups), known,
                     sizes[:7], activation, x, u, bias, y, *sizes[:7])


def _backward_input_winograd(dev, dy, w, bias, dx, sizes, known, activation):
    (n, h, w_out, ic), oc = dx.shape, dy.shape[3]
    tile = tiles.winograd_rows(dev.kind, ic, oc, oc, _aligned(dev, dy, dx, bias), known)
    bn, v = tile["BN"], tiles.neighbours(dev.kind, oc, 16)
    groups = ceil_div(ic, bn)
    u, = dev.scratch(9 * 4 * oc * groups * bn)
    taps = dev.kernel("conv2d/winograd_taps_3.cu", "winograd_taps_transposed", TILE_WIDTH=bn, NEIGHBOURS=v)
    taps((oc // v, groups, 4), bn, w, u, I32(ic), I32(oc))
    count = n * ceil_div(h, 4) * ceil_div(w_out, 4)          # of each of the 4 phases
    _launch_winograd(dev, "backward_input_3_winograd.cu", "conv2d_backward_input", tile, (ceil_div(count, tile["BM"]), groups, 4), known,
                     sizes[:7], activation, dy, u, bias, dx, *sizes[:7])


def _backward_weight_winograd(dev, x, dy, dw, sizes, known):
    (n, oh, ow, oc), ic = dy.shape, x.shape[3]
    count = n * ceil_div(oh, 2) * ceil_div(ow, 2)
    tile = tiles.winograd_columns(dev.kind, oc, ic, _aligned(dev, x, dy), known)
    grid = (ceil_div(4 * ic, tile["BM"]), ceil_div(oc, tile["BN"]))
    size = tiles.splits(dev.kind, grid[0] * grid[1], count, tile["BK"])
    splits = ceil_div(count, size)
    parts, = dev.scratch(splits * dw.size)
    _launch_winograd(dev, "backward_weight_3_winograd.cu", "conv2d_backward_weight", tile, (*grid, splits), known, sizes[:7], "v",
                     x, dy, parts, *sizes[:7], I32(size))
    _sum_parts(dev, parts, dw, splits)


def _sum_parts(dev, parts, dw, splits: int):
    """dw[i] += parts[0, i] + parts[1, i] + … in this order.   kernels/conv2d/backward_weight_2_tiled.cu"""
    add = dev.kernel("conv2d/backward_weight_2_tiled.cu", "sum_parts")
    add(ceil_div(dw.size, BLOCK), BLOCK, parts, dw, I32(dw.size), I32(splits))


def conv2d_backward_bias(dev, dy, db, rung: str = "textbook") -> None:
    """db[c] += sum of dy[..., c].   kernels/conv2d/backward_weight_1_textbook.cu, backward_bias_2_split.cu"""
    where = "conv2d_backward_bias"
    check_rung(where, rung)
    rows, c = _rows(where, dy)
    _shape(where, "db", db, (c,))
    if rung not in FUSED:
        k = dev.kernel("conv2d/backward_weight_1_textbook.cu", where)
        return k(ceil_div(c, CHANNELS), (CHANNELS, ROW_THREADS), dy, db, I32(rows), I32(c))
    rows, c, tile, groups, count, size = _groups(dev, dy)
    tile["NEIGHBOURS"] = tile.pop("V")
    parts, = dev.scratch(count * c)
    k = dev.kernel("conv2d/backward_bias_2_split.cu", where, **tile)
    k((groups, count), (tile["LANES"], tile["ROWS"]), dy, parts, I32(rows), I32(c), I32(size))
    _sum_parts(dev, parts, db, count)


def zero_insert_size(size: int, kernel: int, stride: int, padding: int, output_padding: int) -> int:
    """The size of the zero-inserted and padded input: (size-1)*stride + 1 + 2*(kernel-padding-1) + output_padding."""
    return (size - 1) * stride + 1 + 2 * (kernel - padding - 1) + output_padding


def zero_insert(dev, x, z, kernel, stride, padding) -> None:
    """Steps 2 and 3 of the textbook's transposed convolution.   kernels/conv_transpose2d/zero_insert.cu

    Shapes: x [N, H, W, C], z [N, ZH, ZW, C] by zero_insert_size (more rows at the end are output_padding); pairs.
    """
    where = "zero_insert"
    _rank4(where, x=x, z=z)
    n, h, w, c = x.shape
    pads = tuple(k - 1 - p for k, p in zip(kernel, padding))
    if z.shape[0] != n or z.shape[3] != c:
        raise UserError(f"{where}: z: need [{n}, zh, zw, {c}], got {z.shape}")
    total = _count(where, z.size)
    dev.kernel("conv_transpose2d/zero_insert.cu", "zero_insert")(
        ceil_div(total, BLOCK), BLOCK, x, z, I32(n), I32(h), I32(w), I32(c), I32(z.shape[1]), I32(z.shape[2]),
        I32(stride[0]), I32(stride[1]), I32(pads[0]), I32(pads[1]))


def flip_kernel(dev, w, flipped) -> None:
    """flipped[kh,kw,ic,oc] = w[KH-1-kh, KW-1-kw, oc, ic].   kernels/conv_transpose2d/zero_insert.cu"""
    _rank4("flip_kernel", w=w)
    kh, kw, oc, ic = w.shape
    _count("flip_kernel", w.size)
    _shape("flip_kernel", "flipped", flipped, (kh, kw, ic, oc))
    dev.kernel("conv_transpose2d/zero_insert.cu", "flip_kernel")(
        ceil_div(w.size, BLOCK), BLOCK, w, flipped, I32(kh), I32(kw), I32(ic), I32(oc))


# Batch normalisation

def batchnorm_statistics(dev, x, mean, var, running_mean, running_var, num_batches_tracked, momentum: float) -> None:
    """Batch mean and (biased) variance, and the step of the running ones.   kernels/batchnorm.cu

    Shapes: x [..., C], num_batches_tracked int64 [1], all others [C].
    """
    where = "batchnorm_statistics"
    rows, c = _rows(where, x)
    if rows < 2:
        raise UserError(f"{where}: x: need more than 1 value a channel when training, got shape {x.shape}")
    _channels(where, c, mean=mean, var=var, running_mean=running_mean, running_var=running_var)
    _shape(where, "num_batches_tracked", num_batches_tracked, (1,))
    dev.kernel("batchnorm.cu", where)(ceil_div(c, CHANNELS), (CHANNELS, ROW_THREADS), x, mean, var, running_mean, running_var,
                                      num_batches_tracked, I32(rows), I32(c), F32(momentum))


def batchnorm_forward(dev, x, mean, var, gamma, beta, y, eps: float) -> None:
    """y = gamma * (x - mean) / sqrt(var + eps) + beta.   kernels/batchnorm.cu"""
    where = "batchnorm_forward"
    rows, c = _rows(where, x)
    _elements(where, x=x, y=y)
    _channels(where, c, mean=mean, var=var, gamma=gamma, beta=beta)
    dev.kernel("batchnorm.cu", where)(ceil_div(x.size, BLOCK), BLOCK, x, mean, var, gamma, beta, y, I32(rows), I32(c), F32(eps))


def batchnorm_backward_sums(dev, x, dy, mean, var, sum_dy, sum_dy_xhat, eps: float) -> None:
    """sum_dy = sum of dy, sum_dy_xhat = sum of dy * xhat, over all but the channels.   kernels/batchnorm.cu"""
    where = "batchnorm_backward_sums"
    rows, c = _rows(where, x)
    _elements(where, x=x, dy=dy)
    _channels(where, c, mean=mean, var=var, sum_dy=sum_dy, sum_dy_xhat=sum_dy_xhat)
    dev.kernel("batchnorm.cu", where)(ceil_div(c, CHANNELS), (CHANNELS, ROW_THREADS), x, dy, mean, var, sum_dy, sum_dy_xhat,
                                      I32(rows), I32(c), F32(eps))


def batchnorm_backward_input(dev, x, dy, mean, var, gamma, sum_dy, sum_dy_xhat, dx, eps: float) -> None:
    """dx = gamma * rstd * (dy - sum_dy/rows - xhat * sum_dy_xhat/rows); both sums None: evaluation.   kernels/batchnorm.cu"""
    where = "batchnorm_backward_input"
    rows, c = _rows(where, x)
    _elements(where, x=x, dy=dy, dx=dx)
    _channels(where, c, mean=mean, var=var, gamma=gamma, sum_dy=sum_dy, sum_dy_xhat=sum_dy_xhat)
    dev.kernel("batchnorm.cu", where)(ceil_div(x.size, BLOCK), BLOCK, x, dy, mean, var, gamma, sum_dy, sum_dy_xhat, dx,
                                      I32(rows), I32(c), F32(eps))


# Batch normalisation and the activation behind it, in the same passes: p = BN(x), y = p where p > 0, else slope * p

def _groups(dev, x):
    """The tile of a [rows, C] array: its constants, the blocks along the channels, the parts and their rows."""
    rows, c = _rows("batchnorm", x)
    tile = tiles.channel_groups(dev.kind, rows, c)
    parts = tile.pop("PARTS")
    size = ceil_div(rows, parts)
    return rows, c, {**tile, "KNOWN": f"C = {c}"}, ceil_div(c, tile["V"] * tile["LANES"]), ceil_div(rows, size), size


def batchnorm_batch(dev, x, gamma, mean, rstd, scale, running_mean, running_var, num_batches_tracked, momentum: float, eps: float) -> None:
    """Batch statistics in one pass over x, and the step of the running ones.   kernels/batchnorm_2_fused.cu (part and join)

    Shapes: x [..., C]; mean, rstd = 1/sqrt(var + eps), scale = gamma * rstd and all others [C]; num_batches_tracked int64 [1].
    """
    file, where = "batchnorm_2_fused.cu", "batchnorm_batch"
    rows, c, tile, groups, count, size = _groups(dev, x)
    if rows < 2:
        raise UserError(f"{where}: x: need more than 1 value a channel when training, got shape {x.shape}")
    _channels(where, c, gamma=gamma, mean=mean, rstd=rstd, scale=scale, running_mean=running_mean, running_var=running_var)
    _shape(where, "num_batches_tracked", num_batches_tracked, (1,))
    parts, = dev.scratch(2 * count * c)
    dev.kernel(file, "batchnorm_part_statistics", **tile)((groups, count), (tile["LANES"], tile["ROWS"]), x, parts,
                                                          I32(rows), I32(c), I32(size))
    dev.kernel(file, "batchnorm_join_statistics")(ceil_div(c, BLOCK), BLOCK, parts, gamma, mean, rstd, scale, running_mean, running_var,
                                                  num_batches_tracked, I32(rows), I32(c), I32(size), F32(momentum), F32(eps))


def batchnorm_running_scale(dev, running_var, gamma, rstd, scale, eps: float) -> None:
    """rstd and scale of the running variance, for evaluation.   kernels/batchnorm_2_fused.cu"""
    c = _elements("batchnorm_running_scale", running_var=running_var, gamma=gamma, rstd=rstd, scale=scale)
    k = dev.kernel("batchnorm_2_fused.cu", "batchnorm_running_scale")
    k(ceil_div(c, BLOCK), BLOCK, running_var, gamma, rstd, scale, I32(c), F32(eps))


def batchnorm_activation_forward(dev, x, mean, scale, beta, y, slope: float) -> None:
    """y = act((x - mean) * scale + beta).   kernels/batchnorm_2_fused.cu"""
    where = "batchnorm_activation_forward"
    _elements(where, x=x, y=y)
    rows, c, tile, *_ = _groups(dev, x)
    _channels(where, c, mean=mean, scale=scale, beta=beta)
    k = dev.kernel("batchnorm_2_fused.cu", where, **tile)
    k(ceil_div(x.size // tile["V"], BLOCK), BLOCK, x, mean, scale, beta, y, I32(rows), I32(c), F32(slope))


def batchnorm_activation_backward(dev, x, dy, mean, rstd, scale, beta, sums, dgamma, dbeta, dx, slope: float, training: bool) -> None:
    """dx, and dgamma += , dbeta += (None: left out).   kernels/batchnorm_2_fused.cu (part, join and backward)

    Shapes: x, dy, dx [..., C] (dx None: left out); sums [2, C] for the sums over the batch; all others [C].
    training: mean and rstd depended on x; otherwise they are constants.
    """
    file, where = "batchnorm_2_fused.cu", "batchnorm_activation_backward"
    _elements(where, x=x, dy=dy, dx=x if dx is None else dx)
    rows, c, tile, groups, count, size = _groups(dev, x)
    _channels(where, c, mean=mean, rstd=rstd, scale=scale, beta=beta, dgamma=dgamma, dbeta=dbeta)
    _shape(where, "sums", sums, (2, c))
    if training or dgamma is not None:
        parts, = dev.scratch(2 * count * c)
        dev.kernel(file, "batchnorm_part_gradients", **tile)((groups, count), (tile["LANES"], tile["ROWS"]), x, dy, mean, rstd, scale, beta,
                                                             parts, I32(rows), I32(c), I32(size), F32(slope))
        dev.kernel(file, "batchnorm_join_gradients")(ceil_div(c, BLOCK), BLOCK, parts, sums[0], sums[1], dgamma, dbeta, I32(c), I32(count))
    if dx is not None:
        used = (sums[0], sums[1]) if training else (None, None)
        dev.kernel(file, where, **tile)(
            ceil_div(x.size // tile["V"], BLOCK), BLOCK, x, dy, mean, rstd, scale, beta, *used, dx, I32(rows), I32(c), F32(slope))


# Losses

def bce(dev, prob, target, gradient, result, scale: float = 1.0) -> None:
    """result = (scale * mean binary cross-entropy of probabilities, mean probability); gradient d result[0] / d prob.

    kernels/losses.cu. Shapes: prob, target, gradient equal; result [2].
    """
    n = _elements("bce", prob=prob, target=target, gradient=gradient)
    _shape("bce", "result", result, (2,))
    dev.kernel("losses.cu", "bce")(1, BLOCK, prob, target, gradient, result, I32(n), F32(scale))


def bce_with_logits(dev, logits, target, gradient, result, scale: float = 1.0) -> None:
    """The same of logits: p = sigmoid(logits).   kernels/losses.cu"""
    n = _elements("bce_with_logits", logits=logits, target=target, gradient=gradient)
    _shape("bce_with_logits", "result", result, (2,))
    dev.kernel("losses.cu", "bce_with_logits")(1, BLOCK, logits, target, gradient, result, I32(n), F32(scale))


# Adam

def adam_advance(dev, state, factors, beta1: float, beta2: float) -> None:
    """t += 1 and the two bias corrections.   kernels/adam.cu   state float64 [2] = (t, lr), factors float32 [2]."""
    for name, a in (("state", state), ("factors", factors)):
        _shape("adam_advance", name, a, (2,))
    dev.kernel("adam.cu", "adam_advance")(1, 1, state, factors, F64(beta1), F64(beta2))


def adam_step(dev, param, grad, m, v, factors, beta1: float, beta2: float, eps: float) -> None:
    """One step of Adam on a flat buffer.   kernels/adam.cu"""
    n = _elements("adam_step", param=param, grad=grad, m=m, v=v)
    _shape("adam_step", "factors", factors, (2,))
    dev.kernel("adam.cu", "adam_step")(ceil_div(n, BLOCK), BLOCK, param, grad, m, v, factors, I32(n),
                                       F32(beta1), F32(beta2), F32(1 - beta1), F32(1 - beta2), F32(eps))


# Random numbers

def random_uniform(dev, state, out, low: float, high: float) -> None:
    """out = uniform in [low, high).   kernels/random.cu   state uint64 [3] = (seed, stream, offset)."""
    _draw(dev, "random_uniform", state, out, low, high)


def random_normal(dev, state, out, mean: float, std: float) -> None:
    """out = normal with this mean and standard deviation.   kernels/random.cu"""
    _draw(dev, "random_normal", state, out, mean, std)


def _draw(dev, symbol, state, out, a, b):
    n = _elements(symbol, out=out)
    _shape(symbol, "state", state, (3,))
    if n:
        dev.kernel("random.cu", symbol)(ceil_div(ceil_div(n, 4), BLOCK), BLOCK, state, out, I32(n), F32(a), F32(b))


def random_advance(dev, state, counters: int) -> None:
    """offset += counters.   kernels/random.cu"""
    _shape("random_advance", "state", state, (3,))
    dev.kernel("random.cu", "random_advance")(1, 1, state, I32(counters))


def philox_words(dev, counters, keys, out) -> None:
    """The bare generator: out[i] = philox4x32_10(counters[i], keys[i]).   kernels/random.cu   uint32 [n, 4], [n, 2], [n, 4]."""
    _count("philox_words", counters.size)
    n = counters.shape[0]
    _shape("philox_words", "counters", counters, (n, 4))
    _shape("philox_words", "keys", keys, (n, 2))
    _shape("philox_words", "out", out, (n, 4))
    dev.kernel("random.cu", "philox_words")(ceil_div(n, BLOCK), BLOCK, counters, keys, out, I32(n))
