"""The float64 references against PyTorch: convolutions and batch normalisation."""

import helpers
import numpy as np
import pytest
from helpers import assert_close, assert_equal
from reference_cases import (
    leaf,
    signal,
    torch,  # noqa: F401
)

from dcgan_cupy import reference as ref

# Both sides sum the same float64 numbers in another order: an error of about sqrt(terms) * 1.1e-16, for sums of up to
# a few thousand terms (D5 below has 512) well under 1e-13. A wrong index is off by order 1.
RTOL = 1e-13


def nchw(torch, x):
    """Ours x[n, h, w, c] as PyTorch's leaf tensor (n, c, h, w)."""
    return torch.tensor(x.transpose(0, 3, 1, 2).copy(), dtype=torch.float64, requires_grad=True)


def nhwc(tensor):
    return tensor.detach().numpy().transpose(0, 2, 3, 1)


def torch_weight(torch, w):
    """Ours w[kh, kw, a, b] as PyTorch's (b, a, kh, kw): Conv2d has a = ic, ConvTranspose2d a = oc."""
    return torch.tensor(w.transpose(3, 2, 0, 1).copy(), dtype=torch.float64, requires_grad=True)


def our_weight(tensor):
    return tensor.detach().numpy().transpose(2, 3, 1, 0)


def case(n, hw, ic, oc, kernel, stride, padding, output_padding=(0, 0)):
    return {
        "n": n, "h": hw[0], "w": hw[1], "ic": ic, "oc": oc, "kh": kernel[0], "kw": kernel[1],
        "stride": stride, "padding": padding, "output_padding": output_padding,
    }  # fmt: skip


CONV_CASES = {
    "one-pixel": case(1, (1, 1), 3, 2, (1, 1), (1, 1), (0, 0)),
    "one-pixel-wide-kernel": case(1, (1, 1), 2, 3, (3, 5), (2, 3), (1, 2)),
    "dcgan": case(2, (8, 6), 3, 4, (4, 4), (2, 2), (1, 1)),
    "dcgan-last": case(2, (4, 4), 32, 1, (4, 4), (1, 1), (0, 0)),
    "pixels-no-window-reaches": case(2, (9, 11), 2, 3, (2, 3), (4, 5), (0, 1)),
    "stride-beyond-kernel": case(1, (7, 10), 2, 2, (1, 2), (3, 4), (0, 0)),
    "padding-beyond-kernel": case(2, (3, 2), 2, 2, (1, 2), (1, 3), (2, 3)),
}


TRANSPOSED_CASES = {
    "one-pixel": case(1, (1, 1), 3, 2, (1, 1), (1, 1), (0, 0)),
    "dcgan-first": case(2, (1, 1), 10, 6, (4, 4), (1, 1), (0, 0)),
    "dcgan": case(2, (4, 3), 6, 4, (4, 4), (2, 2), (1, 1)),
    "one-column": case(1, (5, 1), 2, 3, (3, 4), (3, 1), (1, 0), (2, 0)),
    "holes-between-windows": case(2, (3, 4), 2, 3, (1, 2), (4, 3), (0, 0), (3, 1)),
    "cropped": case(2, (6, 5), 2, 3, (2, 1), (2, 3), (3, 2)),  # p' = k-p-1 is negative
    "cropped-and-output-padded": case(2, (6, 5), 2, 3, (1, 2), (3, 2), (2, 3), (2, 1)),
}


def drawn(transposed, cases, draws):
    rng = np.random.default_rng(20 + transposed)
    shapes = list(cases.values()) + [helpers.draw_conv_shape(rng, transposed) for _ in range(draws)]
    names = list(cases) + [f"drawn-{i}" for i in range(draws)]
    return pytest.mark.parametrize("shape", shapes, ids=names)


@drawn(False, CONV_CASES, draws=60)
def test_conv2d_matches_torch(torch, shape):
    s, p = shape["stride"], shape["padding"]
    rng = np.random.default_rng(1)
    x = signal(rng, shape["n"], shape["h"], shape["w"], shape["ic"])
    w = signal(rng, shape["kh"], shape["kw"], shape["ic"], shape["oc"])
    b = signal(rng, shape["oc"])

    tx, tw, tb = nchw(torch, x), torch_weight(torch, w), leaf(torch, b)
    ty = torch.nn.functional.conv2d(tx, tw, tb, stride=s, padding=p)
    y = ref.conv2d_forward(x, w, b, s, p)
    assert_close(y, nhwc(ty), RTOL, "y")
    assert_close(ref.conv2d_forward(x, w, None, s, p) + b, y, RTOL, "y without a bias")
    assert y.shape[1:3] == ref.conv2d_output_size(x.shape[1:3], w.shape[:2], s, p)

    dy = signal(rng, *y.shape)
    ty.backward(nchw(torch, dy))
    assert_close(ref.conv2d_backward_input(dy, w, x.shape[1:3], s, p), nhwc(tx.grad), RTOL, "dx")
    assert_close(ref.conv2d_backward_weight(x, dy, w.shape[:2], s, p), our_weight(tw.grad), RTOL, "dw")
    assert_close(ref.conv2d_backward_bias(dy), tb.grad.numpy(), RTOL, "db")


@drawn(True, TRANSPOSED_CASES, draws=60)
def test_conv_transpose2d_matches_torch(torch, shape):
    s, p, extra = shape["stride"], shape["padding"], shape["output_padding"]
    rng = np.random.default_rng(2)
    x = signal(rng, shape["n"], shape["h"], shape["w"], shape["ic"])
    w = signal(rng, shape["kh"], shape["kw"], shape["oc"], shape["ic"])
    b = signal(rng, shape["oc"])

    tx, tw, tb = nchw(torch, x), torch_weight(torch, w), leaf(torch, b)
    ty = torch.nn.functional.conv_transpose2d(tx, tw, tb, stride=s, padding=p, output_padding=extra)
    y = ref.conv_transpose2d_forward(x, w, b, s, p, extra)
    assert_close(y, nhwc(ty), RTOL, "y")
    assert y.shape[1:3] == ref.conv_transpose2d_output_size(x.shape[1:3], w.shape[:2], s, p, extra)

    dy = signal(rng, *y.shape)
    ty.backward(nchw(torch, dy))
    assert_close(ref.conv_transpose2d_backward_input(dy, w, x.shape[1:3], s, p), nhwc(tx.grad), RTOL, "dx")
    assert_close(ref.conv_transpose2d_backward_weight(x, dy, w.shape[:2], s, p), our_weight(tw.grad), RTOL, "dw")
    assert_close(ref.conv2d_backward_bias(dy), tb.grad.numpy(), RTOL, "db")


@drawn(True, TRANSPOSED_CASES, draws=20)
def test_conv_transpose2d_is_conv2d_backwards(shape):
    """The identity that lets both layers share kernels, with ==: sums of small integers are exact."""
    s, p, extra = shape["stride"], shape["padding"], shape["output_padding"]
    rng = np.random.default_rng(3)
    x = helpers.integers(rng, (shape["n"], shape["h"], shape["w"], shape["ic"]))
    w = helpers.integers(rng, (shape["kh"], shape["kw"], shape["oc"], shape["ic"]))
    x_hw, kernel_hw = x.shape[1:3], w.shape[:2]

    y = ref.conv_transpose2d_forward(x, w, None, s, p, extra)
    assert_equal(y, ref.conv2d_backward_input(x, w, y.shape[1:3], s, p), "forward")
    dy = helpers.integers(rng, y.shape)
    assert_equal(ref.conv_transpose2d_backward_input(dy, w, x_hw, s, p), ref.conv2d_forward(dy, w, None, s, p), "dx")
    dw = ref.conv_transpose2d_backward_weight(x, dy, kernel_hw, s, p)
    assert_equal(dw, ref.conv2d_backward_weight(dy, x, kernel_hw, s, p), "dw")


def test_zero_insert_by_hand():
    x = np.arange(1.0, 5.0).reshape(1, 2, 2, 1)
    z = ref.zero_insert(x, kernel_hw=(3, 2), stride=(2, 3), padding=(1, 1), output_padding=(0, 1))
    want = [[0, 0, 0, 0, 0],  # p' = (1, 0): a row of zeros above and below, none at the sides
            [1, 0, 0, 2, 0],  # output_padding: the last column
            [0, 0, 0, 0, 0],
            [3, 0, 0, 4, 0],
            [0, 0, 0, 0, 0]]  # fmt: skip
    assert_equal(z[0, :, :, 0], want)


def test_zero_insert_crops_where_padding_reaches_past_the_kernel():
    x = np.arange(1.0, 4.0).reshape(1, 1, 3, 1)
    z = ref.zero_insert(x, kernel_hw=(1, 1), stride=(1, 2), padding=(0, 1))
    assert_equal(z[0, 0, :, 0], [0, 2, 0])  # 1 0 2 0 3 without its ends
    z = ref.zero_insert(x, kernel_hw=(1, 1), stride=(1, 2), padding=(0, 1), output_padding=(0, 1))
    assert_equal(z[0, 0, :, 0], [0, 2, 0, 3])  # output_padding brings the last pixel back


def test_flip_kernel_by_hand():
    w = np.arange(12.0).reshape(2, 3, 1, 2)
    flipped = ref.flip_kernel(w)
    assert flipped.shape == (2, 3, 2, 1)
    assert_equal(flipped[:, :, 0, 0], [[10, 8, 6], [4, 2, 0]])
    assert_equal(flipped[:, :, 1, 0], [[11, 9, 7], [5, 3, 1]])


def test_sizes_that_do_not_fit_are_refused():
    x, w = np.zeros((1, 5, 6, 2)), np.zeros((3, 3, 2, 4))
    one, none = (1, 1), (0, 0)
    with pytest.raises(ValueError, match="conv2d_output_size: need an output of at least"):
        ref.conv2d_forward(x, np.zeros((6, 3, 2, 4)), None, one, none)
    with pytest.raises(ValueError, match="conv_transpose2d_output_size: need an output of at least"):
        ref.conv_transpose2d_forward(np.zeros((1, 1, 1, 2)), np.zeros((1, 1, 4, 2)), None, one, one)
    with pytest.raises(ValueError, match="w: need 2 input channels, got 1"):
        ref.conv2d_forward(x, w[:, :, :1], None, one, none)
    with pytest.raises(ValueError, match=r"dy: need \(oh, ow\) = \(3, 4\), got \(1, 4\)"):
        ref.conv2d_backward_input(np.zeros((1, 1, 4, 4)), w, (5, 6), one, none)
    with pytest.raises(ValueError, match="conv2d_backward_weight: dy: need"):
        ref.conv2d_backward_weight(x, np.zeros((1, 1, 4, 4)), (3, 3), one, none)
    with pytest.raises(ValueError, match=r"dy: need a size in \[11, 13\) for 5 pixels, got 13"):
        ref.conv_transpose2d_backward_input(np.zeros((1, 13, 13, 2)), w, (5, 6), (2, 2), none)


NORM_SHAPES = [(2, 1, 1, 3), (1, 1, 2, 1), (3, 5, 4, 7), (1, 7, 3, 2), (5, 1, 1, 4), (16, 4, 4, 5), (6, 3)]


def norm_inputs(rng, shape):
    C = shape[-1]
    x = signal(rng, *shape) * (0.5 + rng.random(C)) + 3 * signal(rng, C)
    return x, signal(rng, C), signal(rng, C), signal(rng, C), 0.1 + rng.random(C), signal(rng, *shape)


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("shape", NORM_SHAPES, ids=str)
def test_batchnorm_matches_torch(torch, shape, training):
    """Forward, running statistics and all three gradients. PyTorch takes our NHWC as rows of channels."""
    rng = np.random.default_rng(4)
    x, gamma, beta, running_mean, running_var, dy = norm_inputs(rng, shape)
    eps, momentum = 1e-3, 0.3
    rows = (-1, shape[-1])

    tx, tgamma, tbeta = leaf(torch, x.reshape(rows)), leaf(torch, gamma), leaf(torch, beta)
    t_mean, t_var = torch.tensor(running_mean), torch.tensor(running_var)  # copies, changed in place
    ty = torch.nn.functional.batch_norm(tx, t_mean, t_var, tgamma, tbeta, training, momentum, eps)
    ty.backward(torch.tensor(dy.reshape(rows)))

    if training:
        y, mean, var, new_mean, new_var = ref.batchnorm_forward_train(
            x, gamma, beta, running_mean, running_var, eps, momentum
        )
        assert_close(mean, x.reshape(rows).mean(axis=0), RTOL, "mean")
        assert_close(var, x.reshape(rows).var(axis=0), RTOL, "var")
        dx, dgamma, dbeta = ref.batchnorm_backward_train(dy, x, gamma, mean, var, eps)
    else:
        y = ref.batchnorm_forward_eval(x, gamma, beta, running_mean, running_var, eps)
        new_mean, new_var = running_mean, running_var
        dx, dgamma, dbeta = ref.batchnorm_backward_eval(dy, x, gamma, running_mean, running_var, eps)

    rtol = 1e-11  # x - mean and the three terms of dx cancel: with two values a channel, a few digits are lost
    assert_close(y, ty.detach().numpy().reshape(shape), rtol, "y")
    assert_close(new_mean, t_mean.numpy(), RTOL, "running_mean")
    assert_close(new_var, t_var.numpy(), RTOL, "running_var")
    assert_close(dx, tx.grad.numpy().reshape(shape), rtol, "dx")
    assert_close(dgamma, tgamma.grad.numpy(), rtol, "dgamma")
    assert_close(dbeta, tbeta.grad.numpy(), rtol, "dbeta")


def test_batchnorm_survives_a_large_mean():
    """Around 1e6 with deviation 1, the mean of squares less the squared mean would be 1e-4 off."""
    x = 1e6 + signal(np.random.default_rng(5), 7, 5, 3, 3)
    ones, zeros = np.ones(3), np.zeros(3)
    y, mean, var, _, _ = ref.batchnorm_forward_train(x, ones, zeros, zeros, ones)
    y0, mean0, var0, _, _ = ref.batchnorm_forward_train(x - 1e6, ones, zeros, zeros, ones)  # the subtraction is exact
    rtol = 1e-8  # the mean is rounded by about 1e6 * 1.1e-16 = 1e-10, a few times over in its sum
    assert_close(y, y0, rtol, "y")
    assert_close(var, var0, rtol, "var")
    assert_close(mean, mean0 + 1e6, 1e-15, "mean")


def test_batchnorm_refuses_one_value_per_channel():
    one = np.ones(3)
    with pytest.raises(ValueError, match="need more than one value per channel"):
        ref.batchnorm_forward_train(np.ones((1, 1, 1, 3)), one, one, one, one)
