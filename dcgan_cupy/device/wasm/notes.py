"""A device that notes every launch with its arguments, and where in one memory its arrays would lie."""

from dataclasses import dataclass

import numpy as np

from .. import source
from ..base import Kernel
from ..recorder import RecorderDevice
from .build import Named

ALIGN = 64  # bytes: a cache line


@dataclass(frozen=True)
class Step:
    """One launch: the kernel, and what it was given: arrays, NumPy scalars, None."""

    kernel: Named
    signature: source.Signature
    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    arguments: tuple


class NotesDevice(RecorderDevice):
    """Runs nothing. Its arrays hold what is copied into them, and `steps` every launch in its order."""

    def __init__(self):
        super().__init__("cpu")
        self.steps: list[Step] = []

    @property
    def description(self) -> str:
        return "a notebook of launches"

    def array(self, values):
        made = self.empty(values.shape, values.dtype)
        made[...] = values
        return made

    def numpy(self, array) -> np.ndarray:
        return array.copy()

    def upload(self, target, values) -> None:
        target[...] = values

    def _compile(self, file, symbol, macros):
        signature = self.signature(file, symbol, source.load(file, macros, tiles=self.tiles))
        return NotedKernel(self, signature, symbol, (file, symbol, macros))


class NotedKernel(Kernel):
    """Checks its arguments as any kernel does, and notes them."""

    device: NotesDevice

    def __init__(self, device, signature, symbol, named: Named):
        super().__init__(device, signature, symbol)
        self.named = named

    def launch(self, grid, block, arguments, shared_bytes) -> None:
        self.device.steps.append(Step(self.named, self.signature, grid, block, tuple(arguments)))


class Arena:
    """One memory for a NotesDevice's arrays: each allocation where it is first asked for, views of it inside.

    size: bytes taken so far.
    """

    def __init__(self, device: NotesDevice):
        self.device, self.size = device, 0
        self._starts: dict[int, int] = {}
        self._held: list = []  # so that no other allocation gets the number of one that is gone

    def address(self, array) -> int:
        """Bytes from the arena's start."""
        memory = array.base
        if id(memory) not in self._starts:
            self._starts[id(memory)] = self.size
            self._held.append(memory)
            self.size += -(-memory.nbytes // ALIGN) * ALIGN
        return self._starts[id(memory)] + self.device.address(array)
