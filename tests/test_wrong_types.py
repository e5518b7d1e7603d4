"""Types, gaps and rungs that operations refuse."""

import numpy as np
import pytest
from ops_cases import F64, P11, C, of, on

from dcgan_cupy import choices, ops
from dcgan_cupy.errors import UserError


@pytest.mark.parametrize(
    "op, inputs", [(ops.conv2d_forward, 3), (ops.conv2d_backward_input, 3), (ops.conv2d_backward_weight, 2)]
)
def test_unknown_rungs_are_refused(device, op, inputs):
    x, w, bias, y = device.zeros((1, 1, 1, 1)), device.zeros((1, 1, 1, 1)), None, device.zeros((1, 1, 1, 1))
    with pytest.raises(
        UserError, match=rf"^{op.__name__}: kernels: need one of {', '.join(choices.RUNGS)}, got 'fastest'$"
    ):
        op(device, *(x, w, bias)[:inputs], y, P11, (0, 0), "fastest")


WRONG_TYPES = [
    (
        ops.relu_forward,
        (of(3, dtype=F64), of(3)),
        "relu_forward: x: need an array of float32 on the {kind}, got .*ndarray of float64",
    ),
    (
        ops.images_to_uint8,
        (of(3), of(3)),
        "images_to_uint8: y: need an array of uint8 on the {kind}, got .*ndarray of float32",
    ),
    (
        ops.images_to_float,
        (of(2, 1, 1, 1), of(2, 1, 1, 1)),
        "images_to_float: images: need an array of uint8 on the {kind}, got",
    ),
    (
        ops.images_to_float,
        (of(2, 1, 1, 1, dtype=np.uint8), of(2, 1, 1, 1), of(2, dtype=np.int64)),
        "images_to_float: index: need an array of int32 on the {kind}, got .* int64",
    ),
    (
        ops.conv2d_forward,
        (of(1, 1, 1, 1), of(1, 1, 1, 1, dtype=np.float16), None, of(1, 1, 1, 1), P11, (0, 0)),
        "conv2d_forward: w: need an array of float32 on the {kind}, got .* float16",
    ),
    (
        ops.batchnorm_statistics,
        (of(5, 3), C, C, C, C, of(1, dtype=np.int32), 0.1),
        "batchnorm_statistics: num_batches_tracked: need an array of int64 on the {kind}, got .* int32",
    ),
    (
        ops.adam_advance,
        (of(2), of(2), 0.5, 0.999),
        "adam_advance: state: need an array of float64 on the {kind}, got .* float32",
    ),
    (
        ops.random_uniform,
        (of(3, dtype=np.int64), of(3), 0.0, 1.0),
        "random_uniform: state: need an array of uint64 on the {kind}, got",
    ),
]


@pytest.mark.parametrize("op, arguments, message", WRONG_TYPES)
def test_wrong_types_are_refused(device, op, arguments, message):
    with pytest.raises(TypeError, match=message.format(kind=device.kind)):
        op(device, *on(device, arguments))


def test_arrays_with_gaps_are_refused(device):
    x = device.zeros((4, 6))
    with pytest.raises(
        ValueError, match=r"^relu_forward: x: need an array in C order without gaps, got strides \(24, 8\)$"
    ):
        ops.relu_forward(device, x[:, ::2], device.empty((4, 3)))


def test_something_that_is_no_array_of_this_device_is_refused(device):
    x = device.zeros((3,))

    class Listed(list):
        shape, size = (3,), 3

    with pytest.raises(
        TypeError, match=f"^relu_forward: y: need an array of float32 on the {device.kind}, got .*Listed"
    ):
        ops.relu_forward(device, x, Listed([0, 0, 0]))


@pytest.mark.parametrize(
    "value", [0, -1, True, 1.0, None, "ab", (1, 0), (1, 2.0), (1, True), (1,), (1, 2, 3), "abc"], ids=repr
)
def test_pair_refuses(value):
    with pytest.raises(
        UserError, match=r"^here: stride: need a whole number of at least 1, or a pair \(h, w\) of them, got "
    ):
        ops.pair("here", "stride", value, 1)


@pytest.mark.parametrize(
    "value, want", [(2, (2, 2)), ((2, 3), (2, 3)), ([2, 3], (2, 3)), (np.int64(2), (2, 2)), (0, (0, 0))], ids=repr
)
def test_pair(value, want):
    got = ops.pair("here", "padding", value, 0)
    assert got == want and all(type(v) is int for v in got)
