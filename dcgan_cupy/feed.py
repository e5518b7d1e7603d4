"""Batches on the device: shuffled anew each epoch, scaled by a kernel, and there before they are asked for.

the images fit     they lie on the device whole, and the kernel picks each batch by its index
they do not        a thread reads the next batches from the disk while the device works on this one
"""

import mmap
import queue
import threading
import time
from contextlib import suppress
from typing import NamedTuple

import numpy as np

from . import ops
from .errors import UserError

SHARE = 0.5  # of the device's free memory that the images may take: the networks need some too
AHEAD = 4  # batches that lie ready


class Share(NamedTuple):
    """A worker's images of each batch: number `number` of `count` equal parts of `batch` images."""

    batch: int
    number: int
    count: int

    @property
    def size(self) -> int:
        """Images of a part."""
        return self.batch // self.count

    def of(self, place: int) -> slice:
        """Where its part of batch number `place` of an epoch lies in the epoch's order."""
        start = place * self.batch + self.number * self.size
        return slice(start, start + self.size)


class Batches:
    """Batches of images, float in [-1, 1], without end; a last, partial batch of an epoch is left out.

    images: uint8 [M, H, W, C], such as a memory map.   seed: of the order and of the mirroring.
    labels: int32 [M], the images' classes; then `labels` [batch_size] holds the batch's on the device.
    resident: whether the images lie on the device as a whole (default: if they fit). The batches are the same either
    way. Set `position`, the steps taken so far, to go on exactly where another run was.   `waited`: seconds until the
    images were at hand, all in all; the kernel that scales them is a part of the step.
    worker: (number, of how many) whose share of each batch this is; batch_size: that of all.
    Raises: UserError if one batch needs more images than there are.
    """

    def __init__(
        self,
        device,
        images: np.ndarray,
        batch_size: int,
        seed: int,
        flip: bool = False,
        resident: bool | None = None,
        labels: np.ndarray | None = None,
        worker: tuple[int, int] = (0, 1),
    ):
        if len(images) < batch_size:
            raise UserError(f"train: --batch-size: need at most the number of images, {len(images)}, got {batch_size}")
        self.device, self.seed, self.flip = device, seed, flip
        self.count, self.per_epoch = len(images), len(images) // batch_size
        self.share = Share(batch_size, *worker)
        self.batch_size = batch_size = self.share.size
        self.resident = images.nbytes <= SHARE * device.free_bytes() if resident is None else resident
        self.batch = device.empty((batch_size, *images.shape[1:]))
        self.position, self.waited = 0, 0.0
        self._all_labels = labels
        self.labels = None if labels is None else device.empty((batch_size,), "int32")
        if self.resident:
            self.images = _at_hand(images) if device.is_array(images) else device.array(images)
            self.order = device.empty((self.count,), "int32")
            self.mirrored = device.empty((self.count,), "uint8") if flip else None
            self._shuffled, self._order = None, None  # the epoch whose order lies on the device, and here
        else:
            self.images = images
            self.picked = device.empty((batch_size, *images.shape[1:]), "uint8")
            self.mirrored = device.empty((batch_size,), "uint8") if flip else None
            self._reader = None
        first = self.images if self.resident else self.picked
        ops.images_to_float(device, first, self.batch)  # compiles the kernel, which is no waiting for data

    @property
    def epoch(self) -> int:
        """The epoch of the next batch, from 0."""
        return self.position // self.per_epoch

    @property
    def place(self) -> str:
        """Where the images are, in words."""
        where = "in memory" if self.device.kind == "cpu" else "on the GPU"
        return where if self.resident else "read from the disk as they are needed"

    def next(self):
        """The next batch [batch_size, H, W, C], in a buffer that is used again for the one after it."""
        begun = time.perf_counter()
        batch = self._pick() if self.resident else self._receive()
        self.waited += time.perf_counter() - begun
        ops.images_to_float(self.device, *batch)
        self.position += 1
        return self.batch

    def close(self) -> None:
        """Ends the background reader, if there is one."""
        if not self.resident and self._reader is not None:
            self._reader.stop()
            self._reader = None

    def _pick(self) -> tuple:
        epoch, place = divmod(self.position, self.per_epoch)
        if epoch != self._shuffled:
            order, mirrored = shuffled(self.seed, epoch, self.count, self.flip)
            self.device.upload(self.order, order)
            if self.flip:
                self.device.upload(self.mirrored, mirrored)
            self._shuffled, self._order = epoch, order
        part = self.share.of(place)
        self._pick_labels(self._order[part])
        return self.images, self.batch, self.order[part], self.mirrored[part] if self.flip else None

    def _receive(self) -> tuple:
        if self._reader is None or self._reader.position != self.position:
            self.close()
            self._reader = _Reader(self)
        picked, order, mirrored = self._reader.next()
        self._pick_labels(order)
        self.device.upload(self.picked, picked)
        if self.flip:
            self.device.upload(self.mirrored, mirrored)
        self._reader.give_back(picked)
        return self.picked, self.batch, None, self.mirrored

    def _pick_labels(self, order: np.ndarray) -> None:
        if self.labels is not None:
            self.device.upload(self.labels, self._all_labels[order])


def shuffled(seed: int, epoch: int, count: int, flip: bool) -> tuple[np.ndarray, np.ndarray | None]:
    """(order int32 [count], mirrored uint8 [count] or None): they depend on seed and epoch alone."""
    random = np.random.default_rng([seed, epoch])
    order = random.permutation(count).astype(np.int32)
    return order, random.integers(0, 2, count, dtype=np.uint8) if flip else None


def _at_hand(images: np.ndarray) -> np.ndarray:
    """A memory map is read ahead by the system; nothing else needs to be done."""
    if isinstance(images, np.memmap):
        with suppress(AttributeError, OSError, ValueError):
            images._mmap.madvise(mmap.MADV_WILLNEED)
    return images


class _Reader(threading.Thread):
    """Gathers batches from `batches.position` on, a few ahead, in buffers that go round."""

    def __init__(self, batches: Batches):
        super().__init__(daemon=True, name="batches")
        self.position = batches.position  # of the batch that next() gives
        self._from, self._images = batches.position, batches.images
        self._facts = batches.seed, batches.count, batches.per_epoch, batches.share, batches.flip
        self._ready: queue.Queue = queue.Queue()
        self._free: queue.Queue = queue.Queue()
        for _ in range(AHEAD):
            self._free.put(np.empty((batches.batch_size, *batches.images.shape[1:]), np.uint8))
        self.start()

    def run(self) -> None:
        seed, count, per_epoch, share, flip = self._facts
        position, known = self._from, None
        try:
            while (buffer := self._free.get()) is not None:
                epoch, place = divmod(position, per_epoch)
                if known != epoch:
                    order, mirrored = shuffled(seed, epoch, count, flip)
                    known = epoch
                part = share.of(place)
                np.take(self._images, order[part], axis=0, out=buffer, mode="clip")  # lets other threads run meanwhile
                self._ready.put((buffer, order[part], mirrored[part] if flip else None))
                position += 1
        except Exception as error:  # next() raises it where somebody sees it
            self._ready.put(error)

    def next(self) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """The batch that has waited longest: images, their numbers, which are mirrored."""
        found = self._ready.get()
        if isinstance(found, Exception):
            raise found
        self.position += 1
        return found

    def give_back(self, buffer: np.ndarray) -> None:
        """The buffer may be filled again."""
        self._free.put(buffer)

    def stop(self) -> None:
        """Ends the thread after the batch at hand."""
        self._free.put(None)
        self.join()
