"""Random numbers: Philox4x32-10, whose state lies in device memory."""

from functools import lru_cache

import numpy as np

from ..device import Array, Device
from ..errors import UserError
from .check import count, need_elements, need_shape, same_size
from .tiles import BLOCK, ceil_div

F32, I32, I64 = np.float32, np.int32, np.int64


def random_uniform(dev: Device, state: Array, out: Array, low: float, high: float, first: int = 0) -> None:
    """out = uniform in [low, high).   kernels/random.cu   state uint64 [3] = (seed, stream, offset).

    low = high gives that number. first: numbers that a longer draw has before this part of it.
    """
    if not low <= high:
        raise UserError(f"random_uniform: high: need at least low, {low!r}, got {high!r}")
    _draw(dev, "random_uniform", first, state, out, low, high, just_below(high, low))


def random_normal(dev: Device, state: Array, out: Array, mean: float, std: float, first: int = 0) -> None:
    """out = normal with this mean and standard deviation.   kernels/random.cu"""
    _draw(dev, "random_normal", first, state, out, mean, std)


def random_integers(dev: Device, state: Array, out: Array, below: int, first: int = 0) -> None:
    """out int32 = whole numbers from [0, below), each as likely to within below / 2^32.   kernels/random.cu"""
    if not 1 <= below < 2**31:
        raise UserError(f"random_integers: below: need a whole number from 1 to 2^31 - 1, got {below!r}")
    n = same_size("random_integers", out=out)
    need_shape("random_integers", "state", state, (3,))
    dev.kernel("random.cu", "random_integers")(
        ceil_div(ceil_div(n + first % 4, 4), BLOCK), BLOCK, state, I64(first), out, I32(n), I32(below)
    )


@lru_cache(maxsize=64)
def just_below(high: float, low: float) -> float:
    """The greatest float32 in [low, high), or high = low itself. Not a denormal one, which a GPU would make 0."""
    found = np.nextafter(F32(high), F32(low))
    if abs(found) < np.finfo(F32).tiny:
        found = max(F32(low), F32(0) if high > 0 else -np.finfo(F32).tiny)
    return found


def _draw(dev: Device, symbol: str, first: int, state: Array, out: Array, *constants) -> None:
    n = same_size(symbol, out=out)
    need_shape(symbol, "state", state, (3,))
    dev.kernel("random.cu", symbol)(
        ceil_div(ceil_div(n + first % 4, 4), BLOCK), BLOCK, state, I64(first), out, I32(n), *map(F32, constants)
    )


def random_advance(dev: Device, state: Array, counters: int) -> None:
    """offset += counters.   kernels/random.cu"""
    need_shape("random_advance", "state", state, (3,))
    dev.kernel("random.cu", "random_advance")(1, 1, state, I32(counters))


def philox_words(dev: Device, counters: Array, keys: Array, out: Array) -> None:
    """The bare generator: out[i] = philox4x32_10(counters[i], keys[i]).

    Kernels/random.cu   uint32 [n, 4], [n, 2], [n, 4].
    """
    need_elements("philox_words", counters=counters)
    count("philox_words", counters.size)
    n = counters.shape[0]
    need_shape("philox_words", "counters", counters, (n, 4))
    need_shape("philox_words", "keys", keys, (n, 2))
    need_shape("philox_words", "out", out, (n, 4))
    dev.kernel("random.cu", "philox_words")(ceil_div(n, BLOCK), BLOCK, counters, keys, out, I32(n))
