"""Tasks over all cores, their results in order.

The first quarter of a second of work is done here; if that was not all of it, worker processes are started, since
Python's own share of the work needs processes, not threads. Until they are up the work goes on here. Then they get
several short tasks at a time: each exchange costs about a millisecond.
"""

import multiprocessing
import os
import pickle
import sys
import threading
import time
import types
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import chain, islice

from PIL import Image

from ...machine import cores
from .. import picture

PATIENCE = 0.25  # seconds
STARTS = 0.5  # seconds of work left that are worth a start of processes, which takes half of that
AHEAD = 3  # groups of tasks that wait for each worker: no more, however many there are
GROUP, SECONDS, BYTES = (
    16,
    0.1,
    1 << 18,
)  # a group is full with so many tasks, so much work, or so many bytes of arguments
WAITING = 1 << 26  # bytes of arguments from which no further group is taken


def in_order(function: Callable, tasks: Iterator, count: int | None = None) -> Iterator:
    """(task, function(task)) for each task, in order. Where no processes can be had it all happens here, and slower.

    count: how many tasks there are, about: for the last few no process is started.
    """
    Image.init()  # loads the decoders
    tasks, begun, done, workers = iter(tasks), time.monotonic(), 0, cores()
    for task in tasks:
        yield task, function(task)
        done += 1
        spent = time.monotonic() - begun
        if workers > 1 and spent > PATIENCE and (count is None or spent / done * (count - done) > STARTS):
            break
    first = list(islice(tasks, 1))
    tasks, waiting = chain(first, tasks), deque()
    if first:  # enough is left to be worth a pool
        pace = (time.monotonic() - begun) / done
        yield from _by_pool(function, tasks, waiting, workers, max(1, min(GROUP, int(SECONDS / pace))))
    for task in chain(
        (task for group in waiting for task in group[0]), tasks
    ):  # nothing, or what a pool that broke down has left
        yield task, function(task)


def _by_pool(
    function: Callable, tasks: Iterator, waiting: deque[tuple[list, Future | None, int]], workers: int, most: int
) -> Iterator:
    """The same by worker processes. Returns early if they cannot be had; `waiting` holds what was taken and gave no
    result."""
    try:
        context = multiprocessing.get_context("spawn")  # a fork would copy locks that threads of ours may hold
        pool = ProcessPoolExecutor(
            workers, mp_context=context, initializer=_start, initargs=(context.Lock(), os.getpid())
        )
    except (OSError, ImportError, NotImplementedError):
        return
    groups = _groups(tasks, most)
    try:
        up = [_submit(pool, os.getpid) for _ in range(workers)]  # each starts a process
        while up[0] is not None and not _is_done(up[0]) and (one := list(islice(tasks, 1))):
            yield one[0], function(one[0])
        while True:
            while (
                len(waiting) < AHEAD * workers
                and sum(group[2] for group in waiting) < WAITING
                and (more := next(groups, None))
            ):
                some, packed = more
                waiting.append((some, _submit(pool, _carry_out, function, packed), sum(map(len, packed))))
                if waiting[-1][1] is None:
                    return
            if not waiting:
                return
            some, future, size = waiting[0]
            if isinstance(future.exception(), BrokenProcessPool):
                return
            done = future.result()  # an error of the function's own goes on to the caller
            waiting.popleft()
            if rest := some[len(done) :]:  # one failed: now the first of a group, so that its error comes out
                packed = [pickle.dumps(task) for task in rest]
                waiting.appendleft((rest, _submit(pool, _carry_out, function, packed), size))
            yield from zip(some, done)
            if rest and waiting[0][1] is None:
                return
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _is_done(future: Future) -> bool:
    """Whether a worker has answered: by a name that tests can put something else behind."""
    return future.done()


def _submit(pool: ProcessPoolExecutor, function: Callable, *arguments) -> Future | None:
    """The result to come; None if the pool takes no more work."""
    try:
        with _nameless_main():
            return pool.submit(function, *arguments)
    except (OSError, AssertionError, BrokenProcessPool):  # AssertionError: a daemon may have no children
        return None


def _groups(tasks: Iterator, most: int) -> Iterator[tuple[list, list[bytes]]]:
    """(tasks, the same pickled), some at a time."""
    for task in tasks:
        some, packed = [task], [pickle.dumps(task)]
        while len(some) < most and sum(map(len, packed)) < BYTES and (more := list(islice(tasks, 1))):
            some += more
            packed.append(pickle.dumps(more[0]))
        yield some, packed


def _carry_out(function: Callable, packed: list[bytes]) -> list:
    """In a worker: the results of a group, up to the first task that fails. If that is the first of all, its error."""
    done = []
    for task in packed:
        try:
            done.append(function(pickle.loads(task)))
        except Exception:
            if not done:
                raise
            break
    return done


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
