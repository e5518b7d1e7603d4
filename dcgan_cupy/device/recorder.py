"""A device that runs nothing:

It notes what a piece of work would ask of the CPU or a GPU, before any of it is there.
"""

import math
import weakref

import numpy as np

from . import source
from .base import Device, Kernel


class RecorderDevice(Device):
    """Takes launches and forgets them. kind: of the device that it stands for.

    kernels: (file, symbol, macros) of each kernel, in the order of first use, and its launches (grid, block, dynamic
    shared bytes). peak_bytes: most that lay in arrays at one time. Arrays are memory that nothing touches, so most
    systems give none for them.
    """

    compiles = False

    def __init__(self, kind: str):
        super().__init__()
        self.kind = self.tiles = kind
        self.reason = "a plan"
        self.kernels: dict[tuple, set[tuple]] = {}
        self.bytes = self.peak_bytes = 0

    @property
    def description(self) -> str:
        return f"a plan for the {self.kind}"

    def _allocate(self, shape, dtype):
        size = math.prod(shape) * np.dtype(dtype).itemsize
        memory = np.empty(size, np.uint8)  # every view of it keeps it alive, none of them another
        self.bytes += size
        self.peak_bytes = max(self.peak_bytes, self.bytes)
        weakref.finalize(memory, self._freed, size)
        return memory.view(dtype).reshape(shape)

    def _freed(self, size):
        self.bytes -= size

    def array(self, values):
        return self.empty(values.shape, values.dtype)

    def numpy(self, array) -> np.ndarray:
        return np.zeros(array.shape, array.dtype)

    def upload(self, target, values) -> None:
        """Nothing is copied."""

    def synchronize(self) -> None:
        """Nothing runs."""

    def call(self, work) -> None:
        """Nor the host's work between launches."""

    def is_array(self, value) -> bool:
        return isinstance(value, np.ndarray)

    def address(self, array) -> int:
        """As on a device: memory starts on a boundary, and a part of it where it lies."""
        return array.__array_interface__["data"][0] - array.base.__array_interface__["data"][0]

    def overlap(self, a, b) -> bool:
        """Addresses here say nothing of that."""
        return np.may_share_memory(a, b)

    def _compile(self, file, symbol, macros):
        launches = self.kernels.setdefault((file, symbol, macros), set())
        return RecorderKernel(
            self, self.signature(file, symbol, source.load(file, macros, tiles=self.tiles)), symbol, launches
        )


class RecorderKernel(Kernel):
    """Checks its arguments as any kernel does, and notes its launches."""

    def __init__(self, device, signature, symbol, launches):
        super().__init__(device, signature, symbol)
        self.launches = launches

    def launch(self, grid, block, arguments, shared_bytes) -> None:
        self.launches.add((grid, block, shared_bytes))
