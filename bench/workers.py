"""What two workers bring: the same step by one worker on a core, by two on two cores, and by PyTorch's DDP.

mpirun -n 2 python -m bench.workers [--pairs 30] [--steps 5] [--out FILE]

Interleaved samples in one job, each of some steps at `--batch` images a worker, one thread a worker:

alone     the first worker on its own images, the other core idle
beside    both at once, each on its own images, with nothing to tell each other: what the cores share costs here
together  both on one batch of twice the images: gradients, statistics and losses are the whole batch's
DDP       PyTorch's network and step on gloo, each its own statistics (its default)

Weak scaling is alone / together; what telling costs is beside / together.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from dcgan_cupy.command import Parser, number, run
from dcgan_cupy.config import Config
from dcgan_cupy.device import CpuDevice
from dcgan_cupy.errors import UserError
from dcgan_cupy.trainer import Trainer
from dcgan_cupy.workers import Workers, find

from .measure import header, summary
from .peer import Peer


class DdpPeer(Peer):
    """The peer's step with DDP's networks. D's weight gradients are left out where they are not used, as ours are."""

    def __init__(self, features, batch, size):
        super().__init__(features, batch, size, "channels_last", "cpu")
        self.d_shared = DistributedDataParallel(self.d, broadcast_buffers=False)
        self.g_shared = DistributedDataParallel(self.g, broadcast_buffers=False)

    def _step(self):
        loss = nn.functional.binary_cross_entropy_with_logits
        fake = self.g_shared(torch.rand(self.batch, 100, 1, 1).mul_(2).sub_(1))
        self.opt_d.zero_grad(set_to_none=True)
        real, faked = self.d_shared(self.real), self.d_shared(fake.detach())
        (loss(real, self.ones) + loss(faked, self.zeros)).backward()
        self.opt_d.step()
        self.opt_g.zero_grad(set_to_none=True)
        self.d.requires_grad_(False)
        loss(self.d(fake), self.ones).backward()
        self.d.requires_grad_(True)
        self.opt_g.step()


class Rig:
    """What is timed, on this worker."""

    def __init__(self, workers: Workers, features: int, batch: int, size: int):
        self.workers, self.batch = workers, batch
        dev = CpuDevice(threads=1)
        sizes = {"image_size": size, "features_g": features, "features_d": features, "device": "cpu"}
        own = Trainer(Config(batch_size=batch, **sizes).resolved("cpu"), dev)
        whole = Trainer(Config(batch_size=batch * workers.size, **sizes).resolved("cpu"), dev, workers)
        real = dev.array(np.random.default_rng(workers.rank).uniform(-1, 1, (batch, size, size, 3)).astype(np.float32))
        peer = DdpPeer(features, batch, size)
        self.dev = dev
        self.works = {
            "alone": (lambda: own.step(real, read=False)) if workers.first else None,
            "beside": lambda: own.step(real, read=False),
            "together": lambda: whole.step(real, read=False),
            "DDP": peer.step,
        }

    def sample(self, name: str, steps: int) -> float:
        """Seconds a step, from when all begin until all are done."""
        work = self.works[name]
        self.meet()
        begun = time.perf_counter()
        for _ in range(steps if work else 0):
            work()
        self.meet()
        return (time.perf_counter() - begun) / steps

    def meet(self) -> None:
        """All come here; who waits leaves its core to others."""
        request = self.workers.world.Ibarrier()
        while not request.Test():
            time.sleep(0.0002)


def work(arguments: list[str]) -> None:
    """Measures, prints, writes."""
    parser = Parser("bench.workers", "two workers beside one", prog="mpirun -n 2 python -m bench.workers")
    parser.add_argument("--pairs", type=number(int, 3), default=30)
    parser.add_argument("--steps", type=number(int, 1), default=5, help="of a sample")
    parser.add_argument("--features", type=number(int, 1), default=16)
    parser.add_argument("--batch", type=number(int, 2), default=32, help="images of each worker")
    parser.add_argument("--size", type=number(int, 16), default=32)
    parser.add_argument("--out", type=Path, help="a JSON file for the result")
    given = parser.parse_args(arguments)
    workers = find()
    if workers.size < 2:
        raise UserError("bench.workers: need several workers (mpirun -n 2 python -m bench.workers), got one")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        place = workers.world.bcast(folder)
        distributed.init_process_group("gloo", f"file://{place}/store", rank=workers.rank, world_size=workers.size)
        rig = Rig(workers, given.features, given.batch, given.size)
        times = {name: [] for name in rig.works}
        for i in range(given.pairs + 2):
            for name in list(times)[:: 1 if i % 2 else -1]:
                taken = rig.sample(name, given.steps)
                if i >= 2:  # the first two compile, capture and allocate
                    times[name].append(taken)
        distributed.destroy_process_group()
    if workers.first:
        tell(given, workers.size, times, header(rig.dev))


def tell(given, size: int, times: dict, head: dict) -> None:
    """A table, and the file."""
    rows = {name: summary(seconds) for name, seconds in times.items()}
    ratio = {
        "weak scaling (alone / together)": ("alone", "together"),
        "what telling costs (beside / together)": ("beside", "together"),
        "beside DDP (DDP / together)": ("DDP", "together"),
    }
    found = {}
    for name, (a, b) in ratio.items():
        shares = np.array(times[a]) / np.array(times[b])
        found[name] = dict(zip(("p10", "median", "p90"), np.percentile(shares, [10, 50, 90]).round(3).tolist()))
    print(f"{size} workers, {given.batch} images each, {given.size} px, features {given.features}; {head['device']}")
    for name, row in rows.items():
        print(f"{name:10} {row['ms']:8.1f} ms a step (p10 {row['p10']:.1f}, p90 {row['p90']:.1f})")
    for name, row in found.items():
        print(f"{name:40} {row['median']:.3f} (p10 {row['p10']:.3f}, p90 {row['p90']:.3f})")
    if given.out:
        settings = {"workers": size, "batch": given.batch, "size": given.size, "features": given.features}
        given.out.write_text(json.dumps({"header": head, **settings, "rows": rows, "ratios": found}, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(run("bench.workers", work))
