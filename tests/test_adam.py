"""Adam against reference/."""

import numpy as np
import pytest
from helpers import assert_close, assert_equal, normal
from ops_cases import EPS32, F32, F64, Out, Updated, assert_each_close, launch

from dcgan_cupy import ops
from dcgan_cupy import reference as ref
from dcgan_cupy.errors import UserError
from dcgan_cupy.optim import Adam


@pytest.mark.parametrize("beta1", [0.5, 0.0, 0.9])
@pytest.mark.parametrize("size", [1, 257, 1000])
def test_adam_over_several_steps(device, rng, size, beta1):
    """Seven steps, the learning rate halved after four.

    Parameters start at 0, so that all of them is what Adam added.
    """
    lr, beta2, eps = 2e-4, 0.999, 1e-8
    state, factors = np.array([0, lr], F64), np.empty(2, F32)
    got = [np.zeros(size, F32) for _ in range(3)]  # param, m, v
    want, largest = [np.zeros(size) for _ in range(3)], 0.0
    for t in range(1, 8):
        if t == 5:
            state[1] = lr = lr / 2
        gradient = normal(rng, size) * F32(10.0 ** rng.integers(-3, 2))
        state, factors = launch(device, ops.adam_advance, Updated(state), Out(2), beta1, beta2)
        assert_equal(state, np.array([t, lr]))
        # computed in double, so only the rounding to float32 is left
        assert_each_close(factors, [lr / (1 - beta1**t), 1 / np.sqrt(1 - beta2**t)], 1.01 * EPS32)
        param, m, v = map(Updated, got)
        got = launch(device, ops.adam_step, param, gradient, m, v, factors, beta1, beta2, eps)
        want = ref.adam(want[0], gradient, want[1], want[2], t, lr, beta1, beta2, eps)
        largest = max(largest, np.abs(gradient).max())
        # each step adds some ten roundings, of terms that may cancel in param and m; v, all positive, cannot
        for a, b, term in zip(got, want, (2e-4 * t, largest, 0.0), strict=True):
            assert_each_close(a, b, 2e-6, atol=16 * EPS32 * term)


def test_adam_keeps_parameters_without_gradient(device, rng):
    """0 / (0 + eps): no NaN, no step."""
    p, zeros = normal(rng, 300), np.zeros(300, F32)
    factors = np.array([2e-4, 31.6], F32)
    got = launch(
        device, ops.adam_step, Updated(p), zeros, Updated(zeros), Updated(zeros.copy()), factors, 0.5, 0.999, 1e-8
    )
    assert_equal(got[0], p)


def test_adam_first_step_has_the_size_of_the_learning_rate(device, rng):
    """However large or small the gradient: the correction of the bias makes m / sqrt(v) its sign."""
    gradient = np.array([1e-4, -1e-4, 1, -1, 1e4, -1e4], F32)
    param = device.zeros((6,))
    adam = Adam(param, device.array(gradient), lr=0.01, device=device)
    adam.step()
    assert_each_close(device.numpy(param), -0.01 * gradient / (np.abs(gradient.astype(F64)) + 1e-8), 1e-6)


def test_adam_object_steps_and_changes_its_learning_rate(device, rng):
    p, gradients = normal(rng, 50), [normal(rng, 50) for _ in range(4)]
    param, grad = device.array(p), device.empty((50,))
    adam = Adam(param, grad, lr=0.01, beta1=0.5, device=device)
    want, m, v = p, np.zeros(50), np.zeros(50)
    before = device.allocations
    for t, g in enumerate(gradients, 1):
        lr = 0.01 if t < 3 else 0.001
        if t == 3:
            adam.set_lr(lr)
        device.upload(grad, g)
        adam.step()
        want, m, v = ref.adam(want, g, m, v, t, lr, 0.5, 0.999, 1e-8)
    assert_close(device.numpy(param), want, 1e-6)
    assert_equal(device.numpy(adam.state), np.array([4, 0.001]))
    assert device.allocations == before


@pytest.mark.parametrize("given, message", [
    ({"lr": 0.0}, r"^Adam: lr: need more than 0, got 0.0$"),
    ({"lr": float("nan")}, r"^Adam: lr: need more than 0, got nan$"),
    ({"lr": float("inf")}, r"^Adam: lr: need more than 0, got inf$"),
    ({"beta1": 1.0}, r"^Adam: beta1: need 0 or more and less than 1, got 1.0$"),
    ({"beta2": -0.1}, r"^Adam: beta2: need 0 or more and less than 1, got -0.1$"),
    ({"eps": 0}, r"^Adam: eps: need more than 0, got 0$"),
])  # fmt: skip
def test_adam_refuses(device, given, message):
    with pytest.raises(UserError, match=message):
        Adam(device.zeros((2,)), device.zeros((2,)), **given, device=device)
