"""What a label's maps add to a convolution without a map: kernels, gradient, layer; beside maps joined in memory."""

import numpy as np
import pytest
import torch
from helpers import assert_close, assert_equal, integers, normal
from ops_cases import EVERY_TILE, SUM_RTOL, Updated, launch, of

from dcgan_cupy import ops
from dcgan_cupy import reference as ref
from dcgan_cupy.errors import UserError
from dcgan_cupy.layers import Conv2d, ConvTranspose2d, Labels, Sequential, Tanh, condition, fuse

# n, (h, w), channels of x, of y, classes, kernel, stride, padding
SHAPES = [
    (5, (6, 7), 3, 5, 4, (4, 3), (2, 2), (1, 0)),
    (4, (9, 8), 2, 16, 3, (4, 4), (2, 2), (1, 1)),
    (3, (5, 6), 1, 33, 2, (3, 3), (1, 1), (1, 1)),
    (3, (4, 4), 2, 1, 10, (4, 4), (2, 2), (0, 0)),
    (6, (7, 9), 1, 2, 5, (5, 4), (3, 2), (2, 3)),
    (2, (8, 7), 2, 4, 3, (2, 2), (3, 3), (0, 1)),
    (2, (2, 3), 1, 3, 2, (5, 7), (2, 1), (3, 3)),
]
each_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)
each_kind = pytest.mark.parametrize("transposed", [False, True], ids=["plain", "transposed"])


def case(rng, shape, transposed, draw=integers):
    """w, label, y, dw and (classes, size, stride, padding, transposed); label 0 is an image's without a map."""
    n, size, c, o, k, kernel, stride, padding = shape
    if transposed:
        out = [s * (v - 1) + m - 2 * p for v, m, s, p in zip(size, kernel, stride, padding)]
        if min(out) < 1:
            size = tuple(v + 2 for v in size)
            out = [s * (v - 1) + m - 2 * p for v, m, s, p in zip(size, kernel, stride, padding)]
    else:
        out = [(v + 2 * p - m) // s + 1 for v, m, s, p in zip(size, kernel, stride, padding)]
    weight = (*kernel, o, c + k) if transposed else (*kernel, c + k, o)
    label = rng.integers(0, k, n).astype(np.int32)
    label[0] = -1 if n % 2 else k
    y, w, dw = draw(rng, (n, *out, o)), draw(rng, weight), draw(rng, weight)
    return w, label, y, dw, (k, size, stride, padding, transposed)


@EVERY_TILE
@each_shape
@each_kind
@pytest.mark.parametrize("offset", [0, 1])
def test_label_maps_forward(device, rng, shape, transposed, offset):
    """Whole numbers: to the bit, whatever the order."""
    w, label, y, _, relation = case(rng, shape, transposed)
    got = launch(device, ops.label_maps_forward, w, label, Updated(y), *relation, offset=offset)
    assert_equal(got, ref.label_maps_forward(w, label, y, *relation))
    assert (got != y).any() and (got[0] == y[0]).all()


@EVERY_TILE
@each_shape
@each_kind
@pytest.mark.parametrize("offset", [0, 1])
def test_label_maps_backward(device, rng, shape, transposed, offset):
    """And the weights of x are left alone, to the bit."""
    _, label, dy, dw, relation = case(rng, shape, transposed)
    got = launch(device, ops.label_maps_backward, dy, label, Updated(dw), *relation, offset=offset)
    assert_equal(got, ref.label_maps_backward(dy, label, dw, *relation))
    assert (got != dw).any()


@each_shape
@each_kind
def test_the_reference_is_pytorchs_convolution_of_the_maps(rng, shape, transposed):
    w, label, y, _, (k, size, stride, padding, _) = case(rng, shape, transposed, normal)
    relation = k, size, stride, padding, transposed
    maps = torch.nn.functional.one_hot(torch.from_numpy(np.clip(label, 0, k - 1)).long(), k).double()
    maps[0] = 0  # of no class
    maps = maps[:, :, None, None].expand(-1, -1, *size)
    weights = torch.from_numpy(w).double()
    weights = (weights[..., -k:] if transposed else weights[:, :, -k:]).clone().requires_grad_()
    run = torch.nn.functional.conv_transpose2d if transposed else torch.nn.functional.conv2d
    want = run(maps, weights.permute(3, 2, 0, 1), stride=stride, padding=padding)
    added = ref.label_maps_forward(w, label, 0 * y, *relation)
    assert_close(added, want.detach().numpy().transpose(0, 2, 3, 1), 1e-12)
    dy = normal(rng, y.shape)
    want.backward(torch.from_numpy(dy.transpose(0, 3, 1, 2)).double())
    got = ref.label_maps_backward(dy, label, 0 * w, *relation)
    assert_close(got[..., -k:] if transposed else got[:, :, -k:], weights.grad.numpy(), 1e-12)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_an_activation_behind(device, rng, activation):
    w, label, y, _, relation = case(rng, SHAPES[1], False, normal)
    got = launch(device, ops.label_maps_forward, w, label, Updated(y), *relation, ops.Epilogue(activation))
    want = ref.label_maps_forward(w, label, y, *relation)
    want = np.tanh(want) if activation == "tanh" else np.maximum(want, 0)
    assert_close(got, want, SUM_RTOL)


@EVERY_TILE
@pytest.mark.parametrize("shape", [(1, 1, 1, 1, 1), (3, 5, 7, 3, 10), (2, 9, 4, 32, 3), (4, 3, 5, 33, 7)], ids=str)
@pytest.mark.parametrize("offset", [0, 1])
def test_concat_label_add(device, rng, shape, offset):
    n, h, w, c, k = shape
    x, y = integers(rng, (n, h, w, c)), integers(rng, (n, h, w, c + k))
    got = launch(device, ops.concat_label_add, x, Updated(y), offset=offset)
    assert_equal(got, ref.concat_label_add(x, y))


@pytest.mark.parametrize(
    "make, options", [(Conv2d, {}), (ConvTranspose2d, {"output_padding": 1}), (ConvTranspose2d, {})]
)
@pytest.mark.parametrize("bias", [True, False])
def test_the_layer_is_the_textbooks(device, rng, make, options, bias):
    """Whole numbers: y and every gradient are those of maps joined in memory, to the bit. Twice: gradients add up."""
    ends = []
    draws = rng.bit_generator.state
    for rung in ("textbook", "best"):
        rng.bit_generator.state = draws
        layer = make(3 + 5, 6, (4, 3), 2, 1, bias=bias, device=device, kernels=rung, **options)
        labels, net = Labels(5), Sequential(layer, device=device)
        condition(net, labels)
        for array in layer.params.values():
            device.upload(array, integers(rng, array.shape))
        labels.values, seen = device.array(rng.integers(0, 5, 4).astype(np.int32)), []
        for _ in range(2):
            y = net.forward(device.array(integers(rng, (4, 7, 6, 3))))
            seen.append(device.numpy(y).copy())
            seen.append(device.numpy(net.backward(device.array(integers(rng, y.shape)))).copy())
        ends.append(seen + [device.numpy(grad).copy() for grad in layer.grads.values()])
    for got, want in zip(*ends[::-1], strict=True):
        assert_equal(got, want)


def test_the_layer_with_an_activation_behind(device, rng):
    """Fused or not, y and gradients agree."""
    ends = []
    draws = rng.bit_generator.state
    for rung in ("direct", "best"):
        rng.bit_generator.state = draws
        layer = ConvTranspose2d(8, 6, 4, 2, 1, device=device, kernels=rung)
        labels, net = Labels(5), Sequential(layer, Tanh(device=device), device=device)
        fuse(net)
        condition(net, labels)
        for array in layer.params.values():
            device.upload(array, normal(rng, array.shape) / 8)
        labels.values = device.array(rng.integers(0, 5, 4).astype(np.int32))
        y = net.forward(device.array(normal(rng, (4, 7, 6, 3))))
        first = device.numpy(y).copy()
        dx = net.backward(device.array(normal(rng, y.shape)))
        ends.append([first, device.numpy(dx).copy(), *(device.numpy(grad).copy() for grad in layer.grads.values())])
    for got, want in zip(*ends[::-1], strict=True):
        assert_close(got, want, 2e-6)


def test_label_maps_refuses(device):
    label, y, w = of(2, dtype=np.int32), of(2, 4, 4, 3), of(4, 4, 7, 3)
    good = 5, (8, 8), (2, 2), (1, 1)
    arrays = [device.array(a) for a in (w, label, y)]
    ops.label_maps_forward(device, *arrays, *good, False)
    for wrong, message in (
        ((arrays[0], arrays[1], device.array(of(2, 4, 4, 4)), *good, False), r"w: need \[kh, kw, more than 5, 4\]"),
        ((*arrays, 7, *good[1:], False), r"w: need \[kh, kw, more than 7, 3\] for 7 classes"),
        ((*arrays, *good, True), r"w: need \[kh, kw, 3, more than 5\]"),
        ((*arrays, 5, (9, 12), *good[2:], False), r"y: need the output of an input of \(9, 12\) px"),
        ((arrays[0], device.array(of(3, dtype=np.int32)), arrays[2], *good, False), r"label: need shape \(2,\)"),
    ):
        with pytest.raises(UserError, match=f"^label_maps_forward: {message}"):
            ops.label_maps_forward(device, *wrong)
    with pytest.raises(TypeError):
        ops.label_maps_forward(device, arrays[0], device.array(of(2)), arrays[2], *good, False)
