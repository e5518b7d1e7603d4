"""The contract of layers: gradients add up, one backward a forward, buffers, errors."""

import numpy as np
import pytest
from helpers import assert_close, assert_equal, normal
from layer_cases import RTOL, from_torch, output_shape, set_random_parameters, to_torch, weight_to_torch

from dcgan_cupy.errors import UserError
from dcgan_cupy.layers import (
    BatchNorm2d,
    Conv2d,
    ConvTranspose2d,
    LeakyReLU,
    ReLU,
    Sequential,
    Sigmoid,
    Tanh,
    fuse,
    initialise,
)
from dcgan_cupy.layers.base import KEPT_SHAPES
from dcgan_cupy.random import Random

torch = pytest.importorskip("torch")
nn = torch.nn
pytestmark = pytest.mark.usefixtures("poison")


def layers(device):
    """One of each, with an input that suits it."""
    direct, textbook = {"device": device, "kernels": "direct"}, {"device": device, "kernels": "textbook"}
    made = {
        "Conv2d": (Conv2d(3, 4, 3, 2, 1, **direct), (2, 5, 7, 3)),
        "Conv2d-default": (Conv2d(3, 4, 4, 2, 1, device=device), (2, 6, 8, 3)),
        "ConvTranspose2d": (ConvTranspose2d(3, 4, 4, 2, 1, **direct), (2, 5, 7, 3)),
        "ConvTranspose2d-textbook": (ConvTranspose2d(3, 4, 4, 2, 1, **textbook), (2, 5, 7, 3)),
        "ConvTranspose2d-default": (ConvTranspose2d(4, 3, 4, 2, 1, device=device), (2, 3, 4, 4)),
        "BatchNorm2d": (BatchNorm2d(3, **textbook), (2, 5, 7, 3)),
        "BatchNorm2d-default": (BatchNorm2d(3, device=device), (2, 5, 7, 3)),
        "ReLU": (ReLU(device=device), (2, 5, 7, 3)),
        "LeakyReLU": (LeakyReLU(device=device), (2, 5, 7, 3)),
        "Tanh": (Tanh(device=device), (2, 5, 7, 3)),
        "Sigmoid": (Sigmoid(device=device), (2, 5, 7, 3)),
    }
    for name in ("Sequential", "Sequential-fused"):
        inside = [BatchNorm2d(4, device=device, kernels="tiled"), LeakyReLU(device=device)]
        made[name] = (
            Sequential(Conv2d(3, 4, 4, 2, 1, **direct), Sequential(*inside, device=device), device=device),
            (2, 6, 8, 3),
        )
    fuse(made["Sequential-fused"][0])
    return made


LAYERS = [
    "Conv2d",
    "Conv2d-default",
    "ConvTranspose2d",
    "ConvTranspose2d-textbook",
    "ConvTranspose2d-default",
    "BatchNorm2d",
    "BatchNorm2d-default",
    "ReLU",
    "LeakyReLU",
    "Tanh",
    "Sigmoid",
    "Sequential",
    "Sequential-fused",
]


every_layer = pytest.mark.parametrize("name", LAYERS)


def gradients(device, layer):
    return {f"{path}.{name}": device.numpy(g) for path, part in layer.walk() for name, g in part.grads.items()}


def one_step(device, layer, x, dy, **options):
    layer.forward(device.array(x))
    return layer.backward(device.array(dy), **options)


@pytest.fixture
def made(device, rng, name):
    layer, shape = layers(device)[name]
    x = normal(rng, shape)
    return layer, x, normal(rng, output_shape(device, layer, x))


@every_layer
def test_parameter_gradients_add_up(device, made):
    layer, x, dy = made
    layer.zero_grads()
    dx = device.numpy(one_step(device, layer, x, dy))
    first = gradients(device, layer)
    again = device.numpy(one_step(device, layer, x, dy))
    assert_equal(again, dx)  # set, not added; the same bits
    for key, got in gradients(device, layer).items():
        assert_close(got, 2 * first[key], RTOL, key)
    layer.zero_grads()
    for key, got in gradients(device, layer).items():
        assert_equal(got, np.zeros_like(got), key)


@every_layer
def test_without_param_grads_gradients_stay(device, rng, made):
    layer, x, dy = made
    want = device.numpy(one_step(device, layer, x, dy))
    for _, part in layer.walk():
        for grad in part.grads.values():
            device.upload(grad, normal(rng, grad.shape))
    before = gradients(device, layer)
    assert_equal(device.numpy(one_step(device, layer, x, dy, param_grads=False)), want)
    for key, got in gradients(device, layer).items():
        assert_equal(got, before[key], key)


@every_layer
def test_without_input_grad_nothing_comes_back(device, made):
    layer, x, dy = made
    layer.zero_grads()
    one_step(device, layer, x, dy)
    want = gradients(device, layer)
    layer.zero_grads()
    assert one_step(device, layer, x, dy, input_grad=False) is None
    for key, got in gradients(device, layer).items():
        assert_equal(got, want[key], key)


@every_layer
def test_backward_needs_a_forward_each_time(device, made, name):
    layer, x, dy = made
    one_step(device, layer, x, dy)
    last = {
        "Sequential": "LeakyReLU",
        "Sequential-fused": "BatchNorm2d",
    }  # the last of a Sequential's layers complains first
    part = last.get(name, type(layer).__name__)
    with pytest.raises(RuntimeError, match=rf"^{part}.backward: need one forward before each backward, got none$"):
        layer.backward(device.array(dy))


@every_layer
def test_buffers_are_made_once(device, made):
    layer, x, dy = made
    x, dy = device.array(x), device.array(dy)
    y, dx = layer.forward(x), layer.backward(dy)
    before = device.allocations
    for training in (True, False, True):
        assert layer.forward(x, training) is y
        assert layer.backward(dy) is dx
    assert device.allocations == before


@every_layer
def test_another_shape_in_between_does_no_harm(device, rng, made):
    layer, x, dy = made
    xs, dys = device.array(x), device.array(dy)
    y, dx = layer.forward(xs), layer.backward(dys)
    want = device.numpy(y), device.numpy(dx)
    other = device.array(normal(rng, (5, *x.shape[1:])))
    assert layer.forward(other).shape == (5, *dy.shape[1:])
    layer.backward(layer.forward(other))
    before = device.allocations
    assert layer.forward(xs) is y and layer.backward(dys) is dx
    assert_equal(device.numpy(y), want[0])
    assert_equal(device.numpy(dx), want[1])
    layer.forward(other)
    assert device.allocations == before


@every_layer
def test_more_shapes_than_are_kept(device, rng, made):
    """The buffers of the oldest shape are dropped, and made again when it comes back:

    Also between forward and backward.
    """
    layer, x, dy = made
    want = device.numpy(one_step(device, layer, x, dy))
    for n in range(3, 3 + 2 * KEPT_SHAPES):
        layer.forward(device.array(normal(rng, (n, *x.shape[1:]))))
    assert_equal(device.numpy(one_step(device, layer, x, dy)), want)


@every_layer
def test_the_input_and_dy_are_left_alone(device, made):
    layer, x, dy = made
    xs, dys = device.array(x), device.array(dy)
    layer.forward(xs)
    layer.backward(dys)
    assert_equal(device.numpy(xs), x)
    assert_equal(device.numpy(dys), dy)


@pytest.mark.parametrize("fused", [False, True])
def test_sequential_names_its_layers_and_passes_all_on(device, rng, fused):
    conv = Conv2d(3, 4, 4, 2, 1, bias=False, device=device, kernels="direct")
    norm, act = BatchNorm2d(4, device=device, kernels="tiled"), LeakyReLU(device=device)
    layer = Sequential(conv, Sequential(norm, act, device=device), device=device)
    assert [path for path, _ in layer.walk()] == ["", "0", "1", "1.0", "1.1"]
    if fused:
        fuse(layer)
        assert [type(part).__name__ for part in layer.layers[1].layers] == ["NormActivation"]
        assert [path for path, _ in layer.walk()] == ["", "0", "1", "1.0", "1.1"]  # names stay

    module = nn.Sequential(
        nn.Conv2d(3, 4, 4, 2, 1, bias=False), nn.Sequential(nn.BatchNorm2d(4), nn.LeakyReLU(0.2))
    ).double()
    twins = (conv, module[0]), (norm, module[1][0])
    for ours, theirs in twins:
        set_random_parameters(device, rng, ours, theirs)
    x, dy = normal(rng, (2, 6, 8, 3)), normal(rng, (2, 3, 4, 4))
    for training in (True, False):
        layer.zero_grads()
        module.zero_grad()
        got = device.numpy(layer.forward(device.array(x), training)), device.numpy(layer.backward(device.array(dy)))
        leaf = to_torch(x)
        want = module.train(training)(leaf)
        want.backward(to_torch(dy).detach())
        assert_close(got[0], from_torch(want), RTOL, "y")
        assert_close(got[1], from_torch(leaf.grad), RTOL, "dx")
        for ours, theirs in twins:
            for name, grad in ours.grads.items():
                assert_close(weight_to_torch(device.numpy(grad)), getattr(theirs, name).grad.numpy(), RTOL, name)


def test_fuse_joins_only_what_follows(device):
    """A ReLU, tiled, right behind a batch norm: each other pair stays as it was."""
    tiled, textbook = {"device": device, "kernels": "tiled"}, {"device": device, "kernels": "textbook"}
    norms = [BatchNorm2d(1, **tiled), BatchNorm2d(1, **textbook), BatchNorm2d(1, **tiled)]
    acts = [ReLU(device=device), LeakyReLU(device=device), Tanh(device=device)]
    layer = Sequential(*(part for two in zip(norms, acts) for part in two), device=device)
    fuse(layer)
    assert [getattr(part, "norm", part) for part in layer.layers] == [norms[0], norms[1], acts[1], norms[2], acts[2]]
    assert layer.layers[0].activation is acts[0]


def test_sequential_without_input_grad_still_reaches_its_first_layer(device, rng):
    conv = Conv2d(3, 4, 4, 2, 1, device=device, kernels="direct")
    layer = Sequential(conv, Tanh(device=device), device=device)
    x, dy = normal(rng, (2, 6, 8, 3)), normal(rng, (2, 3, 4, 4))
    assert one_step(device, layer, x, dy, input_grad=False) is None
    assert np.abs(device.numpy(conv.grads["weight"])).min() > 0


def test_initialise(device):
    inside = Conv2d(8, 16, 5, device=device), BatchNorm2d(2000, device=device), ConvTranspose2d(8, 16, 5, device=device)
    layer = Sequential(*inside, device=device)
    initialise(layer, Random(device, 3), std=0.5, bn_gain_mean=2.0)
    conv, norm, transposed = ({name: device.numpy(a) for name, a in part.params.items()} for part in layer.layers)
    for weight, mean in ((conv["weight"], 0.0), (norm["weight"], 2.0), (transposed["weight"], 0.0)):
        # five standard errors of mean and deviation of that many independent numbers; the seed is fixed
        assert abs(weight.mean() - mean) < 5 * 0.5 / weight.size**0.5
        assert abs(weight.std() - 0.5) < 5 * 0.5 / (2 * weight.size) ** 0.5
    assert not np.array_equal(conv["weight"].ravel(), transposed["weight"].ravel())
    for part in (conv, norm, transposed):
        assert_equal(part["bias"], np.zeros_like(part["bias"]))


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda d: Conv2d(0, 1, 1, device=d), r"^Conv2d: in_channels: need a whole number of at least 1, got 0$"),
        (lambda d: Conv2d(1, 2.0, 1, device=d), r"^Conv2d: out_channels: need a whole number of at least 1, got 2.0$"),
        (
            lambda d: Conv2d(1, True, 1, device=d),
            r"^Conv2d: out_channels: need a whole number of at least 1, got True$",
        ),
        (
            lambda d: Conv2d(1, 1, 0, device=d),
            r"^Conv2d: kernel_size: need a whole number of at least 1, or a pair \(h, w\) of them, got 0$",
        ),
        (lambda d: Conv2d(1, 1, 1, (1, 0), device=d), r"^Conv2d: stride: need .* at least 1, .* got \(1, 0\)$"),
        (lambda d: Conv2d(1, 1, 1, 1, -1, device=d), r"^Conv2d: padding: need .* at least 0, .* got -1$"),
        (
            lambda d: Conv2d(2, 2, 1, groups=2, device=d),
            r"^Conv2d: groups: need 1 \(no kernel here does more\), got 2$",
        ),
        (
            lambda d: Conv2d(2, 2, 1, dilation=2, device=d),
            r"^Conv2d: dilation: need 1 \(no kernel here does more\), got 2$",
        ),
        (
            lambda d: Conv2d(2, 2, 1, dilation=(1, 2), device=d),
            r"^Conv2d: dilation: need 1 \(no kernel here does more\), got \(1, 2\)$",
        ),
        (
            lambda d: Conv2d(2, 2, 1, kernels="fastest", device=d),
            r"^Conv2d: kernels: need one of textbook, direct.*, got 'fastest'$",
        ),
        (lambda d: ConvTranspose2d(1, 1, "3", device=d), r"^ConvTranspose2d: kernel_size: need .* got '3'$"),
        (
            lambda d: ConvTranspose2d(2, 2, 1, groups=2, device=d),
            r"^ConvTranspose2d: groups: need 1 \(no kernel here does more\), got 2$",
        ),
        (
            lambda d: ConvTranspose2d(2, 2, 1, dilation=3, device=d),
            r"^ConvTranspose2d: dilation: need 1 \(no kernel here does more\), got 3$",
        ),
        (
            lambda d: ConvTranspose2d(1, 1, 3, 2, 1, 2, device=d),
            r"^ConvTranspose2d: output_padding: need less than stride \(2, 2\), got \(2, 2\)$",
        ),
        (
            lambda d: ConvTranspose2d(1, 1, 3, (2, 3), 1, (1, -1), device=d),
            r"^ConvTranspose2d: output_padding: need .* at least 0, .* got \(1, -1\)$",
        ),
        (
            lambda d: ConvTranspose2d(1, 1, 3, kernels="x", device=d),
            r"^ConvTranspose2d: kernels: need one of .*, got 'x'$",
        ),
        (lambda d: BatchNorm2d(0, device=d), r"^BatchNorm2d: num_features: need a whole number of at least 1, got 0$"),
        (lambda d: BatchNorm2d(1, eps=0.0, device=d), r"^BatchNorm2d: eps: need more than 0, got 0.0$"),
        (lambda d: BatchNorm2d(1, momentum=1.5, device=d), r"^BatchNorm2d: momentum: need 0 to 1, got 1.5$"),
        (lambda d: LeakyReLU(0.0, device=d), r"^LeakyReLU: slope: need more than 0, got 0.0$"),
        (lambda d: LeakyReLU(float("nan"), device=d), r"^LeakyReLU: slope: need more than 0, got nan$"),
    ],
)
def test_constructors_refuse(device, make, message):
    with pytest.raises(UserError, match=message):
        make(device)


def test_groups_and_dilation_of_one_are_accepted(device):
    Conv2d(2, 2, 1, groups=1, dilation=(1, 1), device=device)
    ConvTranspose2d(2, 2, 1, groups=1, dilation=1, device=device)


AN_IMAGE = r"x: need \[n, h, w, 3\] without an empty axis, got "


@pytest.mark.parametrize(
    "make, shape, message",
    [
        (lambda d: Conv2d(3, 1, 4, device=d), (2, 8, 8, 4), rf"^Conv2d.forward: {AN_IMAGE}\(2, 8, 8, 4\)$"),
        (lambda d: Conv2d(3, 1, 4, device=d), (8, 8, 3), rf"^Conv2d.forward: {AN_IMAGE}\(8, 8, 3\)$"),
        (lambda d: Conv2d(3, 1, 4, device=d), (0, 8, 8, 3), rf"^Conv2d.forward: {AN_IMAGE}\(0, 8, 8, 3\)$"),
        (
            lambda d: Conv2d(3, 1, 4, device=d),
            (2, 8, 3, 3),
            r"^Conv2d.forward: x: need a height and width of at least 4 \(kernel 4, padding 0\), got 3$",
        ),
        (
            lambda d: ConvTranspose2d(3, 1, 4, device=d),
            (2, 8, 8, 1),
            rf"^ConvTranspose2d.forward: {AN_IMAGE}\(2, 8, 8, 1\)$",
        ),
        (
            lambda d: ConvTranspose2d(3, 1, 1, 1, 1, device=d),
            (2, 8, 2, 3),
            (
                r"^ConvTranspose2d.forward: x: need an output of at least 1 pixel, got 0 from size 2, kernel 1, stride"
                r" 1, padding 1, "
            ),
        ),
        (
            lambda d: BatchNorm2d(3, device=d),
            (2, 8, 8, 4),
            r"^BatchNorm2d.forward: x: need \[..., 3\], got \(2, 8, 8, 4\)$",
        ),
        (lambda d: BatchNorm2d(3, device=d), (3,), r"^BatchNorm2d.forward: x: need \[..., 3\], got \(3,\)$"),
    ],
)
def test_forward_refuses(device, make, shape, message):
    with pytest.raises(UserError, match=message):
        make(device).forward(device.zeros(shape))


@every_layer
def test_backward_refuses_another_shape(device, made):
    layer, x, dy = made
    layer.forward(device.array(x))
    with pytest.raises(UserError, match=r": (y|dy): need (the )?shape "):
        layer.backward(device.zeros((dy.shape[0] + 1, *dy.shape[1:])))
