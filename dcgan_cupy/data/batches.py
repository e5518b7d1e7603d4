"""Batches on the device: shuffled anew each epoch, picked and scaled by a kernel."""

import numpy as np

from .. import ops
from ..errors import UserError


class Batches:
    """Batches of images, float in [-1, 1], without end; a last, partial batch of an epoch is left out.

    images: uint8 [M, H, W, C]; they lie on the device as long as training does. seed: of the order and of the mirroring.
    Raises: UserError if one batch needs more images than there are.
    """

    def __init__(self, device, images: np.ndarray, batch_size: int, seed: int, flip: bool = False):
        if len(images) < batch_size:
            raise UserError(f"train: --batch-size: need at most the number of images, {len(images)}, got {batch_size}")
        self.device, self.batch_size, self.seed, self.flip = device, batch_size, seed, flip
        self.count, self.per_epoch = len(images), len(images) // batch_size
        self.images = images if device.is_array(images) else device.array(images)
        self.batch = device.empty((batch_size, *images.shape[1:]))
        self.order = device.empty((self.count,), "int32")
        self.mirrored = device.empty((self.count,), "uint8") if flip else None
        self.position = 0       # steps taken so far

    @property
    def epoch(self) -> int:
        """The epoch of the next batch, from 0."""
        return self.position // self.per_epoch

    def next(self):
        """The next batch [batch_size, H, W, C], in a buffer that is used again for the one after it."""
        epoch, place = divmod(self.position, self.per_epoch)
        if place == 0:
            self._shuffle(epoch)
        start = place * self.batch_size
        part = slice(start, start + self.batch_size)
        ops.images_to_float(self.device, self.images, self.batch, self.order[part], self.mirrored[part] if self.flip else None)
        self.position += 1
        return self.batch

    def _shuffle(self, epoch: int) -> None:
        """The order of an epoch depends on seed and epoch alone."""
        random = np.random.default_rng([self.seed, epoch])
        self.device.upload(self.order, random.permutation(self.count).astype(np.int32))
        if self.flip:
            self.device.upload(self.mirrored, random.integers(0, 2, self.count, dtype=np.uint8))
