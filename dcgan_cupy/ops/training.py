"""What training needs beside the layers: the losses, Adam, the average of weights."""

import numpy as np

from ..device import Array, Device
from .check import need_shape, same_size
from .tiles import BLOCK, ceil_div

F32, F64, I32 = np.float32, np.float64, np.int32


def bce(dev: Device, prob: Array, target: Array, gradient: Array, result: Array, scale: float = 1.0) -> None:
    """result = (scale * mean binary cross-entropy of probabilities, mean probability); gradient d result[0] / d prob.

    kernels/losses.cu. Shapes: prob, target, gradient equal; result [2].
    """
    n = same_size("bce", prob=prob, target=target, gradient=gradient)
    need_shape("bce", "result", result, (2,))
    dev.kernel("losses.cu", "bce", THREADS=BLOCK)(1, BLOCK, prob, target, gradient, result, I32(n), F32(scale))


def bce_with_logits(
    dev: Device, logits: Array, target: Array, gradient: Array, result: Array, scale: float = 1.0
) -> None:
    """The same of logits: p = sigmoid(logits).   kernels/losses.cu"""
    n = same_size("bce_with_logits", logits=logits, target=target, gradient=gradient)
    need_shape("bce_with_logits", "result", result, (2,))
    dev.kernel("losses.cu", "bce_with_logits", THREADS=BLOCK)(
        1, BLOCK, logits, target, gradient, result, I32(n), F32(scale)
    )


def adam_advance(dev: Device, state: Array, factors: Array, beta1: float, beta2: float, fall: float = 0.0) -> None:
    """t += 1, the two bias corrections, and lr less `fall` of it a step.

    kernels/adam.cu. Shapes: state float64 [2] = (t, lr), factors float32 [2].
    """
    for name, a in (("state", state), ("factors", factors)):
        need_shape("adam_advance", name, a, (2,))
    dev.kernel("adam.cu", "adam_advance")(1, 1, state, factors, F64(beta1), F64(beta2), F64(fall))


def adam_step(
    dev: Device, param: Array, grad: Array, m: Array, v: Array, factors: Array, beta1: float, beta2: float, eps: float
) -> None:
    """One step of Adam on a flat buffer.   kernels/adam.cu"""
    n = same_size("adam_step", param=param, grad=grad, m=m, v=v)
    need_shape("adam_step", "factors", factors, (2,))
    dev.kernel("adam.cu", "adam_step")(
        ceil_div(n, BLOCK),
        BLOCK,
        param,
        grad,
        m,
        v,
        factors,
        I32(n),
        F32(beta1),
        F32(beta2),
        F32(1 - beta1),
        F32(1 - beta2),
        F32(eps),
    )


def average_step(dev: Device, average: Array, param: Array, rate: float) -> None:
    """average += rate * (param - average), on flat buffers.   kernels/average.cu"""
    n = same_size("average_step", average=average, param=param)
    dev.kernel("average.cu", "average_step")(ceil_div(n, BLOCK), BLOCK, average, param, F32(rate), I32(n))
