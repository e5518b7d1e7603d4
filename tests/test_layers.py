"""Every layer against PyTorch in float64: values and gradients."""

import numpy as np
import pytest
from helpers import assert_close, assert_equal, draw_conv_shape, normal
from layer_cases import RTOL, from_torch, output_shape, set_random_parameters, to_torch, weight_to_torch

from dcgan_cupy import choices
from dcgan_cupy.errors import UserError
from dcgan_cupy.layers import BatchNorm2d, Conv2d, ConvTranspose2d, LeakyReLU, ReLU, Sigmoid, Tanh

torch = pytest.importorskip("torch")
nn = torch.nn
pytestmark = pytest.mark.usefixtures("poison")


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


def cases(named, transposed):
    every = [
        (case, bias, rung)
        for rung in choices.RUNGS
        for bias in (True, False)
        for case in [*named, *drawn(transposed)]
        if rung in COMPILED_ONCE or (bias and case in named[:2])
    ]
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


every_norm = pytest.mark.parametrize("rung", ["textbook", "shared", "registers", "tiled"])


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


@pytest.mark.parametrize(
    "make, module",
    [
        (ReLU, nn.ReLU()),
        (LeakyReLU, nn.LeakyReLU(0.2)),
        (lambda **d: LeakyReLU(0.01, **d), nn.LeakyReLU(0.01)),
        (Tanh, nn.Tanh()),
        (Sigmoid, nn.Sigmoid()),
    ],
    ids=["relu", "leaky_relu", "leaky_relu-0.01", "tanh", "sigmoid"],
)
@pytest.mark.parametrize("shape", [(3, 5, 7, 2), (4, 3), (11,)], ids=str)
def test_activation(device, rng, make, module, shape):
    layer = make(device=device)
    check_against(device, layer, module, normal(rng, shape), normal(rng, shape))
    assert not layer.params and not layer.grads and not layer.buffers
