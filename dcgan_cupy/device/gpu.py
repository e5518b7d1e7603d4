"""The GPU device: kernels through cupy.RawModule. The only file that imports cupy."""

import io
import re
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from ..errors import UserError
from . import source
from .base import Device, Graph, Kernel

try:
    import cupy
except ImportError as error:
    cupy = None
    MISSING = f"CuPy is not installed ({error}); `make gpu` installs it"
else:
    MISSING = ""

OPTIONS = ("-std=c++17",)
PTXAS = re.compile(
    r"Function properties for (\w+)\s+ptxas\s+\.?\s*(\d+) bytes stack frame, "
    r"(\d+) bytes spill stores, (\d+) bytes spill loads.*?Used (\d+) registers([^\n]*)",
    re.S,
)


def why_not() -> str:
    """Why no GPU can be used here, or an empty string if one answers."""
    if cupy is None:
        return MISSING
    try:
        return "" if cupy.cuda.is_available() else "CuPy finds no CUDA device"
    except Exception as error:  # a broken driver shows itself in many ways; none of them is ours to mend
        return f"CuPy cannot reach the driver: {error}"


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
    if cupy is None:
        raise UserError(f"gpu: NVRTC: need CuPy to compile for a GPU: {MISSING}")
    from cupy._core.core import assemble_cupy_compiler_options

    try:
        cupy.cuda.compiler.nvrtc.getVersion()
        given = assemble_cupy_compiler_options(OPTIONS)
    except Exception as error:  # no libnvrtc beside CuPy, or one that does not load: it shows in many ways
        raise UserError(f"gpu: NVRTC: need NVRTC beside CuPy (the nvrtc extra brings it), got: {error}") from None
    return (*given, "--device-as-default-execution-space", "-ftz=true", "--ptxas-options=-v")


def _first_error(error: Exception) -> str:
    return next((line for line in str(error).splitlines() if "error" in line), str(error).strip())


class GpuDevice(Device):
    """An NVIDIA GPU; its arrays are CuPy's."""

    kind = "gpu"

    def __init__(self, number: int = 0, reason: str = "asked for"):
        super().__init__()
        if missing := why_not():
            raise UserError(f"device: gpu: need a CUDA device, got none: {missing}")
        self.reason, self.number, self._captured = reason, number, None
        cupy.cuda.Device(number).use()
        self._properties = cupy.cuda.runtime.getDeviceProperties(number)
        major, minor = self._properties["major"], self._properties["minor"]
        if (major, minor) < (7, 5):
            raise UserError(f"device: gpu: need compute capability 7.5 or newer, got {major}.{minor}")

    @property
    def description(self) -> str:
        p = self._properties
        runtime = cupy.cuda.runtime.runtimeGetVersion()
        return (
            f"GPU {p['name'].decode()}, sm_{p['major']}{p['minor']}, {p['totalGlobalMem'] / 2**30:.0f} GiB, "
            f"CUDA {runtime // 1000}.{runtime % 1000 // 10}, CuPy {cupy.__version__}"
        )

    def _allocate(self, shape, dtype):
        return cupy.empty(shape, dtype)

    def array(self, values):
        values = np.ascontiguousarray(values)
        made = self.empty(values.shape, values.dtype)
        made.set(values)
        return made

    def numpy(self, array) -> np.ndarray:
        return cupy.asnumpy(array)

    def upload(self, target, values) -> None:
        values = np.ascontiguousarray(values)
        if values.dtype != target.dtype or values.shape != target.shape:
            raise ValueError(f"upload: need {target.dtype} {target.shape}, got {values.dtype} {values.shape}")
        target.set(values)

    def capture(self, work) -> Graph:
        stream = cupy.cuda.Stream(non_blocking=True)  # the default stream cannot be captured
        self._captured = []
        try:
            with stream:
                stream.begin_capture()
                try:
                    work()
                finally:
                    made = stream.end_capture()
            return GpuGraph(made, self._captured)
        finally:
            self._captured = None

    def synchronize(self) -> None:
        cupy.cuda.get_current_stream().synchronize()

    def elapsed(self, work) -> float:
        start, end = cupy.cuda.Event(), cupy.cuda.Event()
        start.record()
        work()
        end.record()
        end.synchronize()
        return cupy.cuda.get_elapsed_time(start, end) / 1000

    def is_array(self, value) -> bool:
        return isinstance(value, cupy.ndarray)

    def free_bytes(self) -> int:
        return cupy.cuda.runtime.memGetInfo()[0] + cupy.get_default_memory_pool().free_bytes()

    def address(self, array) -> int:
        return array.data.ptr

    def _compile(self, file, symbol, macros):
        text = source.load(file, macros)
        signature = self.signature(file, symbol, text)
        names = (symbol,) if signature.template else None
        try:
            module = cupy.RawModule(code=text, options=OPTIONS, name_expressions=names)
            function = module.get_function(symbol)
        except cupy.cuda.compiler.CompileException as error:
            raise UserError(f"{file}: compile: {_first_error(error)}") from None
        return GpuKernel(self, signature, symbol, function)


class GpuGraph(Graph):
    """A CUDA graph, and the arrays that its launches use: it does not keep them alive itself."""

    def __init__(self, graph, arguments: list):
        self._graph, self._arguments = graph, arguments

    def launch(self) -> None:
        self._graph.launch(cupy.cuda.get_current_stream())


class GpuKernel(Kernel):
    """One compiled kernel on the GPU. A launch returns before the kernel has run."""

    def __init__(self, device, signature, symbol, function):
        super().__init__(device, signature, symbol)
        self.function = function

    def launch(self, grid, block, arguments, shared_bytes) -> None:
        if shared_bytes > 48 * 1024 and self.function.max_dynamic_shared_size_bytes < shared_bytes:
            self.function.max_dynamic_shared_size_bytes = shared_bytes
        arguments = tuple(np.uintp(0) if a is None else a for a in arguments)
        if self.device._captured is not None:
            self.device._captured.append(arguments)
        self.function(grid, block, arguments, shared_mem=shared_bytes)
