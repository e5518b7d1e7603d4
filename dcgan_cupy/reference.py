"""The definition of every operation, in float64 NumPy: what a kernel must compute, not how.

Each function is its formula, a sum over kernel taps written as a loop. Nothing here is fast and nothing is shared
with the code under test. Inputs of any float type are taken to float64 first; results are float64.

Shapes: activations x[n, h, w, c]; weights w[kh, kw, ic, oc], for a transposed convolution w[kh, kw, oc, ic].
        stride, padding, output_padding, kernel_hw and x_hw are (h, w) pairs. dx dy dw are gradients.
"""

import numpy as np

Array = np.ndarray
Pair = tuple[int, int]


def f64(a) -> Array:
    return np.asarray(a, dtype=np.float64)


def need(ok: bool, message: str) -> None:
    if not ok:
        raise ValueError(message)


# Convolution


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


# Batch normalisation: over all axes but the last, the channels


def batchnorm_forward_train(
    x: Array,
    gamma: Array,
    beta: Array,
    running_mean: Array,
    running_var: Array,
    eps: float = 1e-5,
    momentum: float = 0.1,
) -> tuple[Array, Array, Array, Array, Array]:
    """y = (x - mean) / sqrt(var + eps) * gamma + beta with the batch's own mean and biased variance, per channel.

    Returns (y, mean, var, new running_mean, new running_var); var is biased (divided by m), the running variance takes
    the unbiased one (divided by m - 1); new = (1 - momentum) * old + momentum * batch, as PyTorch does.
    Shapes: x, y [..., c], all others [c].   Raises: ValueError if a channel has a single value.
    """
    x = f64(x)
    axes = tuple(range(x.ndim - 1))
    m = x.size // x.shape[-1]  # values per channel
    need(m > 1, f"batchnorm_forward_train: x: need more than one value per channel, got shape {x.shape}")
    mean = x.mean(axis=axes)
    var = np.square(x - mean).mean(axis=axes)  # second pass over x: survives a mean far larger than the deviation
    y = (x - mean) / np.sqrt(var + eps) * f64(gamma) + f64(beta)
    new_mean = (1 - momentum) * f64(running_mean) + momentum * mean
    new_var = (1 - momentum) * f64(running_var) + momentum * var * m / (m - 1)
    return y, mean, var, new_mean, new_var


def batchnorm_forward_eval(
    x: Array, gamma: Array, beta: Array, running_mean: Array, running_var: Array, eps: float = 1e-5
) -> Array:
    """y = (x - running_mean) / sqrt(running_var + eps) * gamma + beta, per channel."""
    return (f64(x) - f64(running_mean)) / np.sqrt(f64(running_var) + eps) * f64(gamma) + f64(beta)


def batchnorm_backward_train(
    dy: Array, x: Array, gamma: Array, mean: Array, var: Array, eps: float = 1e-5
) -> tuple[Array, Array, Array]:
    """Returns (dx, dgamma, dbeta); mean and var (biased) are the batch's own, so dx flows through them too.

    xhat = (x - mean) / sqrt(var + eps), dbeta = sum dy, dgamma = sum dy * xhat,
    dx = gamma / sqrt(var + eps) * (dy - dbeta / m - xhat * dgamma / m), m values per channel.
    """
    dy, x = f64(dy), f64(x)
    axes = tuple(range(x.ndim - 1))
    m = x.size // x.shape[-1]
    rstd = 1 / np.sqrt(f64(var) + eps)
    xhat = (x - f64(mean)) * rstd
    dbeta = dy.sum(axis=axes)
    dgamma = (dy * xhat).sum(axis=axes)
    dx = f64(gamma) * rstd * (dy - dbeta / m - xhat * dgamma / m)
    return dx, dgamma, dbeta


def batchnorm_backward_eval(
    dy: Array, x: Array, gamma: Array, running_mean: Array, running_var: Array, eps: float = 1e-5
) -> tuple[Array, Array, Array]:
    """Returns (dx, dgamma, dbeta) with the statistics held constant: dx = dy * gamma / sqrt(running_var + eps)."""
    dy, x = f64(dy), f64(x)
    axes = tuple(range(x.ndim - 1))
    rstd = 1 / np.sqrt(f64(running_var) + eps)
    dgamma = (dy * (x - f64(running_mean)) * rstd).sum(axis=axes)
    return dy * f64(gamma) * rstd, dgamma, dy.sum(axis=axes)


# Activations: the backward ones need only y, the forward's result


def relu_forward(x: Array) -> Array:
    """y = max(x, 0); NaN stays NaN."""
    return np.maximum(f64(x), 0.0)


def relu_backward(dy: Array, y: Array) -> Array:
    """dx = dy where y > 0, else 0: the gradient at x = 0 is 0."""
    return np.where(f64(y) > 0, f64(dy), 0.0)


def leaky_relu_forward(x: Array, slope: float) -> Array:
    """y = x where x > 0, else slope * x."""
    x = f64(x)
    return np.where(x > 0, x, slope * x)


def leaky_relu_backward(dy: Array, y: Array, slope: float) -> Array:
    """dx = dy where y > 0, else slope * dy; slope > 0, so that y > 0 exactly where x > 0."""
    need(slope > 0, f"leaky_relu_backward: slope: need > 0, got {slope}")
    return np.where(f64(y) > 0, f64(dy), slope * f64(dy))


def tanh_forward(x: Array) -> Array:
    """y = tanh(x)."""
    return np.tanh(f64(x))


def tanh_backward(dy: Array, y: Array) -> Array:
    """dx = dy * (1 - y^2)."""
    return f64(dy) * (1 - np.square(f64(y)))


def sigmoid_forward(x: Array) -> Array:
    """y = 1 / (1 + exp(-x)); below x = -709 the exponential is infinite and y is 0."""
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-f64(x)))


def sigmoid_backward(dy: Array, y: Array) -> Array:
    """dx = dy * y * (1 - y)."""
    y = f64(y)
    return f64(dy) * y * (1 - y)


# Losses: target may be one number for all


def bce(prob: Array, target: Array | float) -> tuple[float, Array]:
    """loss = mean of -(t log p + (1-t) log(1-p)); returns (loss, its gradient with respect to prob).

    PyTorch's convention: each log is at least -100, and the gradient is (p - t) / max(p (1-p), 1e-12) / count
    (PyTorch holds that 1e-12 in float32, which is 4e-9 less).
    """
    p = f64(prob)
    t = np.broadcast_to(f64(target), p.shape)
    with np.errstate(divide="ignore"):  # log(0) = -inf, clamped at once
        log_p = np.maximum(np.log(p), -100.0)
        log_q = np.maximum(np.log1p(-p), -100.0)
    loss = -(t * log_p + (1 - t) * log_q).mean()
    return float(loss), (p - t) / np.maximum(p * (1 - p), 1e-12) / p.size


def bce_with_logits(logits: Array, target: Array | float) -> tuple[float, Array]:
    """loss = mean of -(t log s + (1-t) log(1-s)), s = sigmoid(logits); returns (loss, gradient w.r.t. logits).

    Stable form: max(a, 0) - a t + log(1 + exp(-|a|)); gradient (s - t) / count.
    """
    a = f64(logits)
    t = np.broadcast_to(f64(target), a.shape)
    loss = (np.maximum(a, 0.0) - a * t + np.log1p(np.exp(-np.abs(a)))).mean()
    return float(loss), (sigmoid_forward(a) - t) / a.size


# Optimiser


def adam(
    param: Array, grad: Array, m: Array, v: Array, t: int, lr: float, beta1: float, beta2: float, eps: float
) -> tuple[Array, Array, Array]:
    """One step of Adam; t counts from 1. Returns the new (param, m, v).

    m = b1 m + (1-b1) g,  v = b2 v + (1-b2) g^2,  param -= lr * m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + eps).
    """
    need(t >= 1, f"adam: t: need a step counted from 1, got {t}")
    g = f64(grad)
    m = beta1 * f64(m) + (1 - beta1) * g
    v = beta2 * f64(v) + (1 - beta2) * np.square(g)
    m_hat = m / (1 - beta1**t)
    v_hat = v / (1 - beta2**t)
    return f64(param) - lr * m_hat / (np.sqrt(v_hat) + eps), m, v


# Random numbers


def philox4x32_10(counter: Array, key: Array) -> Array:
    """Ten rounds of Philox4x32: each mixes the counter by two 32 x 32 -> 64 bit products, then bumps the key.

    Shapes: counter[..., 4] uint32, key[..., 2] uint32, leading axes broadcast -> [..., 4] uint32.
    Source: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3".
    """
    low = np.uint64(0xFFFFFFFF)  # everything is held in uint64 and cut to 32 bits where it can grow
    counter, key = np.asarray(counter, dtype=np.uint32), np.asarray(key, dtype=np.uint32)
    c0, c1, c2, c3 = (counter[..., i].astype(np.uint64) for i in range(4))
    k0, k1 = (key[..., i].astype(np.uint64) for i in range(2))
    for _ in range(10):
        product0 = np.uint64(0xD2511F53) * c0
        product1 = np.uint64(0xCD9E8D57) * c2
        c0, c1, c2, c3 = (
            (product1 >> np.uint64(32)) ^ c1 ^ k0,
            product1 & low,
            (product0 >> np.uint64(32)) ^ c3 ^ k1,
            product0 & low,
        )
        k0 = (k0 + np.uint64(0x9E3779B9)) & low
        k1 = (k1 + np.uint64(0xBB67AE85)) & low
    return np.stack(np.broadcast_arrays(c0, c1, c2, c3), axis=-1).astype(np.uint32)


# Images


def images_to_float(images: Array) -> Array:
    """y = x / 127.5 - 1: uint8 in [0, 255] -> [-1, 1]."""
    need(images.dtype == np.uint8, f"images_to_float: images: need uint8, got {images.dtype}")
    return f64(images) / 127.5 - 1


def images_to_uint8(images: Array) -> Array:
    """y = round((x + 1) * 127.5), half to even, clamped to [0, 255]; NaN becomes 0."""
    scaled = np.rint((f64(images) + 1) * 127.5)
    return np.where(np.isnan(scaled), 0.0, np.clip(scaled, 0.0, 255.0)).astype(np.uint8)


def horizontal_flip(images: Array) -> Array:
    """y[n, h, w, c] = x[n, h, W-1-w, c], of x's own type."""
    return images[:, :, ::-1].copy()
