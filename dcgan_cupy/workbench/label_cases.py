"""The cases of labels that join convolutions."""

import numpy as np

from .. import ops
from .drawn import normal

JOINED = {"n": 64, "h": 16, "w": 16, "c": 32, "k": 10}
JOINED_EDGES = [{"n": 3, "h": 5, "w": 7, "c": 3, "k": 10}, {"n": 3, "h": 5, "w": 7, "c": 1, "k": 1}]
MAPS = {
    "n": 64, "h": 16, "w": 18, "c": 4, "k": 10, "o": 32, "kernel": 4, "stride": 2, "pad": 0, "transposed": 0,
}  # fmt: skip
MAPS_EDGES = [
    {"n": 3, "h": 5, "w": 7, "o": 3, "pad": 1, "k": 2},
    {"n": 5, "h": 4, "w": 3, "o": 5, "pad": 1, "k": 3, "transposed": 1},
    {"n": 3, "h": 1, "w": 1, "o": 16, "transposed": 1, "stride": 1},
    {"n": 2, "h": 3, "w": 2, "o": 1, "kernel": 2, "stride": 3, "transposed": 1},
]


def _labels(dev, rng, n, k):
    return dev.array(rng.integers(0, k, n).astype(np.int32))


def concat(dev, rng, n, h, w, c, k):
    """concat_label_forward"""
    ops.concat_label_forward(dev, normal(dev, rng, n, h, w, c), _labels(dev, rng, n, k), dev.empty((n, h, w, c + k)))


def concat_backward(dev, rng, n, h, w, c, k):
    """concat_label_backward"""
    ops.concat_label_backward(dev, normal(dev, rng, n, h, w, c + k), dev.empty((n, h, w, c)))


def concat_add(dev, rng, n, h, w, c, k):
    """concat_label_add"""
    ops.concat_label_add(dev, normal(dev, rng, n, h, w, c), normal(dev, rng, n, h, w, c + k))


def maps(forward: bool):
    """label_maps_forward, or label_maps_backward"""

    def run(dev, rng, n, h, w, c, k, o, kernel, stride, pad, transposed):
        size = ops.conv_transpose2d_output_size if transposed else ops.conv2d_output_size
        oh, ow = (size("inspect", v, kernel, stride, pad, *[0] * transposed) for v in (h, w))
        channels = (o, c + k) if transposed else (c + k, o)
        weight, label = normal(dev, rng, kernel, kernel, *channels), _labels(dev, rng, n, k)
        y, relation = normal(dev, rng, n, oh, ow, o), (k, (h, w), (stride,) * 2, (pad,) * 2, bool(transposed))
        if forward:
            ops.label_maps_forward(dev, weight, label, y, *relation, ops.Epilogue("leaky_relu"))
        else:
            ops.label_maps_backward(dev, y, label, weight, *relation)

    return run
