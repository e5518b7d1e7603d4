"""python -m bench.data [--images N]: how fast a dataset is read, beside Pillow alone.

    build      JPEGs of 64 x 64 into the cache, all cores, beside Pillow's bare open, load and resize on as many
               processes
    batches    shuffled batches from the warm cache into memory, as the background reader takes them
    memory     what this process and its workers hold privately at most while the cache is built: for N images and for a
               quarter of them

The two builds take turns, so that other work on the machine falls on both alike.
"""

import argparse
import json
import multiprocessing
import os
import shutil
import sys
import tempfile
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from dcgan_cupy import device
from dcgan_cupy.data import open_dataset
from dcgan_cupy.feed import shuffled
from dcgan_cupy.machine import cores

from .measure import header

SIZE = 64


def write_jpegs(folder: Path, first: int, stop: int) -> None:
    """Pictures with some detail, of about the size that photos of 64 x 64 have."""
    for i in range(first, stop):
        random = np.random.default_rng(i)
        coarse = Image.fromarray(random.integers(0, 256, (12, 12, 3), np.uint8)).resize(
            (SIZE, SIZE), Image.Resampling.BICUBIC
        )
        path = folder / f"{i // 1000:03d}" / f"{i:06d}.jpg"
        path.parent.mkdir(exist_ok=True)
        coarse.save(path, quality=90)


def bare(paths: list[str]) -> int:
    """Pillow alone: decoded and resized, and the result thrown away."""
    for path in paths:
        with Image.open(path) as image:
            image.convert("RGB").resize((SIZE, SIZE), Image.Resampling.LANCZOS)
    return len(paths)


def private_bytes(others: set[int]) -> int:
    """What this process and its children but `others` hold that is no file's:

    The cache, being mapped, does not count.
    """
    total = 0
    for pid in {os.getpid(), *(child.pid for child in multiprocessing.active_children())} - others:
        try:
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Anonymous:"):
                    total += 1024 * int(line.split()[1])
        except OSError:
            pass
    return total


class Watch(threading.Thread):
    """The most that private_bytes() was, of this process and the children that it starts from now on."""

    def __init__(self):
        super().__init__(daemon=True)
        self.others = {child.pid for child in multiprocessing.active_children()}
        self.most, self._end = 0, threading.Event()

    def run(self):
        while not self._end.wait(0.25):
            self.most = max(self.most, private_bytes(self.others))

    def stop(self) -> int:
        self._end.set()
        self.join()
        return self.most


def build(folder: Path, cache: Path, count: int | None = None) -> tuple[float, int, np.ndarray]:
    """(seconds, most private bytes, images) of a cache made anew."""
    shutil.rmtree(cache, ignore_errors=True)
    watch = Watch()
    watch.start()
    begun = time.perf_counter()
    images = open_dataset(str(folder), SIZE, count=count, cache=cache).images
    return time.perf_counter() - begun, watch.stop(), images


def read_batches(images: np.ndarray, seconds: float) -> float:
    """Bytes a second of shuffled batches of 128."""
    order, _ = shuffled(0, 0, len(images), False)
    buffer, done, begun = np.empty((128, *images.shape[1:]), np.uint8), 0, time.perf_counter()
    while time.perf_counter() - begun < seconds:
        start = done * 128 % (len(order) - 128)
        np.take(images, order[start : start + 128], axis=0, out=buffer, mode="clip")
        done += 1
    return done * buffer.nbytes / (time.perf_counter() - begun)


def main(arguments=None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.data", description="how fast a dataset is read, beside Pillow alone"
    )
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", default=str(Path(__file__).parent / "results"))
    given = parser.parse_args(arguments)
    workers, context = cores(), multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as scratch, ProcessPoolExecutor(workers, mp_context=context) as pool:
        folder, cache = Path(scratch) / "jpegs", Path(scratch) / "cache"
        folder.mkdir()
        list(
            pool.map(
                write_jpegs,
                *zip(*((folder, i, min(i + 1000, given.images)) for i in range(0, given.images, 1000)), strict=True),
            )
        )
        paths = sorted(str(path) for path in folder.rglob("*.jpg"))
        pieces = [paths[i : i + 1000] for i in range(0, len(paths), 1000)]
        ours, theirs = [], []
        for _ in range(given.rounds):
            begun = time.perf_counter()
            sum(pool.map(bare, pieces))
            theirs.append(len(paths) / (time.perf_counter() - begun))
            seconds, most, images = build(folder, cache)
            ours.append(len(images) / seconds)
            print(f"images/s: {ours[-1]:,.0f} into the cache, {theirs[-1]:,.0f} by Pillow alone", flush=True)
        speeds = [read_batches(images, 2) / 1e6 for _ in range(5)]
        quarter = build(folder, cache, given.images // 4)[1]
    ratio = float(np.median(np.array(ours) / np.array(theirs)))
    result = {
        "header": header(device.get("cpu")),
        "images": len(paths),
        "processes": workers,
        "build_images_per_s": [round(v) for v in ours],
        "pillow_images_per_s": [round(v) for v in theirs],
        "ratio": round(ratio, 3),
        "batches_mb_per_s": round(float(np.median(speeds))),
        "memory_mb": round(most / 1e6),
        "memory_mb_quarter": round(quarter / 1e6),
    }
    path = Path(given.out) / f"data-{result['header']['date']}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n")
    print(
        f"ratio {ratio:.2f}, batches {result['batches_mb_per_s']} MB/s, memory {result['memory_mb']} MB "
        f"({result['memory_mb_quarter']} MB for a quarter): {path}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
