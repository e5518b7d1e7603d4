"""Lessons 7 and 8: the convolution, and the transposed one in four steps."""

from functools import lru_cache

import numpy as np

from dcgan_cupy import ops
from dcgan_cupy.device import CpuDevice
from dcgan_cupy.workbench.tables import source_lines

from .. import watch
from ..marks import block, fenced, picture, table
from ..svg import Picture

F32 = np.float32
LAYER = {"n": 1, "h": 8, "w": 8, "ic": 32, "oc": 32}
MIDDLE = "64 to 128 channels, 32 x 32 to 16 x 16 pixels, kernel 4, stride 2, padding 1, one image"


@lru_cache(maxsize=None)
def _small():
    """x 6 x 6, w 4 x 4, y 3 x 3, one channel, whole numbers."""
    rng, dev = np.random.default_rng(7), CpuDevice(threads=1)
    x, w = rng.integers(0, 5, (1, 6, 6, 1)).astype(F32), rng.integers(-2, 3, (4, 4, 1, 1)).astype(F32)
    y = dev.empty((1, 3, 3, 1))
    ops.conv2d_forward(dev, dev.array(x), dev.array(w), None, y, (2, 2), (1, 1))
    return x[0, :, :, 0], w[:, :, 0, 0], dev.numpy(y)[0, :, :, 0]


def _whole(a):
    return [[int(v) for v in row] for row in a]


@picture("07-convolution")
def convolution() -> str:
    x, w, y = _small()
    oh, ow = 1, 2
    padded = np.pad(x, 1)
    p = Picture(216, "One output of a convolution with kernel 4, stride 2, padding 1, in numbers")
    p.text(8, 14, "x, 6 x 6, and its padding")

    def kind(r, c):
        inside = 0 <= r - 2 * oh < 4 and 0 <= c - 2 * ow < 4
        edge = r in (0, 7) or c in (0, 7)
        return "a" if inside else "n" if edge else "g"

    p.grid(8, 24, _whole(padded), 19, kind)
    p.text(182, 14, "w, 4 x 4")
    p.grid(182, 24, _whole(w), 19, "b")
    p.text(294, 14, "y, 3 x 3")
    p.grid(294, 24, _whole(y), 24, lambda r, c: "c" if (r, c) == (oh, ow) else "g", 10)
    window = padded[2 * oh : 2 * oh + 4, 2 * ow : 2 * ow + 4]
    p.text(182, 124, f"y[{oh}, {ow}] is the sum of the 16 products", size=10)
    p.text(182, 139, "blue · orange, tap by tap:", size=10)
    for r in range(4):
        terms = " ".join(f"{int(v):+d}" for v in window[r] * w[r])
        p.text(182, 156 + 14 * r, terms, "m", size=10)
    assert (window * w).sum() == y[oh, ow]
    p.text(296, 198, f"= {int(y[oh, ow])}", size=12)
    p.text(8, 198, f"rows {2 * oh - 1} to {2 * oh + 2},", "m", size=10)
    p.text(8, 211, f"columns {2 * ow - 1} to {2 * ow + 2}", "m", size=10)
    return str(p)


def _line(access) -> str:
    return source_lines(access.file)[access.line - 1]


@block("07-workbench")
def textbook_output() -> str:
    return fenced(watch.printed(watch.own("conv2d_forward", "textbook", **LAYER)))


@block("07-answer")
def textbook_answer() -> str:
    (report,) = watch.own("conv2d_forward", "textbook", **LAYER)
    reads = [a for a in report.accesses if a.kind == "read" and "sum +=" in _line(a)]
    x, w = ([a for a in reads if (a.sectors == a.requests) == narrow] for narrow in (True, False))
    (xr, xs), (wr, ws) = ((sum(a.requests for a in v), sum(a.sectors for a in v)) for v in (x, w))
    return (
        f"All 32 lanes want the same float of `x`: **{xs / xr:g}** sector. Of `w` they want 32 neighbours:"
        f" **{ws / wr:g}** sectors. Measured: {xs} sectors in {xr} requests, and {ws} in {wr}. Nothing is wasted inside"
        " a request; what is wasteful is that there are so many."
    )


@block("07-again", slow=True)
def asked_again() -> str:
    (report,) = watch.own("conv2d_forward", "textbook", **watch.MIDDLE)
    sums = watch.total([report])
    asked = sum(a.bytes for a in report.accesses if a.kind == "read")
    return (
        f"On a middle layer of the seeds' network ({MIDDLE}) the warps fetch {32 * sums['sectors'] / 1e6:.0f} MB in"
        f" sectors, and the lanes ask for {asked / 1e6:.0f} MB, where the arrays hold"
        f" {sums['compulsory_bytes'] / 1e6:.2f} MB: each number is asked for {asked / sums['compulsory_bytes']:.0f}"
        f" times on average."
    )


@lru_cache(maxsize=None)
def _transposed():
    """Input 3 x 3, kernel 4, stride 2, padding 1: the four steps by the kernels, and the gather."""
    rng, dev = np.random.default_rng(8), CpuDevice(threads=1)
    x, w = rng.integers(1, 5, (1, 3, 3, 1)).astype(F32), rng.integers(-2, 3, (4, 4, 1, 1)).astype(F32)
    z, flipped, y, gather = dev.empty((1, 9, 9, 1)), dev.empty((4, 4, 1, 1)), dev.empty((1, 6, 6, 1)), None
    ops.zero_insert(dev, dev.array(x), z, (4, 4), (2, 2), (1, 1))
    ops.flip_kernel(dev, dev.array(w), flipped)
    ops.conv2d_forward(dev, z, flipped, None, y, (1, 1), (0, 0))
    gather = dev.empty((1, 6, 6, 1))
    ops.conv2d_backward_input(dev, dev.array(x), dev.array(w), None, gather, (2, 2), (1, 1))
    assert (dev.numpy(y) == dev.numpy(gather)).all()
    return [v[0, :, :, 0] for v in (x, dev.numpy(z), dev.numpy(y))], w[:, :, 0, 0], dev.numpy(flipped)[:, :, 0, 0]


@picture("08-transposed")
def transposed() -> str:
    (x, z, y), w, flipped = _transposed()
    p = Picture(338, "A transposed convolution: the textbook's four steps above, the gather by phases below")
    p.text(8, 14, "x")
    p.grid(8, 22, _whole(x), 17, "a")
    p.text(82, 14, "z: zeros between and around")
    p.grid(82, 22, _whole(z), 17, lambda r, c: "a" if z[r, c] else "b" if 2 <= r < 6 and 2 <= c < 6 else "g", 8)
    p.rect(82 + 34, 22 + 34, 68, 68, "lb", 2)
    met = np.count_nonzero(z[2:6, 2:6])
    p.text(258, 14, "w turned")
    p.grid(258, 22, _whole(flipped), 17, "b")
    p.text(258, 108, f"16 taps; {met} of them", "m", size=9)
    p.text(258, 120, f"meet a number, {16 - met} meet", "m", size=9)
    p.text(258, 132, "an inserted zero", "m", size=9)
    kinds = {(0, 0): "a", (0, 1): "b", (1, 0): "c", (1, 1): "d"}

    def phase(r, c):
        return kinds[(r + 1) % 2, (c + 1) % 2]

    def of_phase(a, b):
        return lambda r, c: kinds[a, b] if (r % 2, c % 2) == (a, b) else "n"

    p.text(8, 204, "y, the same by gathering")
    p.grid(8, 212, _whole(y), 20, phase)
    p.text(158, 192, "a pixel's phase is what (row, column) + padding", "m", size=10)
    p.text(158, 204, "leave modulo the stride: it picks the taps", "m", size=10)
    for i, (a, b) in enumerate(kinds):
        left, top = 158 + 118 * (i % 2), 212 + 60 * (i // 2)
        p.grid(left, top, _whole(w), 13, of_phase(a, b), 7)
        p.text(left + 58, top + 24, f"phase ({a}, {b})", size=9)
        p.text(left + 58, top + 37, "4 of 16 taps", "m", size=9)
    return str(p)


@lru_cache(maxsize=None)
def _zeros_met(h=8, kernel=4, stride=2, padding=1):
    """Taps of the four steps on one channel of h x h: all, and those that meet a number of x."""
    p = kernel - 1 - padding
    z = np.zeros((stride * (h - 1) + 1 + 2 * p,) * 2, int)
    z[p : p + stride * (h - 1) + 1 : stride, p : p + stride * (h - 1) + 1 : stride] = 1
    out = z.shape[0] - kernel + 1
    met = sum(int(z[r : r + kernel, c : c + kernel].sum()) for r in range(out) for c in range(out))
    return kernel * kernel * out * out, met


@lru_cache(maxsize=None)
def _ways(channels=32, h=8):
    """The same transposed convolution three ways: their launches."""
    dev, rng = watch.device(), np.random.default_rng(1)

    def normal(*shape):
        return dev.array(rng.standard_normal(shape).astype(F32))

    x, w, y = normal(1, h, h, channels), normal(4, 4, channels, channels), dev.empty((1, 2 * h, 2 * h, channels))
    side = ops.zero_insert_size(h, 4, 2, 1, 0)
    z, flipped = dev.empty((1, side, side, channels)), dev.empty((4, 4, channels, channels))
    ops.zero_insert(dev, x, z, (4, 4), (2, 2), (1, 1))
    ops.flip_kernel(dev, w, flipped)
    ops.conv2d_forward(dev, z, flipped, None, y, (1, 1), (0, 0))
    ways = {"four steps": list(dev.reports)}
    for name, rung in (("gather", "direct"), ("phases", "phases"), ("phases, a block each", "shared")):
        dev.reports.clear()
        ops.conv2d_backward_input(dev, x, w, None, y, (2, 2), (1, 1), rung)
        ways[name] = list(dev.reports)
    return ways


@block("08-ways")
def ways() -> str:
    rows = []
    for name, reports in _ways().items():
        sums = watch.total(reports)
        branches = sum(row[0] for r in reports for row in r.branches.values())
        rows.append([name, len(reports), sums["flops"], sums["sectors"], branches, sums["divergent"]])
    head = ["8 x 8 to 16 x 16, 32 to 32 channels", "launches", "FLOP", "sectors", "branches of warps", "parted"]
    return table(head, rows)


@block("08-answer")
def zeros_answer() -> str:
    taps, met = _zeros_met()
    found = _ways()
    four, gather = (watch.total(found[name])["flops"] for name in ("four steps", "gather"))
    return (
        f"With stride 2 one place in 2 · 2 of the stretched image holds a number: about three quarters of the products"
        f" are with zero. Counted for 8 x 8 pixels: {met} of {taps} taps meet a number, so"
        f" **{1 - met / taps:.1%}** do not (the border adds some to the three quarters). Measured: {four} FLOP by the"
        f" four steps, {gather} by the gather, **{four / gather:.2f}** times as many."
    )


@block("08-workbench")
def phases_output() -> str:
    return fenced(watch.printed(_ways()["phases"], r"sum \+=|for \(int k|a_h ="))
