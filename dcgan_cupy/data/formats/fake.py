"""Random images, as the PyTorch example's --dataset fake: a run needs no data, and learns nothing."""

from collections.abc import Iterator

import numpy as np

from ..reader import Batch, Look, Task, code_version, span

COUNT, CLASSES = 1000, 10


class Fake:
    """The reader of images that are noise: independent bytes, and a label of ten."""

    format = source = "fake"
    classes: tuple = ()
    skipped: tuple = ()
    damage = ""

    def __init__(self, look: Look, seed: int, count: int | None):
        self.look, self.seed, self.count = look, seed, None
        self.total = COUNT if count is None else count

    def key(self) -> dict:
        return {"reader": "fake", "code": code_version(__file__), "seed": self.seed, "images": self.total}

    def tasks(self, start: int) -> Iterator[Task]:
        for first, stop in span(start, self.total):
            yield Task(stop, noise, (self.seed, first, stop, self.look))


def noise(seed: int, first: int, stop: int, look: Look) -> Batch:
    """Some of the images: each depends on the seed and its number alone."""
    images = np.empty((stop - first, *look.shape), np.uint8)
    labels = np.empty(stop - first, np.int32)
    for i in range(first, stop):
        random = np.random.default_rng([seed, i])
        labels[i - first] = random.integers(CLASSES)
        images[i - first] = random.integers(0, 256, look.shape, np.uint8)
    return Batch(images, {"label": labels})
