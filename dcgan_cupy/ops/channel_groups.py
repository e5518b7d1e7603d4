"""How the rows of a [rows, C] array are shared among blocks: for batch normalisation and a bias's gradient."""

from . import tiles
from .check import rows_and_channels
from .tiles import ceil_div


def channel_groups_of(where: str, dev, x):
    """The tile of a [rows, C] array: its constants, the blocks along the channels, the parts and their rows."""
    rows, c = rows_and_channels(where, x)
    tile = tiles.channel_groups(dev.tiles, rows, c)
    parts = tile.pop("PARTS")
    size = ceil_div(rows, parts)
    known = {"KNOWN": f"C = {c}"} if dev.specialises else {}
    return rows, c, {**tile, **known}, ceil_div(c, tile["V"] * tile["LANES"]), ceil_div(rows, size), size
