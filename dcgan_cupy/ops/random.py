"""Random numbers: Philox4x32-10, whose state lies in device memory."""

import numpy as np

from .check import count, need_shape, same_size
from .tiles import BLOCK, ceil_div

F32, I32 = np.float32, np.int32


def random_uniform(dev, state, out, low: float, high: float) -> None:
    """out = uniform in [low, high).   kernels/random.cu   state uint64 [3] = (seed, stream, offset)."""
    _draw(dev, "random_uniform", state, out, low, high)


def random_normal(dev, state, out, mean: float, std: float) -> None:
    """out = normal with this mean and standard deviation.   kernels/random.cu"""
    _draw(dev, "random_normal", state, out, mean, std)


def _draw(dev, symbol, state, out, a, b):
    n = same_size(symbol, out=out)
    need_shape(symbol, "state", state, (3,))
    if n:
        dev.kernel("random.cu", symbol)(ceil_div(ceil_div(n, 4), BLOCK), BLOCK, state, out, I32(n), F32(a), F32(b))


def random_advance(dev, state, counters: int) -> None:
    """offset += counters.   kernels/random.cu"""
    need_shape("random_advance", "state", state, (3,))
    dev.kernel("random.cu", "random_advance")(1, 1, state, I32(counters))


def philox_words(dev, counters, keys, out) -> None:
    """The bare generator: out[i] = philox4x32_10(counters[i], keys[i]).

    Kernels/random.cu   uint32 [n, 4], [n, 2], [n, 4].
    """
    count("philox_words", counters.size)
    n = counters.shape[0]
    need_shape("philox_words", "counters", counters, (n, 4))
    need_shape("philox_words", "keys", keys, (n, 2))
    need_shape("philox_words", "out", out, (n, 4))
    dev.kernel("random.cu", "philox_words")(ceil_div(n, BLOCK), BLOCK, counters, keys, out, I32(n))
