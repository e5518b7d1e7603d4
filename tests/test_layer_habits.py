"""Layers used in ways that look legal: each is right, or refused in one sentence."""

import numpy as np
import pytest
from helpers import assert_equal, normal

from dcgan_cupy import ops
from dcgan_cupy.errors import UserError
from dcgan_cupy.layers import BatchNorm2d, Conv2d, ConvTranspose2d, LeakyReLU, ReLU, Sequential, Tanh, fuse
from dcgan_cupy.networks import Generator
from dcgan_cupy.optim import Adam


def test_a_rung_that_cannot_fuse_refuses(device):
    """Rather than leave the activation out."""
    conv, norm = (
        made(3, *more, device=device, kernels="textbook") for made, more in ((Conv2d, (4, 3)), (BatchNorm2d, ()))
    )
    x = device.zeros((2, 5, 5, 3))
    with pytest.raises(
        UserError, match=r"^conv2d_forward: epilogue: need one of tiled, winograd, best for one, got textbook$"
    ):
        conv.forward(x, True, ops.Epilogue("relu"))
    with pytest.raises(
        UserError, match=r"^BatchNorm2d.forward: slope: need one of tiled, winograd, best for one, got textbook$"
    ):
        norm.forward(x, True, 0.0)


@pytest.mark.parametrize(
    "name", ["Conv2d", "ConvTranspose2d", "BatchNorm2d", "BatchNorm2d-textbook", "LeakyReLU", "fused"]
)
def test_a_layer_of_its_own_output(device, rng, name):
    """layer(layer(layer(x))): each call's input is the last one's output, and backward's dy may be its last dx."""
    made = {
        "Conv2d": lambda: Conv2d(3, 3, 3, 1, 1, device=device),
        "ConvTranspose2d": lambda: ConvTranspose2d(3, 3, 3, 1, 1, device=device),
        "BatchNorm2d": lambda: BatchNorm2d(3, device=device),
        "BatchNorm2d-textbook": lambda: BatchNorm2d(3, device=device, kernels="textbook"),
        "LeakyReLU": lambda: LeakyReLU(device=device),
        "fused": lambda: Sequential(Conv2d(3, 3, 3, 1, 1, device=device), Tanh(device=device), device=device),
    }[name]
    layer = made()
    fuse(layer)
    x, dy = normal(rng, (2, 4, 5, 3)), device.array(normal(rng, (2, 4, 5, 3)))
    for _, part in layer.walk():
        for values in part.params.values():
            device.upload(values, normal(rng, values.shape))
    want = x
    for _ in range(2):  # copies between the calls
        want = device.numpy(layer.forward(device.array(want)))
    want_y = device.numpy(layer.forward(device.array(want)))
    want_dx = device.numpy(layer.backward(dy))
    layer.forward(device.array(want))
    want_again = device.numpy(layer.backward(device.array(want_dx)))
    y = layer.forward(layer.forward(layer.forward(device.array(x))))
    assert_equal(device.numpy(y), want_y)
    dx = layer.backward(dy)
    assert_equal(device.numpy(dx), want_dx)
    layer.forward(device.array(want))
    assert_equal(device.numpy(layer.backward(dx)), want_again)


@pytest.mark.parametrize("fused", [False, True])
def test_one_activation_at_two_places(device, rng, fused):
    """As people write it: one object, two places. Each place keeps what its own backward needs."""
    act, others = LeakyReLU(device=device), [LeakyReLU(device=device) for _ in range(2)]
    convs = [Conv2d(3, 3, 3, 1, 1, device=device) for _ in range(2)]
    lines = [Sequential(convs[0], a, convs[1], b, device=device) for a, b in ((act, act), others)]
    x, dy, found = device.array(normal(rng, (2, 4, 5, 3))), device.array(normal(rng, (2, 4, 5, 3))), []
    for line in lines:
        if fused:
            fuse(line)
        found.append((device.numpy(line.forward(x)), device.numpy(line.backward(dy))))
    assert_equal(found[0][0], found[1][0])
    assert_equal(found[0][1], found[1][1])


def test_one_layer_with_parameters_at_two_places_is_refused(device):
    conv = Conv2d(3, 3, 3, 1, 1, device=device)
    with pytest.raises(
        UserError, match=r"^Sequential: layers: need each layer with parameters once, got Conv2d at 0, 2$"
    ):
        Sequential(conv, ReLU(device=device), conv, device=device)


@pytest.mark.parametrize(
    "bad, message",
    [
        (lambda a: a.astype(np.complex64), "need real numbers, got complex64"),
        (lambda a: a.astype(str), "need real numbers, got <U32"),
        (lambda a: a.astype(object), "need real numbers, got object"),
        (lambda a: a.tolist(), r"need shape \(.*\), got list"),
    ],
)
def test_weights_that_are_no_numbers_change_nothing(device, bad, message):
    """Also where the wrong one comes last: all are looked at before the first is taken."""
    network = Generator(4, 3, 2, 16, device=device)
    before, values = network.state_dict(), {name: a + 1 for name, a in network.state_dict().items()}
    name = list(values)[-1]
    values[name] = bad(values[name])
    with pytest.raises(UserError, match=rf"^Generator.load_state_dict: {name}: {message}$"):
        network.load_state_dict(values)
    for name, array in network.state_dict().items():
        assert_equal(array, before[name], name)


@pytest.mark.parametrize("rate", [float("nan"), float("inf"), 0.0, -1e-4])
def test_a_learning_rate_that_is_none(device, rate):
    adam = Adam(device.zeros((4,)), device.zeros((4,)), device=device)
    before = device.numpy(adam.state)
    with pytest.raises(UserError, match=r"^Adam: lr: need more than 0, got "):
        adam.set_lr(rate)
    assert_equal(device.numpy(adam.state), before)
