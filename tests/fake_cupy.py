"""A CuPy of NumPy arrays, with as much of it as device/gpu.py uses: for the flow of control around a GPU."""

import threading
import time
from types import SimpleNamespace

import numpy as np


class Array(np.ndarray):
    def set(self, values):
        self[...] = values


class CUDARuntimeError(RuntimeError):
    pass


class CUDADriverError(RuntimeError):
    pass


class CompileException(Exception):
    pass


class Nvrtc:
    """Its first call must be over before the second begins: else it finds parts of itself missing."""

    def __init__(self):
        self.calls, self.loading = 0, threading.Event()

    def createProgram(self, *program):
        return program

    def compileProgram(self, program, options):
        self.calls += 1
        if self.calls == 1:
            self.loading.set()
            time.sleep(0.05)
            self.loading.clear()
        elif self.loading.is_set():
            raise CompileException("nvrtc: error: failed to open libnvrtc-builtins.so.13.0.")

    def destroyProgram(self, program):
        pass


class Stream:
    def __init__(self, log, non_blocking=False):
        self.log, self.capturing, self.broken = log, False, False

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return False

    def begin_capture(self):
        self.capturing = True
        self.log.append("begin")

    def end_capture(self):
        self.capturing = False
        self.log.append("end")
        if self.log.broken:
            raise CUDARuntimeError("cudaErrorStreamCaptureInvalidated: operation failed due to a previous error")
        return Graph(self.log)

    def synchronize(self):
        self.log.fail("synchronize")


class Graph:
    def __init__(self, log):
        self.log = log

    def launch(self, stream):
        self.log.fail("graph")
        self.log.append("graph")


class Log(list):
    """What was asked of the GPU. fails: what -> the error it raises. broken: captures cannot be ended."""

    def __init__(self):
        super().__init__()
        self.fails, self.broken = {}, False

    def fail(self, what):
        if error := self.fails.get(what):
            raise error


def make(count=1):
    """(module, log) of a machine with `count` GPUs."""
    log, current, nvrtc = Log(), threading.local(), Nvrtc()

    class Function:
        max_dynamic_shared_size_bytes = 48 * 1024

        def __init__(self, symbol):
            self.symbol = symbol

        def __call__(self, grid, block, arguments, shared_mem=0):
            log.fail("launch")
            log.append(("launch", self.symbol, getattr(current, "number", 0)))

    class RawModule:
        compiling = staticmethod(lambda symbol: None)

        def __init__(self, code, options, name_expressions=None):
            self.code = code

        def get_function(self, symbol):
            log.fail("compile")
            nvrtc.compileProgram(None, ())
            cupy.RawModule.compiling(symbol)
            log.append(("compiled", symbol, getattr(current, "number", 0)))
            return Function(symbol)

    def empty(shape, dtype):
        log.fail("empty")
        return np.empty(shape, dtype).view(Array)

    def use(number):
        current.number = number

    runtime = SimpleNamespace(
        CUDARuntimeError=CUDARuntimeError,
        getDeviceCount=lambda: count,
        getDevice=lambda: getattr(current, "number", 0),
        getDeviceProperties=lambda number: {"name": b"Fake", "major": 9, "minor": 0, "totalGlobalMem": 2**33},
        runtimeGetVersion=lambda: 13000,
        memGetInfo=lambda: (100, 200),
    )
    cuda = SimpleNamespace(
        is_available=lambda: True,
        runtime=runtime,
        driver=SimpleNamespace(CUDADriverError=CUDADriverError),
        compiler=SimpleNamespace(CompileException=CompileException, nvrtc=nvrtc),
        Device=lambda number: SimpleNamespace(use=lambda: use(number)),
        Stream=lambda non_blocking=False: Stream(log, non_blocking),
        get_current_stream=lambda: Stream(log),
    )
    cupy = SimpleNamespace(
        __version__="0", ndarray=Array, empty=empty, asnumpy=np.array, cuda=cuda, RawModule=RawModule
    )
    return cupy, log
