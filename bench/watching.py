"""What checkpoints, samples and TensorBoard cost the default run: runs with and without, interleaved.

python -m bench.watching [--pairs 30] [--steps 100]

A run writes one checkpoint and one sample at its end in any case. With two of each it has one more for its 100 steps,
as the default run has with --checkpoint-every 100: the difference is what 100 of its steps pay. Times are those of
timing.json: the steps and what is written between them, neither start nor compilation; by the clock, which other work
on the machine disturbs, and of the processor, which it disturbs less.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from dcgan_cupy.command import Parser, number, run


def times(folder: Path, steps: int, watched: bool) -> tuple[float, float]:
    """Seconds that a run's steps took: by the clock, and of the processor's time."""
    every = str(steps // 2 if watched else steps)
    flags = ["--steps", str(steps), "--checkpoint-every", every, "--sample-every", every, "--out", str(folder)]
    command = [sys.executable, "-m", "dcgan_cupy.train", *flags, *["--tensorboard"] * watched]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    timing = json.loads((folder / "timing.json").read_text())
    return timing["seconds"], timing["processor_seconds"]


def work(arguments: list[str]) -> None:
    """Measures and prints."""
    parser = Parser("bench.watching", "what watching a run costs", prog="python -m bench.watching")
    parser.add_argument("--pairs", type=number(int, 3), default=30)
    parser.add_argument("--steps", type=number(int, 10), default=100)
    given = parser.parse_args(arguments)
    sides = {"off": False, "on": True, "again": False}
    taken = {side: [] for side in sides}
    with tempfile.TemporaryDirectory() as place:
        for i in range(given.pairs):
            for side in list(sides)[:: 1 if i % 2 else -1]:
                taken[side].append(times(Path(place) / f"{i}-{side}", given.steps, sides[side]))
            print(f"{i + 1}: " + ", ".join(f"{side} {clock[-1][0]:.2f} s" for side, clock in taken.items()), flush=True)
            off = np.array(taken["off"])
            for name, side in (("on beside off", "on"), ("off beside off", "again")):
                shares = np.percentile(np.array(taken[side]) / off - 1, [50, 10, 90], axis=0).T
                told = (
                    "{} {:+.1%} (p10 {:+.1%}, p90 {:+.1%})".format(*row)
                    for row in zip(("clock", "processor"), *shares.T)
                )
                print(f"   {name:14} {', '.join(told)}", flush=True)


if __name__ == "__main__":
    raise SystemExit(run("bench.watching", work))
