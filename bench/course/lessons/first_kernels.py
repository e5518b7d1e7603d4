"""Lessons 1 to 3: threads, the guard, coalescing."""

from functools import lru_cache

import numpy as np

from .. import watch
from ..marks import block, fenced, picture, table
from ..svg import Picture

I32, F32 = np.int32, np.float32
BLOCKS, THREADS = 4, 8


@lru_cache(maxsize=None)
def _who():
    n = BLOCKS * THREADS
    return watch.lesson_kernel("who.cu", "who", BLOCKS, THREADS, ((n,), I32), ((n,), I32))


@picture("01-threads")
def threads() -> str:
    _, (blocks, thread) = _who()
    p = Picture(166, "Four blocks of eight threads, and the element that each thread owns")
    p.text(8, 14, "the grid: 4 blocks of 8 threads; in each box its threadIdx.x")
    size, gap = 11.5, 4
    for i, (b, t) in enumerate(zip(blocks, thread)):
        x = 8 + b * (8 * size + gap) + t * size
        kind = "abcd"[b]
        p.cell(x, 40, size, 22, kind, t, 8)
        if t == 0:
            p.text(x + 4 * size, 32, f"blockIdx.x = {b}", "m", "middle", 9)
        to = 8 + i * (384 / 32) + 6
        p.line(x + size / 2, 62, to, 112, f"l{kind}", 0.6)
        p.cell(to - 6, 112, 12, 22, kind, i, 8)
    p.text(8, 152, "the array: element i = blockIdx.x * 8 + threadIdx.x", "")
    return str(p)


@block("01-answer")
def who_answer() -> str:
    report, (blocks, thread) = _who()
    i = int(np.flatnonzero((blocks == 3) & (thread == 5))[0])
    return (
        f"Element **{i}**: 3 * {THREADS} + 5. Measured: the kernel wrote `block[{i}] = {blocks[i]}` and"
        f" `thread[{i}] = {thread[i]}`."
        f" {BLOCKS * THREADS} threads ran, in {report.warps} warps: a block's last warp is a warp of its own,"
        f" however few"
        f" threads it has. With {THREADS} threads a block, {32 - THREADS} of 32 lanes have nobody in them, which is why"
        " blocks have a multiple of 32."
    )


@block("01-workbench")
def who_output() -> str:
    return fenced(watch.printed(watch.own("add", n=1000)))


N = 21


@lru_cache(maxsize=None)
def _no_guard(n=N, threads=8):
    x = np.arange(n, dtype=F32)
    report, (_, y) = watch.lesson_kernel("no_guard.cu", "twice", -(-n // threads), threads, x, ((n,), F32), I32(n))
    assert (y == 2 * x).all()  # as the lesson says
    return report


@picture("02-guard")
def guard() -> str:
    report = _no_guard()
    past = report.grid[0] * report.block[0]
    outside = sum(f.count for f in report.findings if f.array.startswith("y"))
    assert outside == past - N
    p = Picture(128, "The last block has threads for which there is no element")
    p.text(8, 14, f"{N} elements, blocks of {report.block[0]}: {report.grid[0]} blocks, {past} threads")
    size = 384 / past
    for i in range(past):
        x = 8 + i * size
        p.cell(x, 28, size, 22, "abc"[i // 8] if i < N else "r", i % 8, 8)
        p.line(x + size / 2, 50, x + size / 2, 72, "l" if i < N else "lr", 0.7)
        if i < N:
            p.cell(x, 72, size, 22, "g", i, 8)
        else:
            p.text(x + size / 2, 87, "?", "", "middle", 11)
    p.text(8, 114, f"y has no element {N}, {N + 1}, {N + 2}: whose memory is it?", "")
    return str(p)


@block("02-workbench")
def guard_output() -> str:
    report = _no_guard()
    return fenced("$ the kernel without its guard, 21 elements, blocks of 8\n" + watch.found(report, 2))


@block("02-answer")
def guard_answer() -> str:
    report = _no_guard(1000, 256)
    count = {f.array.partition("[")[0]: f.count for f in report.findings}
    threads = report.grid[0] * report.block[0]
    return (
        f"{report.grid[0]} blocks of {report.block[0]} are {threads} threads, so {threads - 1000} have no element. Each"
        f" reads `x` once and writes `y` once. Measured: **{count['x']}** reads of `x` and **{count['y']}** writes of"
        " `y` out of bounds."
    )


@lru_cache(maxsize=None)
def _stride(stride, n=32):
    x = np.arange(n * stride, dtype=F32)
    return watch.lesson_kernel(
        "stride.cu", "pick", -(-n // 32), 32, x, ((n,), F32), I32(stride), I32(n), chosen=(0, 0)
    )[0]


def _read(report):
    return next(a for a in report.accesses if a.kind == "read")


@picture("03-coalescing")
def coalescing() -> str:
    p = Picture(300, "Which 32-byte sectors a warp's 32 lanes touch, at three strides")
    for row, stride in enumerate((1, 2, 8)):
        report = _stride(stride)
        access = _read(report)
        y = 16 + row * 92
        p.text(8, y, f"x[i * {stride}]: {access.sectors} sectors, {access.ideal} would hold the bytes")
        shown = 32 if stride == 1 else 64
        size = 384 / shown
        lanes = [offset // 4 for offset in access.pattern["lanes"]]
        used = {at // 8 for at in lanes}
        for sector in range(shown // 8):
            p.rect(8 + sector * 8 * size, y + 46, 8 * size, 16, "b" if sector in used else "g", 0.8)
        for lane, at in enumerate(lanes):
            x = 8 + lane * 12
            p.cell(x, y + 8, 12, 14, "a", lane if lane % 4 == 0 else "", 7)
            if at < shown:
                p.line(x + 6, y + 22, 8 + (at + 0.5) * size, y + 46, "la", 0.6)
                p.rect(8 + at * size + size * 0.15, y + 49, size * 0.7, 10, "a", 0.5)
        if max(lanes) >= shown:
            p.text(392, y + 74, f"… and so on, to element {max(lanes)}", "m", "end", 9)
    p.text(8, 293, "blue: lanes and the floats they read; orange: the sectors that are fetched", "m", size=9)
    return str(p)


@block("03-strides")
def strides() -> str:
    rows = []
    for stride in (1, 2, 3, 4, 8, 16, 32):
        access = _read(_stride(stride))
        rows.append([stride, access.sectors, 32 * access.sectors, f"{100 * access.ideal / access.sectors:.3g} %"])
    return table(["stride", "sectors of a warp's read", "bytes fetched for 128", "of them used"], rows)


@block("03-answer")
def stride_answer() -> str:
    access = _read(_stride(3))
    return (
        f"32 lanes, 3 floats apart, span 32 * 3 * 4 = 384 bytes, and no sector of 32 bytes in between is left out:"
        f" 384 / 32 = **{access.sectors}** sectors (measured: {access.sectors}). A third of each is used. The stores to"
        " `y` stay at 4."
    )


@block("03-workbench")
def gather_output() -> str:
    reports = watch.own("conv2d_backward_input", "textbook", **SMALL)
    return fenced(watch.printed(reports, r"sum \+="))


SMALL = {"n": 1, "h": 8, "w": 8, "ic": 32, "oc": 32}


@block("03-lines")
def gather_words() -> str:
    (report,) = watch.own("conv2d_backward_input", "textbook", **SMALL)
    reads = [a for a in report.accesses if a.kind == "read"]
    w, dy = max(reads, key=lambda a: a.sectors), min(reads, key=lambda a: a.sectors)
    return (
        f"One line, two reads. Of `dy_pixel[oc]` all 32 lanes want the same float: {dy.sectors / dy.requests:g} sector"
        f" a request. Of `w_row[oc]` each lane wants its own row, 32 floats from its neighbour's:"
        f" {w.sectors / w.requests:g} sectors a request, where {w.ideal / w.requests:g} would hold the bytes."
    )
