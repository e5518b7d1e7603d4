"""Workers that an MPI launcher started: mpirun, srun. Arrays lie in the host's memory: the CPU device.

Messages go from worker to worker, so that it is known whose is missing.
"""

import os
import platform
import time

import numpy as np

from ..errors import UserError
from .base import WorkerLost, Workers

LAUNCHED = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS", "MPI_LOCALNRANKS")
"""Environment variables in which MPICH, Open MPI and Slurm say how many they started."""


def launched() -> int:
    """How many workers a launcher started; 1: none did."""
    found = [os.environ.get(name, "") for name in LAUNCHED]
    return max([1, *(int(text) for text in found if text.isdecimal())])


class MpiWorkers(Workers):
    """The processes of MPI's world.

    Raises: UserError if mpi4py, or an MPI, is not there.
    """

    def __init__(self):
        try:
            from mpi4py import MPI
        except (ImportError, RuntimeError) as error:  # the second: no MPI library beside it
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            raise UserError(
                f"train: {launched()} workers: need the mpi extra (pip install 'dcgan-cupy[mpi]'), got: {reason}"
            ) from None
        self._mpi, self.world = MPI, MPI.COMM_WORLD.Dup()
        local = self.world.Split_type(MPI.COMM_TYPE_SHARED)
        mine = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        sharers = local.allgather(mine).count(mine)
        local.Free()
        self._places = self.world.allgather(f"{platform.node()} ({os.getpid()})")
        super().__init__(self.world.rank, self.world.size, sharers)
        if self.size == 1 and launched() > 1:
            raise UserError(
                f"train: need an MPI that its launcher knows, got {launched()} tasks that each are alone "
                "(srun: try --mpi=pmi2 or --mpi=pmix; mpirun: the one of the MPI that mpi4py loads)"
            )

    def exchange(self, sent, received):
        """As there, on NumPy arrays."""
        self._wait(*self._begin(sent, received))

    def _begin(self, sent, received):
        """Requests, and whose message each of them waits for (None: for one's own to leave)."""
        requests, whose = [], []
        for r, piece in enumerate(received):
            if piece is not None:
                requests.append(self.world.Irecv(_bytes(piece), r))
                whose.append(r)
        for r, piece in enumerate(sent):
            if piece is not None:
                requests.append(self.world.Isend(_bytes(piece), r))
                whose.append(r)
        return requests, whose

    def _wait(self, requests, whose, patient: bool = False) -> None:
        until, turns = time.monotonic() + self.timeout, 0
        while not self._mpi.Request.Testall(requests):
            turns += 1
            if turns % 64 == 0:
                os.sched_yield()
                if not patient and time.monotonic() > until:
                    missing = sorted({r for request, r in zip(requests, whose) if not request.Test()})
                    raise WorkerLost(
                        f"worker {', '.join(map(str, missing))}: need an answer within {self.timeout:g} s "
                        "(--worker-timeout), got none"
                    )

    def agree(self, value, patient=False):
        """The largest of all."""
        values = np.zeros(self.size, np.int64)
        values[self.rank] = value
        rows = [values[r : r + 1] for r in range(self.size)]
        others = [r != self.rank for r in range(self.size)]
        sent = [rows[self.rank] if other else None for other in others]
        begun = self._begin(sent, [row if other else None for row, other in zip(rows, others)])
        self._wait(*begun, patient)
        return int(values.max())

    def where(self):
        """As there."""
        return self._places

    def end(self, code):
        """MPI ends the others."""
        if self.size > 1:
            self.world.Abort(code)


def _bytes(piece: np.ndarray) -> np.ndarray:
    return piece.view(np.uint8)
