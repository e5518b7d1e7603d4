"""Random numbers: known answers, ranges, moments, the same bits everywhere."""

import zlib

import numpy as np
import pytest
from helpers import assert_equal
from ops_cases import EPS32, F32, F64, Out, Updated, assert_each_close, launch

from dcgan_cupy import ops
from dcgan_cupy import reference as ref
from dcgan_cupy.errors import UserError
from dcgan_cupy.random import Random

KNOWN_ANSWERS = [  # Random123's kat_vectors: counter, key, result
    ([0] * 4, [0] * 2, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
    ([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
    (
        [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
        [0xA4093822, 0x299F31D0],
        [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
    ),
]


def words(seed, stream, offset, count):
    """The Philox words behind a draw of `count` numbers, by the reference: counter (offset + i, stream), key seed."""
    counters = [(offset + i) % 2**64 for i in range(-(-count // 4))]
    low = 0xFFFFFFFF
    counter = np.array([[c & low, c >> 32, stream & low, stream >> 32] for c in counters], np.uint32)
    return ref.philox4x32_10(counter, np.array([seed & low, seed >> 32], np.uint32)).reshape(-1)


def box_muller(w):
    """Normal numbers of words taken in pairs, in float64."""
    w = w.reshape(-1, 2).astype(np.int64) >> 8
    u1, u2 = (w[:, 0] + 1) * 2.0**-24, w[:, 1] * 2.0**-24
    radius = np.sqrt(-2 * np.log(u1))
    return np.stack([radius * np.cos(2 * np.pi * u2), radius * np.sin(2 * np.pi * u2)], axis=1).reshape(-1)


STATES = {  # seed, stream, offset: each with words above 32 bits, and a counter that carries
    "zero": (0, 0, 0),
    "small": (42, 3, 1000),
    "wide": (0x0123456789ABCDEF, 0xFEDCBA9876543210, 2**32 - 3),
    "full": (2**64 - 1, 2**64 - 1, 2**64 - 2),
}


every_state = pytest.mark.parametrize("state", STATES.values(), ids=STATES.keys())


DRAW_SIZES = [1, 2, 3, 4, 5, 7, 1023, 1024, 1025, 4099]


def drawn(device, op, state, size, a, b):
    return launch(device, op, np.array(state, np.uint64), Out(size), a, b)


def test_philox_known_answers(device):
    counters, keys, want = (np.array(column, np.uint32) for column in zip(*KNOWN_ANSWERS, strict=True))
    assert_equal(launch(device, ops.philox_words, counters, keys, Out((3, 4), np.uint32)), want)


@pytest.mark.parametrize("count", [1, 255, 257])
def test_philox_words(device, rng, count):
    counters, keys = (rng.integers(0, 2**32, (count, k), np.uint32) for k in (4, 2))
    got = launch(device, ops.philox_words, counters, keys, Out((count, 4), np.uint32))
    assert_equal(got, ref.philox4x32_10(counters, keys))


@every_state
@pytest.mark.parametrize("size", DRAW_SIZES)
def test_random_uniform_exact(device, state, size):
    """24 bits of a word; low + (high - low) * u is rounded once, so float64 gives the same float32."""
    w = words(*state, size)[:size]
    for low, high in ((0.0, 1.0), (-1.0, 1.0), (-0.25, 3.0), (1000.0, 1001.0)):
        assert_equal(drawn(device, ops.random_uniform, state, size, low, high), ref.random_uniform(w, low, high))


@pytest.mark.large
@pytest.mark.parametrize(
    "low, high", [(1.0, 2.0), (1000.0, 1001.0), (-1001.0, -1000.0), (1e8, 1e8 + 16), (-2e-38, 0.0), (0.0, 2e-38)]
)
def test_random_uniform_never_returns_high(device, low, high):
    """2^20 numbers; where floats are coarse, many of them round to high: they become the float below it."""
    n, state = 2**20, (7, 1, 0)
    got = drawn(device, ops.random_uniform, state, n, low, high)
    assert F32(low) <= got.min() and got.max() < F32(high)
    rounded = low + (high - low) * ((words(*state, n) >> 8) * 2.0**-24)
    if high - low >= 1:
        assert_equal(got, ref.random_uniform(words(*state, n), low, high))
        assert low == 1.0 or (rounded.astype(F32) == F32(high)).any()


def test_random_uniform_of_the_greatest_word(device):
    """u = 1 - 2^-24, once in 16 million: 1 + u rounds to 2."""
    seed, stream, counter, which = 7, 0, 6647514, 2
    word = words(seed, stream, counter, 4)[which]
    assert word >> 8 == 2**24 - 1 and F32(1 + (word >> 8) * 2.0**-24) == 2
    got = drawn(device, ops.random_uniform, (seed, stream, counter), 4, 1.0, 2.0)
    assert got[which] == np.nextafter(F32(2), F32(1))


def test_random_uniform_between_equal_and_reversed_bounds(device):
    assert_equal(drawn(device, ops.random_uniform, (1, 2, 3), 9, 0.5, 0.5), np.full(9, 0.5, F32))
    for low, high in ((1.0, 0.5), (float("nan"), 1.0)):
        with pytest.raises(UserError, match=rf"^random_uniform: high: need at least low, {low!r}, got {high!r}$"):
            drawn(device, ops.random_uniform, (1, 2, 3), 9, low, high)


@every_state
@pytest.mark.parametrize("size", DRAW_SIZES)
def test_random_normal_against_float64(device, state, size):
    """Within 1e-6: results are below 6, where float32 rounds by 2.4e-7; logarithm, root and angle add as much again."""
    z = box_muller(words(*state, size))[:size]
    assert_each_close(drawn(device, ops.random_normal, state, size, 0.0, 1.0), z, 0, atol=1e-6)
    # + 1 rounding of a number below 16
    assert_each_close(drawn(device, ops.random_normal, state, size, 10.0, 0.5), 10 + z / 2, 0, atol=0.5e-6 + 16 * EPS32)


@pytest.mark.large
def test_random_normal_over_many_draws(device):
    """2^20 numbers, so that the radius and the angle meet all their cases, each within 1e-6 of float64."""
    n = 2**20
    got = drawn(device, ops.random_normal, (7, 0, 0), n, 0.0, 1.0)
    assert_each_close(got, box_muller(words(7, 0, 0, n)), 0, atol=1e-6)

    # Bounds: five standard errors of each statistic of n independent numbers. The seed is fixed: no chance is left.
    z, error = got.astype(F64), n**-0.5
    assert abs(z.mean()) < 5 * error
    assert abs(z.var() - 1) < 5 * 2**0.5 * error
    assert abs((z**3).mean()) < 5 * 15**0.5 * error
    assert abs((z**4).mean() - 3) < 5 * 96**0.5 * error
    for bound, p in ((1, 0.3173105), (2, 0.0455003), (3, 0.0026998), (4, 6.334e-5)):
        assert abs((np.abs(z) > bound).mean() - p) < 5 * (p / n) ** 0.5
    assert (
        abs((z[:-1] * z[1:]).mean()) < 5 * error and abs((z[:-4] * z[4:]).mean()) < 5 * error
    )  # neighbours, neighbouring threads


def test_random_uniform_range_and_moments(device):
    n = 2**20
    u = drawn(device, ops.random_uniform, (7, 1, 0), n, 0.0, 1.0).astype(F64)
    assert 0 <= u.min() < 1e-5 and 1 - 1e-5 < u.max() < 1
    assert abs(u.mean() - 1 / 2) < 5 * (12 * n) ** -0.5
    assert abs(u.var() - 1 / 12) < 5 * (180 * n) ** -0.5
    counts = np.bincount((u * 64).astype(int), minlength=64)
    assert ((counts - n / 64) ** 2 / (n / 64)).sum() < 63 + 5 * 126**0.5  # chi squared, 63 degrees of freedom


def test_random_numbers_are_the_same_bits_on_every_device(device):
    """CRC-32 of what two C++ compilers drew when this was written: no other compiler or device may change a bit."""
    normals = drawn(device, ops.random_normal, (2026, 11, 22), 40001, 0.0, 0.02)
    uniforms = drawn(device, ops.random_uniform, (2026, 11, 22), 40001, -1.0, 1.0)
    assert (zlib.crc32(normals.tobytes()), zlib.crc32(uniforms.tobytes())) == (2675511710, 2313371261)


@pytest.mark.parametrize("counters", [0, 1, 2**31 - 1])
def test_random_advance(device, counters):
    got = launch(device, ops.random_advance, Updated(np.array([5, 6, 2**32 - 1], np.uint64)), counters)
    assert_equal(got, np.array([5, 6, 2**32 - 1 + counters], np.uint64))


def test_two_draws_follow_one_another(device):
    """Two draws of n equal one of 2n where n is a multiple of 4; else the second starts with a fresh counter."""
    for n in (8, 1024, 4 * 257):
        for fill, bounds in ((Random.uniform, (-1.0, 1.0)), (Random.normal, (0.0, 1.0))):
            whole = device.numpy(fill(Random(device, 9), device.empty((2 * n,)), *bounds))
            random = Random(device, 9)
            halves = [device.numpy(fill(random, device.empty((n,)), *bounds)) for _ in range(2)]
            assert_equal(np.concatenate(halves), whole)
    random = Random(device, 9)
    first, second = (device.numpy(random.uniform(device.empty((5,)))) for _ in range(2))
    assert_equal(
        np.concatenate([first[:4], second[:4]]), (words(9, 0, 0, 12)[[0, 1, 2, 3, 8, 9, 10, 11]] >> 8) * 2.0**-24
    )
    assert_equal(device.numpy(random.state), np.array([9, 0, 4], np.uint64))


def test_seeds_and_streams_differ(device):
    draws = [
        device.numpy(Random(device, *s).normal(device.empty((64,))))
        for s in ((0, 0), (1, 0), (0, 1), (1, 1), (2**32, 0), (0, 2**32))
    ]
    assert_equal(draws[0], device.numpy(Random(device).normal(device.empty((64,)))))  # both default to 0
    assert (
        len(np.unique(np.stack(draws))) > 6 * 64 - 3
    )  # 24 bits: two numbers in 384 may chance to be equal, not a run of them


@pytest.mark.parametrize("given, message", [
    ({"seed": -1}, r"^Random: seed: need a whole number from 0 to 2\^64 - 1, got -1$"),
    ({"seed": 1.5}, r"^Random: seed: need a whole number from 0 to 2\^64 - 1, got 1.5$"),
    ({"stream": 2**64}, r"^Random: stream: need a whole number from 0 to 2\^64 - 1, got 18446744073709551616$"),
])  # fmt: skip
def test_random_refuses(device, given, message):
    with pytest.raises(UserError, match=message):
        Random(device, **given)
