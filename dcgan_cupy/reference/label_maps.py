"""What a label's one-hot maps add to a convolution, tap by tap, in float64."""

from .base import Array, Pair, f64


def reached(size: Pair, out: Pair, kernel: Pair, stride: Pair, padding: Pair, transposed: bool):
    """(kh, kw, p, q) of every tap that reaches an output pixel from a pixel of the input."""
    for h in range(size[0]):
        for w in range(size[1]):
            for kh in range(kernel[0]):
                for kw in range(kernel[1]):
                    if transposed:
                        yield kh, kw, h * stride[0] - padding[0] + kh, w * stride[1] - padding[1] + kw
                        continue
                    p, beside = divmod(h + padding[0] - kh, stride[0])
                    q, over = divmod(w + padding[1] - kw, stride[1])
                    if beside == over == 0:
                        yield kh, kw, p, q


def label_maps_forward(
    w: Array, label: Array, y: Array, classes: int, size: Pair, stride: Pair, padding: Pair, transposed: bool
) -> Array:
    """y + the convolution, plain or transposed, of maps [N, *size, classes]: 1 in label[n]'s, 0 in the others.

    w: [KH, KW, C + classes, O], transposed [KH, KW, O, C + classes]; the last `classes` are the maps'.
    """
    w, y = f64(w), f64(y).copy()
    w = w.swapaxes(2, 3) if transposed else w
    for kh, kw, p, q in reached(size, y.shape[1:3], w.shape[:2], stride, padding, transposed):
        if 0 <= p < y.shape[1] and 0 <= q < y.shape[2]:
            for n, k in enumerate(label):
                if 0 <= k < classes:
                    y[n, p, q] += w[kh, kw, w.shape[2] - classes + k]
    return y


def label_maps_backward(
    dy: Array, label: Array, dw: Array, classes: int, size: Pair, stride: Pair, padding: Pair, transposed: bool
) -> Array:
    """dw + the gradient of the maps' weights; of x's nothing."""
    dy, dw = f64(dy), f64(dw).copy()
    view = dw.swapaxes(2, 3) if transposed else dw
    for kh, kw, p, q in reached(size, dy.shape[1:3], dw.shape[:2], stride, padding, transposed):
        if 0 <= p < dy.shape[1] and 0 <= q < dy.shape[2]:
            for n, k in enumerate(label):
                if 0 <= k < classes:
                    view[kh, kw, view.shape[2] - classes + k] += dy[n, p, q]
    return dw
