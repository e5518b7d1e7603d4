"""Lessons 9 to 11: tiles in shared memory, tiles in registers, banks and the pipeline."""

from functools import lru_cache

import numpy as np

from .. import watch
from ..marks import block, fenced, picture, table
from ..svg import Picture

F32, I32 = np.float32, np.int32
LAYER = {"n": 1, "h": 16, "w": 16, "ic": 32, "oc": 64}  # M = 64, K = 512, N = 64
DIRECTIONS = ("forward", "backward_input", "backward_weight")


@lru_cache(maxsize=None)
def _total(rung, direction="forward", **shape):
    return watch.total(watch.own(f"conv2d_{direction}", rung, **(shape or LAYER)))


def _macros(report) -> dict:
    return {name: int(value) for name, value in report.macros if name not in ("KNOWN",) and str(value).isdecimal()}


@picture("09-shared-tile")
def shared_tile() -> str:
    (report,) = watch.own("conv2d_forward", "shared", **LAYER)
    tile = _macros(report)
    bm, bn, bk = (tile[k] for k in ("BM", "BN", "BK"))
    m, n, k = bm * report.grid[0], bn * report.grid[1], 16 * LAYER["ic"]
    at, step, scale = (1, 2), 9, 1.25
    p = Picture(352, "A block's tile of the result, the band of A and of B that it needs, and one step of the sum")
    left, top = 256, 128
    wide = 200
    p.text(8, 14, f"y = A · w with M = {m} pixels, OC = {n}, K = 16 taps · {LAYER['ic']} channels = {k}", size=10)
    p.text(8, top - 6, "A, never written down", "m", size=9)
    p.rect(8, top, wide, m * scale, "g")
    p.rect(8, top + at[0] * bm * scale, wide, bm * scale, "a", 0.7)
    piece = wide * bk / k
    p.rect(8 + step * piece, top + at[0] * bm * scale, piece, bm * scale, "c", 1.2)
    tall = 92
    p.text(left + n * scale + 6, 40, "w", "m", size=9)
    p.rect(left, 30, n * scale, tall, "g")
    p.rect(left + at[1] * bn * scale, 30, bn * scale, tall, "b", 0.7)
    p.rect(left + at[1] * bn * scale, 30 + step * tall * bk / k, bn * scale, max(tall * bk / k, 3), "c", 1.2)
    for r in range(report.grid[0]):
        for c in range(report.grid[1]):
            p.rect(left + c * bn * scale, top + r * bm * scale, bn * scale, bm * scale, "d" if (r, c) == at else "g")
    p.text(left, top + m * scale + 12, f"y: {report.grid[0]} x {report.grid[1]} tiles", "m", size=9)
    ty, tx, size, y = 4, 10, 6, 262
    for x, name, kind in (
        (8, "a_s", lambda r, c: "c" if (r, c) == (ty, tx) else "a" if r == ty else "g"),
        (140, "b_s", lambda r, c: "c" if (r, c) == (ty, tx) else "b" if c == tx else "g"),
        (272, "y's tile", lambda r, c: "d" if (r, c) == (ty, tx) else "g"),
    ):
        p.text(x, y - 5, name, size=10)
        for r in range(bk):
            for c in range(bk):
                p.rect(x + c * size * 0.85, y + r * size * 0.85, size * 0.85, size * 0.85, kind(r, c), 0.4)
    p.text(118, y + 44, "·", size=16)
    p.text(248, y + 44, "→", size=14)
    p.text(
        8,
        y - 19,
        f"one step, as thread (ty, tx) = ({ty}, {tx}) of {bm * bn} sees it; green: what it loads",
        "m",
        size=9,
    )
    return str(p)


@block("09-table", slow=True)
def shared_table() -> str:
    rows = []
    for direction in DIRECTIONS:
        for rung in ("textbook", "shared"):
            s = _total(rung, direction)
            rows.append([f"`{direction}`, {rung}", s["requests"], s["sectors"], s["shared_requests"], s["flops"]])
    return table(["32 to 64 channels, 16 x 16", "requests", "sectors", "shared requests", "FLOP"], rows)


@block("09-answer")
def shared_answer() -> str:
    before, after = _total("textbook"), _total("shared")
    return (
        f"A number that is loaded once serves 16 threads, so about 16 times fewer, if every load were a warp's full"
        f" request before and after. Measured: {before['requests']} requests became {after['requests']}:"
        f" **{before['requests'] / after['requests']:.1f}** times fewer; and sectors"
        f" {before['sectors'] / after['sectors']:.1f} times fewer, because the textbook's reads of `x` were one"
        f" sector for"
        " 32 lanes to begin with. The textbook also skips taps outside the image; here they are zeros that are"
        f" multiplied: {after['flops'] / before['flops']:.2f} times the FLOP."
    )


SECOND = "                __syncthreads();                                     // and read: the next may come\n"


@block("09-workbench")
def shared_race() -> str:
    (report,) = watch.own("conv2d_forward", "shared", watch.without((SECOND, "")), **LAYER)
    return fenced("$ the second barrier of a step taken out\n" + watch.found(report, 1))


@picture("10-register-tile")
def register_tile() -> str:
    (report,) = watch.own("conv2d_forward", "registers", **LAYER)
    tile = _macros(report)
    bm, bn, tm, tn = (tile[k] for k in ("BM", "BN", "TM", "TN"))
    ty, tx, s, left, top = 5, 9, 3.6, 60, 58
    rows = {ty + i * (bm // tm) for i in range(tm)}
    columns = {tx + j * (bn // tn) for j in range(tn)}
    p = Picture(322, "The sixteen outputs of one thread in a block's tile, and the eight numbers it reads for them")
    p.text(
        8,
        14,
        f"a tile of {bm} x {bn} outputs, {report.block[0]} threads; thread (ty, tx) = ({ty}, {tx}) has {tm} x {tn}",
        size=10,
    )
    p.rect(left, top, bn * s, bm * s, "g", 0.6)
    for i in range(1, tm):
        p.line(left, top + i * bm // tm * s, left + bn * s, top + i * bm // tm * s, "l", 0.5, "2 3")
        p.line(left + i * bn // tn * s, top, left + i * bn // tn * s, top + bm * s, "l", 0.5, "2 3")
    p.rect(left - 26, top, 9, bm * s, "g", 0.6)
    p.rect(left, top - 22, bn * s, 9, "g", 0.6)
    p.text(8, top + 12, "a_s", size=10)
    p.text(8, top + 24, "col.", "m", size=9)
    p.text(left, top - 27, "b_s, one row", size=10)
    for r in rows:
        p.rect(left - 26, top + r * s - 1, 9, s + 2, "a", 0.8)
        p.line(left - 17, top + (r + 0.5) * s, left + bn * s, top + (r + 0.5) * s, "la", 0.5)
    for c in columns:
        p.rect(left + c * s - 1, top - 22, s + 2, 9, "b", 0.8)
        p.line(left + (c + 0.5) * s, top - 13, left + (c + 0.5) * s, top + bm * s, "lb", 0.5)
    for r in rows:
        for c in columns:
            p.rect(left + c * s - 2, top + r * s - 2, s + 4, s + 4, "d", 1)
    x = left + bn * s + 10
    for i, words in enumerate(
        (
            f"{tm} + {tn} reads,",
            f"{tm} · {tn} products:",
            "half a read",
            "a product",
            "",
            "rung 2:",
            "2 reads",
            "a product",
        )
    ):
        p.text(x, top + 16 + 15 * i, words, "m" if i > 4 else "", size=10)
    p.text(
        left,
        top + bm * s + 16,
        f"neighbouring threads have neighbouring columns: {bn // tn} apart, not {tn} in a row",
        "m",
        size=9,
    )
    return str(p)


@block("10-table", slow=True)
def register_table() -> str:
    rows = []
    for direction in DIRECTIONS:
        for rung in ("shared", "registers"):
            s = _total(rung, direction)
            products = s["flops"] / 2 / 32  # warps' fused multiply-adds
            rows.append(
                [
                    f"`{direction}`, {rung}",
                    s["shared_requests"],
                    f"{s['shared_requests'] / products:.2f}",
                    s["requests"],
                ]
            )
    head = ["32 to 64 channels, 16 x 16", "shared requests", "for each multiply-add of a warp", "global requests"]
    return table(head, rows)


@block("10-answer")
def register_answer() -> str:
    two, three = (_total(rung) for rung in ("shared", "registers"))
    a, b = (s["shared_requests"] / (s["flops"] / 64) for s in (two, three))
    return (
        f"Rung 2 reads 2 numbers a multiply-add, rung 3 4 + 4 for 16: half a number. Measured, with the stores of the"
        f" pieces: {a:.2f} and **{b:.2f}** requests of a warp for each of its multiply-adds, {a / b:.1f} times fewer."
    )


@block("10-workbench")
def register_output() -> str:
    return fenced(watch.printed(watch.own("conv2d_forward", "registers", **LAYER), r"_s\[|acc\[i\]\[j\] \+="))


@lru_cache(maxsize=None)
def _column(pitch):
    """The pattern of the read of a tile's column, and its passes a request."""
    x = np.arange(32 * 32, dtype=F32).reshape(32, 32)
    report, _ = watch.lesson_kernel(
        "transpose.cu", "transpose", (1, 1), (32, 32), x, ((32, 32), F32), I32(32), chosen=(0, 0), PITCH=pitch
    )
    read = next(a for a in report.accesses if a.shared and a.kind == "read")
    return [offset // 4 % 32 for offset in read.pattern["lanes"]], 1 + read.extra / read.requests


@picture("11-banks")
def banks() -> str:
    p = Picture(346, "The banks that 32 lanes want when they read a column of a tile, for three row lengths")
    y = 10
    for pitch in (32, 33, 36):
        wanted, passes = _column(pitch)
        tallest = max(wanted.count(b) for b in range(32))
        p.text(8, y + 8, f"tile[32][{pitch}], a column: {passes:g} pass{'es' * (passes != 1)}", size=11)
        height = tallest * 4 if tallest > 4 else tallest * 10
        base, cell = y + 16 + height, height / tallest
        seen = [0] * 32
        for b in wanted:
            seen[b] += 1
            p.rect(8 + b * 12, base - seen[b] * cell, 12, cell, "r" if tallest > 1 else "c", 0.5)
        for b in range(32):
            p.rect(8 + b * 12, base, 12, 13, "g", 0.5)
            if b % 4 == 0:
                p.text(14 + b * 12, base + 9.5, b, "m", "middle", 7)
        y = base + 34
    p.text(8, y, "grey: the 32 banks; above each, one box for every lane that wants it", "m", size=9)
    return str(p)


@block("11-answer")
def bank_answer() -> str:
    rows = []
    for pitch in (32, 33, 34, 36, 40, 48):
        wanted, passes = _column(pitch)
        rows.append([f"`tile[32][{pitch}]`", len(set(wanted)), f"{passes:g}"])
    return (
        "Row r of the column lies in bank 36 r mod 32 = 4 r mod 32: 8 different banks, 4 lanes in each: **4** passes."
        " Measured:\n\n" + table(["tile", "banks that a column lies in", "passes a request"], rows)
    )


@block("11-pitch", slow=True)
def pitches() -> str:
    rows = []
    for pitch in (16, 20, 24, 32):
        tile = {**LAYER, "oc": 128}
        (before,) = watch.own("conv2d_forward", "tiled", **tile)
        mine = _macros(before)["A_PITCH"]
        edit = watch.without((f"#define A_PITCH {mine}", f"#define A_PITCH {pitch}"))
        (report,) = watch.own("conv2d_forward", "tiled", edit, **tile)
        sums = watch.total([report])
        mark = " (ours)" if pitch == mine else ""
        rows.append([f"{pitch}{mark}", sums["shared_requests"], sums["bank_conflicts"], report.shared_bytes])
    return table(["`A_PITCH`", "shared requests", "conflicts", "bytes of shared memory"], rows)


@picture("11-pipeline")
def pipeline() -> str:
    (report,) = watch.own("conv2d_forward", "tiled", **{**LAYER, "ic": 4, "oc": 128})
    tile = _macros(report)
    steps, buffers = 16 * 4 // tile["BK"], 2
    barriers = sum(report.barriers.values()) // (report.grid[0] * report.grid[1])
    assert barriers == steps, (barriers, steps)
    p = Picture(176, "One buffer and two: when pieces are loaded and when they are multiplied")
    steps = min(steps, 4)
    p.text(8, 14, "one buffer (rungs 2 and 3): wait, then multiply; two barriers a step")
    for s in range(steps):
        x = 8 + s * 96
        p.cell(x, 22, 46, 20, "b", f"load {s}", 9)
        p.cell(x + 48, 22, 46, 20, "a", f"use {s}", 9)
        for bar in (x + 47, x + 95):
            p.line(bar, 18, bar, 46, "lr", 1.2)
    p.text(8, 74, "two buffers (rung 4): the next piece is on its way while one is used")
    p.cell(8, 82, 46, 20, "b", "load 0", 9)
    p.line(56, 78, 56, 130, "lr", 1.2)
    for s in range(steps):
        x = 60 + s * 76
        p.cell(x, 106, 52, 20, "a", f"use {s} (b{s % buffers})", 8)
        if s + 1 < steps:
            p.cell(x, 82, 52, 20, "b", f"load {s + 1}", 9)
            p.cell(x + 53, 94, 17, 20, "c", "st", 8)
            p.line(x + 73, 78, x + 73, 130, "lr", 1.2)
    p.text(8, 148, "red: a barrier. st: the piece goes from registers into the other buffer, b0 or b1", "m", size=9)
    p.text(8, 162, f"watched: {barriers} barriers for {16 * 4 // tile['BK']} pieces of {tile['BK']}", "m", size=9)
    return str(p)


@block("11-workbench", slow=True)
def tiled_output() -> str:
    return fenced(watch.printed(watch.own("conv2d_forward", "tiled", **{**LAYER, "oc": 128}), r"acc\[i\]|\(Each\*\)"))
