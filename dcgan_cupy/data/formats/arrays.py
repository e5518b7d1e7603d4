"""What the numbers of an array mean: uint8 pixels as they are, others by the range that all of them together show.

    whole numbers    0 to 255, of which some are above 127       as they are
    16 bits          0 to 65535, of which some are above 32767   their upper 8
    floating point   0 to 1                                      times 255
                     -1 to 1, of which some are beyond 0.5       (x + 1) times 127.5
                     0 to 255, of which some are above 127       rounded
    yes and no       0 and 255

Anything else is refused with its range: nobody knows what it means, and images that are too dark look like data.
"""

from typing import NamedTuple

import numpy as np

from .idx import Rows

READ = 1 << 24  # bytes that are looked at at a time


class Range(NamedTuple):
    """What all numbers of an array have in common."""

    least: float
    most: float
    finite: bool


def range_of(rows: Rows, dtype: np.dtype, count: int) -> Range:
    """The range of all numbers in the rows that there are."""
    least, most = [], []
    step = max(1, READ // rows.row_bytes)
    for start in range(0, count, step):
        got = rows(start, min(start + step, count))
        if isinstance(got, str) or not len(got):
            break
        values = got.reshape(-1).view(dtype)
        least.append(float(values.min()))
        most.append(float(values.max()))
        if not np.isfinite([least[-1], most[-1]]).all():
            return Range(np.nan, np.nan, False)
    return Range(min(least, default=0.0), max(most, default=0.0), bool(least))


def meaning(dtype: np.dtype, known: Range) -> str:
    """One of MEANINGS, or nothing if the range is not plain."""
    least, most, finite = known
    if dtype.kind == "b":
        return "bits"
    if not finite or least == most:
        return ""
    if dtype.kind in "ui":
        if least < 0:
            return ""
        return "bytes" if 127 < most <= 255 else "words" if dtype.itemsize == 2 and 32767 < most <= 65535 else ""
    if least >= 0:
        return "unit" if most <= 1 else "bytes" if 127 < most <= 255 else ""
    return "signed" if least >= -1 and most <= 1 and max(-least, most) > 0.5 else ""


MEANINGS = {
    "bits": lambda x: x.astype(np.uint8) * np.uint8(255),
    "bytes": lambda x: np.rint(x).astype(np.uint8),
    "words": lambda x: (x >> 8).astype(np.uint8),
    "unit": lambda x: np.rint(x.astype(np.float32) * 255).astype(np.uint8),
    "signed": lambda x: np.rint((x.astype(np.float32) + 1) * 127.5).astype(np.uint8),
}


def sentence(dtype: np.dtype, shape: tuple[int, ...], known: Range) -> str:
    """Why an array is refused, and what to do."""
    if not known.finite:
        return f"{dtype} {list(shape)} with numbers that are not finite"
    return (
        f"{dtype} {list(shape)} from {known.least:g} to {known.most:g}, which is no plain range: make it uint8, "
        "for [0, 1] by (x * 255).round().astype(np.uint8)"
    )
