"""The whole training step beside PyTorch's, interleaved; and how its time grows with batch, features and image size."""

import math
import time

import numpy as np
import torch

from dcgan_cupy.config import Config
from dcgan_cupy.device import KernelError
from dcgan_cupy.preflight import plan
from dcgan_cupy.trainer import Trainer

from .measure import LeftOut, compiled, sample, summary
from .peer import Peer, modes, precision_of, use_tf32

SIZES = ((16, 64, 32), (32, 64, 32), (16, 64, 64), (64, 128, 64))  # features, batch, image size
OURS = "dcgan_cupy"
ROUNDS = 3  # at least: fewer have no median
SAMPLE = 0.4  # seconds of a sample of the slowest side, or one step
PER_SAMPLE = 3  # steps of a sample of growth, the one that is not counted among them
COMPILES = 40  # seconds that torch.compile takes for a step before its first


class Ours:
    """One training step of this project on a batch that lies on the device.

    Raises: LeftOut where its kernels are not compiled by the time given (monotonic).
    """

    def __init__(self, dev, features: int, batch: int, size: int, compile_end: float):
        self.dev = dev
        config = Config(features_g=features, features_d=features, batch_size=batch, image_size=size, steps=1).resolved(
            dev.kind
        )
        compiled(dev, plan(config, dev.kind).kernels, compile_end)
        self.trainer = Trainer(config, dev)
        images = np.random.default_rng(0).uniform(-1, 1, (batch, size, size, 3))
        self.real = dev.array(images.astype(np.float32))

    def step(self) -> None:
        """As a run takes it: the losses are read."""
        self.last = self.trainer.step(self.real)


def seconds(work) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def timed(step, steps: int):
    """A sample:

    Seconds a step, behind one that is not counted where steps are short (the other side's threads go to sleep by then).
    """

    def run():
        time.sleep(0.02)
        if steps > 1:
            step()
        return seconds(lambda: [step() for _ in range(steps)]) / steps

    return run


def compare(dev, features: int, batch: int, size: int, rounds: int, budget: float, compile_budget: float) -> dict:
    """One row: our step against each mode of PyTorch, in turn.

    budget, compile_budget: seconds for measuring, and before it for compiling our kernels.
    Raises: LeftOut where our kernels, or three rounds beside one mode of PyTorch at the least, do not fit; KernelError
    where a kernel of ours goes wrong, which is no row to leave out.
    """
    device = "cuda" if dev.kind == "gpu" else "cpu"
    ours = Ours(dev, features, batch, size, time.monotonic() + compile_budget)
    end = time.monotonic() + budget
    sides, missing = {}, {}
    for name in (OURS, *modes(device)):
        left = end - time.monotonic()
        if left < (COMPILES if name == "compile" else 0):
            missing[name] = "no time"
            continue
        try:
            side = ours if name == OURS else Peer(features, batch, size, name, device)
            side.step()  # compiles, allocates
            once = seconds(side.step)
        except KernelError:
            raise
        except (RuntimeError, OSError, MemoryError) as error:  # torch.compile needs a compiler, a large net memory
            if name == OURS and not isinstance(error, MemoryError):
                raise
            missing[name] = (str(error).splitlines() or [type(error).__name__])[0][:200]
            continue
        if ROUNDS * (once + sum(other for _, other in sides.values())) > end - time.monotonic():
            missing[name] = "no time"
        else:
            sides[name] = side, once
    if OURS not in sides or len(sides) < 2:
        raise LeftOut("; ".join(f"{name}: {why}" for name, why in missing.items()))
    steps = max(1, min(10, int(SAMPLE / max(once for _, once in sides.values()))))
    works = {name: timed(side.step, steps) for name, (side, _) in sides.items()}
    times = {name: summary(t) for name, t in sample(works, rounds, end).items()}
    bests = {}  # precision -> PyTorch's fastest mode in it
    for name in times:
        if name != OURS:
            known = bests.get(precision_of(name), name)
            bests[precision_of(name)] = min(known, name, key=lambda name: times[name]["ms"])
    best = bests.get("fp32") or next(iter(bests.values()))
    return {
        "features": features,
        "batch": batch,
        "size": size,
        **times,
        "missing": missing,
        "best_peer": best,
        "images_per_s": {name: round(1000 * batch / t["ms"], 1) for name, t in times.items()},
        "ratio": round(times[best]["ms"] / times[OURS]["ms"], 3),
        "ratios": {precision: round(times[name]["ms"] / times[OURS]["ms"], 3) for precision, name in bests.items()},
        "finite": all(map(math.isfinite, sides[OURS][0].last)),
    }


def growth_points(kind: str):
    """(what grows, features, batch, size), the middle of each line first: each line doubles one of the three."""
    f, b, s = (64, 128, 64) if kind == "gpu" else (16, 64, 32)
    lines = {
        "batch": [(f, v, s) for v in (b, b // 2, 2 * b, b // 4)],
        "features": [(v, b, s) for v in (f, f // 2, 2 * f)],
        "size": [(f, b, v) for v in (s, s // 2, 2 * s)],
    }
    return [(what, *point) for what, points in lines.items() for point in points]


def growth(dev, rounds: int, end: float, add, leave_out) -> None:
    """add(row), or leave_out(point, why): time of a step, ours and PyTorch's channels_last, at each of the points that
    the time (monotonic) allows.
    """
    device = "cuda" if dev.kind == "gpu" else "cpu"
    for what, *point in growth_points(dev.kind):
        try:
            sides = {OURS: Ours(dev, *point, end), "channels_last": Peer(*point, "channels_last", device)}
            for side in sides.values():
                side.step()
            if ROUNDS * PER_SAMPLE * sum(seconds(side.step) for side in sides.values()) > end - time.monotonic():
                raise LeftOut("no time left")
        except LeftOut as why:
            leave_out((what, *point), str(why))
            continue
        times = sample({name: timed(side.step, PER_SAMPLE - 1) for name, side in sides.items()}, rounds, end)
        row = dict(zip(("along", "features", "batch", "size"), (what, *point), strict=True))
        add(row | {name: summary(t) for name, t in times.items()})


def threads(count: int) -> None:
    """Both sides use as many threads as we do; float32 stays float32; cuDNN looks for its fastest kernels."""
    torch.set_num_threads(count)
    use_tf32(False)
    torch.backends.cudnn.benchmark = True
