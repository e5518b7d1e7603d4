"""The cases of convolutions."""

from .. import ops
from ..choices import FUSED
from .drawn import normal


def _conv_arrays(dev, rng, n, h, w, ic, oc, kh, kw, stride_h, stride_w, pad_h, pad_w):
    stride, padding = (stride_h, stride_w), (pad_h, pad_w)
    oh = ops.conv2d_output_size("inspect", h, kh, stride_h, pad_h)
    ow = ops.conv2d_output_size("inspect", w, kw, stride_w, pad_w)
    return (n, h, w, ic), (kh, kw, ic, oc), (n, oh, ow, oc), stride, padding


def _epilogue(rung, known):
    """An activation behind the convolution, in half of the runs."""
    return ops.Epilogue("leaky_relu" if known and rung in FUSED else "identity", 0.2)


def forward(dev, rng, rung, known, bias=1, **shape):
    """conv2d_forward"""
    x, w, y, stride, padding = _conv_arrays(dev, rng, **shape)
    b = normal(dev, rng, w[3]) if bias else None
    x, w = normal(dev, rng, *x), normal(dev, rng, *w)
    ops.conv2d_forward(dev, x, w, b, dev.empty(y), stride, padding, rung, known, _epilogue(rung, known))


def backward_input(dev, rng, rung, known, bias=0, **shape):
    """conv2d_backward_input"""
    x, w, y, stride, padding = _conv_arrays(dev, rng, **shape)
    b = normal(dev, rng, w[2]) if bias else None
    dy, w = normal(dev, rng, *y), normal(dev, rng, *w)
    ops.conv2d_backward_input(dev, dy, w, b, dev.empty(x), stride, padding, rung, known, _epilogue(rung, known))


def backward_weight(dev, rng, rung, known, bias=0, **shape):
    """conv2d_backward_weight"""
    x, w, y, stride, padding = _conv_arrays(dev, rng, **shape)
    ops.conv2d_backward_weight(
        dev, normal(dev, rng, *x), normal(dev, rng, *y), normal(dev, rng, *w), stride, padding, rung, known
    )


def zero_insert(dev, rng, n, h, w, c, kernel, stride, padding):
    """zero_insert"""
    z = [ops.zero_insert_size(v, kernel, stride, padding, 0) for v in (h, w)]
    ops.zero_insert(
        dev, normal(dev, rng, n, h, w, c), dev.empty((n, *z, c)), (kernel,) * 2, (stride,) * 2, (padding,) * 2
    )


def _conv(n, size, ic, oc, kernel, stride=1, padding=0, **more):
    (h, w), (kh, kw), (sh, sw), (ph, pw) = (
        v if isinstance(v, tuple) else (v, v) for v in (size, kernel, stride, padding)
    )
    return {
        "n": n,
        "h": h,
        "w": w,
        "ic": ic,
        "oc": oc,
        "kh": kh,
        "kw": kw,
        "stride_h": sh,
        "stride_w": sw,
        "pad_h": ph,
        "pad_w": pw,
        **more,
    }


# Odd sizes, H != W, one pixel, one channel, stride > kernel, padding >= kernel, channels around the tiles' 64 and 128.
CONVOLUTIONS = [
    _conv(2, (9, 6), 3, 5, (4, 3), (2, 1), (1, 0)),
    _conv(1, 8, 3, 64, 4, 2, 1),
    _conv(1, (6, 10), 64, 20, 4, 2, 1, bias=1),
    _conv(2, (4, 7), 65, 4, 3, 1, 1),
    _conv(1, 4, 12, 1, 4, 1, 0),
    _conv(3, 1, 10, 17, 1),
    _conv(1, (5, 3), 1, 2, 2, (3, 4), (2, 1)),
    _conv(1, (7, 5), 9, 130, 5, 2, 2, bias=1),
    _conv(5, 4, 16, 12, 4, 2, 1),
]
QUICK_CONVOLUTIONS = CONVOLUTIONS[:5]
LAYER = _conv(8, 16, 64, 128, 4, 2, 1)
