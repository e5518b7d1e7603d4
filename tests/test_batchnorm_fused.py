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

pytestmark = [EVERY_TILE, pytest.mark.any_size]

every_fused_shape = pytest.mark.parametrize("shape", [(2, 1), (1, 3, 5, 33), (5, 7, 3, 64), (1037, 3)], ids=str)


every_slope = pytest.mark.parametrize("slope", [1.0, 0.2, 0.0])


def bn_fused(rng, shape, training):
    """x, dy, gamma, the statistics as the fused kernels take them, their mean and var, and p.

    Dy is 0 where p is too near 0 to trust its sign.
    """
    x, gamma, beta, running_mean, running_var = bn_arrays(rng, shape)
    mean, var = running_mean, running_var
    if training:
        mean, var = ref.batchnorm_forward_train(x, gamma, beta, running_mean, running_var)[1:3]
    p = ref.batchnorm_forward_eval(x, gamma, beta, mean, var)
    dy = normal(rng, shape) * (np.abs(p) > 1e-5).astype(F32)
    rstd = 1 / np.sqrt(var + 1e-5)
    statistics = np.stack([mean, mean - mean.astype(F32), rstd, gamma * rstd, beta]).astype(F32)
    statistics[4] -= statistics[1] * statistics[3]
    return x, dy, gamma, statistics, mean, var, p


@every_fused_shape
@pytest.mark.parametrize("momentum", [0.1, 1.0, 0.0])
def test_batchnorm_batch(device, rng, shape, momentum):
    x, gamma, beta, running_mean, running_var = bn_arrays(rng, shape)
    c, count = shape[-1], Updated(np.array([6], np.int64))
    (mean, low, rstd, scale, shift), new_mean, new_var, batches = launch(
        device,
        ops.batchnorm_batch,
        x,
        gamma,
        beta,
        Out((5, c)),
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
    assert_each_close(mean.astype(F64) + low, want_mean, 0, atol=4 * EPS32 * np.abs(x).max())
    assert_close(shift, beta - low * scale.astype(F64), BN_RTOL, "shift")
    assert_close(rstd, 1 / np.sqrt(var + 1e-5), FUSED_RTOL, "rstd")
    assert_close(scale, gamma / np.sqrt(var + 1e-5), FUSED_RTOL, "scale")
    assert_equal(batches, np.array([7]))


def far(rng, case, shape):
    """Values in whose statistics float32 has few digits to give away."""
    x = rng.standard_normal(shape).astype(F32)
    if case == "first 1e8":
        x[0, 0, 0] = 1e8
    elif case == "last 1e8":
        x[-1, -1, -1] = 1e8
    elif case == "an image at 300":
        x[1] += 300
    elif case == "corners at -1e4":  # of every image: where padding is seen
        x[:, 0, 0] = x[:, 0, -1] = x[:, -1, 0] = x[:, -1, -1] = -1e4
    elif case == "mostly constant":
        x = np.where(rng.random(shape) < 0.01, x, F32(1e4))
    else:
        x = (x + float(case)).astype(F32)
    return x


FAR = ["0", "1e2", "1e4", "1e6", "-1e6"]
FAR += ["first 1e8", "last 1e8", "an image at 300", "corners at -1e4", "mostly constant"]


@pytest.mark.parametrize("shape", [(16, 16, 16, 64), (16, 12, 13, 35)], ids=str)
@pytest.mark.parametrize("case", FAR)
def test_batchnorm_far_from_0_is_as_exact_as_pytorch(device, rng, case, shape):
    """Against float64, and PyTorch's float32 beside it: forward, running statistics, gradients.

    Rounding the mean to a float32 alone costs 3e-2 of y at mean 1e6; it is kept as two.
    """
    torch = pytest.importorskip("torch")
    c, x, dy = shape[-1], far(rng, case, shape), normal(rng, shape)
    gamma, beta, zeros, ones = normal(rng, c), normal(rng, c), np.zeros(c, F32), np.ones(c, F32)
    y, mean, var, *running = ref.batchnorm_forward_train(x, gamma, beta, zeros, ones, momentum=1.0)
    dx, dgamma, dbeta = ref.batchnorm_backward_train(dy, x, gamma, mean, var)

    batch = np.zeros(1, np.int64)
    statistics, *made, _ = launch(
        device,
        ops.batchnorm_batch,
        x,
        gamma,
        beta,
        Out((5, c)),
        Updated(zeros),
        Updated(ones),
        Updated(batch),
        1.0,
        1e-5,
    )
    ours = launch(device, ops.batchnorm_activation_forward, x, statistics, Out(shape), 1.0)
    _, *grads, our_dx = launch(
        device,
        ops.batchnorm_activation_backward,
        x,
        dy,
        statistics,
        Out((2, c)),
        Updated(zeros),
        Updated(zeros.copy()),
        Out(shape),
        1.0,
        True,
    )

    module, leaf = torch.nn.BatchNorm2d(c, momentum=1.0), torch.from_numpy(x).permute(0, 3, 1, 2).contiguous()
    module.weight.data, module.bias.data = torch.from_numpy(gamma), torch.from_numpy(beta)
    leaf.requires_grad_(True)
    theirs = module(leaf)
    theirs.backward(torch.from_numpy(dy).permute(0, 3, 1, 2))
    peers = [theirs.detach().permute(0, 2, 3, 1), module.running_mean, module.running_var]
    peers += [leaf.grad.permute(0, 2, 3, 1), module.weight.grad, module.bias.grad]
    names = ("y", "running_mean", "running_var", "dx", "dgamma", "dbeta")
    for name, got, peer, want in zip(
        names, (ours, *made, our_dx, *grads), peers, (y, *running, dx, dgamma, dbeta), strict=True
    ):
        # some roundings of the largest number, or of the deviation behind a mean; more only if PyTorch has more
        size = np.abs(want).max() + (np.sqrt(var.max()) if name == "running_mean" else 0)
        allowed = max(np.abs(peer.numpy() - want).max(), BN_RTOL * size)
        assert np.isfinite(got).all() and np.abs(got - want).max() <= allowed, name


def test_batchnorm_batch_survives_a_large_mean(device, rng):
    """Mean 1e4, deviation 1: sum(x^2) - sum(x)^2 / n would leave no digit of the variance."""
    x, c = (1e4 + rng.standard_normal((16, 12, 13, 35))).astype(F32), 35
    zeros, ones, count = np.zeros(c, F32), np.ones(c, F32), Updated(np.zeros(1, np.int64))
    (mean, _, rstd, *_), _, new_var, _ = launch(
        device, ops.batchnorm_batch, x, ones, zeros, Out((5, c)), Updated(zeros), Updated(ones), count, 1.0, 1e-5
    )
    _, want_mean, want_var, _, want_new_var = ref.batchnorm_forward_train(x, ones, zeros, zeros, ones, momentum=1.0)
    assert_each_close(mean, want_mean, EPS32)  # the nearest float32
    assert_each_close(rstd, 1 / np.sqrt(want_var + 1e-5), BN_RTOL)
    assert_each_close(new_var, want_new_var, BN_RTOL)


def test_batchnorm_sums_of_many_rows(device, rng):
    """A million rows, all of one sign: no chain of additions is long, so that no sum is off by 1e-6."""
    rows, c = 1_000_000, 3
    x, dy = rng.random((2, rows, c), F32)
    statistics = np.array([[0], [0], [1], [1], [0]], F32).repeat(c, axis=1)
    _, dgamma, dbeta = launch(
        device,
        ops.batchnorm_activation_backward,
        x,
        dy,
        statistics,
        Out((2, c)),
        Updated(np.zeros(c, F32)),
        Updated(np.zeros(c, F32)),
        None,
        1.0,
        False,
    )
    assert_each_close(dgamma, (dy.astype(F64) * x).sum(0), 1e-6)
    assert_each_close(dbeta, dy.astype(F64).sum(0), 1e-6)
    db = launch(device, ops.conv2d_backward_bias, dy, Updated(np.zeros(c, F32)), "tiled")
    assert_each_close(db, dy.astype(F64).sum(0), 1e-6)


def test_batchnorm_batch_at_the_edges(device, rng):
    """A constant channel has variance 0; NaN stays in its channel."""
    x = np.full((37, 4), 7.1, F32)
    x[:, 1] = normal(rng, 37)
    x[5, 2] = np.nan
    zeros, ones, count = np.zeros(4, F32), np.ones(4, F32), Updated(np.zeros(1, np.int64))
    (mean, _, rstd, *_), *_ = launch(
        device, ops.batchnorm_batch, x, ones, zeros, Out((5, 4)), Updated(zeros), Updated(ones), count, 0.1, 1e-5
    )
    assert_equal(np.isnan(mean), np.array([False, False, True, False]))
    assert_each_close(mean[[0, 3]], np.full(2, x[0, 0], F64), 2 * EPS32)
    assert_each_close(rstd[[0, 3]], np.full(2, 1e-5**-0.5), BN_RTOL)


def test_batchnorm_running_statistics(device, rng):
    for c in (1, 255, 257):
        running_mean, gamma, beta = normal(rng, c), normal(rng, c), normal(rng, c)
        var = rng.uniform(0, 2, c).astype(F32)
        given = running_mean, var, gamma, beta
        mean, low, rstd, scale, shift = launch(device, ops.batchnorm_running_statistics, *given, Out((5, c)), 1e-3)
        for got, want in ((mean, running_mean), (low, np.zeros(c)), (shift, beta)):
            assert_equal(got, want)
        assert_close(rstd, 1 / np.sqrt(var.astype(F64) + 1e-3), BN_RTOL)
        assert_close(scale, gamma / np.sqrt(var.astype(F64) + 1e-3), BN_RTOL)


@every_fused_shape
@every_slope
def test_batchnorm_activation_forward(device, rng, shape, slope):
    x, _, _, statistics, *_, p = bn_fused(rng, shape, training=False)
    got = launch(device, ops.batchnorm_activation_forward, x, statistics, Out(shape), slope)
    assert_close(got, np.where(p > 0, p, F32(slope) * p), BN_RTOL)
    both = Updated(x)
    assert_equal(launch(device, ops.batchnorm_activation_forward, both, statistics, both, slope), got)  # y may be x


def test_batchnorm_activation_at_infinity(device, rng):
    """The same as the activation by itself: ReLU of -infinity is 0, not 0 * -infinity, and NaN stays NaN."""
    x = np.array([[-np.inf, np.inf, np.nan, -1.0, 1.0, 0.0]] * 3, F32)
    statistics = np.array([[0], [0], [1], [1], [0]], F32).repeat(6, axis=1)
    for slope, at in ((0.0, 0.0), (0.2, -np.inf), (1.0, -np.inf)):
        y = launch(device, ops.batchnorm_activation_forward, x, statistics, Out(x.shape), slope)
        assert_equal(y[:, [0, 1]], np.array([[at, np.inf]] * 3, F32))
        assert np.isnan(y[:, 2]).all()
        assert_equal(y[:, 3], np.full(3, F32(slope) * F32(-1)))
    relu = launch(device, ops.batchnorm_activation_forward, x, statistics, Out(x.shape), 0.0)
    assert np.array_equal(relu, launch(device, ops.relu_forward, x, Out(x.shape)), equal_nan=True)
    assert not np.signbit(relu[:, :2]).any() and not np.signbit(relu[:, 3:]).any()  # 0, not -0


def test_batchnorm_relu_drops_the_gradient_where_it_is_0(device):
    """dy may be infinite or NaN there: 0 * infinity would carry it on, relu_backward does not."""
    x, dy = np.full((2, 5), -1.0, F32), np.array([[np.inf, -np.inf, np.nan, 1.0, -1.0]] * 2, F32)
    _, dgamma, dbeta, dx = launch(
        device,
        ops.batchnorm_activation_backward,
        x,
        dy,
        np.array([[0], [0], [1], [1], [0]], F32).repeat(5, axis=1),
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
    x, dy, gamma, statistics, mean, var, p = bn_fused(rng, shape, training)
    c, old_dgamma, old_dbeta = shape[-1], normal(rng, shape[-1]), normal(rng, shape[-1])
    given, g = (x, dy, statistics), np.where(p > 0, dy, F32(slope) * dy)
    backward = ref.batchnorm_backward_train if training else ref.batchnorm_backward_eval
    want_dx, want_dgamma, want_dbeta = backward(g, x, gamma, mean, var)

    dgamma, dbeta = Updated(old_dgamma), Updated(old_dbeta)
    pull, *grads, dx = launch(
        device, ops.batchnorm_activation_backward, *given, Out((2, c)), dgamma, dbeta, Out(shape), slope, training
    )
    assert_close(grads[0], old_dgamma + want_dgamma, SUM_RTOL, "dgamma")  # added
    assert_close(grads[1], old_dbeta + want_dbeta, SUM_RTOL, "dbeta")
    if training:
        rows, rstd = x.size // c, 1 / np.sqrt(var + 1e-5)
        want = np.stack([want_dbeta / rows, rstd * want_dgamma / rows])
        assert_close(pull, want, 2 * SUM_RTOL, "pull")  # what the batch takes off, seen from the rounded mean
    # as for the separate kernels: where a channel has 2 or 3 values dx is what cancellation leaves of g
    scale_of_g = np.linalg.norm(dy * statistics[3])
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
