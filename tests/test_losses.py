"""The losses against reference/."""

import numpy as np
import pytest
from helpers import assert_close, assert_equal, normal
from ops_cases import EPS32, F32, F64, Out, Updated, assert_each_close, launch

from dcgan_cupy import losses, ops
from dcgan_cupy import reference as ref

BCE_SIZES = [1, 7, 255, 256, 257, 1000]


# logf, log1pf and expf within a few units in the last place, then a sum of up to 1,000 terms in 256 parts
LOSS_RTOL = 1e-6


@pytest.mark.parametrize("size", BCE_SIZES)
@pytest.mark.parametrize("scale", [1.0, -0.5])
def test_bce(device, rng, size, scale):
    p, t = rng.uniform(0.01, 0.99, size).astype(F32), rng.random(size).astype(F32)
    gradient, result = launch(device, ops.bce, p, t, Out(size), Out(2), scale)
    loss, want = ref.bce(p, t)
    assert_close(result, [scale * loss, p.mean(dtype=F64)], LOSS_RTOL)
    assert_close(gradient, scale * want, LOSS_RTOL)


@pytest.mark.parametrize("size", BCE_SIZES)
@pytest.mark.parametrize("scale", [1.0, -0.5])
def test_bce_with_logits(device, rng, size, scale):
    x, t = 4 * normal(rng, size), rng.random(size).astype(F32)
    gradient, result = launch(device, ops.bce_with_logits, x, t, Out(size), Out(2), scale)
    loss, want = ref.bce_with_logits(x, t)
    # x - x * t and p - t cancel where the answer is right: a few roundings of x, of p
    assert_each_close(
        result, [scale * loss, ref.sigmoid_forward(x).mean()], LOSS_RTOL, atol=4 * EPS32 * np.abs(x).max()
    )
    assert_each_close(gradient, scale * want, LOSS_RTOL, atol=4 * EPS32 / size)


def test_bce_of_impossible_probabilities_is_finite(device):
    """Each log is held at -100, p * (1 - p) at 1e-12."""
    p, t = np.array([[p, t] for p in (0, 1, EPS32, 1 - EPS32) for t in (0, 1, 0.5)], F32).T.copy()
    for i in range(p.size):  # one by one: a mean would hide a small loss behind a large one
        gradient, result = launch(device, ops.bce, p[i : i + 1], t[i : i + 1], Out(1), Out(2))
        loss, want = ref.bce(p[i : i + 1], t[i : i + 1])
        assert_each_close(result, [loss, p[i]], LOSS_RTOL, atol=1e-12)
        assert_each_close(gradient, want, LOSS_RTOL)


def test_bce_with_huge_logits(device):
    """No logit overflows, and a wrong answer that is sure of itself keeps its gradient."""
    x, t = np.array(
        [[x, t] for x in (0, 17, -17, 88, -88, 104, -104, 1e4, -1e4, 1e30, -1e30) for t in (0, 1)], F32
    ).T.copy()
    for i in range(x.size):
        gradient, result = launch(device, ops.bce_with_logits, x[i : i + 1], t[i : i + 1], Out(1), Out(2))
        loss, want = ref.bce_with_logits(x[i : i + 1], t[i : i + 1])
        # p is held to a few units in the last place; p - 1 then to 6e-8. Results below 1.2e-38 may be flushed to 0
        assert_each_close(result, [loss, ref.sigmoid_forward(x[i])], LOSS_RTOL, atol=1.2e-38)
        assert_each_close(gradient, want, LOSS_RTOL, atol=2 * EPS32 if t[i] else 1.2e-38)
        if (x[i] > 0) != (t[i] > 0) and abs(x[i]) >= 17:
            assert abs(gradient[0]) > 0.99


@pytest.mark.large
@pytest.mark.parametrize("values", ["random", "equal"])
@pytest.mark.parametrize("name", ["bce", "bce_with_logits"])
def test_losses_of_ten_million_values(device, rng, name, values):
    """Added up one by one in float32, each of 256 sums of 39,000 equal terms would be off by 1e-5."""
    n = 10_000_000
    p, t = rng.random((2, n), F32) if values == "random" else (np.full(n, 0.3, F32), np.ones(n, F32))
    gradient, result = launch(device, getattr(ops, name), p, t, Out(n), Out(2))
    loss, want = getattr(ref, name)(p, t)
    mean = (p if name == "bce" else ref.sigmoid_forward(p)).mean(dtype=F64)
    assert_each_close(result, [loss, mean], LOSS_RTOL)
    assert_close(gradient, want, LOSS_RTOL)


def test_a_loss_may_be_infinite(device):
    """The sum of what rounding takes must not turn infinity into NaN."""
    x, t = np.full(1000, -np.inf, F32), np.ones(1000, F32)
    x[::2] = 0.5
    _, result = launch(device, ops.bce_with_logits, np.maximum(x, -3e38), t, Out(1000), Out(2))
    assert result[0] == np.inf or result[0] > 1e38  # 500 terms of 3e38 pass float32's end


@pytest.mark.parametrize("name", ["bce", "bce_with_logits"])
def test_losses_say_nan_for_nan(device, name):
    p = np.full(300, 0.5, F32)
    p[299] = np.nan
    gradient, result = launch(device, getattr(ops, name), p, np.ones(300, F32), Out(300), Out(2))
    assert np.isnan(result).all() and np.isnan(gradient[299]) and np.isfinite(gradient[:299]).all()


@pytest.mark.parametrize("name", ["bce", "bce_with_logits"])
def test_losses_write_the_gradient_in_place(device, rng, name):
    p, t = rng.uniform(0.1, 0.9, 600).astype(F32), rng.random(600).astype(F32)
    both = Updated(p)
    in_place, _ = launch(device, getattr(ops, name), both, t, both, Out(2))
    assert_equal(in_place, launch(device, getattr(ops, name), p, t, Out(600), Out(2))[0])


@pytest.mark.parametrize("name", ["bce", "bce_with_logits"])
def test_losses_with_one_target_for_all(device, rng, name):
    p = rng.uniform(0.1, 0.9, (5, 1, 1, 1)).astype(F32)
    x, loss = device.array(p), getattr(losses, name)
    for target in (0, 1.0, 0.9):
        result, gradient = loss(x, target, device=device)
        want, want_gradient = getattr(ref, name)(p, F32(target))
        assert_close(device.numpy(result)[:1], [want], LOSS_RTOL)
        assert_close(device.numpy(gradient), want_gradient, LOSS_RTOL)
    given = device.empty((2,)), device.empty(p.shape)
    result, gradient = loss(
        x, device.array(np.ones(p.shape, F32)), device=device, scale=2.0, gradient=given[1], result=given[0]
    )
    assert result is given[0] and gradient is given[1]
    assert_close(device.numpy(gradient), 2 * getattr(ref, name)(p, 1.0)[1], LOSS_RTOL)
