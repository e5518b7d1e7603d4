"""Sizes of images, and which the networks can be built for: sides m * 2^k with m from 3 to 7, one k for both.

    28 = 7 * 4      64 = 4 * 16      96 = 6 * 16      48x80 = 3 * 16 x 5 * 16

k stages of stride 2 lie between the image and m_h x m_w numbers a channel, and one layer of that kernel between these
and the single one of z or of D's answer. A square is held as a number, another rectangle as "48x80", height first.
"""

import operator
import re
from typing import NamedTuple

from .errors import UserError

LEAST, MOST = 3, 7  # m
FEWEST = 2  # k: every network has a batch norm
LARGEST = 512  # px


class Stages(NamedTuple):
    """k stages of stride 2, and the kernel (m_h, m_w) of the layer at the small end."""

    count: int
    kernel: tuple[int, int]


def sides(value) -> tuple[int, int] | None:
    """(height, width) of 64, "64", "48x80" or (48, 80); None: not a size.   Any sizes of 0 or more."""
    if isinstance(value, str):
        found = re.fullmatch(r"([0-9]{1,6})(?:[xX]([0-9]{1,6}))?", value)
        return (int(found[1]), int(found[2] or found[1])) if found else None
    both = tuple(value) if isinstance(value, tuple | list) else (value, value)
    try:
        numbers = [operator.index(side) for side in both if not isinstance(side, bool)]
    except TypeError:
        return None
    return tuple(numbers) if len(both) == len(numbers) == 2 and min(numbers) >= 0 else None


def named(value) -> int | str:
    """The form that settings hold: 64, or "48x80"."""
    height, width = sides(value)
    return height if height == width else f"{height}x{width}"


def shown(value) -> str:
    """For people: 48 x 80."""
    return "{} x {}".format(*sides(value))


def stages(value) -> Stages | None:
    """What leads to images of this size; None: nothing does.

    Where two k would do (24 = 6 * 4 = 3 * 8), the larger m; 4 has no rival, as neither 2 nor 8 is an m.
    """
    for k in range(FEWEST, LARGEST.bit_length()):
        kernel = tuple(side >> k for side in sides(value))
        if all(LEAST <= m <= MOST and m << k == side <= LARGEST for m, side in zip(kernel, sides(value))):
            return Stages(k, kernel)
    return None


def nearest(value) -> list[int | str]:
    """The sizes that can be with the smallest difference of both sides together; squares, if this is one."""
    height, width = sides(value)
    every = [[m << k for m in range(LEAST, MOST + 1) if m << k <= LARGEST] for k in range(FEWEST, LARGEST.bit_length())]
    there = {(h, w) for group in every for h in group for w in group if height != width or h == w}
    away = {pair: abs(pair[0] - height) + abs(pair[1] - width) for pair in there}
    return [named(pair) for pair in sorted(there) if away[pair] == min(away.values())]


def need_size(where: str, value) -> int | str:
    """The size as settings hold it.   where: for the message.   Raises: UserError if no network has images of it."""
    if sides(value) is None:
        raise UserError(
            f"{where}: need a size in px such as 64, or height x width such as 48x80, got {repr(value)[:80]}"
        )
    if stages(value) is None:
        raise UserError(
            f"{where}: need sides of m * 2^k px, m from {LEAST} to {MOST}, one k of {FEWEST} or more for both, at most"
            f" {LARGEST}, got {str(named(value))[:40]}; the nearest is {' or '.join(map(str, nearest(value)))}"
        )
    return named(value)
