"""python -m bench.profile [--features F --batch B --size S --threads T --kernels R]:

Where the time of a training step goes.

Each launch is timed by itself (the device waits for it), so what is left over is Python: the time between launches. On
the CPU with one thread the times are the process's own CPU time, which other work on the machine hardly changes.
"""

import argparse
import time
from collections import defaultdict

import numpy as np

from dcgan_cupy import device as devices
from dcgan_cupy.config import Config
from dcgan_cupy.trainer import Trainer


class Clock:
    """Times every launch of a device under its symbol and the shape that tells it from its like."""

    def __init__(self, dev, seconds):
        self.dev, self.seconds, self.times = dev, seconds, defaultdict(list)

    def __call__(self, kernel, grid, block, arguments, run):
        start = self.seconds()
        run()
        self.dev.synchronize()
        self.times[kernel.symbol, self.label(arguments), grid].append(self.seconds() - start)

    @staticmethod
    def label(arguments) -> str:
        """The largest array's shape."""
        shapes = [a.shape for a in arguments if hasattr(a, "shape") and len(a.shape)]
        return " ".join("x".join(map(str, s)) for s in shapes[:3] if len(s) == 4 or len(shapes) < 4)


def main(arguments=None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.profile", description=__doc__.split("\n")[0])
    for name, default in (("features", 16), ("batch", 64), ("size", 32), ("threads", 1), ("steps", 5), ("rows", 40)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--kernels")
    parser.add_argument("--classes", type=int, help="of a conditional step")
    given = parser.parse_args(arguments)
    kind = given.device if given.device != "auto" else "cpu" if devices.gpu.why_not() else "gpu"
    dev = devices.get(kind, **({"threads": given.threads} if kind == "cpu" else {}))
    seconds = time.process_time if dev.kind == "cpu" and given.threads == 1 else time.perf_counter
    clock = Clock(dev, seconds)
    f, b, s = given.features, given.batch, given.size
    k = given.classes
    config = Config(
        features_g=f, features_d=f, batch_size=b, image_size=s, kernels=given.kernels, steps=1,
        conditional=k is not None, n_classes=k,
    )  # fmt: skip
    trainer = Trainer(config.resolved(dev.kind), dev)
    labels = dev.array(np.arange(b, dtype=np.int32) % k) if k else None
    images = np.random.default_rng(0).uniform(-1, 1, (b, s, s, 3)).astype(np.float32)
    real, other = dev.array(images), dev.array(images)  # a step on another array runs launch by launch, no replay
    for array in (real, other):
        trainer.step(array, labels=labels)
    totals = []
    with dev.watched(clock):
        for step in range(given.steps):
            start = seconds()
            trainer.step((real, other)[step % 2], labels=labels)
            totals.append(seconds() - start)
    total = np.median(totals) * 1e3
    rows = sorted(
        ((np.sum(t) / given.steps * 1e3, len(t) / given.steps, *key) for key, t in clock.times.items()), reverse=True
    )
    replays = []
    for _ in range(2):
        trainer.step(real, labels=labels)
    for _ in range(given.steps):
        start = seconds()
        trainer.step(real, labels=labels)
        replays.append(seconds() - start)
    print(
        f"{dev.description}\nfeatures {f}, batch {b}, size {s}: {total:.2f} ms a step launch by launch, "
        f"{np.median(replays) * 1e3:.2f} ms replayed; {len(rows)} kinds of launch, "
        f"{sum(r[1] for r in rows):.0f} launches; between launches {total - sum(r[0] for r in rows):.2f} ms"
    )
    for ms, calls, symbol, label, grid in rows[: given.rows]:
        print(f"{ms:8.3f} ms {100 * ms / total:5.1f} %  {calls:4.0f} x  {symbol:32} {label}  grid {grid}")
    by_symbol = defaultdict(float)
    for ms, _, symbol, *_ in rows:
        by_symbol[symbol] += ms
    print("  ".join(f"{symbol} {ms:.2f}" for symbol, ms in sorted(by_symbol.items(), key=lambda r: -r[1])))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
