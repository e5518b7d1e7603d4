"""What checkpoints, samples and TensorBoard cost the default run: runs with and without, interleaved.

python -m bench.watching [--pairs 30] [--steps 100]

A run writes one checkpoint and one sample at its end in any case. With two of each it has one more for its 100 steps,
as the default run has with --checkpoint-every 100: the difference is what 100 of its steps pay. Times are those of
timing.json: the steps and what is written between them, neither start nor compilation.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from dcgan_cupy.command import Parser, number, run


def seconds(folder: Path, steps: int, watched: bool) -> float:
    """Seconds that a run's steps took."""
    every = str(steps // 2 if watched else steps)
    flags = ["--steps", str(steps), "--checkpoint-every", every, "--sample-every", every, "--out", str(folder)]
    command = [sys.executable, "-m", "dcgan_cupy.train", *flags, *["--tensorboard"] * watched]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return json.loads((folder / "timing.json").read_text())["seconds"]


def work(arguments: list[str]) -> None:
    """Measures and prints."""
    parser = Parser("bench.watching", "what watching a run costs", prog="python -m bench.watching")
    parser.add_argument("--pairs", type=number(int, 3), default=30)
    parser.add_argument("--steps", type=number(int, 10), default=100)
    given = parser.parse_args(arguments)
    on, again = [], []
    with tempfile.TemporaryDirectory() as place:
        for i in range(given.pairs):
            sides = [("off", False), ("on", True), ("again", False)]
            order = sides if i % 2 else sides[::-1]
            taken = {name: seconds(Path(place) / f"{i}-{name}", given.steps, watched) for name, watched in order}
            on.append(taken["on"] / taken["off"] - 1)
            again.append(taken["again"] / taken["off"] - 1)
            print(f"{i + 1}: {', '.join(f'{name} {t:.2f} s' for name, t in sorted(taken.items()))}", flush=True)
            for name, shares in (("on beside off", on), ("off beside off", again)):
                p10, median, p90 = np.percentile(shares, [10, 50, 90])
                print(f"   {name:14} {median:+.1%} (p10 {p10:+.1%}, p90 {p90:+.1%})", flush=True)


if __name__ == "__main__":
    raise SystemExit(run("bench.watching", work))
