"""Each convolution at the seeds' shapes: every rung and PyTorch's operation, checked against each other, then timed."""

import math
import time

import numpy as np
import torch

from dcgan_cupy import ops
from dcgan_cupy.choices import RUNGS, STEPS
from dcgan_cupy.device import RecorderDevice

from .measure import LeftOut, compiled, ours_timed, sample, summary, torch_timed

PASSES = ("forward", "backward_input", "backward_weight")
NOT_TIMED = ("direct", "best", *STEPS)  # textbook's convolution, a choice among the others, rungs for study
LIMIT = 1e-5  # relative norm of the difference: float32 sums of up to 1e5 terms


def layers(features: int, batch: int, size: int):
    """(name, x shape, w shape, stride, padding) of every convolution.

    A transposed one is given as the convolution that undoes it.
    """
    c, left = features, size // 2
    yield "D1", (batch, size, size, 3), (4, 4, 3, features), 2, 1
    number = 2
    while left > 4:
        yield f"D{number}", (batch, left, left, c), (4, 4, c, 2 * c), 2, 1
        c, left, number = 2 * c, left // 2, number + 1
    yield f"D{number}", (batch, 4, 4, c), (4, 4, c, 1), 2, 0
    c, made, number = features * size // 4, 4, 2
    yield "G1", (batch, 4, 4, c), (4, 4, c, 100), 1, 0
    while made < size // 2:
        yield f"G{number}", (batch, 2 * made, 2 * made, c // 2), (4, 4, c // 2, c), 2, 1
        c, made, number = c // 2, 2 * made, number + 1
    yield f"G{number}", (batch, size, size, 3), (4, 4, 3, c), 2, 1


class Ours:
    """One layer's arrays on our side."""

    def __init__(self, dev, name, x_shape, w_shape, stride, padding):
        self.dev, self.name, self.stride, self.padding = dev, name, (stride, stride), (padding, padding)
        n, h, _, ic = x_shape
        oh = (h + 2 * padding - 4) // stride + 1
        self.shapes = x_shape, w_shape, (n, oh, oh, w_shape[3])
        self.x, self.w, self.dy = (dev.empty(shape) for shape in self.shapes)
        self.dx, self.dw, self.y = (dev.empty(shape) for shape in self.shapes)
        self.flop = 2 * math.prod(self.shapes[2]) * 16 * ic
        self.bytes = 4 * sum(map(math.prod, self.shapes))

    def ours(self, direction: str, rung: str):
        """Runs one pass."""
        rest = (self.stride, self.padding, rung, True)
        if direction == "forward":
            ops.conv2d_forward(self.dev, self.x, self.w, None, self.y, *rest)
        elif direction == "backward_input":
            ops.conv2d_backward_input(self.dev, self.dy, self.w, None, self.dx, *rest)
        else:
            ops.conv2d_backward_weight(self.dev, self.x, self.dy, self.dw, *rest)


def needed(kind: str, shape: tuple, direction: str, textbook: bool) -> dict:
    """The kernels that row_of() will ask for."""
    recorder = RecorderDevice(kind)
    case = Ours(recorder, *shape)
    ops.fill(recorder, case.dw, 0.0)
    for rung in rungs(case, textbook):
        case.ours(direction, rung)
    return recorder.kernels


class Case(Ours):
    """One layer's arrays on both sides."""

    def __init__(self, dev, name, x_shape, w_shape, stride, padding, rng):
        super().__init__(dev, name, x_shape, w_shape, stride, padding)
        x, w, dy = (rng.standard_normal(shape).astype(np.float32) for shape in self.shapes)
        self.x, self.w, self.dy = dev.array(x), dev.array(w), dev.array(dy)
        self.device = "cuda" if dev.kind == "gpu" else "cpu"
        layout = {"device": self.device, "memory_format": torch.channels_last}
        self.tx = torch.from_numpy(x).permute(0, 3, 1, 2).to(**layout)
        self.tw = torch.from_numpy(w).permute(3, 2, 0, 1).to(**layout)
        self.tdy = torch.from_numpy(dy).permute(0, 3, 1, 2).to(**layout)

    def peer(self, direction: str):
        """The same pass in PyTorch (channels_last), and its result in our layout."""
        if direction == "forward":
            return torch.nn.functional.conv2d(self.tx, self.tw, None, self.stride, self.padding).permute(0, 2, 3, 1)
        mask = (direction == "backward_input", direction == "backward_weight", False)
        rest = (None, self.stride, self.padding, (1, 1), False, (0, 0), 1, mask)
        grads = torch.ops.aten.convolution_backward(self.tdy, self.tx, self.tw, *rest)
        return grads[0].permute(0, 2, 3, 1) if mask[0] else grads[1].permute(2, 3, 1, 0)

    def error(self, direction: str, rung: str) -> float:
        """Relative norm of the difference between ours and PyTorch's."""
        if direction == "backward_weight":
            ops.fill(self.dev, self.dw, 0.0)
        self.ours(direction, rung)
        got = self.dev.numpy({"forward": self.y, "backward_input": self.dx, "backward_weight": self.dw}[direction])
        want = self.peer(direction).cpu().numpy()
        return float(np.linalg.norm(got - want) / np.linalg.norm(want))


def rungs(case: Ours, textbook: bool) -> list[str]:
    """The rungs that differ for this layer. textbook: with the first one, which takes a CPU long."""
    special = case.w.shape[:2] == (4, 4) and case.stride == (2, 2) and case.padding == (1, 1)
    return [
        rung
        for rung in RUNGS
        if rung not in NOT_TIMED and (rung != "textbook" or textbook) and (rung != "winograd" or special)
    ]


def row_of(case: Case, direction: str, limits: dict, rounds: int, deadline: float, textbook: bool) -> dict:
    """Checks one pass of one layer in every rung, times it, and tells what became of it.

    The fastest rung gives the ratio.
    """
    dev = case.dev
    errors = {rung: case.error(direction, rung) for rung in rungs(case, textbook)}
    quick = [rung for rung in errors if rung != "textbook"]
    works = {rung: ours_timed(dev, lambda rung=rung: case.ours(direction, rung)) for rung in quick}
    works["torch"] = torch_timed(lambda: case.peer(direction), case.device)
    works["torch"]()
    times = sample(works, rounds, deadline)
    if textbook:
        times["textbook"] = [dev.elapsed(lambda: case.ours(direction, "textbook"))]
    ms = {name: summary(t) for name, t in times.items()}
    best = min(quick, key=lambda rung: ms[rung]["ms"])
    mine = ms[best]["ms"]
    floor = max(case.flop / limits["gflops"], case.bytes / limits["gb_per_s"]) / 1e6  # ms
    return {
        "layer": case.name,
        "pass": direction,
        **ms,
        "best": best,
        "gflops": round(case.flop / mine / 1e6, 1),
        "gb_per_s": round(case.bytes / mine / 1e6, 2),
        "percent_of_roofline": round(100 * floor / mine, 1),
        "ratio": round(ms["torch"]["ms"] / mine, 3),
        "errors": {rung: float(f"{error:.2g}") for rung, error in errors.items()},
        "failed": not all(error < LIMIT for error in errors.values()),
    }  # NaN fails too


def measure(dev, features, batch, size, limits, rounds, end, textbook, add, leave_out) -> None:
    """add(row), or leave_out(why), for each layer and pass: compiled and timed until the time (monotonic) is over."""
    rng = np.random.default_rng(0)
    shapes = list(layers(features, batch, size))
    for i, shape in enumerate(shapes):
        case = None
        for j, direction in enumerate(PASSES):
            try:
                compiled(dev, needed(dev.kind, shape, direction, textbook), end)
            except LeftOut as why:
                leave_out(str(why))
                continue
            case = case or Case(dev, *shape, rng)
            share = max(end - time.monotonic(), 0) / (len(PASSES) * (len(shapes) - i) - j)
            row = row_of(case, direction, limits, rounds, time.monotonic() + share, textbook)
            add({"features": features, "batch": batch, "size": size, **row})
