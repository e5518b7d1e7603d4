"""Random numbers on the device: Philox4x32-10, so the same seed draws the same numbers on the CPU and on a GPU."""

import numpy as np

from . import ops
from .errors import UserError


class Random:
    """A stream of random numbers. Streams of one seed are independent; the state lies in device memory.

    Raises: UserError unless seed and stream are whole numbers from 0 to 2^64 - 1.
    Source: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3".
    """

    def __init__(self, device, seed: int = 0, stream: int = 0):
        for name, value in (("seed", seed), ("stream", stream)):
            if not isinstance(value, int) or not 0 <= value < 2**64:
                raise UserError(f"Random: {name}: need a whole number from 0 to 2^64 - 1, got {value!r}")
        self.device = device
        self.state = device.array(np.array([seed, stream, 0], np.uint64))

    def uniform(self, out, low: float = 0.0, high: float = 1.0):
        """Fills `out` with numbers from [low, high). Returns out."""
        ops.random_uniform(self.device, self.state, out, low, high)
        return self._advance(out)

    def normal(self, out, mean: float = 0.0, std: float = 1.0):
        """Fills `out` with normal numbers. Returns out."""
        ops.random_normal(self.device, self.state, out, mean, std)
        return self._advance(out)

    def integers(self, out, below: int):
        """Fills int32 `out` with whole numbers from [0, below). Returns out."""
        ops.random_integers(self.device, self.state, out, below)
        return self._advance(out)

    def _advance(self, out):
        ops.random_advance(self.device, self.state, ops.ceil_div(out.size, 4))
        return out
