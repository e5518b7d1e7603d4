"""Batch normalisation and the activation behind it in the same passes, against reference/."""

import numpy as np
import pytest
from helpers import assert_close, assert_equal, normal
from ops_cases import (
    BN_RTOL,
    EPS32,
    EVERY_TILE,
    F32,
    F64,
    FUSED_RTOL,
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

pytestmark = EVERY_TILE

# Each number of channels is a kernel of its own to compile
every_fused_shape = pytest.mark.parametrize("shape", [(2, 1), (1, 3, 5, 33), (5, 7, 3, 64), (1037, 3)], ids=str)


every_slope = pytest.mark.parametrize("slope", [1.0, 0.2, 0.0])


def bn_fused(rng, shape, training):
    """x, dy, gamma, beta and mean, rstd, scale as the fused kernels take them.

    Dy is 0 where p is too near 0 to trust its sign.
    """
    x, gamma, beta, running_mean, running_var = bn_arrays(rng, shape)
    mean, var = running_mean, running_var
    if training:
        mean, var = ref.batchnorm_forward_train(x, gamma, beta, running_mean, running_var)[1:3]
    p = ref.batchnorm_forward_eval(x, gamma, beta, mean, var)
    dy = normal(rng, shape) * (np.abs(p) > 1e-5).astype(F32)
    rstd = 1 / np.sqrt(var + 1e-5)
    return x, dy, gamma, beta, mean.astype(F32), var, rstd.astype(F32), (gamma * rstd).astype(F32), p


@every_fused_shape
@pytest.mark.parametrize("momentum", [0.1, 1.0, 0.0])
def test_batchnorm_batch(device, rng, shape, momentum):
    x, gamma, beta, running_mean, running_var = bn_arrays(rng, shape)
    c, count = shape[-1], Updated(np.array([6], np.int64))
    mean, rstd, scale, new_mean, new_var, batches = launch(
        device,
        ops.batchnorm_batch,
        x,
        gamma,
        Out(c),
        Out(c),
        Out(c),
        Updated(running_mean),
        Updated(running_var),
        count,
        momentum,
        1e-5,
    )
    _, want_mean, var, *running = ref.batchnorm_forward_train(
        x, gamma, beta, running_mean, running_var, momentum=momentum
    )
    check_statistics(x, (mean, new_mean, new_var), (want_mean, *running), running_mean, running_var)
    assert_close(rstd, 1 / np.sqrt(var + 1e-5), FUSED_RTOL, "rstd")
    assert_close(scale, gamma / np.sqrt(var + 1e-5), FUSED_RTOL, "scale")
    assert_equal(batches, np.array([7]))


def test_batchnorm_batch_survives_a_large_mean(device, rng):
    """As above, in one pass over x, whose 16 parts are joined by their means: each is rounded to 1e-3.

    A step of a float32 here, and differs from the next by 0.1. What is left is 1e-4 of the variance; sum(x^2) -
    sum(x)^2 / n would leave none.
    """
    x, c = (1e4 + rng.standard_normal((16, 12, 13, 35))).astype(F32), 35
    zeros, ones, count = np.zeros(c, F32), np.ones(c, F32), Updated(np.zeros(1, np.int64))
    mean, rstd, _, _, new_var, _ = launch(
        device, ops.batchnorm_batch, x, ones, Out(c), Out(c), Out(c), Updated(zeros), Updated(ones), count, 1.0, 1e-5
    )
    _, want_mean, want_var, _, want_new_var = ref.batchnorm_forward_train(x, ones, zeros, zeros, ones, momentum=1.0)
    assert_each_close(mean, want_mean, 8 * EPS32)
    assert_each_close(rstd, 1 / np.sqrt(want_var + 1e-5), 2e-4)
    assert_each_close(new_var, want_new_var, 4e-4)


def test_batchnorm_batch_at_the_edges(device, rng):
    """A constant channel has variance 0; NaN stays in its channel."""
    x = np.full((37, 4), 7.1, F32)
    x[:, 1] = normal(rng, 37)
    x[5, 2] = np.nan
    zeros, ones, count = np.zeros(4, F32), np.ones(4, F32), Updated(np.zeros(1, np.int64))
    mean, rstd, *_ = launch(
        device, ops.batchnorm_batch, x, ones, Out(4), Out(4), Out(4), Updated(zeros), Updated(ones), count, 0.1, 1e-5
    )
    assert_equal(np.isnan(mean), np.array([False, False, True, False]))
    assert_each_close(mean[[0, 3]], np.full(2, x[0, 0], F64), 2 * EPS32)
    assert_each_close(rstd[[0, 3]], np.full(2, 1e-5**-0.5), BN_RTOL)


def test_batchnorm_running_scale(device, rng):
    for c in (1, 255, 257):
        var, gamma = rng.uniform(0, 2, c).astype(F32), normal(rng, c)
        rstd, scale = launch(device, ops.batchnorm_running_scale, var, gamma, Out(c), Out(c), 1e-3)
        assert_close(rstd, 1 / np.sqrt(var.astype(F64) + 1e-3), BN_RTOL)
        assert_close(scale, gamma / np.sqrt(var.astype(F64) + 1e-3), BN_RTOL)


@every_fused_shape
@every_slope
def test_batchnorm_activation_forward(device, rng, shape, slope):
    x, _, _, beta, mean, _, _, scale, p = bn_fused(rng, shape, training=False)
    got = launch(device, ops.batchnorm_activation_forward, x, mean, scale, beta, Out(shape), slope)
    assert_close(got, np.where(p > 0, p, F32(slope) * p), BN_RTOL)
    both = Updated(x)
    assert_equal(
        launch(device, ops.batchnorm_activation_forward, both, mean, scale, beta, both, slope), got
    )  # y may be x


def test_batchnorm_activation_at_infinity(device, rng):
    """The same as the activation by itself: ReLU of -infinity is 0, not 0 * -infinity, and NaN stays NaN."""
    x = np.array([[-np.inf, np.inf, np.nan, -1.0, 1.0, 0.0]] * 3, F32)
    given = np.zeros(6, F32), np.ones(6, F32), np.zeros(6, F32)
    for slope, at in ((0.0, 0.0), (0.2, -np.inf), (1.0, -np.inf)):
        y = launch(device, ops.batchnorm_activation_forward, x, *given, Out(x.shape), slope)
        assert_equal(y[:, [0, 1]], np.array([[at, np.inf]] * 3, F32))
        assert np.isnan(y[:, 2]).all()
        assert_equal(y[:, 3], np.full(3, F32(slope) * F32(-1)))
    relu = launch(device, ops.batchnorm_activation_forward, x, *given, Out(x.shape), 0.0)
    assert np.array_equal(relu, launch(device, ops.relu_forward, x, Out(x.shape)), equal_nan=True)
    assert not np.signbit(relu[:, :2]).any() and not np.signbit(relu[:, 3:]).any()  # 0, not -0


def test_batchnorm_relu_drops_the_gradient_where_it_is_0(device):
    """dy may be infinite or NaN there: 0 * infinity would carry it on, relu_backward does not."""
    x, dy = np.full((2, 5), -1.0, F32), np.array([[np.inf, -np.inf, np.nan, 1.0, -1.0]] * 2, F32)
    given = np.zeros(5, F32), np.ones(5, F32), np.ones(5, F32), np.zeros(5, F32)
    _, dgamma, dbeta, dx = launch(
        device,
        ops.batchnorm_activation_backward,
        x,
        dy,
        *given,
        Out((2, 5)),
        Updated(np.zeros(5, F32)),
        Updated(np.zeros(5, F32)),
        Out(x.shape),
        0.0,
        False,
    )
    assert_equal(dx, np.zeros(x.shape))
    assert_equal(np.stack([dgamma, dbeta]), np.zeros((2, 5)))


@every_fused_shape
@every_slope
@pytest.mark.parametrize("training", [True, False])
def test_batchnorm_activation_backward(device, rng, shape, slope, training):
    x, dy, gamma, beta, mean, var, rstd, scale, p = bn_fused(rng, shape, training)
    c, old_dgamma, old_dbeta = shape[-1], normal(rng, shape[-1]), normal(rng, shape[-1])
    given, g = (x, dy, mean, rstd, scale, beta), np.where(p > 0, dy, F32(slope) * dy)
    backward = ref.batchnorm_backward_train if training else ref.batchnorm_backward_eval
    want_dx, want_dgamma, want_dbeta = backward(g, x, gamma, mean, var)

    dgamma, dbeta = Updated(old_dgamma), Updated(old_dbeta)
    sums, *grads, dx = launch(
        device, ops.batchnorm_activation_backward, *given, Out((2, c)), dgamma, dbeta, Out(shape), slope, training
    )
    assert_close(grads[0], old_dgamma + want_dgamma, SUM_RTOL, "dgamma")  # added
    assert_close(grads[1], old_dbeta + want_dbeta, SUM_RTOL, "dbeta")
    if training:
        assert_close(sums, np.stack([want_dbeta, want_dgamma]), SUM_RTOL, "sums")
    # as for the separate kernels: where a channel has 2 or 3 values dx is what cancellation leaves of g
    scale_of_g = np.linalg.norm(dy * gamma * rstd)
    assert np.isfinite(dx).all() and np.linalg.norm(dx - want_dx) <= 2 * BN_RTOL * scale_of_g

    _, alone = launch(
        device, ops.batchnorm_activation_backward, *given, Out((2, c)), None, None, Out(shape), slope, training
    )
    assert_equal(alone, dx, "dx without dgamma and dbeta")
    _, *alone = launch(
        device,
        ops.batchnorm_activation_backward,
        *given,
        Out((2, c)),
        Updated(old_dgamma),
        Updated(old_dbeta),
        None,
        slope,
        training,
    )
    assert_equal(np.stack(alone), np.stack(grads), "dgamma and dbeta without dx")
    both, others = Updated(dy), given[2:]
    in_place, _ = launch(
        device, ops.batchnorm_activation_backward, x, both, *others, Out((2, c)), None, None, both, slope, training
    )
    assert_equal(in_place, dx, "dx in the place of dy")
