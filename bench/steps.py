"""The whole training step beside PyTorch's, interleaved; and how its time grows with batch, features and image size."""

import time

import numpy as np
import torch

from dcgan_cupy.config import Config
from dcgan_cupy.trainer import Trainer

from .measure import sample, summary
from .peer import MODES, Peer

SIZES = ((16, 64, 32), (32, 64, 32), (16, 64, 64), (64, 128, 64))      # features, batch, image size


def ours(dev, features, batch, size, kernels=None):
    """A function that runs one step."""
    config = Config(features_g=features, features_d=features, batch_size=batch, image_size=size, kernels=kernels, steps=1)
    trainer = Trainer(config.resolved(dev.kind), dev)
    images = np.random.default_rng(0).uniform(-1, 1, (batch, size, size, 3))
    real = dev.array(images.astype(np.float32))

    def step():
        trainer.step(real)
    return step


def timed(step, steps, dev=None):
    """A sample: seconds a step, after one step that is not counted (the other side's threads have gone to sleep by then)."""
    def run():
        time.sleep(0.02)
        step()
        start = time.perf_counter()
        for _ in range(steps):
            step()
        if dev is not None:
            dev.synchronize()
        return (time.perf_counter() - start) / steps
    return run


def compare(dev, features, batch, size, rounds, deadline) -> dict:
    """One row: our step against each mode of PyTorch."""
    device = "cuda" if dev.kind == "gpu" else "cpu"
    steps = max(1, min(10, int(3e9 / (features**2 * batch * size**2 * 4))))
    works, missing = {"dcgan_cupy": timed(ours(dev, features, batch, size), steps, dev)}, {}
    for mode in MODES:
        try:
            peer = Peer(features, batch, size, mode, device)
            for _ in range(2):
                peer.step()
            works[mode] = timed(peer.step, steps)
        except Exception as error:      # torch.compile needs a compiler and can fail in many ways: the row then says so
            missing[mode] = str(error).splitlines()[0][:200]
    ours_first = works["dcgan_cupy"]
    ours_first()
    times = {name: summary(t) for name, t in sample(works, rounds, deadline).items()}
    best = min((name for name in times if name != "dcgan_cupy"), key=lambda name: times[name]["ms"])
    return {"features": features, "batch": batch, "size": size, **times, "missing": missing, "best_peer": best,
            "images_per_s": {name: round(1000 * batch / t["ms"], 1) for name, t in times.items()},
            "ratio": round(times[best]["ms"] / times["dcgan_cupy"]["ms"], 3)}


def growth(dev, rounds, deadline, add) -> None:
    """add(row): time of a step as one of batch, features and size doubles, ours and PyTorch channels_last."""
    device = "cuda" if dev.kind == "gpu" else "cpu"
    f, b, s = (64, 128, 64) if dev.kind == "gpu" else (16, 64, 32)
    lines = {"batch": [(f, v, s) for v in (b // 4, b // 2, b, 2 * b)], "features": [(v, b, s) for v in (f // 2, f, 2 * f)],
             "size": [(f, b, v) for v in (16, 32, 64)]}
    for what, points in lines.items():
        for features, batch, size in points:
            if time.monotonic() > deadline:
                return
            peer = Peer(features, batch, size, "channels_last", device)
            works = {"dcgan_cupy": timed(ours(dev, features, batch, size), 2, dev), "channels_last": timed(peer.step, 2)}
            times = sample(works, rounds, deadline)
            add({"along": what, "features": features, "batch": batch, "size": size, **{name: summary(t) for name, t in times.items()}})


def threads(count: int) -> None:
    """Both sides use as many threads as we do."""
    torch.set_num_threads(count)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
