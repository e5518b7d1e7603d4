"""What every device is: arrays, kernels, and the checks that both devices make before a launch."""

import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from functools import lru_cache

import numpy as np

from ..errors import UserError
from ..machine import cores, free_memory
from . import source
from .turns import Turn

GRID_LIMIT = (2**31 - 1, 65535, 65535)
BLOCK_LIMIT = (1024, 1024, 64)


class KernelError(RuntimeError):
    """A kernel did what CUDA does not define (a barrier that not all threads reach, say), or the GPU refused a launch.

    Names the kernel, and the line where it is known.
    """


_counting = Turn()


class _OfThread(threading.local):
    """What a device holds for each thread that launches: an operation's scratch must outlive others' launches."""

    def __init__(self):
        self.scratch = None
        self.captured: list | None = None  # launches noted by capture(), instead of being run


class Device:
    """A place where arrays lie and kernels run. Get one from `dcgan_cupy.device.get`.

    Several threads may launch on one device: each launch runs alone, each thread has its scratch and its capture.
    """

    kind: str  # "cpu" or "gpu"
    reason: str  # why this one was chosen
    tiles: str  # whose tiles its kernels get, and whose way into shared memory (ops/tiles.py): "cpu" or "gpu"
    compiles = True  # False: its kernels are names only
    specialises = True  # layers get kernels of their own sizes; False: slower ones, which all sizes share
    compilations = 0  # kernels that the devices of this process have compiled, or taken from the cache

    def __init__(self):
        self.allocations = 0  # arrays made so far, and their bytes: a training step adds none
        self.allocated_bytes = 0
        self._watch = None  # watched()
        self._kernels = {}
        self._compiling: dict[tuple, Turn] = {}  # whose turn it is to compile a kernel
        self._mine = _OfThread()

    @property
    def captured(self) -> list | None:
        """Where this thread's launches are noted while it captures; None while they run."""
        return self._mine.captured

    @property
    def description(self) -> str:
        """One line for people: what the device is and what compiles for it."""
        raise NotImplementedError

    @property
    def advice(self) -> str:
        """How it could be faster, in a line, or an empty text."""
        return ""

    def empty(self, shape, dtype=np.float32):
        """An array of undefined contents, C order."""
        made = self._allocate(shape, dtype)
        with _counting:
            self.allocations += 1
            self.allocated_bytes += made.nbytes
        return made

    def zeros(self, shape, dtype=np.float32):
        """An array of zeros."""
        return self.array(np.zeros(shape, dtype))

    def _allocate(self, shape, dtype):
        raise NotImplementedError

    def scratch(self, *counts: int) -> list:
        """Flat float32 arrays for one operation: the same memory at every call of this thread, grown when it must be.

        What an operation leaves there is gone with the thread's next one that asks.
        """
        mine, starts, total = self._mine, [], 0
        for count in counts:
            starts.append(total)
            total += -(-count // 16) * 16  # each starts on a 64-byte boundary
        if mine.scratch is None or mine.scratch.size < total:
            mine.scratch = self.empty((total,))
        return [mine.scratch[start : start + count] for start, count in zip(starts, counts, strict=True)]

    def overlap(self, a, b) -> bool:
        """Whether two arrays share memory. Both in C order."""
        first, second = self.address(a), self.address(b)
        return first < second + b.nbytes and second < first + a.nbytes

    def free_bytes(self) -> int:
        """Memory that new arrays can still take."""
        return free_memory()

    def address(self, array) -> int:
        """Where the array starts in memory."""
        raise NotImplementedError

    def array(self, values):
        """A new array on the device with the values and dtype of a NumPy array."""
        raise NotImplementedError

    def numpy(self, array) -> np.ndarray:
        """The values of a device array, as a new NumPy array."""
        raise NotImplementedError

    def upload(self, target, values) -> None:
        """Copies a NumPy array into a device array of the same shape and dtype."""
        raise NotImplementedError

    def call(self, work) -> None:
        """work() between launches: what the host does there, at each replay too where it is captured.

        It takes no argument and asks nothing of the device but the contents of arrays in the host's memory.
        """
        work()

    def capture(self, work) -> "Graph":
        """The launches that work() makes, kept to be made again, many at once: graph.launch(). Nothing runs now.

        Arrays and numbers are those of now: what changes from one replay to the next must lie in device memory. work()
        must not copy from or to the host, nor make arrays; run it once before, in this thread, so that every kernel is
        compiled and every buffer made. The graph uses this thread's scratch, so only this thread may launch it.
        """
        raise NotImplementedError

    @contextmanager
    def watched(self, watch):
        """While inside, a launch is made by watch(kernel, grid, block, arguments, run), which calls run() to make it.

        For clocks and counters: a replayed graph shows no launches.
        """
        before, self._watch = self._watch, watch
        try:
            yield
        finally:
            self._watch = before

    def synchronize(self) -> None:
        """Returns when every launch so far is done."""
        raise NotImplementedError

    def elapsed(self, work) -> float:
        """Seconds that the launches of work() take:

        By the device's own clock on a GPU, by a monotonic one on the CPU.
        """
        start = time.perf_counter()
        work()
        self.synchronize()
        return time.perf_counter() - start

    def is_array(self, value) -> bool:
        """Whether the value is an array of this device."""
        raise NotImplementedError

    def kernel(self, file: str, symbol: str, **macros) -> "Kernel":
        """The kernel `symbol` of kernels/<file>, compiled once for these macros.

        k(grid, block, *arguments, shared_bytes=0) launches it.
        symbol: a name, or a template instance such as "scale<4>".
        Raises: UserError if there is no such file or kernel, or it does not compile (first error, with its line).
        """
        key = (file, symbol, tuple((name, source.literal(value)) for name, value in macros.items()))
        found = self._kernels.get(key)
        if found is None:
            with self._compiling.setdefault(key, Turn()):
                found = self._kernels.get(key)  # another thread may have made it meanwhile
                if found is None:
                    found = self._kernels[key] = self._compile(file, symbol, key[2])
                    if self.compiles:
                        with _counting:
                            Device.compilations += 1
        return found

    def _compile(self, file, symbol, macros):
        raise NotImplementedError

    def prepare(self, kernels, progress=lambda done, total: None) -> None:
        """Compiles kernels, (file, symbol, macros) each, that work to come will ask for: as many at once as cores.

        progress(done, total) after each, in this thread.   Raises: UserError with the first that does not compile.
        """
        with ThreadPoolExecutor(cores()) as pool:
            compiled = [pool.submit(self.kernel, file, symbol, **dict(macros)) for file, symbol, macros in kernels]
            try:
                for done, future in enumerate(as_completed(compiled), 1):
                    future.result()
                    progress(done, len(compiled))
            finally:
                pool.shutdown(cancel_futures=True)

    @staticmethod
    def signature(file: str, symbol: str, text: str) -> source.Signature:
        """The declared signature of a kernel. Raises: UserError naming the kernels that the file does hold."""
        known = source.signatures(text)
        name = symbol.partition("<")[0].strip()
        if name not in known:
            raise UserError(
                f"{file}: kernel: need one of {', '.join(known) or '(no kernel in this file)'}, got {symbol!r}"
            )
        return known[name]


class Graph:
    """Launches in their order, with their arguments. Get one from Device.capture."""

    def __init__(self):
        self._thread = threading.current_thread()

    @property
    def usable(self) -> bool:
        """Whether this thread may launch it: it captured it, or the one that did has ended."""
        return self._thread is threading.current_thread() or not self._thread.is_alive()

    def launch(self) -> None:
        """All of them, as if work() ran again; no Python between them.

        Raises: RuntimeError in another thread than the one that captured, while that lives: both would use its scratch.
        """
        if not self.usable:
            raise RuntimeError(
                f"graph: launch: need the thread that captured it ({self._thread.name}), "
                f"got {threading.current_thread().name}"
            )
        self._launch()

    def _launch(self) -> None:
        raise NotImplementedError


class Kernel:
    """A compiled kernel. Call it with grid and block (an int or up to three) and one argument for each parameter."""

    def __init__(self, device: Device, signature: source.Signature, symbol: str):
        self.device, self.signature, self.symbol = device, signature, symbol

    def __call__(self, grid, block, *arguments, shared_bytes: int = 0) -> None:
        grid, block = (tuple(v) if isinstance(v, list) else v for v in (grid, block))
        grid, block = _extent(self.symbol, "grid", grid, GRID_LIMIT), _block(self.symbol, block)
        checked, watch = self._checked(arguments), self.device._watch
        if watch is None:
            self.launch(grid, block, checked, shared_bytes)
        else:
            watch(self, grid, block, checked, lambda: self.launch(grid, block, checked, shared_bytes))

    def launch(self, grid, block, arguments, shared_bytes) -> None:
        raise NotImplementedError

    def _checked(self, arguments):
        """One argument for each parameter, of its type:

        A wrong scalar type is read as other bits by the kernel, silently.
        """
        parameters = self.signature.parameters
        if len(arguments) != len(parameters):
            names = ", ".join(p.name for p in parameters)
            raise TypeError(f"{self.symbol}: arguments: need {len(parameters)} ({names}), got {len(arguments)}")
        for parameter, value in zip(parameters, arguments, strict=True):
            if parameter.pointer:
                if value is None:
                    continue
                if not self.device.is_array(value):
                    self._wrong(parameter, value)
                if parameter.dtype is not None and value.dtype != parameter.dtype:
                    self._wrong(parameter, value)
                if not value.flags.c_contiguous:
                    raise ValueError(
                        f"{self.symbol}: {parameter.name}: need an array in C order without gaps, "
                        f"got strides {value.strides}"
                    )
            elif not isinstance(value, np.generic) or (parameter.dtype is not None and value.dtype != parameter.dtype):
                self._wrong(parameter, value)
        return arguments

    def _wrong(self, parameter, value):
        need = parameter.dtype.name if parameter.dtype is not None else parameter.c_type
        need = f"an array of {need} on the {self.device.kind}" if parameter.pointer else f"a NumPy scalar of {need}"
        got = f"{type(value).__module__}.{type(value).__name__}".replace("builtins.", "a Python ")
        if hasattr(value, "dtype"):
            got += f" of {value.dtype}"
        raise TypeError(f"{self.symbol}: {parameter.name}: need {need}, got {got}")


@lru_cache(maxsize=4096)
def _extent(symbol: str, what: str, value, limit) -> tuple[int, int, int]:
    values = (value,) if isinstance(value, int | np.integer) else tuple(value)
    values = tuple(int(v) for v in values) + (1,) * (3 - len(values))
    if len(values) != 3 or any(not 1 <= v <= most for v, most in zip(values, limit, strict=True)):
        raise ValueError(f"{symbol}: {what}: need 1 to 3 sizes from 1 to {limit}, got {value}")
    return values


@lru_cache(maxsize=4096)
def _block(symbol: str, value) -> tuple[int, int, int]:
    block = _extent(symbol, "block", value, BLOCK_LIMIT)
    if block[0] * block[1] * block[2] > 1024:
        threads = block[0] * block[1] * block[2]
        raise ValueError(f"{symbol}: block: need at most 1024 threads, got {threads} {re.sub(' ', '', str(block))}")
    return block
