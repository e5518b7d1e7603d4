"""The table of rungs: what each costs by the workbench, and how fast it is on this processor."""

import datetime
import math
import os
import subprocess
import time
from functools import lru_cache

import numpy as np

from dcgan_cupy import ops
from dcgan_cupy.device import CpuDevice, source
from dcgan_cupy.machine import cores
from dcgan_cupy.workbench.cards import CARDS, roofline

from .. import watch
from ..marks import ROOT, block, picture, table
from ..svg import Picture

IDEAS = {
    "textbook": "one thread, one result",
    "phases": "no tap that misses",
    "shared": "a tile in shared memory",
    "registers": "4 x 4 results a thread",
    "tiled": "wide loads, two buffers",
    "winograd": "9 products for 16",
}
STEM = {"textbook": "1_textbook", "phases": "1_phases", "shared": "2_shared", "registers": "3_registers"}
STEM |= {"tiled": "4_tiled", "winograd": "5_winograd"}
DIRECTIONS = ("forward", "backward_input", "backward_weight")
BATCH, ROUNDS = 16, 5
CARD = CARDS["h200"]


def _rungs(direction):
    return [rung for rung in IDEAS if rung != "phases" or direction == "backward_input"]


def _code_lines(direction, rung) -> int:
    """Lines of a rung's file that are code; its headers' are not among them."""
    text = (ROOT / "kernels" / "conv2d" / f"{direction}_{STEM[rung]}.cu").read_text(encoding="utf-8")
    return sum(bool(line.strip()) for line in source.strip_comments(text).splitlines())


@lru_cache(maxsize=None)
def _counts(direction, rung) -> dict:
    """Sums over the launches; passes: of shared memory, what its requests take."""
    reports = watch.own(f"conv2d_{direction}", rung, **watch.MIDDLE)
    passes = sum(a.passes for r in reports for a in r.accesses if a.shared)
    return watch.total(reports) | {"passes": passes}


FLOP_A_PASS = 256
"""What a multiprocessor of the card computes (128 fused multiply-adds) in the cycle that a pass takes."""


def _shared_us(s) -> float:
    return s["passes"] * FLOP_A_PASS / CARD.tflops / 1e6


def _us(v: float) -> str:
    return f"{v:.3g}"


@block("rungs-costs", slow=True)
def costs_table() -> str:
    rows = []
    for direction in DIRECTIONS:
        for rung in _rungs(direction):
            s = _counts(direction, rung)
            at = roofline(CARD, s["compulsory_bytes"], s["sectors"], s["flops"], 0)
            rows.append(
                [
                    f"`{direction}` {rung}",
                    IDEAS[rung],
                    _code_lines(direction, rung),
                    f"{s['flops'] / 1e6:.1f}",
                    f"{s['sectors'] / 1e3:.0f}",
                    f"{s['passes'] / 1e3:.0f}",
                    f"{s['bank_conflicts'] / 1e3:.1f}",
                    _us(at["roofline_us"]),
                    _us(max(at["uncached_us"], at["arithmetic_us"])),
                    _us(_shared_us(s)),
                ]
            )
    head = ["rung", "idea", "lines", "MFLOP", "sectors, k", "shared passes, k", "conflicts, k"]
    return table([*head, "least, µs", "no cache, µs", "shared, µs"], rows)


@picture("rungs", slow=True)
def chart() -> str:
    """The forward rungs, each with its three times on a logarithmic scale."""
    p = Picture(296, "Predicted times of the forward rungs on a logarithmic scale: memory, shared memory, arithmetic")
    p.text(8, 14, f"forward, one image: predicted µs on an {CARD.name}")
    low, high = 0.1, 100

    def at(us):
        return 78 + 312 * math.log(max(us, low) / low) / math.log(high / low)

    for us in (0.1, 1, 10, 100):
        p.line(at(us), 24, at(us), 252, "l", 0.5, "2 3")
        p.text(min(at(us), 388), 264, f"{us:g}", "m", "middle", 9)
    for row, rung in enumerate(_rungs("forward")):
        s, top = _counts("forward", rung), 30 + 45 * row
        p.text(8, top + 22, rung)
        times = 32 * s["sectors"] / CARD.gbs / 1e3, _shared_us(s), s["flops"] / CARD.tflops / 1e6
        for i, (us, kind) in enumerate(zip(times, "bda")):
            p.rect(78, top + 12 * i, max(at(us) - 78, 0.5), 10, kind, 0.7)
            p.text(at(us) + 4, top + 12 * i + 8.5, _us(us), "m", size=9)
    for x, kind, name in (
        (8, "b", "every sector from memory"),
        (158, "d", "passes of shared memory"),
        (302, "a", "arithmetic"),
    ):
        p.rect(x, 278, 10, 10, kind, 0.7)
        p.text(x + 14, 287, name, size=9)
    return str(p)


@block("rungs-arithmetic", slow=True)
def arithmetic() -> str:
    s = _counts("forward", "shared")
    memory, cached = 32 * s["sectors"] / CARD.gbs / 1e3, s["compulsory_bytes"] / CARD.gbs / 1e3
    work = s["flops"] / CARD.tflops / 1e6
    return (
        f"The three columns at the right are **predictions** for an {CARD.name} ({CARD.gbs:g} GB/s,"
        f" {CARD.tflops:g} TFLOP/s,"
        f" data-sheet numbers), not measurements: no GPU was at hand. For `forward` shared:"
        f" {s['compulsory_bytes']} bytes"
        f" / {CARD.gbs:g} GB/s = {cached:.3g} µs, {s['flops']} FLOP / {CARD.tflops:g} TFLOP/s = {work:.3g} µs, and"
        f" {s['sectors']} sectors of 32 bytes / {CARD.gbs:g} GB/s = {memory:.3g} µs. *Least* is the larger of"
        f" the first two: every"
        " array crosses the memory bus once and the whole card computes. *No cache* takes the third in place of the"
        " first: every sector that a warp asks for comes from memory. A launch lies between them only if it has blocks"
        " enough to fill the card, and waits for nothing else. One such thing is shared memory: a"
        " multiprocessor serves one pass"
        f" a cycle, and has 128 lanes for a fused multiply-add, so a pass takes the time of {FLOP_A_PASS} FLOP:"
        f" {s['passes']} · {FLOP_A_PASS} / {CARD.tflops:g} TFLOP/s = {_shared_us(s):.3g} µs, in the column *shared*."
    )


class _Layer:
    """The middle layer's arrays on this CPU."""

    def __init__(self):
        self.dev, rng = CpuDevice(), np.random.default_rng(1)
        m = watch.MIDDLE
        shapes = {"x": (BATCH, m["h"], m["w"], m["ic"]), "w": (4, 4, m["ic"], m["oc"])}
        shapes["y"] = (BATCH, m["h"] // 2, m["w"] // 2, m["oc"])
        self.x, self.w, self.dy = (self.dev.array(rng.standard_normal(s).astype(np.float32)) for s in shapes.values())
        self.dx, self.dw, self.y = (self.dev.empty(s) for s in shapes.values())
        self.flop = 2 * math.prod(shapes["y"]) * 16 * m["ic"]

    def run(self, direction, rung):
        rest = ((2, 2), (1, 1), rung, rung in ("tiled", "winograd"))
        if direction == "forward":
            ops.conv2d_forward(self.dev, self.x, self.w, None, self.y, *rest)
        elif direction == "backward_input":
            ops.conv2d_backward_input(self.dev, self.dy, self.w, None, self.dx, *rest)
        else:
            ops.conv2d_backward_weight(self.dev, self.x, self.dy, self.dw, *rest)


@lru_cache(maxsize=None)
def _speeds():
    layer, jobs, seconds = _Layer(), [], {}
    for direction in DIRECTIONS:
        jobs += [(direction, rung) for rung in _rungs(direction)]
    for job in jobs:
        layer.run(*job)  # compiles
    load = os.getloadavg()[0]
    for _ in range(ROUNDS):
        for job in jobs:
            start = time.perf_counter()
            layer.run(*job)
            seconds.setdefault(job, []).append(time.perf_counter() - start)
    return layer, {job: sorted(t) for job, t in seconds.items()}, load


@block("rungs-speed", slow=True, fixed=False)
def speed_table() -> str:
    layer, times, _ = _speeds()
    rows = []
    for (direction, rung), t in times.items():
        rows.append([f"`{direction}` {rung}", *(f"{layer.flop / s / 1e9:.1f}" for s in (t[len(t) // 2], t[-1], t[0]))])
    return table(["rung", "GFLOP/s, median", "slowest", "fastest"], rows)


@block("rungs-when", slow=True, fixed=False)
def when() -> str:
    layer, _, load = _speeds()
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    busy = (
        f" **The machine was busy**: {load:.1f} processes wanted its {cores()} cores, so these are lower than"
        f" it can do;"
        " compare rows, not numbers."
        if load > 1.5 * cores()
        else ""
    )
    return (
        f"{datetime.date.today()}, commit {commit}, {layer.dev.description}; {BATCH} images, {ROUNDS}"
        f" interleaved rounds."
        f" GFLOP/s count the direct form's multiplications and additions for every rung, Winograd's too.{busy}"
    )
