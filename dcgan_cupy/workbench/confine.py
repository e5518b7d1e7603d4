"""What a process that runs a stranger's kernel may do: compute, and write to the pipe that it was given.

Linux: a system-call filter (seccomp) that lets nothing be opened, no socket be made, no process be started or
signalled; where that cannot be set, user and network namespaces; everywhere limits on memory, time, files and core
dumps (prlimit).
"""

import contextlib
import ctypes
import os
import platform
import resource
import struct
import sys

MEMORY = 2 << 30  # bytes of address space beyond what the process has at its start
ALLOWED = {  # by which memory is managed, time is read, a pipe is written, a signal returns and a process ends
    "x86_64": (
        0xC000003E,
        (1, 20, 9, 10, 11, 12, 25, 28, 13, 14, 15, 131, 35, 230, 228, 96, 38, 60, 231, 202, 24, 318, 5, 262, 8),
    ),
    "aarch64": (
        0xC00000B7,
        (
            64,
            66,
            222,
            226,
            215,
            214,
            216,
            233,
            134,
            135,
            139,
            132,
            101,
            115,
            113,
            169,
            103,
            93,
            94,
            98,
            124,
            278,
            80,
            79,
            62,
        ),
    ),
}
NO_NEW_PRIVILEGES, SET_SECCOMP, FILTER, DIE_WITH_PARENT = 38, 22, 2, 1
NEW_USER, NEW_NETWORK, NEW_IPC = 0x10000000, 0x40000000, 0x08000000
ALLOW, REFUSE = 0x7FFF0000, 0x00050000 | 1  # the call fails with EPERM


def confine(seconds: float, room: int = 0) -> str:
    """Confines this process for good. Returns in words what holds.   room: bytes that the watching itself may take."""
    held = []
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(DIE_WITH_PARENT, 9, 0, 0, 0)
        with contextlib.suppress(OSError):
            _limits(seconds, room)
            held.append("limits on memory, time and files")
        if _filter(libc):
            held.insert(0, "a system-call filter")
        elif libc.unshare(NEW_USER | NEW_NETWORK | NEW_IPC) == 0:
            held.insert(0, "namespaces")
    else:
        with contextlib.suppress(OSError, ValueError):
            _limits(seconds, room)
            held.append("limits on memory, time and files")
    return " and ".join(held) or "nothing"


def _limits(seconds: float, room: int) -> None:
    def lower(what, value):
        most = resource.getrlimit(what)[1]
        if most != resource.RLIM_INFINITY:
            value = min(value, most)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(what, (value, value))

    lower(resource.RLIMIT_CORE, 0)
    lower(resource.RLIMIT_FSIZE, 0)
    lower(resource.RLIMIT_CPU, int(seconds) + 2)
    lower(resource.RLIMIT_NOFILE, 8)
    if hasattr(resource, "RLIMIT_NPROC"):
        lower(resource.RLIMIT_NPROC, 0)
    if sys.platform == "linux":
        with open("/proc/self/statm", encoding="ascii") as file:
            lower(resource.RLIMIT_AS, int(file.read().split()[0]) * resource.getpagesize() + MEMORY + room)


def _filter(libc) -> bool:
    """A seccomp filter: the processor's own calls of the list, all others fail."""
    if platform.machine() not in ALLOWED:
        return False
    architecture, calls = ALLOWED[platform.machine()]
    rows = [(0x20, 0, 0, 4), (0x15, 1, 0, architecture), (0x06, 0, 0, REFUSE), (0x20, 0, 0, 0)]
    rows += [(0x15, len(calls) - n, 0, call) for n, call in enumerate(calls)]
    rows += [(0x06, 0, 0, REFUSE), (0x06, 0, 0, ALLOW)]
    program = ctypes.create_string_buffer(b"".join(struct.pack("<HBBI", *row) for row in rows))

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("rows", ctypes.c_void_p))

    made = Program(len(rows), ctypes.addressof(program))
    if libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0) != 0:
        return False
    return libc.prctl(SET_SECCOMP, FILTER, ctypes.byref(made), 0, 0) == 0


def close_files(kept: tuple[int, ...]) -> None:
    """Closes every open file but these."""
    last = 0
    for number in sorted(kept):
        if number > last:  # an empty range would be taken for all of them
            os.closerange(last, number)
        last = number + 1
    os.closerange(last, 1 << 16)
