"""Tasks over all cores, their results in order.

The first half second of work is done here; if that was not all of it, worker processes are started: they take about as long to
start, and Python's own share of the work needs processes, not threads.
"""

import multiprocessing
import os
import sys
import threading
import time
import types
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import chain, islice

from PIL import Image

from ..machine import cores
from . import picture

PATIENCE = 0.5                                 # seconds
AHEAD = 4                                      # tasks that wait for each worker: no more, however many there are


def in_order(function: Callable, tasks: Iterator) -> Iterator:
    """(task, function(task)) for each task, in order. Where no processes can be had it all happens here, and slower."""
    Image.init()                               # loads the decoders
    tasks, end = iter(tasks), time.monotonic() + PATIENCE
    workers = cores()
    for task in tasks:
        yield task, function(task)
        if workers > 1 and time.monotonic() > end:
            break
    waiting: deque[list] = deque([task, None] for task in islice(tasks, 1))
    if waiting:                                # enough is left to be worth a pool
        yield from _by_pool(function, tasks, waiting, workers)
    for task in chain((task for task, _ in waiting), tasks):   # nothing, or what a pool that broke down has left
        yield task, function(task)


def _by_pool(function: Callable, tasks: Iterator, waiting: "deque[list]", workers: int) -> Iterator:
    """The same by worker processes. Returns early if they cannot be had; `waiting` holds what was taken and gave no result."""
    try:
        context = multiprocessing.get_context("spawn")         # a fork would copy locks that threads of ours may hold
        pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_start, initargs=(context.Lock(), os.getpid()))
    except (OSError, ImportError, NotImplementedError):
        return
    try:
        while True:
            waiting.extend([task, None] for task in islice(tasks, AHEAD * workers - len(waiting)))
            if not waiting:
                return
            try:
                for pair in waiting:
                    if pair[1] is None:
                        with _nameless_main():
                            pair[1] = pool.submit(function, pair[0])
            except (OSError, AssertionError, BrokenProcessPool):         # AssertionError: a daemon may have no children
                return
            task, future = waiting[0]
            if isinstance(future.exception(), BrokenProcessPool):
                return
            waiting.popleft()
            yield task, future.result()                        # an error of the function's own goes on to the caller
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _start(lock, parent: int) -> None:
    """In a new worker: the shared lock, and an end when the parent is killed, which would leave it waiting for ever."""
    picture.use_lock(lock)
    Image.init()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def _nameless_main():
    """Start workers as if from no script: "spawn" would run the caller's again in each of them, which a script without
    `if __name__ == "__main__"` does not survive. Ours need this package only."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
