"""Element-wise operations against reference/: values at the edges, sizes that fit no block, guarded memory."""

import ctypes

import numpy as np
import pytest
from helpers import assert_equal, integers, normal
from ops_cases import EPS32, F32, Out, Updated, assert_each_close, launch

from dcgan_cupy import ops
from dcgan_cupy import reference as ref
from dcgan_cupy.errors import UserError


def test_launch_sees_what_is_written_and_read_outside(device, rng):
    """The harness above, proved on launches that are wrong on purpose:

    Some arrays are one element longer than they are.
    """
    x, n = normal(rng, 10), 10

    def longer(array, before=0):  # the same memory, and one element of the guard
        if device.kind == "cpu":
            return np.ctypeslib.as_array((ctypes.c_float * (n + 1)).from_address(array.ctypes.data - 4 * before))
        start = array.data.ptr - array.base.data.ptr - 4 * before
        return array.base[start : start + 4 * (n + 1)].view(F32)

    with pytest.raises(AssertionError, match="1 guards overwritten, first 0 behind the end"):
        launch(device, lambda dev, y: ops.fill(dev, longer(y), 1.0), Out(n))
    with pytest.raises(AssertionError, match="1 guards overwritten, first 1 before the start"):
        launch(device, lambda dev, y: ops.fill(dev, longer(y, before=1), 1.0), Out(n))
    with pytest.raises(AssertionError, match="1 guards overwritten"):  # a NaN copied onto a NaN
        launch(device, lambda dev, x, y: ops.relu_forward(dev, longer(x), longer(y)), x, Out(n))
    with pytest.raises(AssertionError, match="a guard was overwritten"):
        launch(device, lambda dev, x, y: ops.add(dev, longer(x), longer(y)), x, Updated(x.copy()))
    with pytest.raises(AssertionError, match="an input was changed"):
        launch(device, lambda dev, x, y: ops.add(dev, y, x), x, Updated(x.copy()))
    got = launch(device, lambda dev, y: ops.fill(dev, y[:-1], 0.0), Out(n))
    assert np.isnan(got[-1])  # what nothing wrote stays poisoned
    got = launch(device, lambda dev, x, y: ops.relu_forward(dev, longer(x)[1:], y), x, Out(n))
    assert np.isnan(got[-1])  # and a read behind the end of an input meets NaN


SIZES = [
    1,
    2,
    255,
    256,
    257,
    3 * 5 * 7 * 11,
]  # one thread, a block less one, one block, a block and one, no multiple of 32


MANY_BLOCKS = 2**16 * 256 + 77  # more blocks than the y and z axes of a grid can hold


ACTIVATIONS = {  # name: (op, constants of op, reference, tolerance of the forward; None: exact)
    "relu": ((), None),
    "leaky_relu": ((0.2,), None),
    "tanh": ((), 4 * EPS32),  # CUDA's manual: tanhf within 2 units in the last place, each 2 * EPS32
    "sigmoid": ((), 8 * EPS32),  # expf within 2 units, then a sum and a quotient, each rounded
}


def activation(name, direction):
    constants, rtol = ACTIVATIONS[name]
    return getattr(ops, f"{name}_{direction}"), constants, getattr(ref, f"{name}_{direction}"), rtol


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_forward(device, rng, name, size):
    op, constants, reference, rtol = activation(name, "forward")
    x = 3 * normal(rng, size)
    got = launch(device, op, x, Out(size), *constants)
    if rtol is None:
        assert_equal(
            got, reference(x, *map(F32, constants)).astype(F32)
        )  # one product at most, rounded once on both sides
    else:
        assert_each_close(got, reference(x), rtol)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_backward(device, rng, name, size):
    op, constants, reference, rtol = activation(name, "backward")
    y, dy = normal(rng, size), normal(rng, size)
    if rtol is not None:
        y = np.tanh(y) if name == "tanh" else np.abs(np.tanh(y))
    y[rng.random(size) < 0.1] = 0.0  # the gradient of relu at 0 is 0, of leaky_relu the slope
    got = launch(device, op, y, dy, Out(size), *constants)
    if rtol is None:
        assert_equal(got, reference(dy, y, *map(F32, constants)).astype(F32))
    else:
        # 1 - y^2 and 1 - y lose digits where |y| is near 1: an absolute error of a few roundings of dy
        assert_each_close(got, reference(dy, y), 4 * EPS32, atol=4 * EPS32 * np.abs(dy).max())


def test_leaky_relu_takes_any_positive_slope(device, rng):
    x = normal(rng, 300)
    for slope in (0.01, 1.0, 2.5):
        y = launch(device, ops.leaky_relu_forward, x, Out(300), slope)
        assert_equal(y, ref.leaky_relu_forward(x, F32(slope)).astype(F32))
        got = launch(device, ops.leaky_relu_backward, y, x, Out(300), slope)
        assert_equal(got, ref.leaky_relu_backward(x, y, F32(slope)).astype(F32))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_work_in_place(device, rng, name):
    """`aliasing` of activations.cu: y may be x, dx may be dy."""
    x, y, dy = normal(rng, 1000), np.tanh(normal(rng, 1000)), normal(rng, 1000)
    forward, constants, *_ = activation(name, "forward")
    backward = activation(name, "backward")[0]
    both, gradient = Updated(x), Updated(dy)
    assert_equal(launch(device, forward, both, both, *constants), launch(device, forward, x, Out(1000), *constants))
    in_place = launch(device, backward, y, gradient, gradient, *constants)
    assert_equal(in_place, launch(device, backward, y, dy, Out(1000), *constants))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_nan_and_infinity_pass_through_activations(device, name):
    """A network that has gone wrong must say so: NaN is never turned into a number."""
    op, constants, *_ = activation(name, "forward")
    x = np.array([np.nan, 1.0, -np.nan, np.inf, -np.inf], F32)
    y = launch(device, op, x, Out(5), *constants)
    assert np.isnan(y[[0, 2]]).all() and np.isfinite(y[1])
    at_infinity = {"relu": (np.inf, 0), "leaky_relu": (np.inf, -np.inf), "tanh": (1, -1), "sigmoid": (1, 0)}
    assert_equal(y[3:], np.array(at_infinity[name], F32))

    backward = activation(name, "backward")[0]
    ones = np.ones(2, F32)
    assert np.isnan(launch(device, backward, ones / 2, ones * F32("nan"), Out(2), *constants)).all()


def test_leaky_relu_refuses_a_slope_that_is_none(device):
    for slope in (0.0, -0.2, float("nan"), float("inf")):
        for op, arrays in ((ops.leaky_relu_forward, 2), (ops.leaky_relu_backward, 3)):
            with pytest.raises(UserError, match=rf"^{op.__name__}: slope: need a number above 0, got {slope!r}$"):
                op(device, *(device.empty((3,)) for _ in range(arrays)), slope)


@pytest.mark.parametrize("name", ["tanh", "sigmoid"])
def test_squashing_functions_far_out(device, name):
    """Saturated, or so small that the result is nearly x: every element within its tolerance of float64."""
    op, constants, reference, rtol = activation(name, "forward")
    x = np.array(
        [0.0, 1e-30, -1e-30, 1e-4, -1e-4, 9.0, -9.0, 20.0, -20.0, 87.0, -87.0, 200.0, -200.0, 3e38, -3e38], F32
    )
    # sigmoid(-87) is 1.6e-38, just a normal number; below it results may be flushed to 0: 1.2e-38
    assert_each_close(launch(device, op, x, Out(15), *constants), reference(x), rtol, atol=1.2e-38)


@pytest.mark.parametrize("size", SIZES)
def test_fill(device, size):
    assert_equal(launch(device, ops.fill, Out(size), -1.25), np.full(size, -1.25, F32))


@pytest.mark.parametrize("size", SIZES)
def test_add(device, rng, size):
    x, y = normal(rng, size), normal(rng, size)
    assert_equal(launch(device, ops.add, x, Updated(y)), x + y)


def test_add_to_itself_doubles(device, rng):
    x = normal(rng, 1000)
    both = Updated(x)
    assert_equal(launch(device, ops.add, both, both), 2 * x)


@pytest.mark.large
def test_more_blocks_than_a_grid_axis_of_16_bits(device, rng):
    x = integers(rng, MANY_BLOCKS)
    assert_equal(launch(device, ops.relu_forward, x, Out(MANY_BLOCKS)), np.maximum(x, 0))
    assert_equal(launch(device, ops.fill, Out(MANY_BLOCKS), 3.0), np.full(MANY_BLOCKS, 3, F32))
