"""Several workers, one run: `mpirun -n 4 python -m dcgan_cupy.train …` trains as one process does on the whole batch.

base.py has the sums and what is told, mpi.py MPI's messages for the CPU device.
"""

import os

from ..errors import UserError
from .base import WorkerLost, Workers
from .mpi import MpiWorkers, launched

__all__ = ["WorkerLost", "Workers", "find"]


def find() -> Workers:
    """The workers of this run, as its launcher started them; without one, this process alone.

    Raises: UserError for a launcher without MPI.
    """
    if os.environ.get("TORCHELASTIC_RUN_ID") and os.environ.get("WORLD_SIZE", "1") != "1":
        raise UserError(
            f"train: torchrun: need MPI's launcher (mpirun -n {os.environ['WORLD_SIZE']} …), got torchrun,"
            " which brings no MPI"
        )
    return MpiWorkers() if launched() > 1 else Workers()
