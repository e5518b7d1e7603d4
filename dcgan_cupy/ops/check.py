"""The checks that every operation makes of its arguments. An error reads `where: argument: need this, got that`."""

from contextlib import suppress
from typing import Any

import numpy as np

from ..errors import UserError

INDEX_LIMIT = 2**31 - 2**16  # kernels count elements in 32-bit integers, and a grid may overhang by a block


def pair(where: str, name: str, value, least: int) -> tuple[int, int]:
    """An int or an (h, w) pair as a pair. Raises: UserError unless both are whole numbers of at least `least`."""
    values: Any = (value, value) if isinstance(value, int | np.integer) else value
    h: Any = None
    w: Any = None
    with suppress(TypeError, ValueError):
        h, w = values
    if not all(isinstance(v, int | np.integer) and not isinstance(v, bool) and v >= least for v in (h, w)):
        raise UserError(
            f"{where}: {name}: need a whole number of at least {least}, or a pair (h, w) of them, got {value!r}"
        )
    return int(h), int(w)


def count(where: str, n: int) -> int:
    if n > INDEX_LIMIT:
        raise UserError(f"{where}: size: need at most {INDEX_LIMIT} elements in an array (32-bit indices), got {n}")
    return n


def need_elements(where: str, **arrays) -> None:
    """Raises: UserError if an array is empty, such as a batch of 0."""
    for name, a in arrays.items():
        if 0 in a.shape:
            raise UserError(f"{where}: {name}: need a shape without an empty axis, got {tuple(a.shape)}")


def same_size(where: str, **arrays) -> int:
    """The common size of arrays that must have one shape."""
    (first, a), *rest = arrays.items()
    need_elements(where, **{first: a})
    for name, b in rest:
        if b.shape != a.shape:
            raise UserError(f"{where}: {name}: need the shape of {first}, {a.shape}, got {b.shape}")
    return count(where, a.size)


def need_shape(where: str, name: str, array, want: tuple) -> None:
    if array.shape != want:
        raise UserError(f"{where}: {name}: need shape {want}, got {array.shape}")


def need_rank4(where: str, **arrays) -> None:
    for name, a in arrays.items():
        if len(a.shape) != 4:
            raise UserError(f"{where}: {name}: need 4 axes, got shape {a.shape}")
    need_elements(where, **arrays)


def need_channels(where: str, c: int, **arrays) -> None:
    """Each array holds one number a channel; None is left alone."""
    for name, a in arrays.items():
        if a is not None:
            need_shape(where, name, a, (c,))


def rows_and_channels(where: str, x, name: str = "x") -> tuple[int, int]:
    if len(x.shape) < 2:
        raise UserError(f"{where}: {name}: need [..., channels], got shape {x.shape}")
    need_elements(where, **{name: x})
    return count(where, x.size) // x.shape[-1], x.shape[-1]
