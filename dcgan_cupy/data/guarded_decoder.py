"""The child of guard.py: decodes one image after the other, each within its limits, until its input ends."""

import json
import os
import resource
import signal
import sys
import warnings

import numpy as np

from . import picture
from .decoders import MEMORY, SECONDS
from .guard import ANSWER, HEADER, TOO_DEAR
from .reader import Look


def serve(given, answers) -> None:
    """Obeys requests. What takes too long ends this process, by the timer's signal."""
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    while len(header := given.read(HEADER.size)) == HEADER.size:
        lengths = HEADER.unpack(header)
        *size, channels, crop = json.loads(given.read(lengths[0]))
        data = given.read(lengths[1])
        _limit_memory(picture.decoded_bytes(data))
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        try:
            pixels = picture.decode_here(data, Look(tuple(size), channels, crop))
            status, answer = 0, np.ascontiguousarray(pixels).tobytes()
        except MemoryError:
            status, answer = 1, TOO_DEAR.encode()
        except Exception as error:  # decoders raise nearly everything for a damaged file
            status, answer = 1, picture.reason(error).encode("utf-8", "replace")
        signal.setitimer(signal.ITIMER_PROF, 0)
        del data
        answers.write(ANSWER.pack(status, len(answer)) + answer)
        answers.flush()


def _limit_memory(decoded: int) -> None:
    """So much more than is in use: the image, and MEMORY. Without /proc the timer is the only limit."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            used = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    wanted = used + decoded + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (wanted if hard < 0 else min(wanted, hard), hard))


if __name__ == "__main__":
    serve(sys.stdin.buffer, sys.stdout.buffer)
