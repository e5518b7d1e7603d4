"""Convolution and transposed convolution, a sum over kernel taps as a loop."""

import numpy as np

from .base import Array, Pair, f64, need


def conv2d_output_size(x_hw: Pair, kernel_hw: Pair, stride: Pair, padding: Pair) -> Pair:
    """o = floor((i + 2p - k) / s) + 1 along each axis.   Raises: ValueError if an axis has no output."""
    oh, ow = ((i + 2 * p - k) // s + 1 for i, k, s, p in zip(x_hw, kernel_hw, stride, padding, strict=True))
    need(oh >= 1 and ow >= 1, f"conv2d_output_size: need an output of at least (1, 1), got {(oh, ow)}")
    return oh, ow


def conv2d_forward(x: Array, w: Array, b: Array | None, stride: Pair, padding: Pair) -> Array:
    """y[n,oh,ow,oc] = b[oc] + sum over kh,kw,ic of x[n, oh*s-p+kh, ow*s-p+kw, ic] * w[kh,kw,ic,oc], x zero outside.

    Shapes: x[n, h, w, ic], w[kh, kw, ic, oc], b[oc] or None -> y[n, oh, ow, oc].
    """
    x, w = f64(x), f64(w)
    N, H, W, IC = x.shape
    KH, KW, w_ic, OC = w.shape
    need(w_ic == IC, f"conv2d_forward: w: need {IC} input channels, got {w_ic}")
    OH, OW = conv2d_output_size((H, W), (KH, KW), stride, padding)
    windows = strided_windows(x, (KH, KW), (OH, OW), stride, padding)

    y = np.zeros((N, OH, OW, OC))
    for kh in range(KH):
        for kw in range(KW):
            y += np.einsum("nhwi,io->nhwo", windows[kh][kw], w[kh, kw], optimize=True)
    return y if b is None else y + f64(b)


def conv2d_backward_input(dy: Array, w: Array, x_hw: Pair, stride: Pair, padding: Pair) -> Array:
    """dx[n,h,w,ic] = sum over kh,kw,oc of dy[n, (h+p-kh)/s, (w+p-kw)/s, oc] * w[kh,kw,ic,oc] where s divides exactly.

    Shapes: dy[n, oh, ow, oc], w[kh, kw, ic, oc] -> dx[n, h, w, ic], (h, w) = x_hw (dy's shape alone leaves it open).
    """
    dy, w = f64(dy), f64(w)
    N, OH, OW, OC = dy.shape
    KH, KW, IC, w_oc = w.shape
    H, W = x_hw
    need(w_oc == OC, f"conv2d_backward_input: w: need {OC} output channels, got {w_oc}")
    oh_ow = conv2d_output_size(x_hw, (KH, KW), stride, padding)
    need(oh_ow == (OH, OW), f"conv2d_backward_input: dy: need (oh, ow) = {oh_ow}, got {(OH, OW)}")

    dx = np.zeros((N, H, W, IC))
    for kh in range(KH):
        h, oh = exact_divisions(H, OH, kh, stride[0], padding[0])
        for kw in range(KW):
            w_, ow = exact_divisions(W, OW, kw, stride[1], padding[1])
            dx[:, h[:, None], w_] += np.einsum("nhwo,io->nhwi", dy[:, oh[:, None], ow], w[kh, kw], optimize=True)
    return dx


def conv2d_backward_weight(x: Array, dy: Array, kernel_hw: Pair, stride: Pair, padding: Pair) -> Array:
    """dw[kh,kw,ic,oc] = sum over n,oh,ow of x[n, oh*s-p+kh, ow*s-p+kw, ic] * dy[n,oh,ow,oc], x zero outside.

    Shapes: x[n, h, w, ic], dy[n, oh, ow, oc] -> dw[kh, kw, ic, oc], (kh, kw) = kernel_hw.
    """
    x, dy = f64(x), f64(dy)
    N, H, W, IC = x.shape
    KH, KW = kernel_hw
    OH, OW = conv2d_output_size((H, W), kernel_hw, stride, padding)
    OC = dy.shape[3]
    need(dy.shape[:3] == (N, OH, OW), f"conv2d_backward_weight: dy: need {(N, OH, OW, OC)}, got {dy.shape}")
    windows = strided_windows(x, kernel_hw, (OH, OW), stride, padding)

    dw = np.zeros((KH, KW, IC, OC))
    for kh in range(KH):
        for kw in range(KW):
            dw[kh, kw] = np.einsum("nhwi,nhwo->io", windows[kh][kw], dy, optimize=True)
    return dw


def conv2d_backward_bias(dy: Array) -> Array:
    """db[oc] = sum over n,oh,ow of dy[n,oh,ow,oc].   The same for a transposed convolution."""
    return f64(dy).sum(axis=(0, 1, 2))


def strided_windows(x: Array, kernel_hw: Pair, out_hw: Pair, stride: Pair, padding: Pair) -> list[list[Array]]:
    """windows[kh][kw][n, oh, ow, ic] = x[n, oh*s-p+kh, ow*s-p+kw, ic], zero outside x."""
    (ph, pw), (sh, sw), (OH, OW) = padding, stride, out_hw
    padded = np.pad(x, ((0, 0), (ph, ph), (pw, pw), (0, 0)))  # padded[n, h + p, w + p] = x[n, h, w]
    last_h, last_w = sh * (OH - 1), sw * (OW - 1)
    return [
        [padded[:, kh : kh + last_h + 1 : sh, kw : kw + last_w + 1 : sw] for kw in range(kernel_hw[1])]
        for kh in range(kernel_hw[0])
    ]


def exact_divisions(size: int, out_size: int, k: int, stride: int, padding: int) -> tuple[Array, Array]:
    """Every i in [0, size) with (i+p-k) / s a whole number in [0, out_size), and those numbers."""
    pairs = [(i, (i + padding - k) // stride) for i in range(size) if (i + padding - k) % stride == 0]
    pairs = [(i, o) for i, o in pairs if 0 <= o < out_size]
    return np.array([i for i, _ in pairs], dtype=int), np.array([o for _, o in pairs], dtype=int)


# Transposed convolution


def conv_transpose2d_output_size(
    x_hw: Pair, kernel_hw: Pair, stride: Pair, padding: Pair, output_padding: Pair = (0, 0)
) -> Pair:
    """o = s(i-1) + k - 2p + output_padding along each axis.   Raises: ValueError if an axis has no output."""
    axes = zip(x_hw, kernel_hw, stride, padding, output_padding, strict=True)
    oh, ow = (s * (i - 1) + k - 2 * p + extra for i, k, s, p, extra in axes)
    need(oh >= 1 and ow >= 1, f"conv_transpose2d_output_size: need an output of at least (1, 1), got {(oh, ow)}")
    return oh, ow


def zero_insert(x: Array, kernel_hw: Pair, stride: Pair, padding: Pair, output_padding: Pair = (0, 0)) -> Array:
    """Steps 1 and 2: z = s-1 zeros between neighbours, then p' = k-p-1 zeros on every side.

    z[n, s*h + p', s*w + p', c] = x[n, h, w, c], zero elsewhere; output_padding makes z longer at the bottom and right.
    A negative p' crops: the pixels that would lie outside z are dropped, and output_padding can bring a cropped last
    row back (the size counts p' and output_padding together, it does not crop first and then append zeros).

    Shapes: x[n, h, w, c] -> z[n, s(h-1) + 1 + 2p' + output_padding, likewise for w, c].
    """
    x = f64(x)
    N, H, W, C = x.shape
    (sh, sw), (extra_h, extra_w) = stride, output_padding
    ph, pw = (k - p - 1 for k, p in zip(kernel_hw, padding, strict=True))  # p', may be negative
    ZH = sh * (H - 1) + 1 + 2 * ph + extra_h
    ZW = sw * (W - 1) + 1 + 2 * pw + extra_w
    conv_transpose2d_output_size((H, W), kernel_hw, stride, padding, output_padding)  # raises where z is too small

    z = np.zeros((N, ZH, ZW, C))
    for h in range(H):
        for w in range(W):
            zh, zw = sh * h + ph, sw * w + pw
            if 0 <= zh < ZH and 0 <= zw < ZW:
                z[:, zh, zw] = x[:, h, w]
    return z


def flip_kernel(w: Array) -> Array:
    """Step 3: flipped[kh,kw,ic,oc] = w[KH-1-kh, KW-1-kw, oc, ic], the kernel turned by 180 degrees."""
    return f64(w)[::-1, ::-1].transpose(0, 1, 3, 2)


def conv_transpose2d_forward(
    x: Array, w: Array, b: Array | None, stride: Pair, padding: Pair, output_padding: Pair = (0, 0)
) -> Array:
    """The four steps: insert zeros, pad, flip the kernel, convolve with stride 1 and no further padding.

    Equal to y[n,oh,ow,oc] = b[oc] + sum of x[n,h,w,ic] * w[kh,kw,oc,ic] over oh = h*s-p+kh, ow = w*s-p+kw.
    Shapes: x[n, h, w, ic], w[kh, kw, oc, ic], b[oc] or None -> y[n, oh, ow, oc].
    """
    z = zero_insert(x, w.shape[:2], stride, padding, output_padding)
    return conv2d_forward(z, flip_kernel(w), b, stride=(1, 1), padding=(0, 0))


def conv_transpose2d_backward_input(dy: Array, w: Array, x_hw: Pair, stride: Pair, padding: Pair) -> Array:
    """dx[n,h,w,ic] = sum over kh,kw,oc of dy[n, h*s-p+kh, w*s-p+kw, oc] * w[kh,kw,oc,ic], dy zero outside.

    Shapes: dy[n, oh, ow, oc], w[kh, kw, oc, ic] -> dx[n, h, w, ic], (h, w) = x_hw.
    """
    dy, w = f64(dy), f64(w)
    N, OH, OW, OC = dy.shape
    KH, KW, w_oc, IC = w.shape
    need(w_oc == OC, f"conv_transpose2d_backward_input: w: need {OC} output channels, got {w_oc}")
    need_transposed_size("conv_transpose2d_backward_input", x_hw, (OH, OW), (KH, KW), stride, padding)

    dx = np.zeros((N, *x_hw, IC))
    for kh in range(KH):
        h, oh = places_inside(x_hw[0], OH, kh, stride[0], padding[0])
        for kw in range(KW):
            w_, ow = places_inside(x_hw[1], OW, kw, stride[1], padding[1])
            dx[:, h[:, None], w_] += np.einsum("nhwo,oi->nhwi", dy[:, oh[:, None], ow], w[kh, kw], optimize=True)
    return dx


def conv_transpose2d_backward_weight(x: Array, dy: Array, kernel_hw: Pair, stride: Pair, padding: Pair) -> Array:
    """dw[kh,kw,oc,ic] = sum over n,h,w of dy[n, h*s-p+kh, w*s-p+kw, oc] * x[n,h,w,ic], dy zero outside.

    Shapes: x[n, h, w, ic], dy[n, oh, ow, oc] -> dw[kh, kw, oc, ic], (kh, kw) = kernel_hw.
    """
    x, dy = f64(x), f64(dy)
    N, H, W, IC = x.shape
    _, OH, OW, OC = dy.shape
    KH, KW = kernel_hw
    need(dy.shape[0] == N, f"conv_transpose2d_backward_weight: dy: need a batch of {N}, got {dy.shape[0]}")
    need_transposed_size("conv_transpose2d_backward_weight", (H, W), (OH, OW), kernel_hw, stride, padding)

    dw = np.zeros((KH, KW, OC, IC))
    for kh in range(KH):
        h, oh = places_inside(H, OH, kh, stride[0], padding[0])
        for kw in range(KW):
            w_, ow = places_inside(W, OW, kw, stride[1], padding[1])
            seen, met = x[:, h[:, None], w_], dy[:, oh[:, None], ow]
            dw[kh, kw] = np.einsum("nhwo,nhwi->oi", met, seen, optimize=True)
    return dw


def places_inside(size: int, out_size: int, k: int, stride: int, padding: int) -> tuple[Array, Array]:
    """Every i in [0, size) whose place o = i*s-p+k lies in [0, out_size), and those places."""
    pairs = [(i, i * stride - padding + k) for i in range(size) if 0 <= i * stride - padding + k < out_size]
    return np.array([i for i, _ in pairs], dtype=int), np.array([o for _, o in pairs], dtype=int)


def need_transposed_size(where: str, x_hw: Pair, out_hw: Pair, kernel_hw: Pair, stride: Pair, padding: Pair) -> None:
    """dy's size must be a transposed convolution's output size for some output_padding in [0, stride)."""
    for i, o, k, s, p in zip(x_hw, out_hw, kernel_hw, stride, padding, strict=True):
        least = s * (i - 1) + k - 2 * p
        need(least <= o < least + s, f"{where}: dy: need a size in [{least}, {least + s}) for {i} pixels, got {o}")
