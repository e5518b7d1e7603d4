"""Which tile each matrix product gets: compile-time constants by device and shape, one table, found by measurement.

CPU (Xeon, AVX-512, clang 22; docs/performance.md): 8 x 32 accumulators fill 16 of 32 vector registers, a depth of 64
makes barriers rare, one buffer stays in the first-level cache. GPU: the usual 8 x 8 registers and two buffers; not yet
measured.
"""

from math import gcd

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


WINOGRAD_FROM = {"cpu": 16, "gpu": 2**31}
"""Channels, on both sides, from which the rung `best` takes winograd for the layers it is made for."""


def _tile(kind: str, columns: int) -> dict[str, int]:
    if kind == "cpu":
        if columns <= 16:
            return {"BM": 64, "BN": 16, "BK": 64, "TM": 8, "TN": 16, "CHUNK": 16, "BUFFERS": 1}
        if columns == 48:
            return {"BM": 64, "BN": 48, "BK": 64, "TM": 4, "TN": 48, "CHUNK": 48, "BUFFERS": 1}
        if columns <= 48:
            return {"BM": 128, "BN": 32, "BK": 64, "TM": 8, "TN": 32, "CHUNK": 32, "BUFFERS": 1}
        return {"BM": 128, "BN": 64, "BK": 64, "TM": 8, "TN": 32, "CHUNK": 32, "BUFFERS": 1}
    if columns <= 64:
        return {"BM": 128, "BN": 64, "BK": 16, "TM": 8, "TN": 4, "CHUNK": 4, "BUFFERS": 2}
    return {"BM": 128, "BN": 128, "BK": 16, "TM": 8, "TN": 8, "CHUNK": 4, "BUFFERS": 2}


def _vector(kind: str, run: int, aligned: bool) -> int:
    """Floats that move together: a divisor of the run that lies side by side; 4 or more need 16-byte alignment."""
    if not aligned:
        return 1
    return next((v for v in ((16, 8, 4) if kind == "cpu" else (4,)) if run % v == 0), 1)


def rows_product(
    kind: str, rows: int, columns: int, window_row: int, channels: int, depth: int, aligned: bool, known: bool
) -> dict[str, int]:
    """Constants of forward and backward_input: a_s as rows of the window.

    window_row: floats of a window's row that lie side by side; channels: those of one pixel of it.
    known: the layer has kernels of its own; otherwise few variants are shared by all shapes.
    """
    tile = _tile(kind, columns)
    if kind == "cpu" and rows <= 64:
        tile["BM"] = 64
    if kind == "cpu" and known and window_row % 16 and 48 % window_row == 0:
        tile["BK"] = 48  # 3 channels, kernel 4: whole rows of 12 floats, no remainder
    if kind == "cpu" and known:
        tile["BK"] = min(tile["BK"], ceil_div(depth, 4) * 4)  # a short sum fills no deep step
    return {**tile, **_loads(kind, tile["BK"], tile["BN"], window_row, channels, columns, aligned, known)}


def column_images(kind: str, images: int, floats: int) -> int:
    """How many images share the columns, of so many floats each:

    Equal parts if fours, which keep pointers aligned, allow it.
    """
    most = max(1, COLUMNS[kind] // floats)
    if most < 4:
        return min(images, most)
    parts = ceil_div(images, most // 4 * 4)
    return min(images, ceil_div(ceil_div(images, parts), 4) * 4)


def columns_product(
    kind: str, columns: int, window_row: int, channels: int, aligned: bool, known: bool
) -> dict[str, int]:
    """Constants of backward_weight: a_s as columns, BM elements of the window side by side."""
    tile = _tile(kind, columns)
    if kind == "cpu":
        tile["BM"] = 48 if known and window_row % 16 and 48 % window_row == 0 else 64
    return {**tile, **_loads(kind, tile["BM"], tile["BN"], window_row, channels, columns, aligned, known)}


def _loads(kind, width, bn, window_row, channels, columns, aligned, known):
    if not known:
        return {
            "VEC_A": 4 if aligned and channels % 4 == 0 else 1,
            "VEC_B": 4 if aligned and columns % 4 == 0 else 1,
            "RUN_A": 1,
            "RUN_B": 1,
        }
    vec_a, vec_b = _vector(kind, gcd(channels, width), aligned), _vector(kind, gcd(columns, bn), aligned)
    if kind == "gpu":
        return {"VEC_A": vec_a, "VEC_B": vec_b, "RUN_A": 1, "RUN_B": 1}
    run = gcd(window_row, width)
    return {"VEC_A": vec_a, "VEC_B": vec_b, "RUN_A": max(1, run // vec_a), "RUN_B": gcd(columns, bn) // vec_b}


def best(kind: str, input_channels: int, output_channels: int) -> str:
    """tiled or winograd for a kernel-4, stride-2, padding-1 layer, all directions."""
    return "winograd" if min(input_channels, output_channels) >= WINOGRAD_FROM[kind] else "tiled"


def _winograd(kind: str, columns: int) -> dict[str, int]:
    if kind == "gpu" and columns % 4:  # loads of single floats need registers for their addresses
        return {"BM": 32, "BN": 32, "BK": 8, "TM": 8, "TN": 4, "CHUNK": 4, "BUFFERS": 2, "PASSES": 1, "ROW_READ": 2}
    if kind == "gpu":
        return {"BM": 32, "BN": 64, "BK": 8, "TM": 8, "TN": 8, "CHUNK": 4, "BUFFERS": 2, "PASSES": 2, "ROW_READ": 2}
    wide = 16 if columns <= 16 else 32
    return {
        "BM": 32,
        "BN": 64 if columns > 48 else wide,
        "BK": 64,
        "TM": 8,
        "TN": wide,
        "CHUNK": wide,
        "BUFFERS": 1,
        "PASSES": 1,
        "ROW_READ": 4,
    }


def winograd_rows(kind: str, columns: int, channels: int, depth: int, aligned: bool, known: bool) -> dict[str, int]:
    """Constants of the Winograd rung's forward and backward_input. channels: of one pixel; depth: of the sum."""
    tile = _winograd(kind, columns)
    if kind == "cpu" and known:
        whole = next((bk for bk in (depth, 128, 96, 64, 48, 32) if bk <= 128 and depth % bk == bk % 4 == 0), 0)
        if whole and columns % tile["BN"] == 0:
            tile.update(BK=whole, TAPS_DIRECT=1)
            if columns % 128 == 0:
                tile.update(BM=16, BN=128)  # pixels are transformed once for 128 channels
        else:
            tile["BK"] = min(tile["BK"], ceil_div(depth, 4) * 4)
    return {**tile, **_winograd_loads(kind, gcd(channels, tile["BK"]), gcd(columns, tile["BN"]), aligned, known)}


def winograd_columns(kind: str, columns: int, channels: int, aligned: bool, known: bool) -> dict[str, int]:
    """Constants of the Winograd rung's backward_weight."""
    tile = _winograd(kind, columns)
    if kind == "cpu":
        tile.update(BM=64, BK=32)
    loads = _winograd_loads(kind, gcd(channels, tile["BM"]), gcd(columns, tile["BN"]), aligned, known)
    del loads["RUN_B"], tile["ROW_READ"]
    return {**tile, **loads}


def neighbours(kind: str, channels: int, most: int) -> int:
    """Neighbouring channels that a thread of a kernel that prepares weights takes.

    CPU: 16 fill a vector; transposing, 8 beat 16 where results lie far apart (too many lines written at once).
    """
    return gcd(channels, most) if kind == "cpu" else 1


def _winograd_loads(kind, run_a, run_b, aligned, known):
    widest = 16 if kind == "cpu" and known else 4
    vec_a, vec_b = (
        next((v for v in (16, 8, 4) if v <= widest and run % v == 0 and aligned), 1) for run in (run_a, run_b)
    )
    if kind == "gpu":
        vec_a = 1  # neighbouring threads take neighbouring channels: all have work
    return {"VEC_A": vec_a, "VEC_B": vec_b, "RUN_B": run_b // vec_b if kind == "cpu" and known else 1}


def splits(kind: str, tiles: int, depth: int, bk: int) -> int:
    """Length of each part of backward_weight's sum: a multiple of bk."""
    parts = max(1, min(ceil_div(SPLITS_TARGET[kind], tiles), depth // (2 * bk)))
    return ceil_div(ceil_div(depth, parts), bk) * bk


def channel_groups(kind: str, rows: int, channels: int) -> dict[str, int]:
    """Constants of batchnorm_2_fused.cu, and PARTS, the blocks that share the rows.

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
