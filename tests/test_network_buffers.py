"""Flat buffers, first weights, shared gradients."""

import numpy as np
import pytest
from helpers import assert_close, assert_equal, normal
from network_cases import OUTPUT_RTOL, an_input, both, every_network

from dcgan_cupy import memory, ops
from dcgan_cupy.errors import UserError
from dcgan_cupy.layers import BatchNorm2d, Conv2d, ReLU, Sequential, fuse
from dcgan_cupy.networks import Discriminator, Generator
from dcgan_cupy.random import Random

pytestmark = pytest.mark.usefixtures("poison")


@every_network
@pytest.mark.parametrize("gain", [1.0, 0.0])
def test_first_weights(device, which, gain):
    random = Random(device, 5)
    options = {"device": device, "random": random, "bn_gain_mean": gain}
    network = Discriminator(3, 16, 64, **options) if which == "discriminator" else Generator(20, 3, 8, 64, **options)
    weights, gains = [], []
    for _, part in network.walk():
        for name, array in part.params.items():
            values = device.numpy(array)
            if name == "bias":
                assert_equal(values, np.zeros_like(values))
            else:
                (weights if values.ndim == 4 else gains).append(values.ravel())
    assert len({tuple(w[:4]) for w in weights + gains}) == len(weights + gains)  # no two begin alike
    for drawn, mean in ((np.concatenate(weights), 0.0), (np.concatenate(gains), gain)):
        # N(mean, 0.02): five standard errors of that many independent numbers; the seed is fixed
        assert abs(drawn.mean() - mean) < 5 * 0.02 / drawn.size**0.5
        assert abs(drawn.std() - 0.02) < 5 * 0.02 / (2 * drawn.size) ** 0.5
    state = network.state_dict()
    for name, value in state.items():
        if name.endswith(("running_mean", "tracked")):
            assert not value.any()
        if name.endswith("running_var"):
            assert (value == 1).all()


@every_network
def test_one_seed_gives_the_same_bits(device, which):
    first, again, other = (both(which, device, 16, 3, seed=s)[0] for s in (1, 1, 2))
    assert device.numpy(first.param).tobytes() == device.numpy(again.param).tobytes()
    a, b = device.numpy(first.param), device.numpy(other.param)
    drawn = (a != 0) | (b != 0)
    assert (a != b)[drawn].mean() > 0.99


def address(array):
    return array.data.ptr if hasattr(array.data, "ptr") else array.ctypes.data


@every_network
def test_parameters_and_gradients_are_views_of_flat_buffers(device, which):
    network, _ = both(which, device, 32, 3, features=3)
    assert network.param.shape == network.grad.shape and len(network.param.shape) == 1
    for flat, kind in ((network.param, "params"), (network.grad, "grads")):
        places, start = np.zeros(flat.size, int), address(flat)
        for _, part in network.walk():
            for name, array in getattr(part, kind).items():
                offset = address(array) - start
                assert offset % 64 == 0, name  # wide loads: 16 floats
                places[offset // 4 : offset // 4 + array.size] += 1
        assert places.max() == 1  # no two share a place
        assert (places == 0).sum() < 16 * sum(
            len(part.params) for _, part in network.walk()
        )  # only what alignment needs
        assert not device.numpy(network.param)[places == 0].any()
    assert start % 64 == 0

    ops.fill(device, network.param, 3.0)
    ops.fill(device, network.grad, 4.0)
    for _, part in network.walk():
        for name in part.params:
            assert (device.numpy(part.params[name]) == 3).all() and (device.numpy(part.grads[name]) == 4).all()
    network.zero_grads()
    assert not device.numpy(network.grad).any()


@every_network
def test_loading_keeps_the_views(device, which):
    network, _ = both(which, device, 16, 3, seed=1)
    other, _ = both(which, device, 16, 3, seed=2)
    network.load_state_dict(other.state_dict())
    assert_equal(device.numpy(network.param), device.numpy(other.param))


@every_network
@pytest.mark.parametrize("rung", ["textbook", "best"])
def test_shared_gradients_change_no_bit(device, rng, which, rung):
    """The same network, each dx in an array of its own."""
    network, _ = both(which, device, 32, 3, rung=rung)
    x = device.array(an_input(which, rng, 32, 3))
    dy = device.array(normal(rng, network.forward(x).shape))
    before = device.numpy(dy)
    parts = network.parts()
    places = [part.place for part in parts]
    assert places[0] is memory.own and all(isinstance(p, memory.Turns) or p is memory.over_dy for p in places[1:])
    assert memory.over_dy in places[1:-1] and places[-1] is not memory.over_dy
    found = []
    for shared in (True, False):
        for part, place in zip(parts, places, strict=True):
            part.place = place if shared else memory.own
        network.zero_grads()
        network.forward(x)
        dx = network.backward(dy)
        found.append((device.numpy(dx), device.numpy(network.grad)))
        assert_equal(device.numpy(dy), before)  # the caller's
    for got, want in zip(*found):
        assert_equal(got, want)


def test_a_batch_norm_never_overwrites_the_callers_dy(device, rng):
    """Where it is last, and where an activation that it took over is."""
    for last in (
        BatchNorm2d(4, device=device),
        Sequential(BatchNorm2d(4, device=device), ReLU(device=device), device=device),
    ):
        line = Sequential(Conv2d(3, 4, 4, 2, 1, device=device), BatchNorm2d(4, device=device), last, device=device)
        fuse(line)
        memory.share_gradients(line, memory.Turns(device))
        dy = device.array(normal(rng, line.forward(device.array(an_input("discriminator", rng, 16, 3))).shape))
        before = device.numpy(dy)
        line.backward(dy)
        assert_equal(device.numpy(dy), before)
        assert line.layers[1].place is memory.over_dy  # its dy is the last batch norm's dx


def test_a_networks_dx_outlives_another_network(device, rng):
    one, other = (both("discriminator", device, 16, 3, seed=seed)[0] for seed in (1, 2))
    x = device.array(an_input("discriminator", rng, 16, 3))
    dy = device.array(normal(rng, one.forward(x).shape))
    dx = one.backward(dy)
    want = device.numpy(dx)
    other.forward(x)
    other.backward(dy)
    assert_equal(device.numpy(dx), want)


def test_logits_are_the_discriminator_without_its_sigmoid(device, rng):
    network = Discriminator(3, 2, 16, device=device, kernels="direct", random=Random(device))
    x = device.array(an_input("discriminator", rng, 16, 3))
    probabilities = device.numpy(network.forward(x, training=False))
    logits = device.numpy(network.logits.forward(x, training=False))
    assert probabilities.shape == logits.shape == (3, 1, 1, 1)
    assert_close(probabilities, 1 / (1 + np.exp(-logits.astype(np.float64))), OUTPUT_RTOL)
    assert network.layers[0].layers[:-1] == network.logits.layers  # the same layers, so the same weights and gradients


@every_network
def test_evaluation_does_not_depend_on_the_batch(device, rng, which):
    network, _ = both(which, device, 16, 3)
    x = an_input(which, rng, 16, 3, n=4)
    together = device.numpy(network.forward(device.array(x), training=False))
    alone = device.numpy(network.forward(device.array(x[2:3]), training=False))
    assert_close(together[2:3], alone, OUTPUT_RTOL)


@pytest.mark.parametrize(
    "make, message",
    [
        (
            lambda d: Discriminator(image_size=50, device=d),
            r"^Discriminator: image_size: need sides of m \* 2\^k px, m from 3 to 7, .*, got 50; the nearest is 48$",
        ),
        (
            lambda d: Discriminator(image_size=8, device=d),
            r"^Discriminator: image_size: need sides of .*, got 8; the nearest is 12$",
        ),
        (
            lambda d: Discriminator(2, device=d),
            r"^Discriminator: channels_img: need 1 \(grey\) or 3 \(colour\), got 2$",
        ),
        (
            lambda d: Discriminator(3, 0, device=d),
            r"^Discriminator: features_d: need a whole number of at least 1, got 0$",
        ),
        (lambda d: Generator(0, device=d), r"^Generator: z_dim: need a whole number of at least 1, got 0$"),
        (lambda d: Generator(10, 4, device=d), r"^Generator: channels_img: need 1 \(grey\) or 3 \(colour\), got 4$"),
        (
            lambda d: Generator(10, 3, 1.5, device=d),
            r"^Generator: features_g: need a whole number of at least 1, got 1.5$",
        ),
        (
            lambda d: Generator(10, 3, 2, (32, 64), device=d),
            r"^Generator: image_size: need sides of .*, got 32x64; the nearest is 32x56$",
        ),
        (
            lambda d: Generator(10, 3, 2, 64.0, device=d),
            r"^Generator: image_size: need a size in px such as 64, or height x width such as 48x80, got 64.0$",
        ),
    ],
)
def test_constructors_refuse(device, make, message):
    with pytest.raises(UserError, match=message):
        make(device)


@pytest.mark.parametrize("shape", [(2, 16, 16, 1), (2, 16, 3, 16), (16, 16, 3)], ids=str)
def test_images_of_another_shape_are_refused(device, shape):
    network = Discriminator(3, 2, 16, device=device, kernels="direct")
    with pytest.raises(UserError, match=r"^Conv2d.forward: x: need \[n, h, w, 3\] without an empty axis, got "):
        network.forward(device.zeros(shape))
