"""Random numbers on the device: Philox4x32-10, so the same seed draws the same numbers on the CPU and on a GPU."""

import numpy as np

from . import ops
from .errors import UserError


class Random:
    """A stream of random numbers. Streams of one seed are independent; the state lies in device memory.

    part: (number, count): each draw fills part `number` of `count` equal ones of a longer draw, which as many streams
    of this seed and number fill together with the numbers that one draw of the whole has.
    Raises: UserError unless seed and stream are whole numbers from 0 to 2^64 - 1.
    Source: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3".
    """

    def __init__(self, device, seed: int = 0, stream: int = 0, part: tuple[int, int] = (0, 1)):
        for name, value in (("seed", seed), ("stream", stream)):
            if not isinstance(value, int) or not 0 <= value < 2**64:
                raise UserError(f"Random: {name}: need a whole number from 0 to 2^64 - 1, got {value!r}")
        self.device, self._part = device, part
        self.state = device.array(np.array([seed, stream, 0], np.uint64))

    def uniform(self, out, low: float = 0.0, high: float = 1.0):
        """Fills `out` with numbers from [low, high). Returns out."""
        return self._draw(ops.random_uniform, out, low, high)

    def normal(self, out, mean: float = 0.0, std: float = 1.0):
        """Fills `out` with normal numbers. Returns out."""
        return self._draw(ops.random_normal, out, mean, std)

    def integers(self, out, below: int):
        """Fills int32 `out` with whole numbers from [0, below). Returns out."""
        return self._draw(ops.random_integers, out, below)

    def _draw(self, operation, out, *numbers):
        number, count = self._part
        operation(self.device, self.state, out, *numbers, first=number * out.size)
        ops.random_advance(self.device, self.state, ops.ceil_div(count * out.size, 4))
        return out
