"""The GPU device: kernels through cupy.RawModule. The only file that imports cupy."""

import contextlib
import ctypes
import io
import os
import re
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..cache import cache_root, private_folder
from ..errors import UserError, printable
from . import source
from .base import Device, Graph, Kernel, KernelError
from .temporary import temporary_folder
from .turns import Turn

cupy: Any = None  # imported by missing(), when something asks: it takes a second, and it writes to a folder of its own

OPTIONS = ("-std=c++17",)
PTXAS = re.compile(
    r"Function properties for (\w+)\s+ptxas\s+\.?\s*(\d+) bytes stack frame, "
    r"(\d+) bytes spill stores, (\d+) bytes spill loads.*?Used (\d+) registers([^\n]*)",
    re.S,
)


def why_not() -> str:
    """Why no GPU can be used here, or an empty string if one answers. Without a driver CuPy is not even imported."""
    if reason := no_driver() or missing():
        return reason
    try:
        return "" if cupy.cuda.is_available() else "CuPy finds no CUDA device"
    except Exception as error:  # a broken driver shows itself in many ways; none of them is ours to mend
        return f"CuPy cannot reach the driver: {_line(error)}"


def no_driver() -> str:
    """Why there can be no GPU here, or an empty string: a cheap look, before CuPy's."""
    if sys.platform != "linux" or any(Path("/dev").glob("nvidia[0-9]*")) or Path("/dev/dxg").exists():
        return ""
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return "no NVIDIA driver is here, neither /dev/nvidia0 nor libcuda.so.1"
    return ""


@lru_cache(maxsize=None)
def missing() -> str:
    """Imports CuPy, its own cache inside ours. Why it cannot be imported, or an empty string."""
    global cupy
    try:
        if not os.environ.get("CUPY_CACHE_DIR"):
            os.environ["CUPY_CACHE_DIR"] = str(_cupy_folder())
        import cupy as imported
    except ImportError as error:
        return f"CuPy is not installed ({_line(error)}); `make gpu` installs it"
    except Exception as error:  # a folder that cannot be written, a library of another version
        return f"CuPy cannot be imported: {type(error).__name__}: {_line(error)}"
    cupy = imported
    return ""


def _cupy_folder() -> Path:
    """CuPy compiles into it and loads from it; it does not start without one that it can write."""
    try:
        folder = private_folder(cache_root() / "cupy")
        if os.access(folder, os.W_OK):
            return folder
    except UserError:
        pass
    return temporary_folder("cupy")


def _line(error: BaseException) -> str:
    """The first line of a message, made printable."""
    return printable(next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__))


@contextlib.contextmanager
def _sentences(where: str):
    """An error of the CUDA runtime or driver becomes a KernelError of one line (out of memory is a MemoryError)."""
    try:
        yield
    except (cupy.cuda.runtime.CUDARuntimeError, cupy.cuda.driver.CUDADriverError) as error:
        raise KernelError(f"{where}: {_line(error)}") from error


_first_compile = Turn()


@lru_cache(maxsize=None)
def _load(nvrtc) -> None:
    """NVRTC's first call, which loads what it needs beside itself: to be made alone (_first_compile).

    Two threads that make it at once can find its parts missing.
    """
    program = nvrtc.createProgram("__global__ void nothing() {}", "nothing.cu", [], [])
    nvrtc.compileProgram(program, ())
    nvrtc.destroyProgram(program)


class Resources(NamedTuple):
    """What one kernel takes of a GPU:

    Registers a thread, static shared memory a block, stack and spills a thread (bytes).
    """

    registers: int
    shared: int
    stack: int
    spills: int  # bytes stored and loaded again


def resources(text: str, symbol: str, arch: int) -> Resources:
    """Compiles a loaded text for a GPU that need not be there (arch 90: sm_90).

    And tells what ptxas says of one kernel.

    symbol: a name, or a template instance such as "scale<4>".
    Raises: UserError if NVRTC is missing, the text does not compile, or it holds no such kernel.
    """
    with _first_compile:
        _absent_options()
    found = _compiled(text, arch, symbol if "<" in symbol else None)
    if "<" in symbol:  # ptxas tells its mangled name, the only one that holds the template's
        symbol = next((name for name in found if symbol.partition("<")[0].strip() in name), symbol)
    if symbol not in found:
        raise UserError(
            f"sm_{arch}: kernel: need one of {', '.join(found) or '(no kernel in this text)'}, got {symbol!r}"
        )
    return found[symbol]


@lru_cache(maxsize=None)
def _compiled(text: str, arch: int, instance: str | None) -> dict[str, Resources]:
    options, log, found = (*_absent_options(), f"-arch=sm_{arch}"), io.StringIO(), {}
    try:
        names = (instance,) if instance else ()
        cupy.cuda.compiler._NVRTCProgram(text, "kernel.cu", method="cubin", name_expressions=names).compile(
            options, log
        )
    except cupy.cuda.compiler.CompileException as error:
        raise UserError(f"sm_{arch}: compile: {_first_error(error)}") from None
    for name, stack, stores, loads, registers, rest in PTXAS.findall(log.getvalue()):
        shared = re.search(r"(\d+) bytes smem", rest)
        found[name] = Resources(int(registers), int(shared[1]) if shared else 0, int(stack), int(stores) + int(loads))
    return found


@lru_cache(maxsize=None)
def _absent_options() -> tuple[str, ...]:
    """What RawModule passes (CuPy adds its headers and -ftz), but for the architecture, and ptxas made to talk."""
    if reason := missing():
        raise UserError(f"gpu: NVRTC: need CuPy to compile for a GPU: {reason}")
    from cupy._core.core import assemble_cupy_compiler_options

    try:
        given = assemble_cupy_compiler_options(OPTIONS)
        _load(cupy.cuda.compiler.nvrtc)
    except Exception as error:  # no libnvrtc beside CuPy, or one that does not load: it shows in many ways
        raise UserError(
            f"gpu: NVRTC: need NVRTC beside CuPy (the nvrtc extra brings it), got: {_line(error)}"
        ) from None
    return (*given, "--device-as-default-execution-space", "-ftz=true", "--ptxas-options=-v")


def _first_error(error: Exception) -> str:
    return printable(next((line for line in str(error).splitlines() if "error" in line), _line(error)))


class GpuDevice(Device):
    """An NVIDIA GPU; its arrays are CuPy's."""

    kind = tiles = "gpu"

    def __init__(self, number: int = 0, reason: str = "asked for"):
        super().__init__()
        if missing := why_not():
            raise UserError(f"device: gpu: need a CUDA device, got none: {missing}")
        with _sentences("device: gpu"):
            count = cupy.cuda.runtime.getDeviceCount()
            if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < count:
                known = "0" if count == 1 else f"0 to {count - 1}"
                raise UserError(f"device: gpu: number: need {known}, got {number!r}")
            self.reason, self.number = reason, number
            self.use()
            self._properties = cupy.cuda.runtime.getDeviceProperties(number)
        major, minor = self._properties["major"], self._properties["minor"]
        if (major, minor) < (7, 5):
            raise UserError(f"device: gpu: need compute capability 7.5 or newer, got {major}.{minor}")

    def use(self) -> None:
        """CUDA keeps the device in use for each thread: a new one begins with number 0."""
        if cupy.cuda.runtime.getDevice() != self.number:
            cupy.cuda.Device(self.number).use()

    @property
    def description(self) -> str:
        p = self._properties
        runtime = cupy.cuda.runtime.runtimeGetVersion()
        return (
            f"GPU {p['name'].decode()}, sm_{p['major']}{p['minor']}, {p['totalGlobalMem'] / 2**30:.0f} GiB, "
            f"CUDA {runtime // 1000}.{runtime % 1000 // 10}, CuPy {cupy.__version__}"
        )

    def _allocate(self, shape, dtype):
        with _sentences("gpu: allocate"):
            self.use()
            return cupy.empty(shape, dtype)

    def array(self, values):
        values = np.ascontiguousarray(values)
        made = self.empty(values.shape, values.dtype)
        with _sentences("gpu: copy"):
            made.set(values)
        return made

    def numpy(self, array) -> np.ndarray:
        with _sentences("gpu: copy"):  # or a launch before it
            return cupy.asnumpy(array)

    def upload(self, target, values) -> None:
        values = np.ascontiguousarray(values)
        if values.dtype != target.dtype or values.shape != target.shape:
            raise ValueError(f"upload: need {target.dtype} {target.shape}, got {values.dtype} {values.shape}")
        with _sentences("gpu: copy"):
            target.set(values)

    def capture(self, work) -> Graph:
        mine = self._mine
        with _sentences("gpu: capture"):
            self.use()
            stream = cupy.cuda.Stream(non_blocking=True)  # the default stream cannot be captured
            mine.captured = []
            try:
                with stream:
                    stream.begin_capture()
                    try:
                        work()
                    except BaseException:
                        with contextlib.suppress(
                            Exception
                        ):  # a capture that broke fails here, too: the first error counts
                            stream.end_capture()
                        raise
                    made = stream.end_capture()
                return GpuGraph(self, made, mine.captured)
            finally:
                mine.captured = None

    def synchronize(self) -> None:
        with _sentences("gpu: a launch before"):
            self.use()
            cupy.cuda.get_current_stream().synchronize()

    def elapsed(self, work) -> float:
        with _sentences("gpu: elapsed"):
            self.use()
            start, end = cupy.cuda.Event(), cupy.cuda.Event()
            start.record()
            work()
            end.record()
            end.synchronize()
            return cupy.cuda.get_elapsed_time(start, end) / 1000

    def is_array(self, value) -> bool:
        return isinstance(value, cupy.ndarray)

    def free_bytes(self) -> int:
        with _sentences("gpu: free memory"):
            self.use()
            return cupy.cuda.runtime.memGetInfo()[0] + cupy.get_default_memory_pool().free_bytes()

    def address(self, array) -> int:
        return array.data.ptr

    def _compile(self, file, symbol, macros):
        text = source.load(file, macros)
        signature = self.signature(file, symbol, text)
        names = (symbol,) if signature.template else None
        try:
            with _sentences(f"{file}: load"):
                self.use()
                with _first_compile:
                    _load(cupy.cuda.compiler.nvrtc)
                module = cupy.RawModule(code=text, options=OPTIONS, name_expressions=names)
                function = module.get_function(symbol)
        except cupy.cuda.compiler.CompileException as error:
            raise UserError(f"{file}: compile: {_first_error(error)}") from None
        except KernelError:
            raise
        except RuntimeError as error:  # libnvrtc is not there, or not of CuPy's version
            raise UserError(f"gpu: NVRTC: need NVRTC beside CuPy, got: {_line(error)}") from None
        return GpuKernel(self, signature, symbol, function)


class GpuGraph(Graph):
    """A CUDA graph, and the arrays that its launches use: it does not keep them alive itself."""

    def __init__(self, device, graph, arguments: list):
        super().__init__()
        self._device, self._graph, self._arguments = device, graph, arguments

    def _launch(self) -> None:
        with _sentences("gpu: graph"):
            self._device.use()
            self._graph.launch(cupy.cuda.get_current_stream())


class GpuKernel(Kernel):
    """One compiled kernel on the GPU. A launch returns before the kernel has run."""

    device: "GpuDevice"

    def __init__(self, device, signature, symbol, function):
        super().__init__(device, signature, symbol)
        self.function = function

    def launch(self, grid, block, arguments, shared_bytes) -> None:
        arguments = tuple(np.uintp(0) if a is None else a for a in arguments)
        if (captured := self.device.captured) is not None:
            captured.append(arguments)
        with _sentences(f"{self.symbol}: launch"):
            self.device.use()
            if shared_bytes > 48 * 1024 and self.function.max_dynamic_shared_size_bytes < shared_bytes:
                self.function.max_dynamic_shared_size_bytes = shared_bytes
            self.function(grid, block, arguments, shared_mem=shared_bytes)
