"""The cases of what several workers need: each as the last of them, which hears of the others."""

import numpy as np

from .. import ops
from .drawn import F32, channel, normal

ROWS = [{"rows": 2, "c": 1, "workers": 1}, {"rows": 37, "c": 3, "workers": 3}, {"rows": 300, "c": 130, "workers": 2}]
SLICES = [{"n": 1, "workers": 1}, {"n": 257, "workers": 3}]


def _hearing(dev, rng, c, workers):
    """What the others tell, as it lies on the device before this one adds its own."""
    told = dev.array(np.abs(rng.standard_normal((workers, 2, c))))
    return told, workers - 1, lambda all: None


def batch(dev, rng, rows, c, workers):
    """batchnorm_batch_of_workers"""
    given = (*channel(dev, rng, c, 2), dev.empty((5, c)), *channel(dev, rng, c, 2), dev.array(np.zeros(1, np.int64)))
    hearing = _hearing(dev, rng, c, workers)
    ops.batchnorm_batch_of_workers(dev, normal(dev, rng, rows, c), *given, 0.1, 1e-5, *hearing)


def backward(dev, rng, rows, c, workers, input_gradient=1):
    """batchnorm_activation_backward_of_workers"""
    x, dy = normal(dev, rng, rows, c), normal(dev, rng, rows, c)
    statistics = dev.array(np.abs(rng.standard_normal((5, c))).astype(F32) + 0.5)
    dx = dev.empty((rows, c)) if input_gradient else None
    grads = channel(dev, rng, c, 2)
    ops.batchnorm_activation_backward_of_workers(
        dev, x, dy, statistics, dev.empty((2, c)), *grads, dx, 0.2, *_hearing(dev, rng, c, workers)
    )


def total(dev, rng, n, workers):
    """sum_workers"""
    ops.sum_workers(dev, normal(dev, rng, workers, n), normal(dev, rng, n), workers - 1)
