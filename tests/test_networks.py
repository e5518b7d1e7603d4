"""The networks against the seeds' nn.Module classes."""

from itertools import count

import numpy as np
import pytest
import torch
from helpers import assert_close, assert_equal, normal
from network_cases import GRADIENT_RTOL, OUTPUT_RTOL, an_input, both, every_network
from torch import nn

from bench.peer import Discriminator as TorchDiscriminator
from bench.peer import Generator as TorchGenerator
from dcgan_cupy.errors import UserError
from dcgan_cupy.networks import Discriminator, Generator

pytestmark = pytest.mark.usefixtures("poison")


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
        part.register_forward_pre_hook(
            lambda _, inputs: margins.append((inputs[0].abs().min() / inputs[0].std()).item())
        )
        for part in module.modules()
        if isinstance(part, nn.ReLU | nn.LeakyReLU)
    ]
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


every_size = pytest.mark.parametrize("size", [16, 32, 64, 128])


every_channels = pytest.mark.parametrize("channels", [1, 3])


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


@pytest.mark.large
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

    # PyTorch runs first: where an input lies so near to the kink of a ReLU that float32 and float64 could take
    # different
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
        (
            without(last) | {"fc.bias": wrong, "fc.weight": wrong},
            rf"need the names of this network, got 1 missing \(first: {last}\) and 2 unknown \(first: fc.bias\)$",
        ),
        ({}, rf"need the names of this network, got {len(before)} missing \(first: {first}\)$"),
        (other | {last: np.zeros(7, np.float32)}, rf"{last}: need shape \(\d,\), got \(7,\)$"),
        (other | {first: wrong}, rf"{first}: need shape \({', '.join(map(str, other[first].shape))}\), got "),
        (
            other | {first: torch.from_numpy(wrong)},
            rf"{first}: need shape \({', '.join(map(str, other[first].shape))}\), got ",
        ),
    ]
    for values, message in attempts:
        with pytest.raises(UserError, match=where + message):
            network.load_state_dict(values)
        for key, value in network.state_dict().items():
            assert_equal(value, before[key], key)


def test_a_network_of_another_size_does_not_load(device):
    for small, large in (
        (Discriminator(3, 2, 16, device=device), Discriminator(3, 2, 32, device=device)),
        (Generator(4, 3, 2, 16, device=device), Generator(4, 3, 2, 32, device=device)),
    ):
        with pytest.raises(UserError, match=r"load_state_dict: need the names of this network, got \d+ missing"):
            large.load_state_dict(small.state_dict())
