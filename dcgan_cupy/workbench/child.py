"""A launch in a process of its own: whatever a kernel does, the tool goes on, and what was found until then is there.

The process is a fork of this one, so it starts in a millisecond; arrays and tables lie in memory that both share.
"""

import mmap
import os
import selectors
import signal
import time
import warnings

import numpy as np

from . import confine

PRINTED = 1 << 20  # bytes of a kernel's own output that are kept, as a GPU's buffer does by default
GRACE = 1.0  # seconds beyond a launch's own limit before it is killed from outside


class Shared:
    """Memory that a fork shares: tables are taken from it one after the other."""

    def __init__(self, size: int):
        self._map = mmap.mmap(-1, size, flags=mmap.MAP_SHARED | mmap.MAP_ANONYMOUS)
        self._bytes, self._next = np.frombuffer(self._map, np.uint8), 0

    def table(self, count: int, dtype) -> np.ndarray:
        """count rows of zeros."""
        dtype = np.dtype(dtype)
        start, self._next = self._next, self._next + (count * dtype.itemsize + 63) // 64 * 64
        return self._bytes[start : start + count * dtype.itemsize].view(dtype)

    def copy(self, values: np.ndarray) -> np.ndarray:
        """The same rows, here."""
        made = self.table(len(values), values.dtype)
        made[...] = values
        return made


def run(work, seconds: float, room: int = 0) -> tuple[str, str, str]:
    """Calls work() in a forked process, confined.   room: bytes beyond the usual that it may take.

    Returns what it printed, how it ended (nothing: as it should), and what confined it.
    """
    reading, writing = os.pipe()
    told, telling = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", DeprecationWarning
        )  # other threads of this process stay behind: the child needs none
        child = os.fork()
    if child == 0:
        _child(work, seconds, room, writing, telling)
    os.close(writing)
    os.close(telling)
    try:
        text, late = _read(reading, time.monotonic() + seconds + GRACE)
        if late:
            os.kill(child, signal.SIGKILL)
        held = os.read(told, 256).decode(errors="replace")
    except BaseException:
        os.kill(child, signal.SIGKILL)
        raise
    finally:
        os.close(reading)
        os.close(told)
        _, status = os.waitpid(child, 0)
    ended = "time" if late else ""
    if os.WIFSIGNALED(status) and not late:
        ended = signal.Signals(os.WTERMSIG(status)).name
    elif os.WIFEXITED(status) and os.WEXITSTATUS(status):
        ended = f"exit {os.WEXITSTATUS(status)}"
    return text, ended, held


def _child(work, seconds, room, writing, telling):
    """Never returns."""
    code = 70
    try:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.dup2(writing, 1)
        os.dup2(writing, 2)
        os.dup2(telling, 3)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        confine.close_files((0, 1, 2, 3))
        os.write(3, confine.confine(seconds, room).encode())
        work()
        code = 0
    except BaseException as error:
        os.write(2, f"inspect: {type(error).__name__}: {error}".encode())
    finally:
        os._exit(code)


def _read(pipe: int, until: float) -> tuple[str, bool]:
    """What comes out of a pipe, and whether its end did not come in time."""
    kept, dropped = bytearray(), 0
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while (left := until - time.monotonic()) > 0:
            if not selector.select(left):
                break
            data = os.read(pipe, 1 << 16)
            if not data:
                return _text(kept, dropped), False
            room = PRINTED - len(kept)
            kept += data[:room]
            dropped += max(0, len(data) - room)
    return _text(kept, dropped), True


def _text(kept: bytearray, dropped: int) -> str:
    text = kept.decode("utf-8", "backslashreplace")
    return text + (f"\n… {dropped} bytes more\n" if dropped else "")
