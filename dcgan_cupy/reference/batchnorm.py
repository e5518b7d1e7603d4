"""Batch normalisation, over all axes but the last, the channels."""

import numpy as np

from .base import Array, f64, need


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
