"""The whole training step beside PyTorch's, interleaved; and how its time grows with batch, features and image size."""

import math
import time

import numpy as np
import torch

from dcgan_cupy.config import Config
from dcgan_cupy.preflight import plan
from dcgan_cupy.trainer import Trainer

from .measure import sample, summary
from .peer import Peer, modes

SIZES = ((16, 64, 32), (32, 64, 32), (16, 64, 64), (64, 128, 64))  # features, batch, image size
OURS = "dcgan_cupy"
COMPILES = 40  # seconds that torch.compile takes for a step before its first


class Ours:
    """One training step of this project on a batch that lies on the device."""

    def __init__(self, dev, features: int, batch: int, size: int):
        self.dev = dev
        config = Config(features_g=features, features_d=features, batch_size=batch, image_size=size, steps=1).resolved(
            dev.kind
        )
        dev.prepare(plan(config, dev.kind).kernels)
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


def compare(dev, features: int, batch: int, size: int, rounds: int, budget: float) -> dict | None:
    """One row: our step against each mode of PyTorch, in turn.

    None where not even three rounds fit into the budget, in seconds.
    """
    device, end = "cuda" if dev.kind == "gpu" else "cpu", time.monotonic() + budget
    sides, missing = {}, {}
    for name in (OURS, *modes(device)):
        left = end - time.monotonic()
        if name != OURS and left < (COMPILES if name == "compile" else 0):
            missing[name] = "no time"
        else:
            try:
                side = Ours(dev, features, batch, size) if name == OURS else Peer(features, batch, size, name, device)
                side.step()  # compiles, allocates
                once = seconds(side.step)
                if 4 * once * (len(sides) + 1) > end - time.monotonic():
                    missing[name] = f"no time: {once:.1f} s a step"
                else:
                    sides[name] = side, once
            except (
                RuntimeError,
                OSError,
                MemoryError,
            ) as error:  # torch.compile needs a compiler, a large net memory: the row says so
                missing[name] = (str(error).splitlines() or [type(error).__name__])[0][:200]
    if OURS not in sides or len(sides) < 2:
        return None
    steps = max(1, min(10, int(0.4 / max(once for _, once in sides.values()))))
    works = {name: timed(side.step, steps) for name, (side, _) in sides.items()}
    times = {name: summary(t) for name, t in sample(works, rounds, end).items()}
    best = min((name for name in times if name != OURS), key=lambda name: times[name]["ms"])
    return {
        "features": features,
        "batch": batch,
        "size": size,
        **times,
        "missing": missing,
        "best_peer": best,
        "images_per_s": {name: round(1000 * batch / t["ms"], 1) for name, t in times.items()},
        "ratio": round(times[best]["ms"] / times[OURS]["ms"], 3),
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


def growth(dev, rounds: int, end: float, add) -> None:
    """add(row):

    Time of a step, ours and PyTorch's channels_last, at each of the points that the time (monotonic) allows.
    """
    device = "cuda" if dev.kind == "gpu" else "cpu"
    for what, features, batch, size in growth_points(dev.kind):
        if time.monotonic() > end:
            return
        sides = {
            OURS: Ours(dev, features, batch, size),
            "channels_last": Peer(features, batch, size, "channels_last", device),
        }
        for side in sides.values():
            side.step()
        times = sample({name: timed(side.step, 2) for name, side in sides.items()}, rounds, end)
        add(
            {
                "along": what,
                "features": features,
                "batch": batch,
                "size": size,
                **{name: summary(t) for name, t in times.items()},
            }
        )


def threads(count: int) -> None:
    """Both sides use as many threads as we do; float32 stays float32."""
    torch.set_num_threads(count)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
