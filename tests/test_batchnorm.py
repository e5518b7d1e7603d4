"""Batch normalisation's textbook kernels against reference/."""

import numpy as np
import pytest
from helpers import assert_close, assert_equal, integers, normal
from ops_cases import (
    BN_RTOL,
    EPS32,
    F32,
    F64,
    SUM_RTOL,
    Out,
    Updated,
    assert_each_close,
    bn_arrays,
    check_statistics,
    launch,
)

from dcgan_cupy import ops
from dcgan_cupy import reference as ref
from dcgan_cupy.workbench.cases import SUMS

BN_SHAPES = [
    (2, 1),
    (3, 1, 1, 5),
    (1, 3, 5, 33),
    (5, 7, 3, 64),
    (2, 9, 6, 70),
    (1037, 3),
]  # rows and channels no block divides


every_sum = pytest.mark.parametrize("rung", SUMS)


every_bn_shape = pytest.mark.parametrize("shape", BN_SHAPES, ids=str)


def bn_statistics(device, x, running_mean, running_var, momentum=0.1, batches=6, rung="textbook"):
    c = x.shape[-1]
    count = Updated(np.array([batches], np.int64))
    return launch(
        device,
        ops.batchnorm_statistics,
        x,
        Out(c),
        Out(c),
        Updated(running_mean),
        Updated(running_var),
        count,
        momentum,
        rung,
    )


@every_sum
@every_bn_shape
@pytest.mark.parametrize("momentum", [0.1, 1.0, 0.0])
def test_batchnorm_statistics(device, rng, shape, momentum, rung):
    x, gamma, beta, running_mean, running_var = bn_arrays(rng, shape)
    mean, var, new_mean, new_var, count = bn_statistics(device, x, running_mean, running_var, momentum, rung=rung)
    _, want_mean, want_var, *running = ref.batchnorm_forward_train(
        x, gamma, beta, running_mean, running_var, momentum=momentum
    )
    check_statistics(x, (mean, new_mean, new_var), (want_mean, *running), running_mean, running_var)
    assert_close(var, want_var, BN_RTOL, "var")
    assert_equal(count, np.array([7]))


@every_sum
def test_batchnorm_statistics_of_integers_are_exact(device, rng, rung):
    """64 rows whose sum divides by 64: the mean, each difference and the variance are exact in float32."""
    half = integers(rng, (32, 45), -8, 8)
    x = np.concatenate([half, -half]) + F32(16)
    mean, var, *_ = bn_statistics(device, x, np.zeros(45, F32), np.ones(45, F32), rung=rung)
    assert_equal(mean, np.full(45, 16.0))
    assert_equal(var, np.square(x.astype(F64) - 16).mean(0))


@every_sum
def test_batchnorm_survives_a_large_mean(device, rng, rung):
    """Mean 1e4, deviation 1. By sum(x^2) - sum(x)^2 / n the variance would be off by 1 or more."""
    shape, c = (16, 12, 13, 35), 35
    x, gamma, beta, zeros, ones = (
        (1e4 + rng.standard_normal(shape)).astype(F32),
        *np.ones((2, c), F32),
        np.zeros(c, F32),
        np.ones(c, F32),
    )
    mean, var, _, new_var, _ = bn_statistics(device, x, zeros, ones, momentum=1.0, rung=rung)
    y, want_mean, want_var, _, want_new_var = ref.batchnorm_forward_train(x, gamma, beta, zeros, ones, momentum=1.0)
    assert_each_close(mean, want_mean, 2 * EPS32)  # correct to the last place of a float32
    assert_close(var, want_var, BN_RTOL, "var")  # float32 holds these x in steps of 1e-3, but their differences exactly
    assert_close(new_var, want_new_var, BN_RTOL, "running_var")
    got = launch(device, ops.batchnorm_forward, x, mean, var, gamma, beta, Out(shape), 1e-5)
    assert_each_close(got, y, 1e-5, atol=1.1e-3)  # the mean is rounded to a float32, a step of which is 1e-3 here


@every_sum
def test_batchnorm_of_a_constant_channel_has_variance_zero(device, rung):
    x = np.full((37, 3), 7.1, F32)
    mean, var, *_ = bn_statistics(device, x, np.zeros(3, F32), np.ones(3, F32), rung=rung)
    assert_each_close(mean, np.full(3, x[0, 0], F64), 2 * EPS32)
    assert ((var >= 0) & (var < 1e-12)).all()  # never below 0, however the mean was rounded
    y = launch(device, ops.batchnorm_forward, x, mean, var, np.ones(3, F32), np.zeros(3, F32), Out(x.shape), 1e-5)
    assert np.abs(y).max() < 1e-3  # a rounding of 7.1, 5e-7, times 1 / sqrt(1e-5) = 316


@every_sum
def test_batchnorm_carries_nan_to_its_channel_only(device, rng, rung):
    x, _, _, running_mean, running_var = bn_arrays(rng, (3, 4, 5, 6))
    x[1, 2, 3, 4] = np.nan
    mean, _, new_mean, _, _ = bn_statistics(device, x, running_mean, running_var, rung=rung)
    bad = np.arange(6) == 4
    assert_equal(np.isnan(mean), bad)
    assert_equal(np.isnan(new_mean), bad)


@every_sum
def test_batchnorm_sums_of_many_rows(device, rng, rung):
    """A million rows, all of one sign: no sum is off by 1e-6."""
    rows, c = 1_000_000, 3
    x, dy = rng.random((2, rows, c), F32)
    mean, var, *_ = bn_statistics(device, x, np.zeros(c, F32), np.ones(c, F32), rung=rung)
    assert_each_close(mean, x.mean(0, dtype=F64), BN_RTOL)
    assert_each_close(var, x.var(0, dtype=F64), BN_RTOL)
    given = np.zeros(c, F32), np.ones(c, F32)
    sum_dy, sum_dy_xhat = launch(device, ops.batchnorm_backward_sums, x, dy, *given, Out(c), Out(c), 1e-5, rung)
    assert_each_close(sum_dy, dy.sum(0, dtype=F64), BN_RTOL)
    assert_each_close(sum_dy_xhat, (dy.astype(F64) * x).sum(0) / np.sqrt(1 + 1e-5), BN_RTOL)
    db = launch(device, ops.conv2d_backward_bias, dy, Updated(np.zeros(c, F32)))
    assert_each_close(db, dy.sum(0, dtype=F64), BN_RTOL)


@every_bn_shape
def test_batchnorm_forward(device, rng, shape):
    x, gamma, beta, mean, var = bn_arrays(rng, shape)
    got = launch(device, ops.batchnorm_forward, x, mean, var, gamma, beta, Out(shape), 1e-5)
    assert_close(got, ref.batchnorm_forward_eval(x, gamma, beta, mean, var), BN_RTOL)
    both = Updated(x)
    assert_equal(launch(device, ops.batchnorm_forward, both, mean, var, gamma, beta, both, 1e-5), got)  # y may be x


def test_batchnorm_forward_uses_eps(device, rng):
    x, gamma, beta, mean, _ = bn_arrays(rng, (9, 5))
    got = launch(device, ops.batchnorm_forward, x, mean, np.zeros(5, F32), gamma, beta, Out(x.shape), 0.25)
    assert_close(got, ref.batchnorm_forward_eval(x, gamma, beta, mean, np.zeros(5), eps=0.25), BN_RTOL)


@every_sum
@every_bn_shape
@pytest.mark.parametrize("training", [True, False])
def test_batchnorm_backward(device, rng, shape, training, rung):
    x, gamma, beta, running_mean, running_var = bn_arrays(rng, shape)
    dy, c = normal(rng, shape), shape[-1]
    mean, var = running_mean, running_var
    if training:
        mean, var = (a.astype(F32) for a in ref.batchnorm_forward_train(x, gamma, beta, running_mean, running_var)[1:3])
    backward = ref.batchnorm_backward_train if training else ref.batchnorm_backward_eval
    dx, dgamma, dbeta = backward(dy, x, gamma, mean, var)

    sum_dy, sum_dy_xhat = launch(device, ops.batchnorm_backward_sums, x, dy, mean, var, Out(c), Out(c), 1e-5, rung)
    assert_close(sum_dy, dbeta, SUM_RTOL, "sum_dy")
    assert_close(sum_dy_xhat, dgamma, SUM_RTOL, "sum_dy_xhat")
    sums = (sum_dy, sum_dy_xhat) if training else (None, None)
    got = launch(device, ops.batchnorm_backward_input, x, dy, mean, var, gamma, *sums, Out(shape), 1e-5)
    # In training the three terms all but cancel where a channel has 2 or 3 values: what is left is compared with dy's
    # size
    scale = np.linalg.norm(dy * gamma / np.sqrt(var + 1e-5))
    assert np.isfinite(got).all() and np.linalg.norm(got - dx) <= 2 * BN_RTOL * scale
    both = Updated(dy)
    in_place = launch(device, ops.batchnorm_backward_input, x, both, mean, var, gamma, *sums, both, 1e-5)
    assert_equal(in_place, got)  # dx may be dy
