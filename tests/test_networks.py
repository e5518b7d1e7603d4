"""Both networks against the seeds' PyTorch classes: names and layouts, values, gradients, first weights, flat buffers."""

from itertools import count

import numpy as np
import pytest
import torch
from helpers import assert_close, assert_equal, normal
from torch import nn

from bench.peer import Discriminator as TorchDiscriminator
from bench.peer import Generator as TorchGenerator
from dcgan_cupy import ops
from dcgan_cupy.errors import UserError
from dcgan_cupy.layers import BatchNorm2d, Conv2d, ReLU, Sequential, fuse, share_gradients
from dcgan_cupy.networks import Discriminator, Generator
from dcgan_cupy.random import Random

pytestmark = pytest.mark.usefixtures("poison")

# A network is up to six layers of float32 sums, each with an error of a few roundings of 6e-8 that the next batch norm carries
# on: 5e-7 seen. A gradient passes all of them twice, and in front of a batch norm much of it cancels: 3e-6 seen. A wrong
# layer, layout or statistic is off by order 1.
OUTPUT_RTOL, GRADIENT_RTOL = 5e-6, 2e-5


Z_DIM = 5


def both(which, device, size, channels, features=2, rung="direct", seed=1):
    """The network and its PyTorch twin (float64, its own first weights)."""
    random = Random(device, seed)
    if which == "discriminator":
        return (Discriminator(channels, features, size, device=device, kernels=rung, random=random),
                TorchDiscriminator(channels, features, size).double())  # fmt: skip
    return (Generator(Z_DIM, channels, features, size, device=device, kernels=rung, random=random),
            TorchGenerator(Z_DIM, channels, features, size).double())  # fmt: skip


def an_input(which, rng, size, channels, n=3):
    return normal(rng, (n, 1, 1, Z_DIM)) if which == "generator" else np.tanh(normal(rng, (n, size, size, channels)))


def nchw(values):
    return torch.tensor(values.transpose(0, 3, 1, 2).copy(), dtype=torch.float64, requires_grad=True)


def nhwc(tensor):
    return tensor.detach().numpy().transpose(0, 2, 3, 1)


def tensors(state):
    return {name: torch.from_numpy(value) for name, value in state.items()}


def run_torch(module, x, dy):
    """y, dx and the parameter gradients, and how near any ReLU came to its kink, relative to its input's deviation."""
    margins = []
    hooks = [
        part.register_forward_pre_hook(lambda _, inputs: margins.append((inputs[0].abs().min() / inputs[0].std()).item()))
        for part in module.modules() if isinstance(part, nn.ReLU | nn.LeakyReLU)
    ]  # fmt: skip
    module.zero_grad()
    leaf = nchw(x)
    y = module(leaf)
    y.backward(nchw(dy).detach())
    for hook in hooks:
        hook.remove()
    grads = {name: parameter.grad.numpy() for name, parameter in module.named_parameters()}
    return nhwc(y), nhwc(leaf.grad), grads, min(margins)


def our_gradients(device, network):
    """Under PyTorch's names and in its layouts, by the permutation of the design, not by the network's own."""
    found = {f"{path}.{name}": device.numpy(grad) for path, part in network.walk() for name, grad in part.grads.items()}
    return {name: grad.transpose(3, 2, 0, 1) if grad.ndim == 4 else grad for name, grad in found.items()}


every_network = pytest.mark.parametrize("which", ["discriminator", "generator"])
every_size = pytest.mark.parametrize("size", [16, 32, 64, 128])
every_channels = pytest.mark.parametrize("channels", [1, 3])


# Names, layouts, values


@every_network
@every_size
@every_channels
def test_state_dict_loads_into_the_seeds_class(device, which, size, channels):
    network, module = both(which, device, size, channels, features=3)
    state = network.state_dict()
    module.load_state_dict(tensors(state), strict=True)
    assert list(state) == list(module.state_dict())  # in the same order, too
    for name, want in module.state_dict().items():
        assert_equal(state[name], want.numpy(), name)
        assert state[name].dtype == (np.int64 if name.endswith("tracked") else np.float32)
        assert state[name].flags.c_contiguous or not state[name].ndim


@every_network
def test_shapes_at_full_width(device, which):
    """The seeds' sizes, 64 features and 64 pixels; PyTorch's twin has shapes only."""
    with torch.device("meta"):
        module = TorchDiscriminator(3, 64, 64) if which == "discriminator" else TorchGenerator(100, 3, 64, 64)
    network = (Discriminator if which == "discriminator" else Generator)(device=device)
    assert {k: v.shape for k, v in network.state_dict().items()} == {
        k: tuple(v.shape) for k, v in module.state_dict().items()
    }
    parameters = sum(array.size for _, part in network.walk() for array in part.params.values())
    assert (
        parameters
        == sum(p.numel() for p in module.parameters())
        == {"discriminator": 2_765_633, "generator": 12_658_435}[which]
    )


def check_agreement(device, rng, which, size, channels, **options):
    """Evaluation, then a training step forward and back, then evaluation with the statistics that the step left."""
    network, module = both(which, device, size, channels, **options)
    for _ in range(2):  # running statistics that are not 0 and 1
        network.forward(device.array(an_input(which, rng, size, channels)))
    module.load_state_dict(tensors(network.state_dict()), strict=True)

    # PyTorch runs first: where an input lies so near to the kink of a ReLU that float32 and float64 could take different
    # branches, another is drawn. Both sides are off by less than 1e-6 of the deviation.
    for training in (False, True, False):
        module.train(training)
        before = {name: value.clone() for name, value in module.state_dict().items()}
        for _ in count():
            x = an_input(which, rng, size, channels)
            dy = 0.5 + normal(
                rng, network.forward(device.array(x), training=False).shape
            )  # so that a bias' sum does not cancel
            module.load_state_dict(before)
            want_y, want_dx, want_grads, margin = run_torch(module, x, dy)
            if margin > 1e-6:
                break
        network.zero_grads()
        y = device.numpy(network.forward(device.array(x), training))
        dx = device.numpy(network.backward(device.array(dy)))
        mode = "training" if training else "evaluation"
        assert_close(y, want_y, OUTPUT_RTOL, f"{mode}: y")
        assert_close(dx, want_dx, GRADIENT_RTOL, f"{mode}: dx")
        got_grads = our_gradients(device, network)
        assert got_grads.keys() == want_grads.keys()
        for name, want in want_grads.items():
            assert_close(got_grads[name], want, GRADIENT_RTOL, f"{mode}: {name}")
        for name, value in network.state_dict().items():  # parameters unchanged, statistics moved alike
            assert_close(value, module.state_dict()[name].numpy(), OUTPUT_RTOL, f"{mode}: {name}")


@every_network
@every_size
@every_channels
def test_values_and_gradients_agree(device, rng, which, size, channels):
    check_agreement(device, rng, which, size, channels)


@every_network
def test_values_and_gradients_agree_by_the_textbook(device, rng, which):
    check_agreement(device, rng, which, 32, 3, rung="textbook")


@every_network
def test_values_and_gradients_agree_by_the_default_rung(device, rng, which):
    """Small and one size only: a rung may compile a kernel for each layer."""
    check_agreement(device, rng, which, 16, 3, features=4, rung=None)


@every_network
@every_size
@every_channels
def test_pytorch_weights_load(device, rng, which, size, channels):
    """The other way: a trained-looking PyTorch state, float64, into ours."""
    network, module = both(which, device, size, channels)
    with torch.no_grad():
        for name, value in module.state_dict().items():
            if name.endswith("tracked"):
                value.fill_(7)
            else:
                drawn = torch.tensor(0.1 * normal(rng, tuple(value.shape)), dtype=torch.float64)
                value.copy_(drawn.abs() + 0.5 if name.endswith("running_var") else drawn)
    network.load_state_dict(module.state_dict())
    module.eval()
    x = an_input(which, rng, size, channels)
    assert_close(device.numpy(network.forward(device.array(x), training=False)), nhwc(module(nchw(x))), OUTPUT_RTOL)
    for name, value in network.state_dict().items():
        assert_equal(value, module.state_dict()[name].numpy().astype(value.dtype), name)


@every_network
def test_state_dict_is_a_copy_and_loads_back(device, rng, which):
    network, _ = both(which, device, 16, 3, seed=1)
    other, _ = both(which, device, 16, 3, seed=2)
    x = device.array(an_input(which, rng, 16, 3))
    network.forward(x)
    state = network.state_dict()
    other.load_state_dict(state)
    want = device.numpy(network.forward(x, training=False))
    for value in state.values():
        value[...] = 99
    assert_equal(device.numpy(network.forward(x, training=False)), want)
    assert_equal(device.numpy(other.forward(x, training=False)), want)  # the same bits


@every_network
def test_load_state_dict_refuses_and_changes_nothing(device, which):
    network, _ = both(which, device, 16, 3)
    name = type(network).__name__
    before, other = network.state_dict(), both(which, device, 16, 3, seed=2)[0].state_dict()
    first, last = next(iter(before)), list(before)[-1]
    where = rf"^{name}.load_state_dict: "

    def without(*names):
        return {k: v for k, v in other.items() if k not in names}

    wrong = np.swapaxes(other[first], 0, 1).copy()
    assert wrong.shape != other[first].shape
    attempts = [
        (without(last), rf"need the names of this network, got 1 missing \(first: {last}\)$"),
        (without(first, last), rf"need the names of this network, got 2 missing \(first: {first}\)$"),
        (other | {"fc.weight": wrong}, r"need the names of this network, got 1 unknown \(first: fc.weight\)$"),
        (without(last) | {"fc.bias": wrong, "fc.weight": wrong},
         rf"need the names of this network, got 1 missing \(first: {last}\) and 2 unknown \(first: fc.bias\)$"),
        ({}, rf"need the names of this network, got {len(before)} missing \(first: {first}\)$"),
        (other | {last: np.zeros(7, np.float32)}, rf"{last}: need shape \(\d,\), got \(7,\)$"),
        (other | {first: wrong}, rf"{first}: need shape \({', '.join(map(str, other[first].shape))}\), got "),
        (other | {first: torch.from_numpy(wrong)}, rf"{first}: need shape \({', '.join(map(str, other[first].shape))}\), got "),
    ]  # fmt: skip
    for values, message in attempts:
        with pytest.raises(UserError, match=where + message):
            network.load_state_dict(values)
        for key, value in network.state_dict().items():
            assert_equal(value, before[key], key)


def test_a_network_of_another_size_does_not_load(device):
    for small, large in ((Discriminator(3, 2, 16, device=device), Discriminator(3, 2, 32, device=device)),
                         (Generator(4, 3, 2, 16, device=device), Generator(4, 3, 2, 32, device=device))):  # fmt: skip
        with pytest.raises(UserError, match=r"load_state_dict: need the names of this network, got \d+ missing"):
            large.load_state_dict(small.state_dict())


# First weights


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


# Flat buffers


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


# The networks as users meet them


@every_network
@pytest.mark.parametrize("rung", ["textbook", "best"])
def test_shared_gradients_change_no_bit(device, rng, which, rung):
    """The same network, each dx in an array of its own."""
    network, _ = both(which, device, 32, 3, rung=rung)
    x = device.array(an_input(which, rng, 32, 3))
    dy = device.array(normal(rng, network.forward(x).shape))
    before = device.numpy(dy)
    parts = [part for _, part in network.walk() if not part.children()]
    assert [part.shares_gradient for part in parts] == [False] + [True] * (len(parts) - 1)
    assert any(part.overwrites_dy for part in parts) and not parts[0].overwrites_dy and not parts[-1].overwrites_dy
    found = []
    for shared in (True, False):
        for part in parts:
            part.shares_gradient, part.overwrites_dy = part.shares_gradient and shared, part.overwrites_dy and shared
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
        share_gradients(line)
        dy = device.array(normal(rng, line.forward(device.array(an_input("discriminator", rng, 16, 3))).shape))
        before = device.numpy(dy)
        line.backward(dy)
        assert_equal(device.numpy(dy), before)
        assert line.layers[1].overwrites_dy  # its dy is the last batch norm's dx


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


@pytest.mark.parametrize("make, message", [
    (lambda d: Discriminator(image_size=48, device=d), r"^Discriminator: image_size: need one of 16, 32, 64, 128, got 48$"),
    (lambda d: Discriminator(image_size=8, device=d), r"^Discriminator: image_size: need one of 16, 32, 64, 128, got 8$"),
    (lambda d: Discriminator(2, device=d), r"^Discriminator: channels_img: need 1 \(grey\) or 3 \(colour\), got 2$"),
    (lambda d: Discriminator(3, 0, device=d), r"^Discriminator: features_d: need a whole number of at least 1, got 0$"),
    (lambda d: Generator(0, device=d), r"^Generator: z_dim: need a whole number of at least 1, got 0$"),
    (lambda d: Generator(10, 4, device=d), r"^Generator: channels_img: need 1 \(grey\) or 3 \(colour\), got 4$"),
    (lambda d: Generator(10, 3, 1.5, device=d), r"^Generator: features_g: need a whole number of at least 1, got 1.5$"),
    (lambda d: Generator(10, 3, 2, 256, device=d), r"^Generator: image_size: need one of 16, 32, 64, 128, got 256$"),
])  # fmt: skip
def test_constructors_refuse(device, make, message):
    with pytest.raises(UserError, match=message):
        make(device)


@pytest.mark.parametrize("shape", [(2, 16, 16, 1), (2, 16, 3, 16), (16, 16, 3)], ids=str)
def test_images_of_another_shape_are_refused(device, shape):
    network = Discriminator(3, 2, 16, device=device, kernels="direct")
    with pytest.raises(UserError, match=r"^Conv2d.forward: x: need \[n, h, w, 3\] without an empty axis, got "):
        network.forward(device.zeros(shape))
