"""A CuPy without a GPU, and stricter than CuPy: as much of it as device/gpu.py and bench/ use.

    kernels    compiled by NVRTC, run by machine.py when they are launched; a stream has nothing to wait for
    faults     told by the next call that waits for the GPU, and by every one after it, as a lost CUDA context does;
               reset() forgets them
    captures   work of the capturing thread is noted, not run; allocating, compiling, copying from or to the host and
               waiting are errors, which spoil the capture
    graphs     keep no array alive: replaying one whose arrays are gone is an illegal access
    arrays     begin as NaN, turn into NumPy arrays by get() only, and belong to one GPU
"""

import itertools
import threading
import time
import weakref
from types import SimpleNamespace

import numpy as np

from . import kept, machine, nvrtc, ptx

MOST_SHARED, COMMON_SHARED = 227 * 1024, 48 * 1024
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
        self.count, self.fault = count, None
        self.order = machine.Order()
        self.mine = _OfThread()
        self.turn = threading.RLock()
        self.names = itertools.count(1)

    @property
    def stream(self) -> "Stream":
        return self.mine.streams[-1] if self.mine.streams else Stream.null

    def check(self) -> None:
        if self.fault:
            raise CUDARuntimeError(self.fault)

    def outside_of_captures(self, what: str) -> None:
        """Raises: CUDARuntimeError if this thread's stream is capturing, which spoils the capture."""
        if self.stream.capturing is not None:
            self.stream.spoilt = True
            raise CUDARuntimeError(f"{CAPTURING} ({what})")


GPUS = Machine(1)


def reset(count: int = 1, **order: bool) -> str:
    """A machine as new, its launches in the order given. Returns the fault that nobody was told of, if there is one."""
    left, GPUS.fault = GPUS.fault, None
    GPUS.count, GPUS.order = count, machine.Order(**order)
    GPUS.mine = _OfThread()
    return left or ""


# Arrays


class Allocation:
    """Memory of one GPU, NaN at first, on a 512-byte boundary."""

    def __init__(self, size: int):
        raw = np.empty(size + 1024, np.uint8)
        start = -raw.ctypes.data % 512
        self.bytes, self.gpu, self.name = raw[start : start + size], GPUS.mine.number, f"array {next(GPUS.names)}"
        self.bytes.fill(0xFF)


class ndarray:  # noqa: N801 - CuPy's name
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
        part = self._host[index]
        part = part if isinstance(part, np.ndarray) else self._host[index + (...,)] if isinstance(index, tuple) else self._host[(index, ...)]
        if not np.may_share_memory(part, self._host) and part.size:
            raise TypeError("the stand-in has views only: need slices, got an index that copies")
        return self._part(part)

    def __setitem__(self, index, value):
        GPUS.outside_of_captures("an array is filled")  # a kernel of CuPy's own, compiled at its first use
        GPUS.check()
        if isinstance(value, np.ndarray) and value.ndim:
            raise ValueError("non-scalar numpy.ndarray cannot be used for fill")
        self._host[index] = value._host if isinstance(value, ndarray) else value

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


# Streams, events, graphs


class Stream:
    """Runs what is launched at once, or notes it."""

    null: "Stream"

    def __init__(self, null=False, non_blocking=False, ptds=False):
        self.is_null, self.capturing, self.spoilt = null, None, False

    def __enter__(self):
        GPUS.mine.streams.append(self)
        return self

    def __exit__(self, *error):
        GPUS.mine.streams.pop()

    def use(self):
        GPUS.mine.streams[:] = [self]
        return self

    def begin_capture(self, mode=None):
        GPUS.check()
        if self.is_null:
            raise CUDARuntimeError(f"{CAPTURING} (the default stream cannot be captured)")
        if self.capturing is not None:
            raise CUDARuntimeError("cudaErrorIllegalState: the stream is capturing already")
        self.capturing, self.spoilt = [], False

    def end_capture(self):
        if self.capturing is None:
            raise CUDARuntimeError("cudaErrorIllegalState: the stream is not capturing")
        noted, self.capturing = self.capturing, None
        if self.spoilt:
            raise CUDARuntimeError(SPOILT)
        return Graph(noted)

    def is_capturing(self):
        return self.capturing is not None

    def synchronize(self):
        if self.capturing is not None:
            self.spoilt = True
            raise CUDARuntimeError(f"{CAPTURING} (waiting for it)")
        GPUS.check()


Stream.null = Stream(null=True)


class Event:
    """A time."""

    def __init__(self, block=False, disable_timing=False, interprocess=False):
        self.time = None

    def record(self, stream=None):
        GPUS.outside_of_captures("an event")
        self.time = time.perf_counter()

    def synchronize(self):
        GPUS.check()


def get_elapsed_time(start, end):
    """Milliseconds."""
    GPUS.check()
    if start.time is None or end.time is None:
        raise CUDARuntimeError("cudaErrorInvalidResourceHandle: invalid resource handle")
    return (end.time - start.time) * 1000


class Graph:
    """Launches in their order."""

    def __init__(self, noted):
        self.noted, self.gpu = noted, GPUS.mine.number

    def launch(self, stream=None):
        GPUS.check()
        stream = stream or GPUS.stream
        if stream.capturing is not None:
            raise CUDARuntimeError(f"{CAPTURING} (a graph)")
        for launch in self.noted:
            launch.run()


class Launch:
    """One launch, its arguments as bytes; it keeps no array alive."""

    def __init__(self, function, grid, block, parameters, arrays, dynamic):
        self.function, self.grid, self.block = function, grid, block
        self.parameters, self.dynamic = parameters, dynamic
        self.arrays = [(a.data.ptr, a.nbytes, weakref.ref(a._memory), a.shape, a.dtype) for a in arrays]

    def run(self) -> None:
        with GPUS.turn:
            if GPUS.fault:
                return
            known, alive = [], []
            for first, size, reference, shape, dtype in self.arrays:
                memory = reference()
                if memory is None:
                    GPUS.fault = f"{ILLEGAL}: {self.function.name}: an array of {dtype} {shape} that is gone"
                    return
                if memory.gpu != self.function.gpu:
                    GPUS.fault = f"{ILLEGAL}: {self.function.name}: {memory.name} lies on GPU {memory.gpu}"
                    return
                alive.append(memory)
                known.append((first, size, f"{memory.name}, {dtype} {shape}", True))
            try:
                self.function.ready.run(self.grid, self.block, self.parameters, known, self.dynamic, GPUS.order)
            except machine.Fault as fault:
                GPUS.fault = f"{ILLEGAL}: {fault}"


# Kernels


class RawModule:
    """As cupy.RawModule: compiled when its first function is asked for."""

    def __init__(self, *, code, options=(), name_expressions=None, backend="nvrtc"):
        self.code, self.options, self.names = code, tuple(options), tuple(name_expressions or ())
        self.variables = {}

    def get_function(self, symbol):
        GPUS.outside_of_captures("a kernel is compiled or loaded")
        GPUS.check()
        if self.names and symbol not in self.names:
            raise CUDADriverError("CUDA_ERROR_NOT_FOUND: named symbol not found")
        try:
            program = kept.translated(self.code, self.options, symbol, self.names)
        except nvrtc.CompileError as error:
            raise CompileException(str(error)) from None
        except LookupError as error:
            raise CUDADriverError(str(error)) from None
        except ptx.NotKnown as error:
            raise NotImplementedError(f"the stand-in does not run this PTX: {error}") from None
        for v in program.variables:
            if v.name not in self.variables:
                held = np.zeros(max(v.size, 1) + 512, np.uint8)
                held = held[-held.ctypes.data % 256 :][: v.size]
                held[:] = np.frombuffer(v.start or bytes(v.size), np.uint8)
                self.variables[v.name] = held
        return Function(symbol, program, {v.name: self.variables[v.name] for v in program.variables})


class Function:
    """A kernel of a module that is loaded on one GPU."""

    def __init__(self, name, program, variables):
        self.name, self.program, self.gpu = name, program, GPUS.mine.number
        self.ready = machine.Ready(program, variables)
        self._most = COMMON_SHARED - min(program.static_bytes, COMMON_SHARED)

    @property
    def max_dynamic_shared_size_bytes(self):
        return self._most

    @max_dynamic_shared_size_bytes.setter
    def max_dynamic_shared_size_bytes(self, value):
        if value + self.program.static_bytes > MOST_SHARED:
            raise CUDADriverError("CUDA_ERROR_INVALID_VALUE: invalid argument")
        self._most = value

    def __call__(self, grid, block, args, *, shared_mem=0, stream=None):
        grid, block = self._three(grid), self._three(block)
        threads = block[0] * block[1] * block[2]
        if threads > min(1024, self.program.most_threads) or block[2] > 64 or grid[1] > 65535 or grid[2] > 65535:
            raise CUDADriverError("CUDA_ERROR_INVALID_VALUE: invalid argument")
        if shared_mem > self._most or GPUS.mine.number != self.gpu:
            raise CUDADriverError("CUDA_ERROR_INVALID_VALUE: invalid argument")
        parameters, arrays = self._bytes(args)
        launch = Launch(self, grid, block, parameters, arrays, shared_mem)
        if GPUS.stream.capturing is not None:
            GPUS.stream.capturing.append(launch)
        else:
            GPUS.check()
            launch.run()

    @staticmethod
    def _three(sizes):
        if not isinstance(sizes, tuple) or not all(type(s) is int and s > 0 for s in sizes) or not 1 <= len(sizes) <= 3:
            raise CUDADriverError(f"CUDA_ERROR_INVALID_VALUE: invalid argument ({sizes!r})")
        return (*sizes, 1, 1)[:3]

    def _bytes(self, arguments):
        """The parameters as the kernel reads them, and the arrays among them."""
        places = self.program.parameter_bytes
        if len(arguments) != len(places):
            raise TypeError(f"{self.name}: need {len(places)} arguments, got {len(arguments)}")
        given, arrays = bytearray(sum(places[-1]) if places else 0), []
        for n, ((offset, size), value) in enumerate(zip(places, arguments)):
            if isinstance(value, ndarray):
                arrays.append(value)
                held = value.data.ptr.to_bytes(8, "little")
            elif isinstance(value, np.generic):
                held = value.tobytes()
            else:
                raise TypeError(f"{self.name}: argument {n}: need an array or a NumPy scalar, got {type(value).__name__}")
            if len(held) != size:
                raise TypeError(f"{self.name}: argument {n}: need {size} bytes, got {len(held)} ({type(value).__name__})")
            given[offset : offset + size] = held
        return bytes(given), arrays


# The module


def _use(number):
    if not 0 <= number < GPUS.count:
        raise CUDARuntimeError("cudaErrorInvalidDevice: invalid device ordinal")
    GPUS.mine.number = number


PROPERTIES = {"name": b"stand-in", "major": 9, "minor": 0, "totalGlobalMem": 2**33}
runtime = SimpleNamespace(
    CUDARuntimeError=CUDARuntimeError,
    getDeviceCount=lambda: GPUS.count,
    getDevice=lambda: GPUS.mine.number,
    getDeviceProperties=lambda number: dict(PROPERTIES),
    runtimeGetVersion=lambda: 13000,
    memGetInfo=lambda: (2**32, 2**33),
    deviceSynchronize=lambda: Stream.null.synchronize(),
)
cuda = SimpleNamespace(
    is_available=lambda: True,
    runtime=runtime,
    driver=SimpleNamespace(CUDADriverError=CUDADriverError),
    compiler=SimpleNamespace(CompileException=CompileException),
    Device=lambda number=None: SimpleNamespace(use=lambda: _use(number), id=number),
    Stream=Stream,
    Event=Event,
    Graph=Graph,
    get_current_stream=lambda: GPUS.stream,
    get_elapsed_time=get_elapsed_time,
)
__version__ = "stand-in"


def get_default_memory_pool():
    return SimpleNamespace(free_bytes=lambda: 0)
