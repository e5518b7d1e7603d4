"""Activations (the backward ones need only y, the forward's result) and images."""

import numpy as np

from .base import Array, f64, need


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


def concat_label_forward(x: Array, label: Array, classes: int) -> Array:
    """x, and behind its channels one map a class: 1 everywhere in that of label[n], 0 in the others."""
    x, maps = f64(x), np.zeros((*x.shape[:3], classes))
    for n, k in enumerate(label):
        if 0 <= k < classes:
            maps[n, :, :, k] = 1.0
    return np.concatenate([x, maps], axis=3)


def concat_label_backward(dy: Array, classes: int) -> Array:
    """The channels of dy before the maps."""
    return f64(dy)[..., : dy.shape[3] - classes]


def concat_label_add(x: Array, y: Array) -> Array:
    """y, and x added to its first channels."""
    return np.concatenate([f64(y)[..., : x.shape[3]] + f64(x), f64(y)[..., x.shape[3] :]], axis=3)
