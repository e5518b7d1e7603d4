"""Losses (target may be one number for all), Adam, averages, random numbers."""

import numpy as np

from .base import Array, f64, need
from .elementwise import sigmoid_forward


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


def average(mean: Array, param: Array, decay: float) -> Array:
    """decay * mean + (1 - decay) * param"""
    return decay * f64(mean) + (1 - decay) * f64(param)


def random_uniform(words: Array, low: float, high: float) -> Array:
    """low + (high - low) * u, u the 24 high bits of a word times 2^-24; what rounds to high is the float32 below it.

    Shapes: words uint32, any -> float32, the same.   low, high: float32 numbers, low < high.
    """
    u = (np.asarray(words, np.uint32) >> np.uint32(8)) * 2.0**-24
    drawn = (f64(low) + f64(np.float32(high) - np.float32(low)) * u).astype(np.float32)
    return np.minimum(drawn, np.nextafter(np.float32(high), np.float32(low)))


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
