"""Every layer against PyTorch in float64: values, gradients, and the contract of layers.py: add, reuse, once."""

import numpy as np
import pytest
from helpers import assert_close, assert_equal, draw_conv_shape, normal

from dcgan_cupy import choices
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

# Float32 sums of at most some hundred terms against float64, errors relative to the norm of the whole array: a random walk
# of roundings of 6e-8 each. A wrong index, a missing factor or a gradient that was set instead of added is off by order 1.
RTOL = 2e-6


# From ours to PyTorch's and back, written here and not taken from Layer.state()


def to_torch(values):
    """[n, h, w, c] to a float64 leaf (n, c, h, w); other ranks as they are."""
    values = values.transpose(0, 3, 1, 2) if values.ndim == 4 else values
    return torch.tensor(np.ascontiguousarray(values), dtype=torch.float64, requires_grad=True)


def from_torch(tensor):
    values = tensor.detach().numpy()
    return values.transpose(0, 2, 3, 1) if values.ndim == 4 else values


def weight_to_torch(values):
    """[kh, kw, a, b] to (b, a, kh, kw): Conv2d has a = in, ConvTranspose2d a = out."""
    return values.transpose(3, 2, 0, 1) if values.ndim == 4 else values


def set_random_parameters(device, rng, layer, module):
    """The same random parameters in both; the layer's gradients start at 0."""
    for name, array in layer.params.items():
        values = normal(rng, array.shape)
        device.upload(array, values)
        with torch.no_grad():
            getattr(module, name).copy_(torch.tensor(weight_to_torch(values).copy()))
    layer.zero_grads()


def check_against(device, layer, module, x, dy, training=True):
    """One forward and one backward of both; the parameter gradients of both hold whatever was added before."""
    y = device.numpy(layer.forward(device.array(x), training))
    dx = device.numpy(layer.backward(device.array(dy)))
    leaf = to_torch(x)
    module.train(training)
    want = module(leaf)
    want.backward(to_torch(dy).detach())
    assert_close(y, from_torch(want), RTOL, "y")
    assert_close(dx, from_torch(leaf.grad), RTOL, "dx")
    for name, parameter in module.named_parameters():
        assert_close(weight_to_torch(device.numpy(layer.grads[name])), parameter.grad.numpy(), RTOL, name)


def output_shape(device, layer, x):
    return layer.forward(device.array(x)).shape


# Convolutions

CONVOLUTIONS = [  # n, (h, w), in, out, kernel, stride, padding
    (3, (8, 6), 3, 4, 4, 2, 1),
    (2, (4, 4), 7, 1, 4, 2, 0),
    (1, (1, 1), 2, 3, 1, 1, 0),
    (2, (9, 7), 2, 33, (3, 2), (1, 2), (2, 0)),
    (2, (9, 11), 2, 3, (2, 3), (4, 5), (0, 1)),
]
TRANSPOSED = [  # n, (h, w), in, out, kernel, stride, padding, output_padding
    (3, (1, 1), 10, 6, 4, 1, 0, 0),
    (2, (4, 3), 4, 3, 4, 2, 1, 0),
    (2, (5, 4), 3, 33, (3, 5), (2, 3), (1, 2), (1, 2)),
    (2, (6, 5), 2, 3, (1, 2), (3, 2), (2, 3), (2, 1)),  # padding beyond the kernel: rows are cut
]


def drawn(transposed, count=12):
    rng = np.random.default_rng(50 + transposed)
    for s in (draw_conv_shape(rng, transposed) for _ in range(count)):
        pads = (s["padding"], s["output_padding"]) if transposed else (s["padding"],)
        yield s["n"], (s["h"], s["w"]), s["ic"], s["oc"], (s["kh"], s["kw"]), s["stride"], *pads


COMPILED_ONCE = (
    "textbook",
    "direct",
)  # other rungs are compiled for each layer's sizes, seconds each: they get the first cases
# only, with bias; test_ops.py takes every rung through every shape


def cases(named, transposed):
    every = [(case, bias, rung) for rung in choices.RUNGS for bias in (True, False) for case in [*named, *drawn(transposed)]
             if rung in COMPILED_ONCE or (bias and case in named[:2])]  # fmt: skip
    return pytest.mark.parametrize("case, bias, rung", every, ids=str)


@cases(CONVOLUTIONS, transposed=False)
def test_conv2d(device, rng, case, bias, rung):
    n, hw, ic, oc, *sizes = case
    layer = Conv2d(ic, oc, *sizes, bias=bias, device=device, kernels=rung)
    module = nn.Conv2d(ic, oc, *sizes, bias=bias, dtype=torch.float64)
    set_random_parameters(device, rng, layer, module)
    x = normal(rng, (n, *hw, ic))
    check_against(
        device, layer, module, x, 0.5 + normal(rng, output_shape(device, layer, x))
    )  # a bias' sum must not cancel
    assert set(layer.params) == set(layer.grads) == ({"weight", "bias"} if bias else {"weight"})


@cases(TRANSPOSED, transposed=True)
def test_conv_transpose2d(device, rng, case, bias, rung):
    n, hw, ic, oc, *sizes = case
    layer = ConvTranspose2d(ic, oc, *sizes, bias=bias, device=device, kernels=rung)
    weights = nn.ConvTranspose2d(ic, oc, sizes[0], bias=bias, dtype=torch.float64)

    class Functional(nn.Module):  # the class refuses output_padding >= stride or dilation only; so does ours
        weight, bias = weights.weight, weights.bias

        def forward(self, x):
            return nn.functional.conv_transpose2d(x, self.weight, self.bias, *sizes[1:])

    set_random_parameters(device, rng, layer, module := Functional())
    x = normal(rng, (n, *hw, ic))
    check_against(
        device, layer, module, x, 0.5 + normal(rng, output_shape(device, layer, x))
    )  # a bias' sum must not cancel
    assert set(layer.params) == set(layer.grads) == ({"weight", "bias"} if bias else {"weight"})


def test_every_rung_gives_the_same_convolution(device, rng):
    """Integers: equal, not close."""
    x, w = rng.integers(-3, 4, (2, 6, 5, 4)).astype(np.float32), rng.integers(-3, 4, (4, 4, 3, 4)).astype(np.float32)
    results = []
    for rung in choices.RUNGS:
        layer = ConvTranspose2d(4, 3, 4, 2, 1, device=device, kernels=rung)
        device.upload(layer.params["weight"], w)
        results.append(device.numpy(layer.forward(device.array(x))))
    for other in results[1:]:
        assert_equal(other, results[0])


def test_the_default_rung_is_one_of_the_rungs(device):
    assert Conv2d(1, 1, 1, device=device).rung in choices.RUNGS
    assert ConvTranspose2d(1, 1, 1, device=device).rung in choices.RUNGS
    assert Conv2d(1, 1, 1, device=device, kernels="textbook").rung == "textbook"


# Batch normalisation

every_norm = pytest.mark.parametrize("rung", ["textbook", "tiled"])


@pytest.mark.parametrize("shape", [(3, 4, 5, 6), (6, 1, 1, 33), (7, 3)], ids=str)
@pytest.mark.parametrize("training", [True, False])
@every_norm
def test_batchnorm(device, rng, shape, training, rung):
    c = shape[-1]
    layer = BatchNorm2d(c, eps=1e-3, momentum=0.3, device=device, kernels=rung)
    module = (nn.BatchNorm2d if len(shape) == 4 else nn.BatchNorm1d)(c, eps=1e-3, momentum=0.3, dtype=torch.float64)
    set_random_parameters(device, rng, layer, module)
    for batch in range(3):  # the running statistics move, then serve
        x, dy = 2 * normal(rng, shape) + 1, normal(rng, shape)
        check_against(device, layer, module, x, dy, training or batch == 0)
        for name in ("running_mean", "running_var"):
            assert_close(device.numpy(layer.buffers[name]), getattr(module, name).numpy(), RTOL, name)
        assert device.numpy(layer.buffers["num_batches_tracked"]) == module.num_batches_tracked.numpy()


def test_batchnorm_starts_as_pytorchs(device):
    layer, module = BatchNorm2d(5, device=device), nn.BatchNorm2d(5)
    assert (layer.eps, layer.momentum) == (module.eps, module.momentum)
    for name, want in module.state_dict().items():
        got = device.numpy((layer.params | layer.buffers)[name])
        assert_equal(got.reshape(want.shape), want.numpy(), name)


@every_norm
def test_batchnorm_evaluation_changes_nothing_that_lasts(device, rng, rung):
    layer = BatchNorm2d(4, device=device, kernels=rung)
    before = {name: device.numpy(a) for name, a in layer.buffers.items()}
    layer.forward(device.array(normal(rng, (3, 4))), training=False)
    for name, a in layer.buffers.items():
        assert_equal(device.numpy(a), before[name], name)


@every_norm
def test_batchnorm_gradient_in_evaluation_without_param_grads(device, rng, rung):
    """The first backward of all: the statistics are constants, so no sum over the batch is needed, and none is used."""
    layer = BatchNorm2d(4, device=device, kernels=rung)
    dy = normal(rng, (3, 4))
    layer.forward(device.array(normal(rng, (3, 4))), training=False)
    assert_close(device.numpy(layer.backward(device.array(dy), param_grads=False)), dy / np.sqrt(1 + 1e-5), RTOL)


@every_norm
def test_batchnorm_evaluation_takes_one_value_a_channel(device, rng, rung):
    x = normal(rng, (1, 1, 1, 4))
    layer = BatchNorm2d(4, device=device, kernels=rung)
    assert_close(device.numpy(layer.forward(device.array(x), training=False)), x / np.sqrt(1 + 1e-5), RTOL)
    with pytest.raises(
        UserError, match=r"x: need more than 1 value a channel when training, got shape \(1, 1, 1, 4\)$"
    ):
        layer.forward(device.array(x))


# Activations


@pytest.mark.parametrize("make, module", [
    (ReLU, nn.ReLU()), (LeakyReLU, nn.LeakyReLU(0.2)), (lambda **d: LeakyReLU(0.01, **d), nn.LeakyReLU(0.01)),
    (Tanh, nn.Tanh()), (Sigmoid, nn.Sigmoid()),
], ids=["relu", "leaky_relu", "leaky_relu-0.01", "tanh", "sigmoid"])  # fmt: skip
@pytest.mark.parametrize("shape", [(3, 5, 7, 2), (4, 3), (11,)], ids=str)
def test_activation(device, rng, make, module, shape):
    layer = make(device=device)
    check_against(device, layer, module, normal(rng, shape), normal(rng, shape))
    assert not layer.params and not layer.grads and not layer.buffers


# The contract


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
    "Conv2d", "Conv2d-default", "ConvTranspose2d", "ConvTranspose2d-textbook", "ConvTranspose2d-default", "BatchNorm2d",
    "BatchNorm2d-default", "ReLU", "LeakyReLU", "Tanh", "Sigmoid", "Sequential", "Sequential-fused",
]  # fmt: skip
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
    """The buffers of the oldest shape are dropped, and made again when it comes back: also between forward and backward."""
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
        assert norm.slope == 0.2 and act.absorbed == "both"

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
    assert [norm.slope for norm in norms] == [0.0, 1.0, 1.0]
    assert [act.absorbed for act in acts] == ["both", "", ""]


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


# Errors


@pytest.mark.parametrize("make, message", [
    (lambda d: Conv2d(0, 1, 1, device=d), r"^Conv2d: in_channels: need a whole number of at least 1, got 0$"),
    (lambda d: Conv2d(1, 2.0, 1, device=d), r"^Conv2d: out_channels: need a whole number of at least 1, got 2.0$"),
    (lambda d: Conv2d(1, True, 1, device=d), r"^Conv2d: out_channels: need a whole number of at least 1, got True$"),
    (lambda d: Conv2d(1, 1, 0, device=d), r"^Conv2d: kernel_size: need a whole number of at least 1, or a pair \(h, w\) of them, got 0$"),
    (lambda d: Conv2d(1, 1, 1, (1, 0), device=d), r"^Conv2d: stride: need .* at least 1, .* got \(1, 0\)$"),
    (lambda d: Conv2d(1, 1, 1, 1, -1, device=d), r"^Conv2d: padding: need .* at least 0, .* got -1$"),
    (lambda d: Conv2d(2, 2, 1, groups=2, device=d), r"^Conv2d: groups: need 1 \(no kernel here does more\), got 2$"),
    (lambda d: Conv2d(2, 2, 1, dilation=2, device=d), r"^Conv2d: dilation: need 1 \(no kernel here does more\), got 2$"),
    (lambda d: Conv2d(2, 2, 1, dilation=(1, 2), device=d), r"^Conv2d: dilation: need 1 \(no kernel here does more\), got \(1, 2\)$"),
    (lambda d: Conv2d(2, 2, 1, kernels="fastest", device=d), r"^Conv2d: kernels: need one of textbook, direct.*, got 'fastest'$"),
    (lambda d: ConvTranspose2d(1, 1, "3", device=d), r"^ConvTranspose2d: kernel_size: need .* got '3'$"),
    (lambda d: ConvTranspose2d(2, 2, 1, groups=2, device=d), r"^ConvTranspose2d: groups: need 1 \(no kernel here does more\), got 2$"),
    (lambda d: ConvTranspose2d(2, 2, 1, dilation=3, device=d), r"^ConvTranspose2d: dilation: need 1 \(no kernel here does more\), got 3$"),
    (lambda d: ConvTranspose2d(1, 1, 3, 2, 1, 2, device=d),
     r"^ConvTranspose2d: output_padding: need less than stride \(2, 2\), got \(2, 2\)$"),
    (lambda d: ConvTranspose2d(1, 1, 3, (2, 3), 1, (1, -1), device=d),
     r"^ConvTranspose2d: output_padding: need .* at least 0, .* got \(1, -1\)$"),
    (lambda d: ConvTranspose2d(1, 1, 3, kernels="x", device=d), r"^ConvTranspose2d: kernels: need one of .*, got 'x'$"),
    (lambda d: BatchNorm2d(0, device=d), r"^BatchNorm2d: num_features: need a whole number of at least 1, got 0$"),
    (lambda d: BatchNorm2d(1, eps=0.0, device=d), r"^BatchNorm2d: eps: need more than 0, got 0.0$"),
    (lambda d: BatchNorm2d(1, momentum=1.5, device=d), r"^BatchNorm2d: momentum: need 0 to 1, got 1.5$"),
    (lambda d: LeakyReLU(0.0, device=d), r"^LeakyReLU: slope: need more than 0, got 0.0$"),
    (lambda d: LeakyReLU(float("nan"), device=d), r"^LeakyReLU: slope: need more than 0, got nan$"),
])  # fmt: skip
def test_constructors_refuse(device, make, message):
    with pytest.raises(UserError, match=message):
        make(device)


def test_groups_and_dilation_of_one_are_accepted(device):
    Conv2d(2, 2, 1, groups=1, dilation=(1, 1), device=device)
    ConvTranspose2d(2, 2, 1, groups=1, dilation=1, device=device)


AN_IMAGE = r"x: need \[n, h, w, 3\] without an empty axis, got "


@pytest.mark.parametrize("make, shape, message", [
    (lambda d: Conv2d(3, 1, 4, device=d), (2, 8, 8, 4), rf"^Conv2d.forward: {AN_IMAGE}\(2, 8, 8, 4\)$"),
    (lambda d: Conv2d(3, 1, 4, device=d), (8, 8, 3), rf"^Conv2d.forward: {AN_IMAGE}\(8, 8, 3\)$"),
    (lambda d: Conv2d(3, 1, 4, device=d), (0, 8, 8, 3), rf"^Conv2d.forward: {AN_IMAGE}\(0, 8, 8, 3\)$"),
    (lambda d: Conv2d(3, 1, 4, device=d), (2, 8, 3, 3),
     r"^Conv2d.forward: x: need a height and width of at least 4 \(kernel 4, padding 0\), got 3$"),
    (lambda d: ConvTranspose2d(3, 1, 4, device=d), (2, 8, 8, 1), rf"^ConvTranspose2d.forward: {AN_IMAGE}\(2, 8, 8, 1\)$"),
    (lambda d: ConvTranspose2d(3, 1, 1, 1, 1, device=d), (2, 8, 2, 3),
     r"^ConvTranspose2d.forward: x: need an output of at least 1 pixel, got 0 from size 2, kernel 1, stride 1, padding 1, "),
    (lambda d: BatchNorm2d(3, device=d), (2, 8, 8, 4), r"^BatchNorm2d.forward: x: need \[..., 3\], got \(2, 8, 8, 4\)$"),
    (lambda d: BatchNorm2d(3, device=d), (3,), r"^BatchNorm2d.forward: x: need \[..., 3\], got \(3,\)$"),
])  # fmt: skip
def test_forward_refuses(device, make, shape, message):
    with pytest.raises(UserError, match=message):
        make(device).forward(device.zeros(shape))


@every_layer
def test_backward_refuses_another_shape(device, made):
    layer, x, dy = made
    layer.forward(device.array(x))
    with pytest.raises(UserError, match=r": (y|dy): need (the )?shape "):
        layer.backward(device.zeros((dy.shape[0] + 1, *dy.shape[1:])))
