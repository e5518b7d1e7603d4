"""Which rung runs: the one that was asked for, or for `winograd` and `best` the one that suits the layer.

The one place where this is decided.
"""

from ..choices import DEFAULT_RUNG, FUSED, RUNGS
from ..errors import UserError
from .check import INDEX_LIMIT
from .own_rung import OWN
from .tiles import ceil_div

WINOGRAD_FROM = {"cpu": 16, "gpu": 2**31}
"""Channels, on both sides, from which the rung `best` takes winograd for the layers it is made for, by tiles."""


def check_rung(where: str, rung: str) -> None:
    """Raises: UserError for an unknown rung."""
    if rung not in RUNGS and rung not in OWN:
        if rung.endswith(".py"):
            raise UserError(f"{where}: kernels: need --kernels {rung} as a flag: a file is run only where one names it")
        raise UserError(f"{where}: kernels: need one of {', '.join(RUNGS)}, got {rung!r}")


def rung_of(where: str, kernels: str | None) -> str:
    """A layer's rung: the default for None.   Raises: UserError for an unknown one."""
    rung = DEFAULT_RUNG if kernels is None else kernels
    check_rung(where, rung)
    return rung


def need_fusing(where: str, name: str, rung: str, asked: bool) -> None:
    """Raises: UserError where an activation behind is asked of a rung that cannot take it into its pass."""
    if asked and rung not in FUSED:
        raise UserError(f"{where}: {name}: need one of {', '.join(FUSED)} for one, got {rung}")


def chosen_rung(dev, rung: str, w, stride, padding) -> str:
    """The rung of a convolution that runs: winograd where it can, tiled elsewhere and where an own rung has nothing."""
    if rung in OWN:
        return "tiled"
    if rung not in ("winograd", "best"):
        return rung
    ic, oc = (ceil_div(count, 128) * 128 for count in w.shape[2:])  # whole tiles, at most
    transformed = 36 * ic * oc  # elements of the taps, transformed
    if w.shape[:2] != (4, 4) or stride != (2, 2) or padding != (1, 1) or transformed > INDEX_LIMIT:
        return "tiled"
    return rung if rung == "winograd" else best(dev.tiles, *w.shape[2:])


def best(kind: str, input_channels: int, output_channels: int) -> str:
    """tiled or winograd for a kernel-4, stride-2, padding-1 layer, all directions."""
    return "winograd" if min(input_channels, output_channels) >= WINOGRAD_FROM[kind] else "tiled"
