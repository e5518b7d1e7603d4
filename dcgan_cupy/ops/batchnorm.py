"""Batch normalisation: the textbook's passes, and the fused ones, which take the activation behind it along."""

import numpy as np

from ..errors import UserError
from .channel_groups import channel_groups_of
from .check import need_channels, need_shape, rows_and_channels, same_size
from .epilogue import rectifier
from .tiles import BLOCK, CHANNELS, ROW_THREADS, ceil_div

F32, I32 = np.float32, np.int32


def batchnorm_statistics(dev, x, mean, var, running_mean, running_var, num_batches_tracked, momentum: float) -> None:
    """Batch mean and (biased) variance, and the step of the running ones.   kernels/batchnorm.cu

    Shapes: x [..., C], num_batches_tracked int64 [1], all others [C].
    """
    where = "batchnorm_statistics"
    rows, c = rows_and_channels(where, x)
    if rows < 2:
        raise UserError(f"{where}: x: need more than 1 value a channel when training, got shape {x.shape}")
    need_channels(where, c, mean=mean, var=var, running_mean=running_mean, running_var=running_var)
    need_shape(where, "num_batches_tracked", num_batches_tracked, (1,))
    dev.kernel("batchnorm.cu", where, CHANNELS=CHANNELS, ROW_THREADS=ROW_THREADS)(
        ceil_div(c, CHANNELS),
        (CHANNELS, ROW_THREADS),
        x,
        mean,
        var,
        running_mean,
        running_var,
        num_batches_tracked,
        I32(rows),
        I32(c),
        F32(momentum),
    )


def batchnorm_forward(dev, x, mean, var, gamma, beta, y, eps: float) -> None:
    """y = gamma * (x - mean) / sqrt(var + eps) + beta.   kernels/batchnorm.cu"""
    where = "batchnorm_forward"
    rows, c = rows_and_channels(where, x)
    same_size(where, x=x, y=y)
    need_channels(where, c, mean=mean, var=var, gamma=gamma, beta=beta)
    dev.kernel("batchnorm.cu", where)(
        ceil_div(x.size, BLOCK), BLOCK, x, mean, var, gamma, beta, y, I32(rows), I32(c), F32(eps)
    )


def batchnorm_backward_sums(dev, x, dy, mean, var, sum_dy, sum_dy_xhat, eps: float) -> None:
    """sum_dy = sum of dy, sum_dy_xhat = sum of dy * xhat, over all but the channels.   kernels/batchnorm.cu"""
    where = "batchnorm_backward_sums"
    rows, c = rows_and_channels(where, x)
    same_size(where, x=x, dy=dy)
    need_channels(where, c, mean=mean, var=var, sum_dy=sum_dy, sum_dy_xhat=sum_dy_xhat)
    dev.kernel("batchnorm.cu", where, CHANNELS=CHANNELS, ROW_THREADS=ROW_THREADS)(
        ceil_div(c, CHANNELS),
        (CHANNELS, ROW_THREADS),
        x,
        dy,
        mean,
        var,
        sum_dy,
        sum_dy_xhat,
        I32(rows),
        I32(c),
        F32(eps),
    )


def batchnorm_backward_input(dev, x, dy, mean, var, gamma, sum_dy, sum_dy_xhat, dx, eps: float) -> None:
    """dx = gamma * rstd * (dy - sum_dy/rows - xhat * sum_dy_xhat/rows); both sums None: evaluation.

    Kernels/batchnorm.cu
    """
    where = "batchnorm_backward_input"
    rows, c = rows_and_channels(where, x)
    same_size(where, x=x, dy=dy, dx=dx)
    need_channels(where, c, mean=mean, var=var, gamma=gamma, sum_dy=sum_dy, sum_dy_xhat=sum_dy_xhat)
    dev.kernel("batchnorm.cu", where)(
        ceil_div(x.size, BLOCK), BLOCK, x, dy, mean, var, gamma, sum_dy, sum_dy_xhat, dx, I32(rows), I32(c), F32(eps)
    )


def batchnorm_batch(
    dev, x, gamma, mean, rstd, scale, running_mean, running_var, num_batches_tracked, momentum: float, eps: float
) -> None:
    """Batch statistics in one pass over x, and the step of the running ones.

    Kernels/batchnorm_2_fused.cu (part and join)

    Shapes: x [..., C]; mean, rstd = 1/sqrt(var + eps), scale = gamma * rstd and all others [C]; num_batches_tracked
    int64 [1].
    """
    file, where = "batchnorm_2_fused.cu", "batchnorm_batch"
    rows, c, tile, groups, count, size = channel_groups_of(dev, x)
    if rows < 2:
        raise UserError(f"{where}: x: need more than 1 value a channel when training, got shape {x.shape}")
    need_channels(
        where, c, gamma=gamma, mean=mean, rstd=rstd, scale=scale, running_mean=running_mean, running_var=running_var
    )
    need_shape(where, "num_batches_tracked", num_batches_tracked, (1,))
    (parts,) = dev.scratch(2 * count * c)
    dev.kernel(file, "batchnorm_part_statistics", **tile)(
        (groups, count), (tile["LANES"], tile["ROWS"]), x, parts, I32(rows), I32(c), I32(size)
    )
    dev.kernel(file, "batchnorm_join_statistics")(
        ceil_div(c, BLOCK),
        BLOCK,
        parts,
        gamma,
        mean,
        rstd,
        scale,
        running_mean,
        running_var,
        num_batches_tracked,
        I32(rows),
        I32(c),
        I32(size),
        F32(momentum),
        F32(eps),
    )


def batchnorm_running_scale(dev, running_var, gamma, rstd, scale, eps: float) -> None:
    """rstd and scale of the running variance, for evaluation.   kernels/batchnorm_2_fused.cu"""
    c = same_size("batchnorm_running_scale", running_var=running_var, gamma=gamma, rstd=rstd, scale=scale)
    k = dev.kernel("batchnorm_2_fused.cu", "batchnorm_running_scale")
    k(ceil_div(c, BLOCK), BLOCK, running_var, gamma, rstd, scale, I32(c), F32(eps))


def batchnorm_activation_forward(dev, x, mean, scale, beta, y, slope: float) -> None:
    """y = act((x - mean) * scale + beta).   kernels/batchnorm_2_fused.cu

    slope: of the rectifier behind it. 0: ReLU, 1: none.
    """
    where = "batchnorm_activation_forward"
    same_size(where, x=x, y=y)
    rows, c, tile, *_ = channel_groups_of(dev, x)
    need_channels(where, c, mean=mean, scale=scale, beta=beta)
    k = dev.kernel("batchnorm_2_fused.cu", where, **tile, **rectifier(slope).macros())
    k(ceil_div(x.size // tile["V"], BLOCK), BLOCK, x, mean, scale, beta, y, I32(rows), I32(c))


def batchnorm_activation_backward(
    dev, x, dy, mean, rstd, scale, beta, sums, dgamma, dbeta, dx, slope: float, training: bool
) -> None:
    """dx, and dgamma += , dbeta += (None: left out).   kernels/batchnorm_2_fused.cu (part, join and backward)

    Shapes: x, dy, dx [..., C] (dx None: left out); sums [2, C] for the sums over the batch; all others [C].
    training: mean and rstd depended on x; otherwise they are constants.
    """
    file, where = "batchnorm_2_fused.cu", "batchnorm_activation_backward"
    same_size(where, x=x, dy=dy, dx=x if dx is None else dx)
    rows, c, tile, groups, count, size = channel_groups_of(dev, x)
    need_channels(where, c, mean=mean, rstd=rstd, scale=scale, beta=beta, dgamma=dgamma, dbeta=dbeta)
    need_shape(where, "sums", sums, (2, c))
    activation = rectifier(slope).macros()
    if training or dgamma is not None:
        (parts,) = dev.scratch(2 * count * c)
        dev.kernel(file, "batchnorm_part_gradients", **tile, **activation)(
            (groups, count),
            (tile["LANES"], tile["ROWS"]),
            x,
            dy,
            mean,
            rstd,
            scale,
            beta,
            parts,
            I32(rows),
            I32(c),
            I32(size),
        )
        dev.kernel(file, "batchnorm_join_gradients")(
            ceil_div(c, BLOCK), BLOCK, parts, sums[0], sums[1], dgamma, dbeta, I32(c), I32(count)
        )
    if dx is not None:
        used = (sums[0], sums[1]) if training else (None, None)
        dev.kernel(file, where, **tile, **activation)(
            ceil_div(x.size // tile["V"], BLOCK), BLOCK, x, dy, mean, rstd, scale, beta, *used, dx, I32(rows), I32(c)
        )
