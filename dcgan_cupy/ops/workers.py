"""What several workers' runs need beside: batch norm over all their rows, and sums in the order of the workers.

What is told to the others and what is got from them goes through `exchange`, a function of one array [W, …] on the
device, in which each worker's own row is filled in: it fills the others (workers/base.py).
"""

import numpy as np

from ..device import Array, Device
from ..errors import UserError
from .batchnorm import launch_parts
from .channel_groups import channel_groups_of
from .check import need_channels, need_shape, same_size
from .epilogue import rectifier
from .tiles import BLOCK, ceil_div

F32, I32 = np.float32, np.int32
FILE = "batchnorm/workers.cu"


def batchnorm_batch_of_workers(
    dev: Device,
    x: Array,
    gamma: Array,
    beta: Array,
    statistics: Array,
    running_mean: Array,
    running_var: Array,
    num_batches_tracked: Array,
    momentum: float,
    eps: float,
    told: Array,
    worker: int,
    exchange,
) -> None:
    """batchnorm_batch over the rows of all workers, as many for each.   kernels/batchnorm/fused.cu (part), workers.cu

    Shapes: x [..., C] of this worker; told float64 [W, 2, C], for what they tell each other; others as there.
    """
    where = "batchnorm_batch_of_workers"
    rows, c, _, _, count, _ = channels = channel_groups_of(where, dev, x)
    workers = _workers(where, told, c, worker)
    if rows * workers < 2:
        raise UserError(f"{where}: x: need more than 1 value a channel when training, got shape {x.shape}")
    need_channels(where, c, gamma=gamma, beta=beta, running_mean=running_mean, running_var=running_var)
    need_shape(where, "statistics", statistics, (5, c))
    need_shape(where, "num_batches_tracked", num_batches_tracked, (1,))
    parts = launch_parts(dev, "batchnorm_part_statistics", (x,), channels)
    grid = ceil_div(c, BLOCK)
    dev.kernel(FILE, "batchnorm_local_statistics")(grid, BLOCK, x, parts, told[worker], I32(rows), I32(c), I32(count))
    exchange(told)
    running = running_mean, running_var, num_batches_tracked
    dev.kernel(FILE, "batchnorm_join_workers")(
        grid, BLOCK, told, gamma, beta, statistics, *running, I32(rows), I32(c), I32(workers), F32(momentum), F32(eps)
    )  # fmt: skip


def batchnorm_activation_backward_of_workers(
    dev: Device,
    x: Array,
    dy: Array,
    statistics: Array,
    pull: Array,
    dgamma: Array | None,
    dbeta: Array | None,
    dx: Array | None,
    slope: float,
    told: Array,
    worker: int,
    exchange,
) -> None:
    """batchnorm_activation_backward of statistics over all workers' rows; dgamma, dbeta get this worker's share.

    kernels/batchnorm/fused.cu (part and backward), workers.cu   Shapes: told as in batchnorm_batch_of_workers, others
    as in batchnorm_activation_backward.
    """
    where = "batchnorm_activation_backward_of_workers"
    same_size(where, x=x, dy=dy, dx=x if dx is None else dx)
    rows, c, tile, _, count, _ = channels = channel_groups_of(where, dev, x)
    workers = _workers(where, told, c, worker)
    need_channels(where, c, dgamma=dgamma, dbeta=dbeta)
    need_shape(where, "statistics", statistics, (5, c))
    need_shape(where, "pull", pull, (2, c))
    constants = {**tile, **rectifier(slope)}
    parts = launch_parts(dev, "batchnorm_part_gradients", (x, dy, statistics), channels, **rectifier(slope))
    grid = ceil_div(c, BLOCK)
    dev.kernel(FILE, "batchnorm_local_gradients")(
        grid, BLOCK, parts, statistics, told[worker], dgamma, dbeta, I32(c), I32(count)
    )
    if dx is None:
        return
    exchange(told)
    dev.kernel(FILE, "batchnorm_pull_workers")(grid, BLOCK, told, statistics, pull, I32(rows), I32(c), I32(workers))
    dev.kernel("batchnorm/fused.cu", "batchnorm_activation_backward", **constants)(
        ceil_div(x.size // tile["V"], BLOCK), BLOCK, x, dy, statistics, pull, dx, I32(rows), I32(c)
    )


def sum_workers(dev: Device, parts: Array, own: Array, worker: int) -> None:
    """own = the sum of all workers' slices in their order.   kernels/sum_workers.cu

    Shapes: own [n], this worker's slice; parts [W, n], the others' (its own row is not read).
    """
    n = same_size("sum_workers", own=own)
    workers = parts.shape[0]
    need_shape("sum_workers", "parts", parts, (workers, n))
    dev.kernel("sum_workers.cu", "sum_workers")(
        ceil_div(n, BLOCK), BLOCK, parts, own, I32(n), I32(worker), I32(workers)
    )


def _workers(where: str, told: Array, c: int, worker: int) -> int:
    """How many there are.   Raises: UserError."""
    need_shape(where, "told", told, (told.shape[0], 2, c))
    if not 0 <= worker < told.shape[0]:
        raise UserError(f"{where}: worker: need 0 to {told.shape[0] - 1}, got {worker}")
    return told.shape[0]
