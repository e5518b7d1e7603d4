"""What CuPy's arrays do, and the state of the machine that they lie on: part of cupy_stand_in."""

import itertools
import threading
from types import SimpleNamespace
from typing import Any

import numpy as np

from . import machine

ILLEGAL = "cudaErrorIllegalAddress: an illegal memory access was encountered"
CAPTURING = "cudaErrorStreamCaptureUnsupported: operation not permitted when stream is capturing"
SPOILT = "cudaErrorStreamCaptureInvalidated: operation failed due to a previous error during capture"


class CUDARuntimeError(RuntimeError):
    """As cupy.cuda.runtime has it."""


class CUDADriverError(RuntimeError):
    """As cupy.cuda.driver has it."""


class CompileException(Exception):
    """As cupy.cuda.compiler has it."""


class _OfThread(threading.local):
    def __init__(self):
        self.number, self.streams = 0, []


class Machine:
    """The GPUs of this stand-in, and what is to be told of them."""

    def __init__(self, count: int):
        self.count, self.fault, self.told = count, None, False
        self.order = machine.Order()
        self.mine = _OfThread()
        self.turn = threading.RLock()
        self.names = itertools.count(1)
        self.null: Any = None  # the default stream

    @property
    def stream(self) -> Any:
        return self.mine.streams[-1] if self.mine.streams else self.null

    def check(self) -> None:
        if self.fault:
            self.told = True
            raise CUDARuntimeError(self.fault)

    def outside_of_captures(self, what: str) -> None:
        """Raises: CUDARuntimeError if this thread's stream is capturing, which spoils the capture."""
        if self.stream.capturing is not None:
            self.stream.spoilt = True
            raise CUDARuntimeError(f"{CAPTURING} ({what})")


GPUS = Machine(1)


def reset(count: int = 1, **order: bool) -> str:
    """A machine as new, its launches in the order given. Returns the fault that nobody was told of, if there is one."""
    left = GPUS.fault if GPUS.fault and not GPUS.told else ""
    GPUS.fault, GPUS.told = None, False
    GPUS.count, GPUS.order = count, machine.Order(**order)
    GPUS.mine = _OfThread()
    return left


# Arrays


class Allocation:
    """Memory of one GPU, NaN at first, on a 512-byte boundary."""

    def __init__(self, size: int):
        raw = np.empty(size + 1024, np.uint8)
        start = -raw.ctypes.data % 512
        self.bytes, self.gpu, self.name = raw[start : start + size], GPUS.mine.number, f"array {next(GPUS.names)}"
        self.bytes.fill(0xFF)


class ndarray:
    """Memory of a GPU, or a part of it."""

    __module__ = "cupy"  # as messages name it
    __array_priority__ = 100
    __hash__ = None

    def __init__(self, memory: Allocation, host: np.ndarray, base: "ndarray | None" = None):
        self._memory, self._host, self.base = memory, host, base

    def _part(self, host) -> "ndarray":
        return ndarray(self._memory, host, self if self.base is None else self.base)

    shape = property(lambda self: self._host.shape)
    dtype = property(lambda self: self._host.dtype)
    size = property(lambda self: self._host.size)
    nbytes = property(lambda self: self._host.nbytes)
    ndim = property(lambda self: self._host.ndim)
    itemsize = property(lambda self: self._host.itemsize)
    strides = property(lambda self: self._host.strides)
    flags = property(lambda self: self._host.flags)
    T = property(lambda self: self._part(self._host.T))
    data = property(lambda self: SimpleNamespace(ptr=self._host.__array_interface__["data"][0]))
    device = property(lambda self: SimpleNamespace(id=self._memory.gpu))

    def __len__(self):
        return len(self._host)

    def __array__(self, *_, **__):
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. "
            "Please use `.get()` to construct a NumPy array explicitly."
        )

    def __getitem__(self, index):
        index = index if isinstance(index, tuple) else (index,)
        part = self._host[index if ... in [i for i in index if i is ...] else (*index, ...)]
        if part.size and not np.may_share_memory(part, self._host):
            raise TypeError("the stand-in has views only: need slices, got an index that copies")
        return self._part(part)

    def __setitem__(self, index, value):
        GPUS.outside_of_captures("an array is filled")  # a kernel of CuPy's own, compiled at its first use
        GPUS.check()
        if isinstance(value, np.ndarray) and value.ndim:
            raise ValueError("non-scalar numpy.ndarray cannot be used for fill")
        self._host[index] = value._host if isinstance(value, ndarray) else value

    def __imul__(self, number):
        """By a number, as the tests that plant a fault use it."""
        self[...] = ndarray(self._memory, self._host * number)
        return self

    def reshape(self, *shape):
        made = self._host.reshape(*shape)
        if made.size and not np.may_share_memory(made, self._host):
            raise TypeError("the stand-in has views only: this shape needs a copy")
        return self._part(made)

    def ravel(self):
        return self.reshape(-1)

    def view(self, dtype):
        return self._part(self._host.view(dtype))

    def astype(self, dtype):
        made = empty(self.shape, dtype)
        made._host[...] = self._host.astype(dtype)
        return made

    def copy(self):
        return self.astype(self.dtype)

    def fill(self, value):
        self[...] = value

    def set(self, values):
        GPUS.outside_of_captures("a copy from the host")
        GPUS.check()
        if not isinstance(values, np.ndarray):
            raise TypeError("Only numpy.ndarray can be set to cupy.ndarray")
        if values.dtype != self.dtype or values.shape != self.shape:
            raise ValueError(f"Shape or dtype mismatch: {values.dtype} {values.shape}, {self.dtype} {self.shape}")
        if not (self.flags.c_contiguous or self.flags.f_contiguous):
            raise RuntimeError("Cannot set to non-contiguous array")
        with GPUS.turn:
            self._host[...] = values

    def get(self):
        GPUS.outside_of_captures("a copy to the host")
        GPUS.check()
        with GPUS.turn:
            return np.array(self._host)


def empty(shape, dtype=np.float64):
    """As cupy.empty; here it begins as NaN."""
    GPUS.outside_of_captures("an allocation")
    GPUS.check()
    dtype = np.dtype(dtype)
    shape = (shape,) if np.isscalar(shape) else tuple(shape)
    memory = Allocation(int(np.prod(shape, dtype=np.int64)) * dtype.itemsize)
    return ndarray(memory, memory.bytes.view(dtype).reshape(shape))


def asnumpy(array):
    return array.get() if isinstance(array, ndarray) else np.asarray(array)
