"""What tests share: inputs, comparisons that NaN cannot pass, drawn shapes, guarded outputs. Imports only NumPy."""

from collections.abc import Callable

import numpy as np

Range = tuple[int, int]  # (least, most), both included


def integers(rng: np.random.Generator, shape, low: int = -3, high: int = 3) -> np.ndarray:
    """float32 whole numbers in [low, high], both included: sums below 2^24 are exact in any order, so == is fair."""
    return rng.integers(low, high, size=shape, endpoint=True).astype(np.float32)


def normal(rng: np.random.Generator, shape) -> np.ndarray:
    """float32 numbers from N(0, 1)."""
    return rng.standard_normal(size=shape).astype(np.float32)


def assert_close(got, want, rtol: float, what: str = "") -> None:
    """Norm(got - want) <= rtol * norm(want), equal shapes, every number finite; an empty comparison is an error."""
    got, want = _same_shape(got, want, what)
    got, want = got.astype(np.float64), want.astype(np.float64)
    for name, values in (("want", want), ("got", got)):
        bad = np.argwhere(~np.isfinite(values))
        if len(bad):
            at = _index(bad[0])
            raise AssertionError(f"{what}: {name}{at} is {values[at]}; {len(bad)} of {values.size} are not finite")
    difference, size = np.linalg.norm((got - want).ravel()), np.linalg.norm(want.ravel())
    if not difference <= rtol * size:
        at = _index(np.unravel_index(np.argmax(np.abs(got - want)), want.shape))
        relative = difference / size if size else np.inf
        raise AssertionError(
            f"{what}: relative error {relative:.3g}, allowed {rtol:.3g}; "
            f"worst at {at}: got {got[at]!r}, want {want[at]!r}"
        )


def assert_equal(got, want, what: str = "") -> None:
    """got == want in every element, equal shapes; a NaN on either side is a difference, 0.0 and -0.0 are not."""
    got, want = _same_shape(got, want, what)
    different = np.argwhere(~(got == want))
    if len(different):
        at = _index(different[0])
        raise AssertionError(
            f"{what}: {len(different)} of {want.size} differ, first at {at}: got {got[at]!r}, want {want[at]!r}"
        )


def draw_conv_shape(
    rng: np.random.Generator,
    transposed: bool = False,
    *,
    batch: Range = (1, 3),
    size: Range = (1, 12),
    channels: Range = (1, 5),
    kernel: Range = (1, 7),
    stride: Range = (1, 4),
    padding: Range = (0, 3),
) -> dict:
    """A convolution that has an output: n, h, w, ic, oc, kh, kw, and (h, w) pairs stride, padding, output_padding.

    h and w are drawn apart, and so is all that belongs to them. Each limit is (least, most), both included.
    output_padding is in [0, stride) for a transposed convolution, else (0, 0).
    Raises: ValueError if the limits leave no output.
    """

    def draw(limits: Range) -> int:
        return int(rng.integers(*limits, endpoint=True))

    def draw_axis() -> tuple[int, int, int, int, int]:
        for _ in range(1000):
            i, k, s, p = draw(size), draw(kernel), draw(stride), draw(padding)
            extra = draw((0, s - 1)) if transposed else 0
            if (s * (i - 1) + k - 2 * p + extra if transposed else i + 2 * p - k + 1) >= 1:
                return i, k, s, p, extra
        raise ValueError("draw_conv_shape: need limits that leave an output, got none in 1000 draws")

    h, kh, sh, ph, extra_h = draw_axis()
    w, kw, sw, pw, extra_w = draw_axis()
    return {
        "n": draw(batch), "h": h, "w": w, "ic": draw(channels), "oc": draw(channels), "kh": kh, "kw": kw,
        "stride": (sh, sw), "padding": (ph, pw), "output_padding": (extra_h, extra_w),
    }  # fmt: skip


# Bit patterns: unwritten elements and guards are NaN (a read of either spoils the result), but different NaNs, so that
# a kernel that copies a poisoned element past the end is seen too.
_FLOAT_POISON = {2: 0x7E5A, 4: 0x7FC5A5A5, 8: 0x7FF85A5A5A5A5A5A}  # by bytes an element
_FLOAT_GUARD = {2: 0x7EA5, 4: 0x7FDA5A5A, 8: 0x7FFDA5A5A5A5A5A5}


def guarded(shape, dtype=np.float32, guard: int = 4096) -> tuple[np.ndarray, Callable[[], None]]:
    """A poisoned array between two guards, and a function that raises AssertionError if a guard was overwritten.

    Floats are poisoned with NaN, integers with bytes 0x5A. The view is contiguous and starts on a 256-byte boundary, as
    on a device; the guards touch it and are `guard` elements long, enough to take a stray tile without harm.
    """
    dtype = np.dtype(dtype)
    if dtype.kind not in "fiu" or dtype.itemsize > 8:
        raise TypeError(f"guarded: dtype: need a float or integer type of at most 8 bytes, got {dtype}")
    shape = (shape,) if np.isscalar(shape) else tuple(shape)
    count = int(np.prod(shape, dtype=np.int64))

    alignment = 256  # bytes
    front = -(-guard * dtype.itemsize // alignment) * alignment  # the front guard, rounded up to keep the array aligned
    before, everything = front // dtype.itemsize, front // dtype.itemsize + count + guard  # elements
    raw = np.empty(everything * dtype.itemsize + alignment, dtype=np.uint8)
    start = -raw.ctypes.data % alignment
    bits = np.ndarray(everything, f"u{dtype.itemsize}", buffer=raw, offset=start)  # compared as bits: NaN != NaN
    array = np.ndarray(shape, dtype, buffer=raw, offset=start + front)

    if dtype.kind == "f":
        poison, canary = _FLOAT_POISON[dtype.itemsize], _FLOAT_GUARD[dtype.itemsize]
    else:
        poison, canary = (int.from_bytes([byte] * dtype.itemsize, "little") for byte in (0x5A, 0xA5))
    bits[:] = canary
    bits[before : before + count] = poison

    def check() -> None:
        changed = np.flatnonzero(bits != canary) - before
        changed = changed[(changed < 0) | (changed >= count)]
        if len(changed):
            first = int(changed[0])
            where = f"{-first} before the start" if first < 0 else f"{first - count} behind the end"
            value = bits.view(dtype)[before + first]
            raise AssertionError(f"guarded {shape}: {len(changed)} guards overwritten, first {where}: {value!r}")

    return array, check


def _same_shape(got, want, what: str) -> tuple[np.ndarray, np.ndarray]:
    got, want = np.asarray(got), np.asarray(want)
    if got.shape != want.shape:
        raise AssertionError(f"{what}: shapes differ: got {got.shape}, want {want.shape}")
    if want.size == 0:
        raise AssertionError(f"{what}: nothing to compare, both have shape {want.shape}")
    return got, want


def _index(at) -> tuple[int, ...]:
    return tuple(int(i) for i in at)
