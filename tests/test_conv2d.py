"""Convolutions in every rung against reference/: == on integers, float64 on random numbers, guarded memory."""

import helpers
import numpy as np
import pytest
from helpers import assert_close, assert_equal, integers, normal
from ops_cases import SUM_RTOL, Out, Updated, launch

from dcgan_cupy import choices, ops
from dcgan_cupy import reference as ref
from dcgan_cupy.errors import UserError


def case(n, hw, ic, oc, kernel, stride, padding, output_padding=(0, 0)):
    return {
        "n": n, "h": hw[0], "w": hw[1], "ic": ic, "oc": oc, "kh": kernel[0], "kw": kernel[1],
        "stride": stride, "padding": padding, "output_padding": output_padding,
    }  # fmt: skip


CONV_CASES = {
    "one-pixel": case(1, (1, 1), 1, 1, (1, 1), (1, 1), (0, 0)),
    "one-pixel-wide-kernel": case(1, (1, 1), 2, 3, (3, 5), (2, 3), (1, 2)),
    "dcgan-first": case(2, (16, 12), 3, 8, (4, 4), (2, 2), (1, 1)),
    "dcgan-middle": case(3, (8, 8), 16, 32, (4, 4), (2, 2), (1, 1)),
    "dcgan-last": case(3, (4, 4), 33, 1, (4, 4), (2, 2), (0, 0)),
    "no-block-divides": case(3, (13, 19), 37, 67, (3, 2), (2, 1), (1, 0)),
    "pixels-no-window-reaches": case(2, (9, 11), 2, 3, (2, 3), (4, 5), (0, 1)),
    "stride-beyond-kernel": case(1, (7, 10), 2, 2, (1, 2), (3, 4), (0, 0)),
    "padding-beyond-kernel": case(2, (3, 2), 2, 2, (1, 2), (1, 3), (2, 3)),
}


TRANSPOSED_CASES = {
    "one-pixel": case(1, (1, 1), 1, 1, (1, 1), (1, 1), (0, 0)),
    "dcgan-first": case(3, (1, 1), 10, 33, (4, 4), (1, 1), (0, 0)),
    "dcgan-middle": case(2, (4, 5), 32, 16, (4, 4), (2, 2), (1, 1)),
    "dcgan-last": case(2, (8, 6), 16, 3, (4, 4), (2, 2), (1, 1)),
    "no-block-divides": case(3, (7, 10), 37, 67, (3, 5), (2, 1), (1, 0), (1, 0)),
    "one-column": case(1, (5, 1), 2, 3, (3, 4), (3, 1), (1, 0), (2, 0)),
    "holes-between-windows": case(2, (3, 4), 2, 3, (1, 2), (4, 3), (0, 0), (3, 1)),
    "cropped": case(2, (6, 5), 2, 3, (2, 1), (2, 3), (3, 2)),  # p' = k-p-1 is negative
    "cropped-and-output-padded": case(2, (6, 5), 2, 3, (1, 2), (3, 2), (2, 3), (2, 1)),
}


def shapes(transposed, draws=44):
    """The named cases and some drawn ones."""
    named = TRANSPOSED_CASES if transposed else CONV_CASES
    rng = np.random.default_rng(40 + transposed)
    every = named | {f"drawn-{i}": helpers.draw_conv_shape(rng, transposed) for i in range(draws)}
    return pytest.mark.parametrize("shape", every.values(), ids=every.keys())


every_rung = pytest.mark.parametrize("rung", list(choices.RUNGS))


def conv_arrays(rng, s, draw):
    """x, w, b and dy of a convolution, drawn by draw(rng, shape)."""
    oh, ow = ref.conv2d_output_size((s["h"], s["w"]), (s["kh"], s["kw"]), s["stride"], s["padding"])
    x, w = draw(rng, (s["n"], s["h"], s["w"], s["ic"])), draw(rng, (s["kh"], s["kw"], s["ic"], s["oc"]))
    return x, w, draw(rng, s["oc"]), draw(rng, (s["n"], oh, ow, s["oc"]))


def transposed_arrays(rng, s, draw):
    """x, w, b and the shape of y of a transposed convolution, drawn by draw(rng, shape)."""
    sizes = (s["h"], s["w"]), (s["kh"], s["kw"]), s["stride"], s["padding"], s["output_padding"]
    x, w = draw(rng, (s["n"], s["h"], s["w"], s["ic"])), draw(rng, (s["kh"], s["kw"], s["oc"], s["ic"]))
    return x, w, draw(rng, s["oc"]), (s["n"], *ref.conv_transpose2d_output_size(*sizes), s["oc"])


@every_rung
@shapes(transposed=False)
def test_conv2d_forward_exact(device, rng, shape, rung):
    x, w, b, dy = conv_arrays(rng, shape, integers)
    where = shape["stride"], shape["padding"]
    for bias in (None, b):
        got = launch(device, ops.conv2d_forward, x, w, bias, Out(dy.shape), *where, rung)
        assert_equal(got, ref.conv2d_forward(x, w, bias, *where))


@every_rung
@shapes(transposed=False)
def test_conv2d_backward_input_exact(device, rng, shape, rung):
    x, w, _, dy = conv_arrays(rng, shape, integers)
    where = shape["stride"], shape["padding"]
    got = launch(device, ops.conv2d_backward_input, dy, w, None, Out(x.shape), *where, rung)
    assert_equal(got, ref.conv2d_backward_input(dy, w, x.shape[1:3], *where))


@every_rung
@shapes(transposed=False)
def test_conv2d_backward_weight_exact_and_added(device, rng, shape, rung):
    x, w, _, dy = conv_arrays(rng, shape, integers)
    where = shape["stride"], shape["padding"]
    got = launch(device, ops.conv2d_backward_weight, x, dy, Updated(w), *where, rung)
    assert_equal(got, w + ref.conv2d_backward_weight(x, dy, w.shape[:2], *where))


@shapes(transposed=False)
def test_conv2d_backward_bias_exact_and_added(device, rng, shape):
    _, _, b, dy = conv_arrays(rng, shape, integers)
    assert_equal(launch(device, ops.conv2d_backward_bias, dy, Updated(b)), b + ref.conv2d_backward_bias(dy))


@every_rung
@shapes(transposed=True)
def test_conv_transpose2d_four_steps_equal_direct(device, rng, shape, rung):
    """Zeros inserted, padded, flipped, convolved:

    The same numbers as the convolution's input gradient, bias included.
    """
    s = shape
    x, w, b, y_shape = transposed_arrays(rng, s, integers)
    kernel, stride, padding, output_padding = (s["kh"], s["kw"]), s["stride"], s["padding"], s["output_padding"]
    sizes = zip(x.shape[1:3], kernel, stride, padding, output_padding)
    z_shape = (s["n"], *(ops.zero_insert_size(*v) for v in sizes), s["ic"])
    z = launch(device, ops.zero_insert, x, Out(z_shape), kernel, stride, padding)
    assert_equal(z, ref.zero_insert(x, kernel, stride, padding, output_padding))
    flipped = launch(device, ops.flip_kernel, w, Out((*kernel, s["ic"], s["oc"])))
    assert_equal(flipped, ref.flip_kernel(w))
    for bias in (None, b):
        want = ref.conv_transpose2d_forward(x, w, bias, stride, padding, output_padding)
        four_steps = launch(device, ops.conv2d_forward, z, flipped, bias, Out(y_shape), (1, 1), (0, 0), rung)
        direct = launch(device, ops.conv2d_backward_input, x, w, bias, Out(y_shape), stride, padding, rung)
        assert_equal(four_steps, want, "four steps")
        assert_equal(direct, want, "direct")


@every_rung
@shapes(transposed=True, draws=10)
def test_conv_transpose2d_gradients_are_the_convolutions(device, rng, shape, rung):
    """backward_input = conv2d_forward, and backward_weight = the same sum with x and dy exchanged."""
    x, w, b, y_shape = transposed_arrays(rng, shape, integers)
    dy, where = integers(rng, y_shape), (shape["stride"], shape["padding"])
    dx = launch(device, ops.conv2d_forward, dy, w, None, Out(x.shape), *where, rung)
    assert_equal(dx, ref.conv_transpose2d_backward_input(dy, w, x.shape[1:3], *where))
    dw = launch(device, ops.conv2d_backward_weight, dy, x, Updated(w), *where, rung)
    assert_equal(dw, w + ref.conv_transpose2d_backward_weight(x, dy, w.shape[:2], *where))
    assert_equal(launch(device, ops.conv2d_backward_bias, dy, Updated(b)), b + ref.conv2d_backward_bias(dy))


@every_rung
@shapes(transposed=False, draws=0)
def test_conv2d_of_random_numbers(device, rng, shape, rung):
    x, w, b, dy = conv_arrays(rng, shape, normal)
    where = shape["stride"], shape["padding"]
    y = launch(device, ops.conv2d_forward, x, w, b, Out(dy.shape), *where, rung)
    assert_close(y, ref.conv2d_forward(x, w, b, *where), SUM_RTOL, "y")
    dx = launch(device, ops.conv2d_backward_input, dy, w, None, Out(x.shape), *where, rung)
    assert_close(dx, ref.conv2d_backward_input(dy, w, x.shape[1:3], *where), SUM_RTOL, "dx")
    dw = launch(device, ops.conv2d_backward_weight, x, dy, Updated(w), *where, rung)
    assert_close(dw, w + ref.conv2d_backward_weight(x, dy, w.shape[:2], *where), SUM_RTOL, "dw")
    db = launch(device, ops.conv2d_backward_bias, dy, Updated(b))
    assert_close(db, b + ref.conv2d_backward_bias(dy), SUM_RTOL, "db")


@every_rung
@pytest.mark.parametrize("offset", [1, 2])
def test_conv2d_of_arrays_on_odd_addresses(device, rng, rung, offset):
    """A wide load needs its address to be a multiple of its width; an array may start anywhere."""
    s = CONV_CASES["dcgan-middle"]
    x, w, b, dy = conv_arrays(rng, s, integers)
    where = s["stride"], s["padding"]
    y = launch(device, ops.conv2d_forward, x, w, b, Out(dy.shape), *where, rung, offset=offset)
    assert_equal(y, ref.conv2d_forward(x, w, b, *where))
    dx = launch(device, ops.conv2d_backward_input, dy, w, None, Out(x.shape), *where, rung, offset=offset)
    assert_equal(dx, ref.conv2d_backward_input(dy, w, x.shape[1:3], *where))
    dw = launch(device, ops.conv2d_backward_weight, x, dy, Updated(w), *where, rung, offset=offset)
    assert_equal(dw, w + ref.conv2d_backward_weight(x, dy, w.shape[:2], *where))


@every_rung
def test_conv2d_carries_nan_to_the_outputs_that_see_it(device, rng, rung):
    """And to no other: a tap outside the image is skipped, not multiplied by zero."""
    x, w, b, dy = conv_arrays(rng, CONV_CASES["dcgan-first"], integers)
    x[1, 0, 0, 2] = np.nan
    y = launch(device, ops.conv2d_forward, x, w, b, Out(dy.shape), (2, 2), (1, 1), rung)
    bad = np.isnan(ref.conv2d_forward(x, w, b, (2, 2), (1, 1)))
    assert bad.any() and not bad.all()
    assert_equal(np.isnan(y), bad)


def test_conv2d_output_sizes():
    assert ops.conv2d_output_size("here", 7, 3, 2, 0) == 3
    assert ops.conv_transpose2d_output_size("here", 4, 4, 2, 1, 1) == 9
    with pytest.raises(
        UserError, match=r"^here: x: need a height and width of at least 2 \(kernel 4, padding 1\), got 1$"
    ):
        ops.conv2d_output_size("here", 1, 4, 2, 1)
    with pytest.raises(
        UserError, match=r"^here: x: need an output of at least 1 pixel, got -1 from size 1, kernel 1, stride 1, "
    ):
        ops.conv_transpose2d_output_size("here", 1, 1, 1, 1, 0)
