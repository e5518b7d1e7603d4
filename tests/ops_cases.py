"""What the tests of ops share."""

import helpers
import numpy as np
import pytest
import stand_in
from helpers import normal

F32, F64 = np.float32, np.float64

# For tests of values that depend on tiles: also with a GPU's, on the CPU device.
EVERY_TILE = pytest.mark.parametrize(
    "device", ["cpu", "gpu tiles", stand_in.gpu_name()], indirect=True, scope="session"
)


EPS32 = 2.0**-24  # the most that rounding to float32 changes a number, relative


# float32 sums of up to some 2,000 terms of either sign, added one after the other, against float64: the rounding errors
# add like a random walk, about sqrt(terms) * EPS32 / 2 of the norm, at most 1.3e-6. A wrong index is off by order 1.
SUM_RTOL = 2e-6


class Out:
    """An argument that is written only: poisoned before the launch."""

    def __init__(self, shape, dtype=F32):
        self.shape, self.dtype = shape, np.dtype(dtype)


class Updated:
    """An argument that is read and written: holds `values` before the launch."""

    def __init__(self, values):
        self.shape, self.dtype, self.values = values.shape, values.dtype, values


def memory_for(device, argument, offset):
    """Memory on the device for one argument: (array, check), laid out by helpers.guarded: poison inside, guards around.

    Guards differ, so that a thread past the end cannot happen to write what is there already: NaN around outputs,
    another NaN around inputs (a read there shows in the result), -0.0 around what is added to (NaN + x keeps its bits;
    -0.0 + 0.0 is 0.0).
    """
    host, check_host = helpers.guarded(int(np.prod(argument.shape)) + offset, argument.dtype)
    raw = host.base
    raw = raw[-raw.ctypes.data % 256 :]  # guard, array, guard: bytes
    start = host.ctypes.data - raw.ctypes.data
    stop = start + host.nbytes
    if isinstance(argument, np.ndarray):
        raw[:: host.itemsize] ^= 1  # the lowest bit of each element
        host[offset:] = argument.ravel()
    elif isinstance(argument, Updated):
        raw[:start] = raw[stop:] = 0
        raw[3:start:4] = raw[stop + 3 :: 4] = 0x80
        host[offset:] = argument.values.ravel()
    everything = device.array(raw)
    before = raw.tobytes()

    def check():
        raw[:] = device.numpy(everything)
        after = raw.tobytes()
        if isinstance(argument, Out):
            check_host()
        elif isinstance(argument, np.ndarray):
            assert after == before, "an input was changed"
        assert after[:start] + after[stop:] == before[:start] + before[stop:], "a guard was overwritten"

    return everything[start:stop].view(argument.dtype)[offset:].reshape(argument.shape), check


def launch(device, op, *arguments, offset=0):
    """op(device, *arguments) with every array in guarded memory; returns what it wrote into Out and Updated, in order.

    NumPy arrays are inputs, and must be the same bit for bit afterwards. The same object given twice is the same
    memory. Arrays start `offset` elements behind a 64-byte boundary.
    """
    placed, checks, outputs = {}, [], []

    def place(argument):
        if not isinstance(argument, Out | Updated | np.ndarray):
            return argument
        if id(argument) not in placed:
            placed[id(argument)], check = memory_for(device, argument, offset)
            checks.append(check)
            if not isinstance(argument, np.ndarray):
                outputs.append(placed[id(argument)])
        return placed[id(argument)]

    op(device, *map(place, arguments))
    for check in checks:
        check()
    results = [device.numpy(array) for array in outputs]
    return results[0] if len(results) == 1 else results


def assert_each_close(got, want, rtol, atol=0.0):
    """|got - want| <= rtol * |want| + atol in every element:

    For functions of one number, where small results matter too.
    """
    want = np.asarray(want, F64)
    assert got.shape == want.shape and want.size
    assert np.isfinite(want).all() and np.isfinite(got).all()
    excess = np.abs(got - want) - (rtol * np.abs(want) + atol)
    at = np.unravel_index(np.argmax(excess), want.shape)
    assert excess[at] <= 0, f"{at}: got {got[at]!r}, want {want[at]!r}, allowed {rtol:.3g} * |want| + {atol:.3g}"


# A mean of some hundred rows, then a difference, a quotient and a product: a handful of roundings of numbers near 1.
BN_RTOL = 1e-6


# one pass counts from the first value: where that lies k deviations off, roundings weigh 1 + k^2 times as much
FUSED_RTOL = 4e-6


def bn_arrays(rng, shape, mean=0.5):
    c = shape[-1]
    x = (2 * rng.standard_normal(shape) + mean).astype(F32)
    gamma, beta, running_mean = normal(rng, c), normal(rng, c), normal(rng, c)
    return x, gamma, beta, running_mean, rng.uniform(0.5, 2, c).astype(F32)


def check_statistics(x, got, want, running_mean, running_var):
    """mean and the new running statistics, each a sum that may cancel: a few roundings of the numbers that it adds."""
    for g, w, added in zip(got, want, (x, np.concatenate([x.ravel(), running_mean]), running_var), strict=True):
        assert_each_close(g, w, FUSED_RTOL, atol=4 * EPS32 * np.abs(added).max())


# Arguments of the tests of refusals
C = np.zeros(3, F32)
P11, P22 = (1, 1), (2, 2)


def of(*shape, dtype=F32):
    return np.zeros(shape, dtype)


def on(device, arguments):
    return [device.array(a) if isinstance(a, np.ndarray) else a for a in arguments]
