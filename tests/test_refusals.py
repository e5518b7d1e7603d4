"""Shapes and sizes that operations refuse: one sentence, `where: argument: need this, got that`."""

import numpy as np
import pytest
from ops_cases import F64, P11, P22, C, of, on

from dcgan_cupy import ops
from dcgan_cupy.errors import UserError
from dcgan_cupy.ops.check import INDEX_LIMIT, same_size
from dcgan_cupy.ops.tiles import BLOCK


class Huge:
    """Stands for an array too large for 32-bit indices; nothing is allocated."""

    def __init__(self, *shape):
        self.shape, self.size = shape, int(np.prod(shape, dtype=np.int64))


LIMIT = r"need at most 2147418112 elements in an array \(32-bit indices\), got "


WRONG_SHAPES = [
    (ops.add, (of(2, 3), of(3, 2)), r"^add: y: need the shape of x, \(2, 3\), got \(3, 2\)$"),
    (ops.relu_forward, (of(6), of(2, 3)), r"^relu_forward: y: need the shape of x, \(6,\), got \(2, 3\)$"),
    (ops.relu_backward, (of(2), of(3), of(2)), r"^relu_backward: dy: need the shape of y, \(2,\), got \(3,\)$"),
    (ops.leaky_relu_forward, (of(2), of(3), 0.2), r"^leaky_relu_forward: y: need the shape of x"),
    (ops.leaky_relu_backward, (of(2), of(2), of(3), 0.2), r"^leaky_relu_backward: dx: need the shape of y"),
    (ops.tanh_forward, (of(2), of(3)), r"^tanh_forward: y: need the shape of x"),
    (ops.tanh_backward, (of(2), of(2), of(3)), r"^tanh_backward: dx: need the shape of y"),
    (ops.sigmoid_forward, (of(2), of(3)), r"^sigmoid_forward: y: need the shape of x"),
    (ops.sigmoid_backward, (of(2), of(2), of(3)), r"^sigmoid_backward: dx: need the shape of y"),
    (
        ops.images_to_uint8,
        (of(2), of(3, dtype=np.uint8)),
        r"^images_to_uint8: y: need the shape of x, \(2,\), got \(3,\)$",
    ),
    (
        ops.images_to_float,
        (of(2, 4, 5, 3, dtype=np.uint8), of(3, 4, 5, 3)),
        r"^images_to_float: images: need \[at least 3, 4, 5, 3\], got \(2, 4, 5, 3\)$",
    ),
    (
        ops.images_to_float,
        (of(2, 5, 4, 3, dtype=np.uint8), of(2, 4, 5, 3)),
        r"^images_to_float: images: need \[at least 2, 4, 5, 3\], got \(2, 5, 4, 3\)$",
    ),
    (
        ops.images_to_float,
        (of(2, 4, 5, 3, dtype=np.uint8), of(3, 4, 5, 3), of(2, dtype=np.int32)),
        r"^images_to_float: index: need shape \(3,\), got \(2,\)$",
    ),
    (
        ops.images_to_float,
        (of(3, 4, 5, 3, dtype=np.uint8), of(3, 4, 5, 3), None, of(2, dtype=np.uint8)),
        r"^images_to_float: flip: need shape \(3,\), got \(2,\)$",
    ),
    (
        ops.conv2d_forward,
        (of(4, 4, 3), of(3, 3, 3, 2), None, of(1, 2, 2, 2), P11, P11),
        r"^conv2d_forward: x: need 4 axes without an empty one, got \(4, 4, 3\)$",
    ),
    (
        ops.conv2d_forward,
        (of(0, 4, 4, 3), of(3, 3, 3, 2), None, of(0, 4, 4, 2), P11, P11),
        r"^conv2d_forward: x: need 4 axes without an empty one, got \(0, 4, 4, 3\)$",
    ),
    (
        ops.conv2d_forward,
        (of(1, 4, 4, 3), of(3, 3, 4, 2), None, of(1, 4, 4, 2), P11, P11),
        r"^conv2d_forward: w: need \[kh, kw, 3, oc\] for 3 channels of x, got \(3, 3, 4, 2\)$",
    ),
    (
        ops.conv2d_forward,
        (of(1, 4, 4, 3), of(7, 3, 3, 2), None, of(1, 1, 4, 2), P11, P11),
        r"^conv2d_forward: x: need a height and width of at least 5 \(kernel 7, padding 1\), got 4$",
    ),
    (
        ops.conv2d_forward,
        (of(1, 4, 4, 3), of(3, 3, 3, 2), None, of(1, 4, 5, 2), P11, P11),
        r"^conv2d_forward: y: need shape \(1, 4, 4, 2\) for x \(1, 4, 4, 3\) and w \(3, 3, 3, 2\), stride \(1, 1\),"
        r" padding \(1, 1\), "
        r"got \(1, 4, 5, 2\)$",
    ),
    (
        ops.conv2d_forward,
        (of(1, 4, 4, 3), of(3, 3, 3, 2), of(3), of(1, 4, 4, 2), P11, P11),
        r"^conv2d_forward: bias: need shape \(2,\), got \(3,\)$",
    ),
    (
        ops.conv2d_backward_input,
        (of(1, 4, 4, 2), of(3, 3, 3, 2), None, of(1, 4, 5, 3), P11, P11),
        (
            r"^conv2d_backward_input: y: need shape \(1, 4, 5, 2\) for x \(1, 4, 5, 3\) and w \(3, 3, 3, 2\), .* got"
            r" \(1, 4, 4, 2\)$"
        ),
    ),
    (
        ops.conv2d_backward_input,
        (of(1, 4, 4, 2), of(3, 3, 3, 2), of(2), of(1, 4, 4, 3), P11, P11),
        r"^conv2d_backward_input: bias: need shape \(3,\), got \(2,\)$",
    ),
    (
        ops.conv2d_backward_weight,
        (of(1, 4, 4, 3), of(1, 2, 3, 2), of(4, 4, 3, 2), P22, P11),
        r"^conv2d_backward_weight: y: need shape \(1, 2, 2, 2\) .* got \(1, 2, 3, 2\)$",
    ),
    (ops.conv2d_backward_bias, (of(2, 4, 4, 3), of(4)), r"^conv2d_backward_bias: db: need shape \(3,\), got \(4,\)$"),
    (ops.conv2d_backward_bias, (of(3), of(3)), r"^conv2d_backward_bias: dy: need \[..., channels\], got shape \(3,\)$"),
    (
        ops.zero_insert,
        (of(2, 4, 4, 3), of(2, 9, 9, 2), (4, 4), P22, P11),
        r"^zero_insert: z: need \[2, zh, zw, 3\], got \(2, 9, 9, 2\)$",
    ),
    (
        ops.flip_kernel,
        (of(3, 4, 2, 5), of(3, 4, 2, 5)),
        r"^flip_kernel: flipped: need shape \(3, 4, 5, 2\), got \(3, 4, 2, 5\)$",
    ),
    (
        ops.batchnorm_statistics,
        (of(1, 1, 1, 3), C, C, C, C, of(1, dtype=np.int64), 0.1),
        r"^batchnorm_statistics: x: need more than 1 value a channel when training, got shape \(1, 1, 1, 3\)$",
    ),
    (
        ops.batchnorm_statistics,
        (of(5, 3), C, C, C, of(4), of(1, dtype=np.int64), 0.1),
        r"^batchnorm_statistics: running_var: need shape \(3,\), got \(4,\)$",
    ),
    (
        ops.batchnorm_forward,
        (of(5, 3), C, C, C, of(2), of(5, 3), 1e-5),
        r"^batchnorm_forward: beta: need shape \(3,\), got \(2,\)$",
    ),
    (
        ops.batchnorm_forward,
        (of(5, 3), C, C, C, C, of(3, 5), 1e-5),
        r"^batchnorm_forward: y: need the shape of x, \(5, 3\), got \(3, 5\)$",
    ),
    (
        ops.batchnorm_backward_sums,
        (of(5, 3), of(5, 2), C, C, C, C, 1e-5),
        r"^batchnorm_backward_sums: dy: need the shape of x",
    ),
    (
        ops.batchnorm_backward_sums,
        (of(5, 3), of(5, 3), C, C, C, of(1), 1e-5),
        r"^batchnorm_backward_sums: sum_dy_xhat: need shape \(3,\), got \(1,\)$",
    ),
    (
        ops.batchnorm_backward_input,
        (of(5, 3), of(5, 3), C, of(1), C, C, C, of(5, 3), 1e-5),
        r"^batchnorm_backward_input: var: need shape \(3,\), got \(1,\)$",
    ),
    (ops.bce, (of(3), of(2), of(3), of(2)), r"^bce: target: need the shape of prob, \(3,\), got \(2,\)$"),
    (ops.bce, (of(3), of(3), of(3), of(3)), r"^bce: result: need shape \(2,\), got \(3,\)$"),
    (
        ops.bce_with_logits,
        (of(3), of(3), of(2), of(2)),
        r"^bce_with_logits: gradient: need the shape of logits, \(3,\), got \(2,\)$",
    ),
    (
        ops.adam_step,
        (of(3), of(3), of(3), of(4), of(2), 0.5, 0.999, 1e-8),
        r"^adam_step: v: need the shape of param, \(3,\), got \(4,\)$",
    ),
    (
        ops.philox_words,
        (of(3, 4, dtype=np.uint32), of(3, 4, dtype=np.uint32), of(3, 4, dtype=np.uint32)),
        r"^philox_words: keys: need shape \(3, 2\), got \(3, 4\)$",
    ),
    (
        ops.philox_words,
        (of(3, 4, dtype=np.uint32), of(3, 2, dtype=np.uint32), of(2, 4, dtype=np.uint32)),
        r"^philox_words: out: need shape \(3, 4\), got \(2, 4\)$",
    ),
]


S = of(5, 3)  # statistics
FUSED = (of(5, 3), of(5, 3), S, of(2, 3), C, C, of(5, 3), 0.2, True)  # x, dy, statistics, pull, dgamma, dbeta, dx
WRONG_SHAPES += [
    (
        ops.batchnorm_batch,
        (of(1, 3), C, C, S, C, C, of(1, dtype=np.int64), 0.1, 1e-5),
        r"^batchnorm_batch: x: need more than 1 value a channel when training, got shape \(1, 3\)$",
    ),
    (
        ops.batchnorm_batch,
        (of(5, 3), C, C, of(4, 3), C, C, of(1, dtype=np.int64), 0.1, 1e-5),
        r"^batchnorm_batch: statistics: need shape \(5, 3\), got \(4, 3\)$",
    ),
    (
        ops.batchnorm_batch,
        (of(5, 3), C, of(1), S, C, C, of(1, dtype=np.int64), 0.1, 1e-5),
        r"^batchnorm_batch: beta: need shape \(3,\), got \(1,\)$",
    ),
    (
        ops.batchnorm_batch,
        (of(5, 3), C, C, S, C, of(1), of(1, dtype=np.int64), 0.1, 1e-5),
        r"^batchnorm_batch: running_var: need shape \(3,\), got \(1,\)$",
    ),
    (
        ops.batchnorm_batch,
        (of(5, 3), C, C, S, C, C, of(2, dtype=np.int64), 0.1, 1e-5),
        r"^batchnorm_batch: num_batches_tracked: need shape \(1,\), got \(2,\)$",
    ),
    (
        ops.batchnorm_running_statistics,
        (C, C, C, of(2), S, 1e-5),
        r"^batchnorm_running_statistics: beta: need the shape of running_mean, ",
    ),
    (
        ops.batchnorm_running_statistics,
        (C, C, C, C, of(5, 2), 1e-5),
        r"^batchnorm_running_statistics: statistics: need shape \(5, 3\), got \(5, 2\)$",
    ),
    (
        ops.batchnorm_activation_forward,
        (of(5, 3), S, of(3, 5), 0.2),
        r"^batchnorm_activation_forward: y: need the shape of x",
    ),
    (
        ops.batchnorm_activation_forward,
        (of(5, 3), of(15), of(5, 3), 0.2),
        r"^batchnorm_activation_forward: statistics: need shape \(5, 3\), got \(15,\)$",
    ),
    (
        ops.batchnorm_activation_backward,
        (FUSED[0], of(5, 2), *FUSED[2:]),
        r"^batchnorm_activation_backward: dy: need the shape of x",
    ),
    *(
        (
            ops.batchnorm_activation_backward,
            (*FUSED[:i], of(1), *FUSED[i + 1 :]),
            rf"^batchnorm_activation_backward: {name}: need shape {want}, got \(1,\)$",
        )
        for i, name, want in (
            (2, "statistics", r"\(5, 3\)"),
            (3, "pull", r"\(2, 3\)"),
            (4, "dgamma", r"\(3,\)"),
            (5, "dbeta", r"\(3,\)"),
        )
    ),
    (
        ops.batchnorm_statistics,
        (of(5, 3), C, C, C, C, of(2, dtype=np.int64), 0.1),
        r"^batchnorm_statistics: num_batches_tracked: need shape \(1,\), got \(2,\)$",
    ),
    (
        ops.batchnorm_backward_input,
        (of(5, 3), of(5, 3), C, C, C, of(1), C, of(5, 3), 1e-5),
        r"^batchnorm_backward_input: sum_dy: need shape \(3,\), got \(1,\)$",
    ),
    (
        ops.batchnorm_backward_input,
        (of(5, 3), of(5, 3), C, C, C, C, of(1), of(5, 3), 1e-5),
        r"^batchnorm_backward_input: sum_dy_xhat: need shape \(3,\), got \(1,\)$",
    ),
    (ops.adam_advance, (of(1, dtype=F64), of(2), 0.5, 0.999), r"^adam_advance: state: need shape \(2,\), got \(1,\)$"),
    (
        ops.adam_advance,
        (of(2, dtype=F64), of(1), 0.5, 0.999),
        r"^adam_advance: factors: need shape \(2,\), got \(1,\)$",
    ),
    (ops.adam_step, (C, C, C, C, of(1), 0.5, 0.999, 1e-8), r"^adam_step: factors: need shape \(2,\), got \(1,\)$"),
    (
        ops.random_uniform,
        (of(2, dtype=np.uint64), C, 0.0, 1.0),
        r"^random_uniform: state: need shape \(3,\), got \(2,\)$",
    ),
    (
        ops.random_normal,
        (of(2, dtype=np.uint64), C, 0.0, 1.0),
        r"^random_normal: state: need shape \(3,\), got \(2,\)$",
    ),
    (ops.random_advance, (of(2, dtype=np.uint64), 1), r"^random_advance: state: need shape \(3,\), got \(2,\)$"),
    (
        ops.philox_words,
        (of(3, 3, dtype=np.uint32), of(3, 2, dtype=np.uint32), of(3, 4, dtype=np.uint32)),
        r"^philox_words: counters: need shape \(3, 4\), got \(3, 3\)$",
    ),
]


@pytest.mark.parametrize("op, arguments, message", WRONG_SHAPES)
def test_wrong_shapes_are_refused(device, op, arguments, message):
    with pytest.raises(UserError, match=message):
        op(device, *on(device, arguments))


BIG = Huge(2**31 - 2**16 + 1)


BIG_IMAGES = Huge(2**16, 2**11, 2**3, 2)


@pytest.mark.parametrize(
    "op, arguments, where",
    [
        (ops.fill, (BIG, 0.0), "fill: size"),
        (ops.add, (BIG, BIG), "add: size"),
        (ops.relu_forward, (BIG, BIG), "relu_forward: size"),
        (ops.sigmoid_backward, (BIG, BIG, BIG), "sigmoid_backward: size"),
        (ops.images_to_uint8, (BIG, BIG), "images_to_uint8: size"),
        (ops.images_to_float, (BIG_IMAGES, BIG_IMAGES), "images_to_float: size"),
        (
            ops.conv2d_forward,
            (BIG_IMAGES, of(1, 1, 2, 1), None, Huge(2**16, 2**11, 2**3, 1), P11, (0, 0)),
            "conv2d_forward: x: size",
        ),
        (
            ops.conv2d_forward,
            (Huge(2**16, 2**11, 2**3, 1), of(1, 1, 1, 2), None, BIG_IMAGES, P11, (0, 0)),
            "conv2d_forward: y: size",
        ),
        (
            ops.conv2d_backward_input,
            (of(1, 1, 1, 1), Huge(2**15, 2**15, 1, 2), None, of(1, 1, 1, 1), P11, (0, 0)),
            "conv2d_backward_input: w: size",
        ),
        (
            ops.conv2d_backward_weight,
            (BIG_IMAGES, BIG_IMAGES, of(1, 1, 2, 2), P11, (0, 0)),
            "conv2d_backward_weight: x: size",
        ),
        (ops.conv2d_backward_bias, (BIG_IMAGES, C), "conv2d_backward_bias: size"),
        (ops.zero_insert, (of(1, 4, 4, 1), Huge(1, 2**16, 2**15, 1), (4, 4), P22, P11), "zero_insert: size"),
        (ops.batchnorm_statistics, (BIG_IMAGES, C, C, C, C, of(1, dtype=np.int64), 0.1), "batchnorm_statistics: size"),
        (ops.batchnorm_forward, (BIG_IMAGES, C, C, C, C, BIG_IMAGES, 1e-5), "batchnorm_forward: size"),
        (ops.bce, (BIG, BIG, BIG, of(2)), "bce: size"),
        (ops.adam_step, (BIG, BIG, BIG, BIG, of(2), 0.5, 0.999, 1e-8), "adam_step: size"),
        (ops.random_uniform, (of(3, dtype=np.uint64), BIG, 0.0, 1.0), "random_uniform: size"),
        (ops.random_normal, (of(3, dtype=np.uint64), BIG, 0.0, 1.0), "random_normal: size"),
        (ops.flip_kernel, (BIG_IMAGES, Huge(2**16, 2**11, 2, 2**3)), "flip_kernel: size"),
        (ops.philox_words, (Huge(2**29, 4), Huge(2**29, 2), Huge(2**29, 4)), "philox_words: size"),
    ],
)
def test_sizes_beyond_32_bit_indices_are_refused(device, op, arguments, where):
    with pytest.raises(UserError, match=f"^{where}: {LIMIT}2147"):
        op(device, *on(device, arguments))


def test_the_largest_size_is_not_refused():
    largest = Huge(INDEX_LIMIT)
    assert same_size("here", x=largest, y=largest) == 2**31 - 2**16
    assert ops.ceil_div(INDEX_LIMIT, BLOCK) * BLOCK < 2**31  # the whole grid counts in 32 bits
