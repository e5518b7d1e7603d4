"""Images that may cost too much are decoded in a child process, which its own limits end: no decoder can be
interrupted.

    parent   header (lengths) · the request as JSON · the file's bytes   ─►   child: guarded_decoder.py
    parent   ◄─   status 1 byte · length 8 · pixels or a reason

The child starts when the first such image comes and serves one process. Processor time is limited by an interval timer
whose signal
ends the child, memory by a limit of its address space.
"""

import atexit
import json
import os
import select
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np

from .decoders import MEMORY, SECONDS
from .reader import Look, Unreadable

HEADER = struct.Struct("<QQ")
ANSWER = struct.Struct("<BQ")
PATIENCE = 10  # times the processor time that may pass by the clock: the machine may be busy
TOO_DEAR = f"too dear: decoding it takes more than {SECONDS:g} s or {MEMORY >> 20:,} MB"

_turn = threading.Lock()
_child: dict[int, subprocess.Popen] = {}


def decode(data: bytes, look: Look) -> np.ndarray:
    """One image, in the child. Raises: Unreadable, with the decoder's reason or because it is too dear."""
    with _turn:
        try:
            status, answer = _ask(_serving(), data, look)
        except (OSError, EOFError):
            _end()
            raise Unreadable(TOO_DEAR) from None
        except BaseException:
            _end()
            raise
    if status:
        raise Unreadable(answer.decode("utf-8", "replace"))
    return np.frombuffer(answer, np.uint8).reshape(look.shape)


def _serving() -> subprocess.Popen:
    """The child of this process: one that was inherited by a fork belongs to the parent."""
    child = _child.get(os.getpid())
    if child is None or child.poll() is not None:
        root = str(Path(__file__).resolve().parents[2])
        child = subprocess.Popen(
            [sys.executable, "-m", "dcgan_cupy.data.guarded_decoder"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([root, *filter(None, sys.path)])},
            start_new_session=True,  # Ctrl-C is the parent's to obey
        )
        _child.clear()
        _child[os.getpid()] = child
    return child


def _ask(child: subprocess.Popen, data: bytes, look: Look) -> tuple[int, bytes]:
    request = json.dumps([*look.shape, look.crop]).encode()
    for part in (HEADER.pack(len(request), len(data)), request, data):
        view = memoryview(part)
        while view:
            view = view[child.stdin.write(view) :]
    end = time.monotonic() + PATIENCE * (1 + SECONDS)
    status, size = ANSWER.unpack(_read(child, ANSWER.size, end))
    return status, _read(child, size, end)


def _read(child: subprocess.Popen, size: int, end: float) -> bytes:
    data = b""
    while len(data) < size:
        ready, _, _ = select.select([child.stdout], [], [], max(0.0, end - time.monotonic()))
        more = os.read(child.stdout.fileno(), size - len(data)) if ready else b""
        if not more:
            raise EOFError
        data += more
    return data


@atexit.register
def _end() -> None:
    """Ends the child of this process, if there is one."""
    child = _child.pop(os.getpid(), None)
    if child is not None:
        child.kill()
        child.stdin.close()
        child.stdout.close()
        child.wait()
