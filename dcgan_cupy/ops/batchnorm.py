"""Batch normalisation: the textbook's passes, and the fused ones, which take the activation behind it along."""

from functools import partial

import numpy as np

from ..device import Array, Device
from ..errors import UserError
from .channel_groups import channel_groups_of
from .check import need_channels, need_shape, rows_and_channels, same_size
from .epilogue import rectifier
from .rungs import check_rung
from .tiles import BLOCK, CHANNELS, ROW_THREADS, ceil_div, line

F32, I32 = np.float32, np.int32


def batchnorm_statistics(
    dev: Device,
    x: Array,
    mean: Array,
    var: Array,
    running_mean: Array,
    running_var: Array,
    num_batches_tracked: Array,
    momentum: float,
    rung: str = "textbook",
) -> None:
    """Batch mean and (biased) variance, and the step of the running ones.   kernels/batchnorm/sums_*.cu

    Shapes: x [..., C], num_batches_tracked int64 [1], all others [C].
    """
    where = "batchnorm_statistics"
    rows, c = rows_and_channels(where, x)
    if rows < 2:
        raise UserError(f"{where}: x: need more than 1 value a channel when training, got shape {x.shape}")
    need_channels(where, c, mean=mean, var=var, running_mean=running_mean, running_var=running_var)
    need_shape(where, "num_batches_tracked", num_batches_tracked, (1,))
    check_rung(where, rung)
    running = running_mean, running_var, num_batches_tracked
    _sums(dev, where, rung, c)(x, mean, var, *running, I32(rows), I32(c), F32(momentum))


def batchnorm_forward(
    dev: Device, x: Array, mean: Array, var: Array, gamma: Array, beta: Array, y: Array, eps: float
) -> None:
    """y = gamma * (x - mean) / sqrt(var + eps) + beta.   kernels/batchnorm/normalise.cu"""
    where = "batchnorm_forward"
    rows, c = rows_and_channels(where, x)
    same_size(where, x=x, y=y)
    need_channels(where, c, mean=mean, var=var, gamma=gamma, beta=beta)
    dev.kernel("batchnorm/normalise.cu", where)(
        ceil_div(x.size, BLOCK), BLOCK, x, mean, var, gamma, beta, y, I32(rows), I32(c), F32(eps)
    )


def batchnorm_backward_sums(
    dev: Device,
    x: Array,
    dy: Array,
    mean: Array,
    var: Array,
    sum_dy: Array | None,
    sum_dy_xhat: Array | None,
    eps: float,
    rung: str = "textbook",
) -> None:
    """sum_dy = sum of dy, sum_dy_xhat = sum of dy * xhat, over all but the channels.   kernels/batchnorm/sums_*.cu"""
    where = "batchnorm_backward_sums"
    rows, c = rows_and_channels(where, x)
    same_size(where, x=x, dy=dy)
    need_channels(where, c, mean=mean, var=var, sum_dy=sum_dy, sum_dy_xhat=sum_dy_xhat)
    check_rung(where, rung)
    _sums(dev, where, rung, c)(x, dy, mean, var, sum_dy, sum_dy_xhat, I32(rows), I32(c), F32(eps))


def _sums(dev, symbol: str, rung: str, c: int):
    """A launch of one of the kernels that sum by channel, in a rung for study or the textbook's: run(*arguments)."""
    if rung == "shared":
        macros, block = {"CHANNELS": CHANNELS, "ROW_THREADS": ROW_THREADS}, (CHANNELS, ROW_THREADS)
        return partial(dev.kernel("batchnorm/sums_2_tree.cu", symbol, **macros), ceil_div(c, CHANNELS), block)
    if rung == "registers":
        return partial(dev.kernel("batchnorm/sums_3_shuffles.cu", symbol), ceil_div(c, 32), (32, 32))
    return partial(dev.kernel("batchnorm/sums_1_textbook.cu", symbol), ceil_div(c, line(c)), line(c))


def batchnorm_backward_input(
    dev: Device,
    x: Array,
    dy: Array,
    mean: Array,
    var: Array,
    gamma: Array,
    sum_dy: Array | None,
    sum_dy_xhat: Array | None,
    dx: Array,
    eps: float,
) -> None:
    """dx = gamma * rstd * (dy - sum_dy/rows - xhat * sum_dy_xhat/rows); both sums None: evaluation.

    Kernels/batchnorm/normalise.cu
    """
    where = "batchnorm_backward_input"
    rows, c = rows_and_channels(where, x)
    same_size(where, x=x, dy=dy, dx=dx)
    need_channels(where, c, mean=mean, var=var, gamma=gamma, sum_dy=sum_dy, sum_dy_xhat=sum_dy_xhat)
    dev.kernel("batchnorm/normalise.cu", where)(
        ceil_div(x.size, BLOCK), BLOCK, x, dy, mean, var, gamma, sum_dy, sum_dy_xhat, dx, I32(rows), I32(c), F32(eps)
    )


def launch_parts(dev: Device, symbol: str, arrays: tuple, channels: tuple, **constants):
    """One of the kernels that sum parts of the rows; the parts [count, 2, C], in scratch.   kernels/batchnorm/fused.cu

    channels: what channel_groups_of gives.
    """
    rows, c, tile, groups, count, size = channels
    (parts,) = dev.scratch(2 * count * c)
    dev.kernel("batchnorm/fused.cu", symbol, **tile, **constants)(
        (groups, count), (tile["LANES"], tile["ROWS"]), *arrays, parts, I32(rows), I32(c), I32(size)
    )
    return parts


def batchnorm_batch(
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
) -> None:
    """Batch statistics in one pass over x, and the step of the running ones.

    Kernels/batchnorm/fused.cu (part and join)

    Shapes: x [..., C]; statistics [5, C] gets (mean, low, rstd, scale, shift): mean + low is the mean, rstd =
    1/sqrt(var + eps), scale = gamma * rstd, shift = beta - low * scale; num_batches_tracked int64 [1]; all others [C].
    """
    file, where = "batchnorm/fused.cu", "batchnorm_batch"
    rows, c, _, _, count, _ = channels = channel_groups_of(where, dev, x)
    if rows < 2:
        raise UserError(f"{where}: x: need more than 1 value a channel when training, got shape {x.shape}")
    need_channels(where, c, gamma=gamma, beta=beta, running_mean=running_mean, running_var=running_var)
    need_shape(where, "statistics", statistics, (5, c))
    need_shape(where, "num_batches_tracked", num_batches_tracked, (1,))
    parts = launch_parts(dev, "batchnorm_part_statistics", (x,), channels)
    dev.kernel(file, "batchnorm_join_statistics")(
        ceil_div(c, BLOCK),
        BLOCK,
        x,
        parts,
        gamma,
        beta,
        statistics,
        running_mean,
        running_var,
        num_batches_tracked,
        I32(rows),
        I32(c),
        I32(count),
        F32(momentum),
        F32(eps),
    )


def batchnorm_running_statistics(
    dev: Device, running_mean: Array, running_var: Array, gamma: Array, beta: Array, statistics: Array, eps: float
) -> None:
    """The same of the running mean and variance, for evaluation.   kernels/batchnorm/fused.cu"""
    where = "batchnorm_running_statistics"
    given = {"running_mean": running_mean, "running_var": running_var, "gamma": gamma, "beta": beta}
    c = same_size(where, **given)
    need_shape(where, "statistics", statistics, (5, c))
    k = dev.kernel("batchnorm/fused.cu", where)
    k(ceil_div(c, BLOCK), BLOCK, *given.values(), statistics, I32(c), F32(eps))


def batchnorm_activation_forward(dev: Device, x: Array, statistics: Array, y: Array, slope: float) -> None:
    """y = act((x - mean) * scale + shift).   kernels/batchnorm/fused.cu

    Shapes: statistics [5, C] as batchnorm_batch makes them. slope: of the rectifier behind it; 0: ReLU, 1: none.
    """
    where = "batchnorm_activation_forward"
    same_size(where, x=x, y=y)
    rows, c, tile, *_ = channel_groups_of(where, dev, x)
    need_shape(where, "statistics", statistics, (5, c))
    k = dev.kernel("batchnorm/fused.cu", where, **tile, **rectifier(slope))
    k(ceil_div(x.size // tile["V"], BLOCK), BLOCK, x, statistics, y, I32(rows), I32(c))


def batchnorm_activation_backward(
    dev: Device,
    x: Array,
    dy: Array,
    statistics: Array,
    pull: Array,
    dgamma: Array | None,
    dbeta: Array | None,
    dx: Array | None,
    slope: float,
    training: bool,
) -> None:
    """dx, and dgamma += , dbeta += (None: left out).   kernels/batchnorm/fused.cu (part, join and backward)

    Shapes: x, dy, dx [..., C] (dx None: left out); statistics [5, C]; dgamma, dbeta [C]; pull [2, C] gets what the
    batch takes off: dx = scale * (g - pull[0] - (x - mean) * pull[1]), g the gradient behind the activation.
    training: the statistics depended on x; otherwise they are constants.
    """
    file, where = "batchnorm/fused.cu", "batchnorm_activation_backward"
    same_size(where, x=x, dy=dy, dx=x if dx is None else dx)
    rows, c, tile, _, count, _ = channels = channel_groups_of(where, dev, x)
    need_channels(where, c, dgamma=dgamma, dbeta=dbeta)
    need_shape(where, "statistics", statistics, (5, c))
    need_shape(where, "pull", pull, (2, c))
    constants = {**tile, **rectifier(slope)}
    if training or dgamma is not None:
        parts = launch_parts(dev, "batchnorm_part_gradients", (x, dy, statistics), channels, **rectifier(slope))
        dev.kernel(file, "batchnorm_join_gradients")(
            ceil_div(c, BLOCK), BLOCK, parts, statistics, pull, dgamma, dbeta, I32(rows), I32(c), I32(count)
        )
    if dx is not None:
        dev.kernel(file, where, **constants)(
            ceil_div(x.size // tile["V"], BLOCK),
            BLOCK,
            x,
            dy,
            statistics,
            pull if training else None,
            dx,
            I32(rows),
            I32(c),
        )
