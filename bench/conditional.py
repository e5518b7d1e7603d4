"""What labels cost: a conditional step beside a plain one, interleaved, and beside twice plain as noise.

python -m bench.conditional [--features 16] [--classes 10] [--rounds 40] [--threads 1]

With one thread the times are the process's own CPU time, which other work on the machine hardly changes.
"""

import time

import numpy as np

from dcgan_cupy import device as devices
from dcgan_cupy.command import Parser, number, run
from dcgan_cupy.config import Config
from dcgan_cupy.trainer import Trainer

from .measure import sample, summary

BATCH, SIZE, STEPS = 64, 32, 4


def stepper(dev, features: int, classes: int | None, channels: int):
    """A function that takes one step on a batch of noise that lies on the device."""
    config = Config(
        features_g=features,
        features_d=features,
        batch_size=BATCH,
        image_size=SIZE,
        channels=channels,
        steps=1,
        conditional=classes is not None,
        n_classes=classes,
    ).resolved(dev.kind)
    trainer, rng = Trainer(config, dev), np.random.default_rng(0)
    real = dev.array(rng.uniform(-1, 1, (BATCH, SIZE, SIZE, channels)).astype(np.float32))
    labels = dev.array(rng.integers(0, classes, BATCH, np.int32)) if classes else None
    return lambda: trainer.step(real, labels=labels)


def work(arguments: list[str]) -> None:
    """Measures and prints."""
    parser = Parser("bench.conditional", "what labels cost a step", prog="python -m bench.conditional")
    parser.add_argument("--features", type=number(int, 1), default=16)
    parser.add_argument("--classes", type=number(int, 2), default=10)
    parser.add_argument("--channels", type=number(int, 1), default=3)
    parser.add_argument("--rounds", type=number(int, 3), default=40)
    parser.add_argument("--threads", type=number(int, 1), help="on the CPU (default: all cores)")
    given = parser.parse_args(arguments)
    dev = devices.get("auto") if given.threads is None else devices.get("cpu", threads=given.threads)
    seconds = time.process_time if given.threads == 1 else time.perf_counter

    def timed(step):
        def once():
            begun = seconds()
            for _ in range(STEPS):
                step()
            return (seconds() - begun) / STEPS

        return once

    kinds = {"plain": None, "plain again": None, "conditional": given.classes}
    steps = {name: stepper(dev, given.features, classes, given.channels) for name, classes in kinds.items()}
    for step in steps.values():
        for _ in range(3):  # compiles, captures
            step()
    times = sample({name: timed(step) for name, step in steps.items()}, given.rounds, float("inf"))
    print(f"{dev.description}\nfeatures {given.features}, batch {BATCH}, {SIZE} px, {given.classes} classes")
    found = {name: summary(t) for name, t in times.items()}
    for name, t in found.items():
        print(f"{name:12} {t['ms']:7.2f} ms (p10 {t['p10']:.2f}, p90 {t['p90']:.2f})")
    ratio = {name: t["ms"] / found["plain"]["ms"] for name, t in found.items()}
    print(f"conditional / plain {ratio['conditional']:.2f} (plain again / plain {ratio['plain again']:.2f})")


if __name__ == "__main__":
    raise SystemExit(run("bench.conditional", work))
