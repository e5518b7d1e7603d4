"""--symbol NAME=VALUE: what the __device__ and __constant__ variables of a file hold when the launch begins."""

import re

import numpy as np

from ..errors import UserError
from .arguments import read_array


def symbol_values(dev, given: list[str], seed: int) -> dict[str, np.ndarray | None]:
    """name -> values, as --arg takes them (table=@t.npy, table=f32[64]); None for :empty.

    A plain number is a float64 without dimensions: it fills the variable, whatever its type.
    Raises: UserError.
    """
    made: dict[str, np.ndarray | None] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier():
            raise UserError(
                f"inspect: --symbol: need NAME=VALUE such as table=@table.npy or table=f32[64], got {text!r}"
            )
        if re.fullmatch(r"[+-]?[\d.]+(?:[eE][+-]?\d+)?", value):
            made[name] = np.array(float(value))
            continue
        try:
            array = read_array(dev, name, value, seed)
        except UserError as error:
            raise UserError(str(error).replace("--arg", "--symbol")) from None
        if array is None:
            raise UserError(f"inspect: --symbol: {name}: need values, got {value}")
        made[name] = dev.numpy(array) if dev.written(array).all() else None
    return made
