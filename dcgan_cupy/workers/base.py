"""Several processes, one run: what they tell each other, and the sums that come of it.

A backend (mpi.py) moves bytes from worker to worker; all arithmetic is here, in the order of the workers, so that the
same number of workers gives the same bits in every run, and each of them the same as the others.
"""

import os
import platform

from .. import ops
from ..errors import UserError

ALIGN = 16  # floats: slices start on 64-byte boundaries


class WorkerLost(RuntimeError):
    """Another worker died, or did not answer in time. The message names it."""


class Workers:
    """The processes of one run: this one is number `rank` of `size`.

    sharers: those that may run on just the cores that this one may.   A backend gives exchange(); this class alone is
    one worker, or, for a plan, one of many that get no answer.
    """

    def __init__(self, rank: int = 0, size: int = 1, sharers: int = 1):
        self.rank, self.size, self.sharers = rank, size, sharers
        self.timeout = 30.0  # seconds that an answer may take
        self.apart = False  # whether the others wait for what will not come
        self._parts: dict = {}  # where other workers' slices arrive, by the length of what is summed

    @property
    def first(self) -> bool:
        """Whether this one writes the run's files and talks to people."""
        return self.rank == 0

    @property
    def place(self) -> tuple[int, int]:
        """Its number, and that of all: what a batch, or a draw of random numbers, is shared by."""
        return self.rank, self.size

    def exchange(self, sent: list, received: list) -> None:
        """To each other worker r goes sent[r], from it comes received[r]: flat pieces of arrays, None for nothing.

        Raises: WorkerLost.
        """

    def share(self, where: str, batch: int) -> int:
        """This worker's images of a batch of all.   Raises: UserError unless each gets as many."""
        if batch % self.size:
            raise UserError(
                f"{where}: --batch-size: need a multiple of the {self.size} workers, got {batch} "
                f"(the batch of all workers: {batch // self.size * self.size or self.size}, say)"
            )
        if batch // self.size < 2:
            raise UserError(f"{where}: --batch-size: need 2 images a worker, got {batch} for {self.size} workers")
        return batch // self.size

    def gather(self, device, told) -> None:
        """told [W, …]: each worker's row to all others; this one's is filled in."""
        if self.size == 1:
            return
        rows = [told[r].reshape(-1) for r in range(self.size)]
        sent = [None if r == self.rank else rows[self.rank] for r in range(self.size)]
        received = [None if r == self.rank else rows[r] for r in range(self.size)]
        device.call(lambda: self.exchange(sent, received))

    def add_up(self, device, flat) -> None:
        """flat [n] = the sum of all workers' flat.

        Each worker adds up a slice of it and hands the sum to the others: 2 * (W - 1) / W of its bytes go out.
        """
        if self.size == 1:
            return
        n, rank = flat.size, self.rank
        length = ops.ceil_div(ops.ceil_div(n, self.size), ALIGN) * ALIGN
        slices = [flat[min(n, r * length) : min(n, (r + 1) * length)] for r in range(self.size)]
        own = slices[rank]
        parts = self._parts.get(n)
        if parts is None:
            parts = self._parts[n] = device.empty((self.size, own.size))
        others = [r for r in range(self.size) if r != rank]
        arriving = [parts[r] if r in others and own.size else None for r in range(self.size)]
        leaving = [slices[r] if r in others and slices[r].size else None for r in range(self.size)]
        device.call(lambda: self.exchange(leaving, arriving))
        if own.size:
            ops.sum_workers(device, parts, own, rank)
        sums = [own if r in others and own.size else None for r in range(self.size)]
        device.call(lambda: self.exchange(sums, leaving))

    def agree(self, value: int, patient: bool = False) -> int:
        """The largest of all workers' values, for each of them: a number of the host's, not of the device's.

        patient: others may take as long as they need.
        """
        return value

    def where(self) -> list[str]:
        """Each worker's machine and process, for people."""
        return [f"{platform.node()} ({os.getpid()})"]

    def end(self, code: int) -> None:
        """Ends all workers at once, if there are others."""
