"""The label joined to an activation: the kernel, its gradient, the layer; and whole numbers drawn on the device."""

import numpy as np
import pytest
import torch
from helpers import assert_equal, integers
from ops_cases import EVERY_TILE, Out, Updated, launch
from test_random import STATES, words

from dcgan_cupy import ops
from dcgan_cupy import reference as ref
from dcgan_cupy.errors import UserError

SHAPES = [(1, 1, 1, 1, 1), (3, 5, 7, 3, 10), (2, 9, 4, 1, 3), (5, 1, 1, 100, 2), (4, 3, 5, 33, 7), (2, 16, 17, 8, 1)]
each_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)  # n, h, w, c, classes


@EVERY_TILE
@each_shape
@pytest.mark.parametrize("offset", [0, 1])
def test_concat_label_forward(device, rng, shape, offset):
    n, h, w, c, k = shape
    x, label = integers(rng, (n, h, w, c)), rng.integers(0, k, n).astype(np.int32)
    got = launch(device, ops.concat_label_forward, x, label, Out((n, h, w, c + k)), offset=offset)
    assert_equal(got, ref.concat_label_forward(x, label, k))
    maps = torch.nn.functional.one_hot(torch.from_numpy(label).long(), k)[:, None, None].expand(n, h, w, k)
    assert_equal(got, torch.cat([torch.from_numpy(x), maps], 3).numpy())


@EVERY_TILE
@each_shape
@pytest.mark.parametrize("offset", [0, 1])
def test_concat_label_backward(device, rng, shape, offset):
    n, h, w, c, k = shape
    dy = integers(rng, (n, h, w, c + k))
    got = launch(device, ops.concat_label_backward, dy, Out((n, h, w, c)), offset=offset)
    assert_equal(got, ref.concat_label_backward(dy, k))
    x = torch.zeros(n, h, w, c, requires_grad=True)
    torch.cat([x, torch.ones(n, h, w, k)], 3).backward(torch.from_numpy(dy))
    assert_equal(got, x.grad.numpy())


def test_a_label_outside_has_no_map(device, rng):
    x, label = integers(rng, (4, 2, 3, 2)), np.array([-1, 3, 2, 2**31 - 1], np.int32)
    got = launch(device, ops.concat_label_forward, x, label, Out((4, 2, 3, 5)))
    assert_equal(got[..., 2:].sum((1, 2, 3)), np.array([0, 0, 6, 0]))
    assert_equal(got, ref.concat_label_forward(x, label, 3))


def test_concat_refuses(device):
    x, label, y = device.zeros((2, 3, 4, 5)), device.zeros((2,), "int32"), device.zeros((2, 3, 4, 8))
    for wrong in ((2, 3, 4, 5), (2, 4, 3, 8), (1, 3, 4, 8)):
        with pytest.raises(UserError, match=r"^concat_label_forward: y: need the shape of x, .*, with more channels"):
            ops.concat_label_forward(device, x, label, device.zeros(wrong))
        with pytest.raises(UserError, match=r"^concat_label_backward: dy: need the shape of dx"):
            ops.concat_label_backward(device, device.zeros(wrong), x)
    with pytest.raises(UserError, match=r"^concat_label_forward: label: need shape \(2,\), got \(3,\)$"):
        ops.concat_label_forward(device, x, device.zeros((3,), "int32"), y)
    with pytest.raises(TypeError):
        ops.concat_label_forward(device, x, device.zeros((2,)), y)


@pytest.mark.parametrize("state", STATES.values(), ids=STATES.keys())
@pytest.mark.parametrize("below", [1, 2, 10, 1000, 2**31 - 1])
def test_random_integers_are_the_words_high_part(device, state, below):
    """Every bit is known: floor(word * below / 2^32)."""
    for size in (1, 3, 4, 1025):
        got = launch(device, ops.random_integers, np.array(state, np.uint64), Out(size, np.int32), below)
        want = words(*state, size).astype(np.uint64)[:size] * np.uint64(below) >> np.uint64(32)
        assert_equal(got, want.astype(np.int32))


def test_random_integers_are_even_and_move_on(device):
    from dcgan_cupy.random import Random

    random, out = Random(device, 5, 7), device.empty((100_000,), "int32")
    first = device.numpy(random.integers(out, 10)).copy()
    counts = np.bincount(first, minlength=10)
    assert len(counts) == 10 and np.abs(counts - 10_000).max() < 5 * np.sqrt(9000)  # five standard deviations
    assert (device.numpy(random.integers(out, 10)) != first).mean() > 0.8
    with pytest.raises(UserError, match=r"^random_integers: below: need a whole number from 1 to 2\^31 - 1, got 0$"):
        random.integers(out, 0)


def test_state_is_not_changed_by_a_draw(device):
    state = Updated(np.array([1, 2, 3], np.uint64))
    got = launch(device, ops.random_integers, state, Out(8, np.int32), 5)
    assert_equal(got[0], state.values)
