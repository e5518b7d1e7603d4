"""A CuPy without a GPU, and stricter than CuPy: as much of it as device/gpu.py and bench/ use.

kernels    compiled by NVRTC, run by machine.py when they are launched; a stream has nothing to wait for
faults     told by the next call that waits for the GPU, and by every one after it, as a lost CUDA context does;
           reset() forgets them
captures   work of the capturing thread is noted, not run; allocating, compiling, copying from or to the host and
           waiting are errors, which spoil the capture
graphs     keep no array alive: replaying one whose arrays are gone is an illegal access
arrays     begin as NaN, turn into NumPy arrays by get() only, and belong to one GPU
"""

import time
import weakref
from types import SimpleNamespace

import numpy as np

from . import kept, machine, nvrtc
from .arrays import (
    CAPTURING,
    GPUS,
    ILLEGAL,
    SPOILT,
    CompileException,
    CUDADriverError,
    CUDARuntimeError,
    asnumpy,
    empty,
    ndarray,
    reset,
)

__all__ = ["RawModule", "asnumpy", "cuda", "empty", "ndarray", "reset"]
MOST_SHARED, COMMON_SHARED = 227 * 1024, 48 * 1024


# Streams, events, graphs


class Stream:
    """Runs what is launched at once, or notes it."""

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


GPUS.null = Stream(null=True)


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
                raise TypeError(
                    f"{self.name}: argument {n}: need an array or a NumPy scalar, got {type(value).__name__}"
                )
            if len(held) != size:
                raise TypeError(
                    f"{self.name}: argument {n}: need {size} bytes, got {len(held)} ({type(value).__name__})"
                )
            given[offset : offset + size] = held
        return bytes(given), arrays


# The module


class Nvrtc:
    """cupy.cuda.compiler.nvrtc, as far as its first call goes."""

    @staticmethod
    def createProgram(text, name, headers, names):
        return text

    @staticmethod
    def compileProgram(text, options):
        nvrtc.ptx(text, tuple(options))

    @staticmethod
    def destroyProgram(text):
        pass


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
    memGetInfo=lambda: GPUS.check() or (2**32, 2**33),
    deviceSynchronize=lambda: GPUS.null.synchronize(),
)
cuda = SimpleNamespace(
    is_available=lambda: True,
    runtime=runtime,
    driver=SimpleNamespace(CUDADriverError=CUDADriverError),
    compiler=SimpleNamespace(CompileException=CompileException, nvrtc=Nvrtc),
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
