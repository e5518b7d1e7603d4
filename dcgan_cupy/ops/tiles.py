"""Which tile each matrix product gets: the constants of kernels/include/gemm_tile.cuh by device and shape, one table.

Found by measurement. CPU (Xeon, AVX-512, clang 22; docs/performance.md): 8 x 32 accumulators fill 16 of 32 vector
registers, a depth of 64 makes barriers rare, one buffer stays in the first-level cache. GPU: the usual 8 x 8 registers
and two buffers; not yet measured. `kind` is a device's `tiles`: "cpu" or "gpu".
"""

from dataclasses import asdict, dataclass, replace
from math import gcd
from typing import ClassVar

BLOCK = 256
"""Threads of a block in element-wise kernels."""

CHANNELS, ROW_THREADS = 32, 8
"""The block of the textbook's per-channel sums, passed to kernels/include/reduce.cuh."""

SPLITS_TARGET = {"cpu": 16, "gpu": 256}
"""Blocks that backward_weight splits its sum into, at least.

Fixed numbers: results do not depend on how many cores there are.
"""


THIN_INPUT = {"cpu": 8, "gpu": 8}
"""Input channels up to which backward_input is a product over the pixels of dy and a gather:

Fewer would not fill a tile's columns.
"""


COLUMNS = {"cpu": 1 << 18, "gpu": 1 << 30}
"""Floats of the columns that lie between that product and the gather, at most:

1 MB stays in a core's second-level cache.
"""


@dataclass(frozen=True)
class Tile:
    """One block's share of a matrix product on a GPU, and how its threads share it: bm x bn results, in steps of bk.

    tm x tn results a thread; vec_a, vec_b: neighbouring floats of the operands that load together.
    """

    bm: int
    bn: int
    bk: int
    tm: int
    tn: int
    vec_a: int = 1
    vec_b: int = 1
    buffers: ClassVar[int] = 2  # BUFFERS of the device's mover.cuh

    @property
    def a_pitch(self) -> int:
        """Floats from row to row of a_s: rows of 8 do not meet in the same banks, longer ones are padded."""
        return 8 if self.bk == 8 else self.bk + 4

    @property
    def threads(self) -> int:
        """Threads that one tile takes."""
        return (self.bm // self.tm) * (self.bn // self.tn)

    def grid(self, rows: int, columns: int) -> tuple[int, int]:
        """Tiles along the rows and along the columns of a result."""
        return ceil_div(rows, self.bm), ceil_div(columns, self.bn)

    def macros(self) -> dict[str, int]:
        """The constants as the kernels name them."""
        return {**{name.upper(): value for name, value in asdict(self).items()}, "A_PITCH": self.a_pitch}


@dataclass(frozen=True)
class CpuTile(Tile):
    """The same on a CPU.   run_a, run_b: groups of vec_a, vec_b floats that one thread copies side by side."""

    run_a: int = 1
    run_b: int = 1
    buffers: ClassVar[int] = 1


@dataclass(frozen=True)
class WinogradTile(Tile):
    """Nine products of this size, side by side in a block.

    row_read: steps of the sum that a thread reads at once; passes: rounds in which the nine results are exchanged.
    """

    row_read: int = 2
    passes: int = 1

    def shared_bytes(self, pitch: int, rows: int) -> int:
        """Dynamic shared memory of a block. pitch, rows: of a_s; rows of b_s are bn long and as many as bk."""
        pieces = self.buffers * (pitch * rows + self.shared_taps)
        return 4 * 9 * max(pieces, self.bm // self.passes * self.bn)

    @property
    def shared_taps(self) -> int:
        """Floats of one of the nine slabs of b_s."""
        return self.bk * self.bn


@dataclass(frozen=True)
class CpuWinogradTile(WinogradTile):
    """The same on a CPU.   run_b: as CpuTile's; taps_direct: threads read the transformed taps where they lie."""

    row_read: int = 4
    run_a: int = 1
    run_b: int = 1
    taps_direct: bool = False
    buffers: ClassVar[int] = 1

    @property
    def shared_taps(self) -> int:
        """None where they are read directly."""
        return 0 if self.taps_direct else self.bk * self.bn


def _tile(kind: str, columns: int) -> Tile:
    if kind == "cpu":
        if columns <= 16:
            return CpuTile(bm=64, bn=16, bk=64, tm=8, tn=16)
        if columns == 48:
            return CpuTile(bm=64, bn=48, bk=64, tm=4, tn=48)
        if columns <= 48:
            return CpuTile(bm=128, bn=32, bk=64, tm=8, tn=32)
        return CpuTile(bm=128, bn=64, bk=64, tm=8, tn=32)
    if columns <= 64:
        return Tile(bm=128, bn=64, bk=16, tm=8, tn=4)
    return Tile(bm=128, bn=128, bk=16, tm=8, tn=8)


def _vector(kind: str, run: int, aligned: bool) -> int:
    """Floats that move together: a divisor of the run that lies side by side; 4 or more need 16-byte alignment."""
    if not aligned:
        return 1
    return next((v for v in ((16, 8, 4) if kind == "cpu" else (4,)) if run % v == 0), 1)


def rows_product(
    kind: str, rows: int, columns: int, window_row: int, channels: int, depth: int, aligned: bool, known: bool
) -> Tile:
    """The tile of forward and backward_input: a_s as rows of the window.

    window_row: floats of a window's row that lie side by side; channels: those of one pixel of it.
    known: the layer has kernels of its own; otherwise few variants are shared by all shapes.
    """
    tile = _tile(kind, columns)
    if kind == "cpu" and rows <= 64:
        tile = replace(tile, bm=64)
    if kind == "cpu" and known:
        # 3 channels, kernel 4: whole rows of 12 floats, no remainder
        deep = 48 if window_row % 16 and 48 % window_row == 0 else tile.bk
        tile = replace(tile, bk=min(deep, ceil_div(depth, 4) * 4))  # a short sum fills no deep step
    return _loading(kind, tile, tile.bk, window_row, channels, columns, aligned, known)


def column_images(kind: str, images: int, floats: int) -> int:
    """How many images share the columns, of so many floats each:

    Equal parts if fours, which keep pointers aligned, allow it.
    """
    most = max(1, COLUMNS[kind] // floats)
    if most < 4:
        return min(images, most)
    parts = ceil_div(images, most // 4 * 4)
    return min(images, ceil_div(ceil_div(images, parts), 4) * 4)


def columns_product(kind: str, columns: int, window_row: int, channels: int, aligned: bool, known: bool) -> Tile:
    """The tile of backward_weight: a_s as columns, bm elements of the window side by side."""
    tile = _tile(kind, columns)
    if kind == "cpu":
        tile = replace(tile, bm=48 if known and window_row % 16 and 48 % window_row == 0 else 64)
    return _loading(kind, tile, tile.bm, window_row, channels, columns, aligned, known)


def _loading(kind: str, tile: Tile, width: int, window_row, channels, columns, aligned, known) -> Tile:
    """The tile with what loads together. width: floats of a row of a_s."""
    if not known:
        vec_a, vec_b = (4 if aligned and count % 4 == 0 else 1 for count in (channels, columns))
        return replace(tile, vec_a=vec_a, vec_b=vec_b)
    vec_a, vec_b = _vector(kind, gcd(channels, width), aligned), _vector(kind, gcd(columns, tile.bn), aligned)
    tile = replace(tile, vec_a=vec_a, vec_b=vec_b)
    if not isinstance(tile, CpuTile):
        return tile
    return replace(tile, run_a=max(1, gcd(window_row, width) // vec_a), run_b=gcd(columns, tile.bn) // vec_b)


def _winograd(kind: str, columns: int) -> WinogradTile:
    if kind == "gpu" and columns % 4:  # loads of single floats need registers for their addresses
        return WinogradTile(bm=32, bn=32, bk=8, tm=8, tn=4)
    if kind == "gpu":
        return WinogradTile(bm=32, bn=64, bk=8, tm=8, tn=8, passes=2)
    wide = 16 if columns <= 16 else 32
    return CpuWinogradTile(bm=32, bn=64 if columns > 48 else wide, bk=64, tm=8, tn=wide)


def winograd_rows(kind: str, columns: int, channels: int, depth: int, aligned: bool, known: bool) -> WinogradTile:
    """The tile of the Winograd rung's forward and backward_input. channels: of one pixel; depth: of the sum."""
    tile = _winograd(kind, columns)
    if isinstance(tile, CpuWinogradTile) and known:
        whole = next((bk for bk in (depth, 128, 96, 64, 48, 32) if bk <= 128 and depth % bk == bk % 4 == 0), 0)
        if whole and columns % tile.bn == 0:
            tile = replace(tile, bk=whole, taps_direct=True)
            if columns % 128 == 0:
                tile = replace(tile, bm=16, bn=128)  # pixels are transformed once for 128 channels
        else:
            tile = replace(tile, bk=min(tile.bk, ceil_div(depth, 4) * 4))
    return _winograd_loading(kind, tile, gcd(channels, tile.bk), gcd(columns, tile.bn), aligned, known)


def winograd_columns(kind: str, columns: int, channels: int, aligned: bool, known: bool) -> WinogradTile:
    """The tile of the Winograd rung's backward_weight."""
    tile = _winograd(kind, columns)
    if kind == "cpu":
        tile = replace(tile, bm=64, bk=32)
    return _winograd_loading(kind, tile, gcd(channels, tile.bm), gcd(columns, tile.bn), aligned, known)


def _winograd_loading(kind: str, tile: WinogradTile, run_a: int, run_b: int, aligned, known) -> WinogradTile:
    widest = 16 if kind == "cpu" and known else 4
    vec_a, vec_b = (
        next((v for v in (16, 8, 4) if v <= widest and run % v == 0 and aligned), 1) for run in (run_a, run_b)
    )
    if not isinstance(tile, CpuWinogradTile):  # neighbouring threads take neighbouring channels: all have work
        return replace(tile, vec_a=1, vec_b=vec_b)
    return replace(tile, vec_a=vec_a, vec_b=vec_b, run_b=run_b // vec_b if known else 1)


def neighbours(kind: str, channels: int, most: int) -> int:
    """Neighbouring channels that a thread of a kernel that prepares weights takes.

    CPU: 16 fill a vector; transposing, 8 beat 16 where results lie far apart (too many lines written at once).
    """
    return gcd(channels, most) if kind == "cpu" else 1


def splits(kind: str, tiles: int, depth: int, bk: int) -> int:
    """Length of each part of backward_weight's sum: a multiple of bk."""
    parts = max(1, min(ceil_div(SPLITS_TARGET[kind], tiles), depth // (2 * bk)))
    return ceil_div(ceil_div(depth, parts), bk) * bk


def channel_groups(kind: str, rows: int, channels: int) -> dict[str, int]:
    """Constants of batchnorm/fused.cu, and PARTS, the blocks that share the rows.

    A CPU takes one wide thread a block, of at most 4096 rows: 64 runs of 64, so that no chain of additions is long.
    """
    if kind == "cpu":
        v = gcd(channels, 64)
        block = {"V": v, "LANES": min(32, channels // v) if v < 8 else 1, "ROWS": 1}
        return {**block, "PARTS": max(1, min(16, rows // 8), ceil_div(rows, 4096))}
    v = 4 if channels % 4 == 0 else 1
    lanes = min(32, channels // v)
    lane_rows = 256 // lanes
    wanted = ceil_div(512, ceil_div(channels, lanes * v))  # some four blocks for each multiprocessor
    return {"V": v, "LANES": lanes, "ROWS": lane_rows, "PARTS": max(1, min(wanted, rows // (4 * lane_rows)))}


def ceil_div(a: int, b: int) -> int:
    """The least whole number that is at least a / b."""
    return -(-a // b)


def line(count: int) -> int:
    """Threads of a block whose threads share all indices but one, which runs to count."""
    return min(BLOCK, ceil_div(count, 32) * 32)
