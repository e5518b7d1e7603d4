"""The stand-in's instructions against the PTX manual: fragments lane by lane, roundings, bits."""

from fractions import Fraction

import numpy as np
import pytest
import stand_in
from device_cases import F32, I32, KERNELS, U32, Out, files, run, sentence  # noqa: F401
from helpers import assert_equal, integers

from dcgan_cupy import device as devices
from dcgan_cupy.device import KernelError

TENSORCORE = str(KERNELS / "tensorcore.cu")


@pytest.fixture(params=[stand_in.NAME])
def dev(request):
    if missing := stand_in.why_not():
        pytest.skip(missing)
    return devices.get("gpu")


def bf16(x):
    """The upper 16 bits: small integers keep all of theirs."""
    return x.astype(F32).view(U32) >> 16


# The manual's figures as (row, column) of a register of a lane: matrix fragments for m16n8k8 (tf32) and m16n8k16 (bf16)
TF32_A = [lambda g, t: (g, t), lambda g, t: (g + 8, t), lambda g, t: (g, t + 4), lambda g, t: (g + 8, t + 4)]
TF32_B = [lambda g, t: (t, g), lambda g, t: (t + 4, g)]
BF16_A = [
    lambda g, t: (g, 2 * t), lambda g, t: (g + 8, 2 * t), lambda g, t: (g, 2 * t + 8), lambda g, t: (g + 8, 2 * t + 8)
]  # fmt: skip
BF16_B = [lambda g, t: (2 * t, g), lambda g, t: (2 * t + 8, g)]
ACCUMULATOR = [
    lambda g, t: (g, 2 * t), lambda g, t: (g, 2 * t + 1), lambda g, t: (g + 8, 2 * t), lambda g, t: (g + 8, 2 * t + 1)
]  # fmt: skip


def fragment(matrix, table):
    """[lane, register] of a matrix."""
    return np.array([[matrix[where(lane // 4, lane % 4)] for where in table] for lane in range(32)])


def pairs(matrix, table, along):
    """[lane, register] of a matrix of 16 bits: an element in the low half, its neighbour along an axis above."""
    low = fragment(matrix, table)
    high = fragment(np.roll(matrix, -1, along), table)
    return (low | high << 16).astype(U32)


def put_together(d):
    """[16, 8] of the lanes' accumulators."""
    whole = np.full((16, 8), np.nan)
    for lane in range(32):
        for n, where in enumerate(ACCUMULATOR):
            whole[where(lane // 4, lane % 4)] = d.reshape(32, 4)[lane, n]
    return whole


def test_product_of_tf32(dev, rng):
    a, b, c = integers(rng, (16, 8), -50, 50), integers(rng, (8, 8), -50, 50), integers(rng, (16, 8))
    got = run(dev, "product_tf32", 1, 32, fragment(a, TF32_A).view(U32).ravel(), fragment(b, TF32_B).view(U32).ravel(),
              fragment(c, ACCUMULATOR).ravel(), Out(128), file=TENSORCORE)  # fmt: skip
    assert_equal(put_together(got), a @ b + c)


def test_product_of_bf16(dev, rng):
    a, b, c = integers(rng, (16, 16), -50, 50), integers(rng, (16, 8), -50, 50), integers(rng, (16, 8))
    got = run(dev, "product_bf16", 1, 32, pairs(bf16(a), BF16_A, 1).ravel(), pairs(bf16(b), BF16_B, 0).ravel(),
              fragment(c, ACCUMULATOR).ravel(), Out(128), file=TENSORCORE)  # fmt: skip
    assert_equal(put_together(got), a @ b + c)


def test_tf32_reads_19_bits(dev):
    """What is below the tenth bit of the mantissa is not seen: 1 + 2^-11 counts as 1."""
    a = np.full((16, 8), 1 + 2**-11, F32)
    a, b = fragment(a, TF32_A).view(U32).ravel(), fragment(np.ones((8, 8), F32), TF32_B).view(U32).ravel()
    got = run(dev, "product_tf32", 1, 32, a, b, np.zeros(128, F32), Out(128), file=TENSORCORE)
    assert_equal(got, np.full(128, 8, F32))


def test_a_product_needs_its_whole_warp(dev):
    with sentence("lanes 0000ffff of a warp wait here|all 32 lanes", KernelError):
        run(dev, "half_a_product", 1, 32, np.zeros(32, U32), Out(32), file=TENSORCORE)


def test_matrices_are_loaded_lane_by_lane(dev):
    """Matrix n's row r lies at the address of lane 8 n + r; lane l gets row l / 4, columns 2 (l % 4) and the next."""
    matrices = np.arange(256, dtype=np.uint16).reshape(4, 8, 8)
    out, turned = run(
        dev, "matrices_loaded", 1, 32, matrices.view(U32).ravel(), Out(128, U32), Out(128, U32), file=TENSORCORE
    )
    for got, held in ((out, matrices), (turned, matrices.swapaxes(1, 2))):
        want = [[held[n, lane // 4, 2 * (lane % 4) + e] for n in range(4) for e in (0, 1)] for lane in range(32)]
        assert_equal(got.view(np.uint16), np.array(want).ravel())


def test_roundings_to_tf32_and_bf16(dev, rng):
    """tf32: nearest, ties away from 0; bf16: nearest, ties to even."""
    x = np.concatenate([rng.standard_normal(60), [1 + 2**-11, -1 - 2**-11, 1 + 2**-8, 1 + 3 * 2**-8]]).astype(F32)
    tf32, both = run(dev, "rounded", 2, 32, x, Out(64, U32), Out(64, U32), file=TENSORCORE)
    bits = x.view(U32).astype(np.int64)
    assert_equal(tf32, (bits + 0x1000) & 0xFFFFE000)
    assert_equal(tf32[60:62].view(F32), np.array([1 + 2**-10, -1 - 2**-10]))
    upper = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16
    assert_equal(both, upper << 16 | (upper ^ 0x8000))
    assert_equal((both[62:] & 0xFFFF0000).astype(U32).view(F32), np.array([1, 1 + 2**-6]))


def test_bits(dev, rng):
    x, y, z = (rng.integers(0, 2**32, 64, dtype=np.uint64).astype(U32) for _ in range(3))
    got = run(dev, "bits", 1, 64, x, y, z, Out(640, U32), file=TENSORCORE).reshape(10, 64)
    for i, (a, b, c) in enumerate(zip(x.tolist(), y.tolist(), z.tolist())):
        signed = lambda v: v - (v >> 31 << 32)
        both, start, length = b << 32 | a, b & 31, c & 31
        source = b"".join(v.to_bytes(4, "little") for v in (a, b))
        picked = [source[c >> 4 * n & 7] for n in range(4)]
        picked = [255 * (byte >> 7) if c >> 4 * n & 8 else byte for n, byte in enumerate(picked)]
        cut = a >> start & (1 << length) - 1
        last = min(start + length - 1, 31)
        negative = length and a >> last & 1
        mask = ((1 << (a & 31)) - 1) << (c & 31) & 0xFFFFFFFF
        want = [
            (both << (c & 31) & (1 << 64) - 1) >> 32,
            both >> min(c, 32) & 0xFFFFFFFF,
            int.from_bytes(bytes(picked), "little"),
            a & b | a & c | b & c,
            cut,
            cut | (0xFFFFFFFF << (last - start + 1) & 0xFFFFFFFF if negative else 0),
            b & ~mask | a << (c & 31) & mask,
            (signed(a) * signed(b) >> 32) & 0xFFFFFFFF,
            (signed(a) >> min(c & 63, 31)) & 0xFFFFFFFF,
            2 if signed(a) < signed(b) else 1,
        ]
        assert_equal(got[:, i], np.array(want), f"{a:08x} {b:08x} {c:08x}")


def test_directed_roundings(dev, rng):
    x = rng.standard_normal((64, 3)).astype(F32) * F32(2) ** rng.integers(-12, 12, (64, 3)).astype(F32)
    x[0] = 1, 1, 2**-30
    x[1] = 1, -1, -(2**-40)
    got = run(dev, "directed", 1, 64, x.ravel(), Out(320), file=TENSORCORE).reshape(5, 64)
    for i, (a, b, c) in enumerate(x.tolist()):
        a, b, c = map(Fraction, (a, b, c))
        for exact, values in ((a * b + c, got[:3, i]), (a + c, got[3:, i])):
            near = F32(float(exact))
            down = near if Fraction(float(near)) <= exact else np.nextafter(near, F32(-np.inf))
            up = near if Fraction(float(near)) >= exact else np.nextafter(near, F32(np.inf))
            toward = down if exact > 0 else up
            want = [down, up, toward] if len(values) == 3 else [toward, down]
            assert_equal(values, np.array(want), f"{i}")


def test_a_shuffle_from_a_lane_that_is_not_there(dev, files):
    """PTX leaves the value open; here it is a NaN that nothing else makes."""
    path = files(
        a_cu='extern "C" __global__ void a(const int* x, int* y) '
        "{ y[threadIdx.x] = __shfl_sync(0x0000ffffu, x[threadIdx.x], 20); }"
    )
    assert_equal(run(dev, "a", 1, 16, np.arange(16, dtype=I32), Out(16, I32), file=path), np.full(16, 0x7FC5A5A5))
