"""Arrays with an axis of 0, and strides of 0: every operation refuses them in one sentence."""

import inspect

import numpy as np
import pytest
from ops_cases import P11, of, on

from dcgan_cupy import choices, layers, losses, ops
from dcgan_cupy.errors import UserError


def empties():
    """Every operation with one axis of an array at 0, the others as they must be: (op, arguments, the array named)."""
    e = of(0, 3)
    for op in (ops.relu_forward, ops.tanh_forward, ops.sigmoid_forward, ops.add):
        yield op, (e, e), "x"
    for op in (ops.relu_backward, ops.tanh_backward, ops.sigmoid_backward):
        yield op, (e, e, e), "y"
    yield ops.leaky_relu_forward, (e, e, 0.2), "x"
    yield ops.leaky_relu_backward, (e, e, e, 0.2), "y"
    yield ops.fill, (e, 1.0), "x"
    yield ops.images_to_uint8, (e, of(0, 3, dtype=np.uint8)), "x"
    one = np.zeros(1, np.int64)
    for shape in ((0, 3), (0, 4, 4, 3), (2, 0, 4, 3), (2, 4, 0, 3), (2, 4, 4, 0)):
        a, c = of(*shape), of(shape[-1])
        s, two = of(5, shape[-1]), of(2, shape[-1])
        yield ops.batchnorm_statistics, (a, c, c, c, c, one, 0.1), "x"
        yield ops.batchnorm_forward, (a, c, c, c, c, a, 1e-5), "x"
        yield ops.batchnorm_backward_sums, (a, a, c, c, c, c, 1e-5), "x"
        yield ops.batchnorm_backward_input, (a, a, c, c, c, c, c, a, 1e-5), "x"
        yield ops.batchnorm_batch, (a, c, c, s, c, c, one, 0.1, 1e-5), "x"
        yield ops.batchnorm_activation_forward, (a, s, a, 0.2), "x"
        yield ops.batchnorm_activation_backward, (a, a, s, two, c, c, a, 0.2, True), "x"
        heard = np.zeros((1, 2, shape[-1])), 0, None
        yield ops.batchnorm_batch_of_workers, (a, c, c, s, c, c, one, 0.1, 1e-5, *heard), "x"
        yield ops.batchnorm_activation_backward_of_workers, (a, a, s, two, c, c, a, 0.2, *heard), "x"
        for rung in choices.RUNGS:
            yield ops.conv2d_backward_bias, (a, c, rung), "dy"
    yield ops.batchnorm_running_statistics, (of(0), of(0), of(0), of(0), of(5, 0), 1e-5), "running_mean"
    for op in (ops.bce, ops.bce_with_logits):
        yield op, (e, e, e, of(2)), "prob" if op is ops.bce else "logits"
    yield ops.adam_step, (of(0), of(0), of(0), of(0), of(2), 0.5, 0.9, 1e-8), "param"
    yield ops.sum_workers, (of(2, 0), of(0), 0), "own"
    yield ops.average_step, (of(0), of(0), 0.1), "average"
    state = np.zeros(3, np.uint64)
    yield ops.random_uniform, (state, e, 0.0, 1.0), "out"
    yield ops.random_normal, (state, e, 0.0, 1.0), "out"
    yield ops.random_integers, (state, of(0, dtype=np.int32), 3), "out"
    words = [of(0, k, dtype=np.uint32) for k in (4, 2, 4)]
    yield ops.philox_words, words, "counters"
    for axis in range(4):
        shape = tuple(0 if i == axis else n for i, n in enumerate((2, 4, 4, 3)))
        yield ops.zero_insert, (of(*shape), of(*shape), (3, 3), (1, 1), (1, 1)), "x"
        yield ops.flip_kernel, (of(*shape), of(shape[0], shape[1], shape[3], shape[2])), "w"
        yield ops.images_to_float, (of(*shape, dtype=np.uint8), of(*shape)), "images"
        wide = of(*shape[:3], 8)
        yield ops.concat_label_forward, (of(*shape), of(shape[0], dtype=np.int32), wide), "x"
        yield ops.concat_label_backward, (wide, of(*shape)), "dx"
        yield ops.concat_label_add, (of(*shape), wide), "x"
        label, relation = of(shape[0], dtype=np.int32), (2, (4, 4), P11, P11, False)
        yield ops.label_maps_forward, (of(*shape), label, of(2, 4, 4, 3), *relation), "w"
        yield ops.label_maps_backward, (of(*shape), label, of(3, 3, 4, 3), *relation), "dy"
    pixels, index = of(0, 4, 4, 3, dtype=np.uint8), of(2, dtype=np.int32)
    yield ops.images_to_float, (pixels, of(2, 4, 4, 3), index), "images"
    for rung in choices.RUNGS:
        for axis in range(4):
            x, w, y = ([2, 4, 4, 3], [3, 3, 3, 2], [2, 4, 4, 2])
            x[axis] = y[axis] = 0
            w[2], w[3] = x[3], y[3]
            x, w, y = of(*x), of(*w), of(*y)
            yield ops.conv2d_forward, (x, w, None, y, P11, P11, rung), "x"
            yield ops.conv2d_backward_input, (y, w, None, x, P11, P11, rung), "x"
            yield ops.conv2d_backward_weight, (x, y, w, P11, P11, rung), "x"
        x, w, y = of(2, 4, 4, 3), of(0, 3, 3, 2), of(2, 4, 4, 2)
        yield ops.conv2d_forward, (x, w, None, y, P11, P11, rung), "w"


@pytest.mark.parametrize("number", range(len(list(empties()))))
def test_empty_arrays_are_refused_in_a_sentence(device, number):
    op, arguments, name = list(empties())[number]
    with pytest.raises(UserError, match=rf"^{op.__name__}: {name}: need .*an empty (axis|one), got \("):
        op(device, *on(device, arguments))


def test_every_operation_meets_an_empty_array():
    met = {op for op, *_ in empties()}
    free = {ops.adam_advance, ops.random_advance}  # arrays of one fixed shape
    takes = {
        op
        for op in (getattr(ops, name) for name in ops.__all__)
        if callable(op) and "dev" in inspect.signature(op).parameters
    }
    assert takes - met == free


@pytest.mark.parametrize("name", ["bce", "bce_with_logits"])
def test_an_empty_loss(device, name):
    with pytest.raises(UserError, match=rf"^{name}: prob: need a shape without an empty axis, got \(0, 1\)$"):
        getattr(losses, name)(device.empty((0, 1)), 1.0, device=device)


@pytest.mark.parametrize("rung", ["textbook", "best"])
def test_an_empty_batch_in_every_layer(device, rng, rung):
    made = [layers.BatchNorm2d(3, device=device, kernels=rung), layers.ReLU(device=device)]
    made += [layers.Conv2d(3, 2, 4, 2, 1, device=device, kernels=rung)]
    made += [layers.ConvTranspose2d(3, 2, 4, 2, 1, device=device, kernels=rung)]
    for layer in made:
        with pytest.raises(UserError, match=r"^\w+(\.forward)?: \w: need .*an empty (axis|one), got \(0, 4, 4, "):
            layer.forward(device.empty((0, 4, 4, 3)))


def test_a_stride_of_0_is_refused(device):
    x, w, y = (device.empty(s) for s in ((1, 4, 4, 3), (3, 3, 3, 2), (1, 4, 4, 2)))
    for stride in ((0, 1), (1, 0)):
        with pytest.raises(UserError, match=r"^conv2d_forward: stride: need at least 1, got 0$"):
            ops.conv2d_forward(device, x, w, None, y, stride, P11)
        with pytest.raises(UserError, match=r"^zero_insert: stride: need at least 1, got 0$"):
            ops.zero_insert(device, x, x, (3, 3), stride, P11)
