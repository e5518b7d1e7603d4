"""Runs compiled kernels on the CPU: loads images, one for each worker thread, and hands launches to the pool."""

import ctypes
import os
import platform
import re
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...errors import UserError
from ...machine import cores
from .. import source
from ..base import Device, Graph, Kernel, KernelError
from ..turns import Turn
from . import keep
from .build import HERE, build, find_compiler
from .compiler import ADVICE

# A variable on the device that kernels may write: each worker's image would have one of its own.
STATE = re.compile(
    r"(?<!__constant__ )__device__\s+(?![^;={(]*\b(?:const|constexpr|__constant__|operator)\b)"
    r"[\w\s]*?(\w+)\s*(?:\[[^]]*\]\s*)*[=;{]"
)
# The toolkit's own headers: what they declare, cuda_on_host.hpp and async_copy.hpp give.
CUDA_HEADERS = re.compile(
    r"^[ \t]*#[ \t]*include[ \t]*<(?:cuda_\w+|device_\w+|vector_types|math_constants)\.h(?:pp)?>", re.M
)
MAX_SHARED = 227 * 1024
MAX_THREADS = 256  # MAX_WORKERS of pool.cpp


class _Launch(ctypes.Structure):
    """struct Launch of launch.h."""

    _fields_ = [
        ("grid", ctypes.c_uint * 3),
        ("block", ctypes.c_uint * 3),
        ("arguments", ctypes.c_void_p),
        ("name", ctypes.c_char_p),
        ("failed", ctypes.c_int),
        ("most_blocks", ctypes.c_int),
        ("message", ctypes.c_char * 1024),
    ]


class _Pool(NamedTuple):
    """The worker threads of this process: what runs launches, how many there really are, and whose turn it is."""

    run: object
    threads: int
    turn: Turn


_pools: dict[int, _Pool] = {}
_starting = Turn()


def _pool(threads: int) -> _Pool:
    """Started at the first call. A forked child, whose workers stayed behind, starts its own."""
    found = _pools.get(threads)
    if found is None:
        with _starting:  # two pools at work on one kernel would share its images
            found = _pools.get(threads)
            if found is None:
                found = _start(threads)
                _pools[threads] = _pools[found.threads] = found  # the system may have started fewer
    return found


def _start(threads: int) -> _Pool:
    library = keep.load(build("pool", (HERE / "pool.cpp").read_text(encoding="utf-8"), symbol="pool_run_all"))
    count = library.pool_start(threads)
    if count < 1:
        raise UserError(f"device: cpu: threads: need 1 to {MAX_THREADS} that the system can start, got {threads}")
    library.pool_run_all.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int]
    return _Pool(library.pool_run_all, count, Turn())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pools.clear)


class CpuDevice(Device):
    """Kernels as C++ on the CPU's cores; its arrays are NumPy's.

    threads: worker threads (default: $DCGAN_CUPY_THREADS, else every core this process may use).
    build: "fast", or "debug" (-O0 -g, one thread: break inside a kernel with gdb).
    tiles: "cpu", or "gpu" for the kernels as a GPU runs them, its tiles and its way into shared memory: much slower.
    ucontext: switch fibers by the C library instead of by our own assembly (what other processors use).
    """

    kind = "cpu"

    def __init__(
        self,
        threads: int | None = None,
        build: str = "fast",
        ucontext: bool = False,
        reason: str = "asked for",
        tiles: str = "cpu",
    ):
        super().__init__()
        if build not in ("fast", "debug", "check"):
            raise UserError(f"device: cpu: build: need fast or debug, got {build!r}")
        if tiles not in ("cpu", "gpu"):
            raise UserError(f"device: cpu: tiles: need cpu or gpu, got {tiles!r}")
        self.reason, self.build, self.tiles = reason, build, tiles
        self.flags = ("-DDCGAN_UCONTEXT",) if ucontext else ()
        threads = self.threads_wanted() if threads is None else threads
        self.compiler = find_compiler()
        self.threads = _pool(threads if build == "fast" else 1).threads

    @staticmethod
    def threads_wanted() -> int:
        """$DCGAN_CUPY_THREADS, else every core this process may use.   Raises: UserError."""
        own = os.environ.get("DCGAN_CUPY_THREADS", "")
        if not own:
            return min(cores(), MAX_THREADS)
        if not (own.isdecimal() and len(own) < 10 and 1 <= int(own) <= MAX_THREADS):
            raise UserError(
                f"device: cpu: DCGAN_CUPY_THREADS: need a whole number of threads, 1 to {MAX_THREADS}, got {own!r}"
            )
        return int(own)

    @property
    def description(self) -> str:
        threads = f"{self.threads} thread{'s' * (self.threads > 1)}"
        return f"CPU, {_cpu_name()}, {threads}, {self.compiler.version} ({self.compiler.found})"

    @property
    def advice(self) -> str:
        return "" if self.compiler.is_clang or self.compiler.found == "$CXX" else ADVICE

    def _allocate(self, shape, dtype):
        """Starts on a 64-byte boundary: a cache line, and the widest vector."""
        dtype = np.dtype(dtype)
        size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        raw = np.empty(size + 64, np.uint8)
        start = -raw.ctypes.data % 64
        return raw[start : start + size].view(dtype).reshape(shape)

    def array(self, values):
        values = np.asarray(values)
        made = self.empty(values.shape, values.dtype)
        made[...] = values
        return made

    def numpy(self, array) -> np.ndarray:
        return np.array(array)

    def upload(self, target, values) -> None:
        values = np.asarray(values)
        if values.dtype != target.dtype or values.shape != target.shape:
            raise ValueError(f"upload: need {target.dtype} {target.shape}, got {values.dtype} {values.shape}")
        target[...] = values

    def synchronize(self) -> None:
        """Launches return when they are done: there is nothing to wait for."""

    def call(self, work) -> None:
        if self.captured is None:
            work()
        else:
            self.captured.append(work)

    def capture(self, work) -> Graph:
        mine = self._mine
        mine.captured = []
        try:
            work()
            return CpuGraph(self, mine.captured)
        finally:
            mine.captured = None

    def is_array(self, value) -> bool:
        return isinstance(value, np.ndarray)

    def address(self, array) -> int:
        return array.__array_interface__["data"][0]

    def _compile(self, file, symbol, macros):
        text = source.load(file, macros, absolute=self.build == "debug", tiles=self.tiles)
        signature = self.signature(file, symbol, text)
        if state := STATE.search(source.strip_comments(text)):
            raise UserError(
                f"{file}: {state[1]}: need an array that the host passes, got a __device__ variable, "
                "of which each CPU thread would have its own copy"
            )
        return CpuKernel(self, signature, symbol, text, macros)


class CpuKernel(Kernel):
    """One compiled kernel: an image for each worker thread, loaded when it is first launched."""

    device: CpuDevice

    def __init__(self, device, signature, symbol, text, macros):
        super().__init__(device, signature, symbol)
        mode = "run_fibers" if signature.meets or device.build == "check" else "run_loop"
        launcher = (
            '\n#line 1 "launcher"\nextern "C" __attribute__((visibility("default"))) '
            "void run_blocks(const Launch* l, unsigned long long first, unsigned long long last, char* stacks) "
            f"{{ cuda_on_host::Kernel<({symbol})>::{mode}(l, first, last, stacks); }}\n"
        )
        body = re.sub(
            r"extern\s+__shared__\s+((?:__align__\s*\(\s*\d+\s*\)\s*)?)([\w\s]+?)\s+(\w+)\s*\[\s*\]\s*;",
            r"\2* const \3 = (\2*)cuda_on_host::dynamic_shared;",
            text,
        )
        body = CUDA_HEADERS.sub("", body)
        if "__pipeline_" in body:
            body = '#include "async_copy.hpp"\n' + body
        self.functions = self._make(symbol, body, launcher)
        self._alone = _Launches([_Prepared(self)])

    def _make(self, symbol, body, launcher):
        """Compiles, loads an image for each worker, and returns their entry points."""
        device = self.device
        kept = build(symbol, '#include "cuda_on_host.hpp"\n' + body + launcher, device.flags, device.build)
        functions = (ctypes.c_void_p * device.threads)()
        self._libraries = []
        for worker in range(device.threads):
            debug = device.build == "debug"  # a debugger looks for the file
            library = ctypes.CDLL(str(kept.path)) if debug else keep.load(kept)
            functions[worker] = ctypes.cast(library.run_blocks, ctypes.c_void_p).value
            self._libraries.append(library)
        return functions

    def prepared(self, grid, block, arguments) -> "_Prepared":
        """A launch as the images take it; its arguments live as long as it does."""
        made = _Prepared(self)
        made.fill(grid, block, arguments)
        return made

    def launch(self, grid, block, arguments, shared_bytes) -> None:
        if shared_bytes > MAX_SHARED:
            raise UserError(f"{self.symbol}: shared_bytes: need at most {MAX_SHARED}, got {shared_bytes}")
        captured = self.device.captured
        if captured is not None:
            prepared = _Prepared(self)
            prepared.fill(grid, block, arguments)
            captured.append(prepared)
            return
        with _pool(self.device.threads).turn:  # the same struct Launch at every call, so filled in turn, too
            (prepared,) = self._alone.prepared
            prepared.fill(grid, block, arguments)
            try:
                self._alone.run(_pool(self.device.threads).run)
            finally:
                prepared.arguments = ()  # else they would live until the kernel's next launch


class _Prepared:
    """A launch as the pool takes it: struct Launch, and where its arguments lie."""

    def __init__(self, kernel):
        count = max(1, len(kernel.signature.parameters))
        self.kernel, self.arguments = kernel, ()
        self._slots = np.zeros(count, np.uint64)
        self._addresses = np.arange(count, dtype=np.uint64) * 8 + np.uint64(self._slots.ctypes.data)
        self._structs: dict[int, np.ndarray] = {}  # structs passed by value: where a parameter's bytes lie
        self.launch = _Launch(arguments=self._addresses.ctypes.data, name=kernel.symbol.encode())

    def fill(self, grid, block, arguments) -> None:
        slots = self._slots
        for i, value in enumerate(arguments):
            if value is None:
                slots[i] = 0
            elif isinstance(value, np.ndarray):
                slots[i] = value.__array_interface__["data"][0]
            elif isinstance(value, np.void):
                self._structs[i] = np.frombuffer(value.tobytes() + bytes(16), np.uint8)
                self._addresses[i] = self._structs[i].ctypes.data
            else:
                slots[i : i + 1].view(value.dtype)[0] = value
        self.launch.grid[:] = grid
        self.launch.block[:] = block
        self.arguments = arguments  # the arrays live as long as the launch may run


class _Launches:
    """Prepared launches in their order: one call of the pool runs them all."""

    def __init__(self, prepared: list):
        self.prepared, count = prepared, len(prepared)
        self._functions = (ctypes.c_void_p * count)(*(ctypes.addressof(p.kernel.functions) for p in prepared))
        self._launches = (ctypes.c_void_p * count)(*(ctypes.addressof(p.launch) for p in prepared))

    def run(self, run) -> None:
        """In the pool's turn only: ctypes lets other Python threads run meanwhile.   Raises: KernelError."""
        if failed := run(self._functions, self._launches, len(self.prepared)):
            raise KernelError(self.prepared[failed - 1].launch.message.decode(errors="replace"))


class CpuGraph(Graph):
    """Launches in their order: one call runs them all, up to the next work of the host's."""

    def __init__(self, device, captured: list):
        super().__init__()
        self._device = device
        self._pieces: list = []  # _Launches, or a function of no argument
        prepared: list[_Prepared] = []
        for one in [*captured, None]:
            if isinstance(one, _Prepared):
                prepared.append(one)
                continue
            if prepared:
                self._pieces.append(_Launches(prepared))
            if one is not None:
                self._pieces.append(one)
            prepared = []

    def _launch(self) -> None:
        """Raises: KernelError with the message of the launch that failed."""
        pool = _pool(self._device.threads)
        for piece in self._pieces:
            if isinstance(piece, _Launches):
                with pool.turn:
                    piece.run(pool.run)
            else:
                piece()


@lru_cache(maxsize=None)
def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
