"""Proves reference.py against PyTorch in float64 and published answers, and helpers.py against planted faults."""

import helpers
import numpy as np
import pytest
from helpers import assert_close, assert_equal

from dcgan_cupy import reference as ref

# Both sides sum the same float64 numbers in another order: an error of about sqrt(terms) * 1.1e-16, for sums of up to
# a few thousand terms (D5 below has 512) well under 1e-13. A wrong index is off by order 1.
RTOL = 1e-13


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch")


def signal(rng, *shape):
    return rng.standard_normal(shape)


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


def leaf(torch, a):
    return torch.tensor(np.array(a), dtype=torch.float64, requires_grad=True)


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


# Convolution


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


# Batch normalisation

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


# Activations


def test_activations_match_torch(torch):
    rng = np.random.default_rng(6)
    special = [0.0, -0.0, 1e-300, -1e-300, 30.0, -30.0, 700.0, -700.0, 1e4, -1e4]
    x = np.concatenate([4 * signal(rng, 97), special])
    dy = signal(rng, x.size)
    functional, slope = torch.nn.functional, 0.2
    cases = {
        "relu": (functional.relu, ref.relu_forward, ref.relu_backward),
        "leaky_relu": (
            lambda t: functional.leaky_relu(t, slope),
            lambda a: ref.leaky_relu_forward(a, slope),
            lambda d, y: ref.leaky_relu_backward(d, y, slope),
        ),
        "tanh": (torch.tanh, ref.tanh_forward, ref.tanh_backward),
        "sigmoid": (torch.sigmoid, ref.sigmoid_forward, ref.sigmoid_backward),
    }
    for name, (theirs, forward, backward) in cases.items():
        tx = leaf(torch, x)
        ty = theirs(tx)
        ty.backward(torch.tensor(dy))
        y = forward(x)
        assert_close(y, ty.detach().numpy(), 1e-14, name)  # a few roundings each
        assert_close(backward(dy, y), tx.grad.numpy(), 1e-14, f"{name} gradient")
        assert np.isnan(forward(np.array([np.nan]))).all(), f"{name} loses a NaN"


def test_sigmoid_keeps_its_small_values():
    """exp(x) far below zero: a form that only matches in norm would round it to 0."""
    x = np.array([-40.0, -300.0, -700.0])
    np.testing.assert_allclose(ref.sigmoid_forward(x), np.exp(x), rtol=1e-12)  # x itself carries 700 * 1.1e-16


def test_leaky_relu_backward_refuses_slope_zero():
    with pytest.raises(ValueError, match="slope: need > 0"):
        ref.leaky_relu_backward(np.ones(2), np.ones(2), 0.0)


# Losses


@pytest.mark.parametrize("target", [0.0, 1.0, 0.9, None], ids=["fake", "real", "smoothed", "drawn"])
def test_bce_matches_torch(torch, target):
    rng = np.random.default_rng(7)
    extreme = [0.0, 1.0, 1e-300, 1e-45, 1e-13, 1e-12, 1 - 1e-13, 1 - 1e-16]
    prob = np.concatenate([rng.random(90), extreme]).reshape(7, 14)
    t = rng.random(prob.shape) if target is None else np.full(prob.shape, target)
    tp = leaf(torch, prob)
    want = torch.nn.functional.binary_cross_entropy(tp, torch.tensor(t))
    want.backward()
    loss, gradient = ref.bce(prob, t if target is None else target)
    assert_close(loss, want.item(), 1e-14, "loss")
    # The clamped ones apart: near p = 0 and 1 they are 1e12 times the others and would hide them in a norm.
    clamped = prob * (1 - prob) < 1e-12
    assert_close(gradient[~clamped], tp.grad.numpy()[~clamped], 1e-14, "gradient")
    assert_close(gradient[clamped], tp.grad.numpy()[clamped], 1e-8, "clamped gradient")  # float32's 1e-12: 4e-9 off


def test_bce_at_zero_and_one_by_hand():
    loss, gradient = ref.bce(np.array([0.0, 1.0]), np.array([1.0, 0.0]))
    assert loss == 100.0  # each log is clamped at -100
    assert_equal(gradient, [-0.5e12, 0.5e12])  # (p - t) / 1e-12 / 2
    loss, gradient = ref.bce(np.array([0.0, 1.0]), np.array([0.0, 1.0]))
    assert loss == 0.0
    assert_equal(gradient, [0.0, 0.0])


@pytest.mark.parametrize("target", [0.0, 1.0, 0.9, None], ids=["fake", "real", "smoothed", "drawn"])
def test_bce_with_logits_matches_torch(torch, target):
    rng = np.random.default_rng(8)
    logits = np.concatenate([5 * signal(rng, 92), [0.0, 40.0, -40.0, 800.0, -800.0, 1e5]]).reshape(7, 14)
    t = rng.random(logits.shape) if target is None else np.full(logits.shape, target)
    tl = leaf(torch, logits)
    want = torch.nn.functional.binary_cross_entropy_with_logits(tl, torch.tensor(t))
    want.backward()
    loss, gradient = ref.bce_with_logits(logits, t if target is None else target)
    assert_close(loss, want.item(), 1e-14, "loss")
    assert_close(gradient, tl.grad.numpy(), 1e-14, "gradient")


# Adam


@pytest.mark.parametrize("eps", [1e-8, 1e-2], ids=str)  # 1e-2: a misplaced eps shows
def test_adam_matches_torch(torch, eps):
    rng = np.random.default_rng(9)
    lr, beta1, beta2 = 2e-4, 0.5, 0.999
    param, m, v = signal(rng, 5, 3), np.zeros((5, 3)), np.zeros((5, 3))
    tp = leaf(torch, param)
    optimiser = torch.optim.Adam([tp], lr=lr, betas=(beta1, beta2), eps=eps)
    start = param
    for t in range(1, 9):
        grad = signal(rng, 5, 3) * 10.0 ** rng.integers(-4, 1, size=(5, 3))
        grad[0, 0] = 0.0  # a weight without a gradient stays where it is
        tp.grad = torch.tensor(grad)
        optimiser.step()
        param, m, v = ref.adam(param, grad, m, v, t, lr, beta1, beta2, eps)
        state = optimiser.state[tp]
        moved = tp.detach().numpy() - start  # about t * lr: compared apart from the far larger weights
        assert_close(param - start, moved, 1e-10, f"way gone by step {t}")  # param's rounding over lr: 1e-16 / 2e-4
        assert_close(m, state["exp_avg"].numpy(), 1e-14, f"m at step {t}")
        assert_close(v, state["exp_avg_sq"].numpy(), 1e-14, f"v at step {t}")
    assert param[0, 0] == start[0, 0]


def test_adam_counts_from_one():
    one = np.ones(2)
    with pytest.raises(ValueError, match="counted from 1"):
        ref.adam(one, one, one, one, 0, 1e-3, 0.5, 0.999, 1e-8)


# Philox

PHILOX_ANSWERS = """
00000000 00000000 00000000 00000000  00000000 00000000  6627e8d5 e169c58d bc57ac4c 9b00dbd8
ffffffff ffffffff ffffffff ffffffff  ffffffff ffffffff  408f276d 41c83b0e a20bc7c6 6d5451fd
243f6a88 85a308d3 13198a2e 03707344  a4093822 299f31d0  d16cfe09 94fdcceb 5001e420 24126ea1
"""  # counter, key, output: Random123's kat_vectors


def philox_answers():
    words = np.array([[int(word, 16) for word in line.split()] for line in PHILOX_ANSWERS.split("\n") if line])
    return words[:, :4].astype(np.uint32), words[:, 4:6].astype(np.uint32), words[:, 6:].astype(np.uint32)


def test_philox_known_answers():
    counter, key, want = philox_answers()
    assert len(want) == 3
    out = ref.philox4x32_10(counter, key)
    assert out.dtype == np.uint32
    assert_equal(out, want)
    for i in range(3):
        assert_equal(ref.philox4x32_10(counter[i], key[i]), want[i], "one at a time")


def test_philox_broadcasts_one_key_over_counters():
    rng = np.random.default_rng(10)
    counter = rng.integers(0, 2**32, size=(5, 6, 4), dtype=np.uint32)
    key = rng.integers(0, 2**32, size=2, dtype=np.uint32)
    out = ref.philox4x32_10(counter, key)
    assert out.shape == (5, 6, 4)
    assert_equal(out[3, 2], ref.philox4x32_10(counter[3, 2], key))


# Images


def test_images_to_float_by_hand():
    levels = np.arange(256, dtype=np.uint8).reshape(1, 4, 16, 4)
    floats = ref.images_to_float(levels)
    assert floats.shape == levels.shape and floats.min() == -1.0 and floats.max() == 1.0
    steps = np.diff(floats.ravel())
    assert_close(steps, np.full(255, 2 / 255), 1e-13, "even steps")  # a difference of numbers near 1: 1e-16 / 8e-3
    assert_equal(ref.images_to_uint8(floats), levels, "round trip")
    assert_equal(ref.images_to_uint8(floats.astype(np.float32)), levels, "round trip through float32")
    with pytest.raises(ValueError, match="need uint8"):
        ref.images_to_float(floats)


def test_images_to_uint8_rounds_and_clamps():
    x = np.array([-1.0, 1.0, 0.0, -7.0, 3.0, np.inf, -np.inf, np.nan, 0.49 / 127.5 - 1, 0.51 / 127.5 - 1])
    out = ref.images_to_uint8(x)
    assert out.dtype == np.uint8
    assert_equal(out, [0, 255, 128, 0, 255, 255, 0, 0, 0, 1])  # 0.0 is the tie 127.5, which goes to the even 128


def test_horizontal_flip_by_hand():
    x = np.arange(12, dtype=np.uint8).reshape(1, 2, 3, 2)
    flipped = ref.horizontal_flip(x)
    assert flipped.dtype == np.uint8
    assert_equal(flipped[0, 0], [[4, 5], [2, 3], [0, 1]])
    assert_equal(flipped[0, 1], [[10, 11], [8, 9], [6, 7]])


# The helpers themselves


def test_assert_close_accepts_and_refuses():
    want = np.array([[3.0, 4.0]])  # norm 5
    assert_close(want + np.array([[0.0, 0.04]]), want, 1e-2, "within")
    assert_close(np.zeros(3), np.zeros(3), 0.0, "zeros")
    refused = [
        (want + np.array([[0.0, 0.06]]), want, r"relative error 0.012, allowed 0.01; worst at \(0, 1\)"),
        (want.ravel(), want, "shapes differ"),
        ([[3.0, np.nan]], want, r"got\(0, 1\) is nan"),
        ([[3.0, np.nan]], [[3.0, np.nan]], r"want\(0, 1\) is nan"),
        ([[np.inf, 4.0]], [[np.inf, 4.0]], r"want\(0, 0\) is inf"),
        (np.full(3, 1e-30), np.zeros(3), "relative error inf"),
        (np.zeros((0, 2)), np.zeros((0, 2)), "nothing to compare"),
    ]
    for got, expected, message in refused:
        with pytest.raises(AssertionError, match=message):
            assert_close(got, expected, 1e-2, "what")


def test_assert_equal_accepts_and_refuses():
    assert_equal(np.float32([1, -0.0, np.inf]), [1, 0, np.inf])
    with pytest.raises(AssertionError, match=r"2 of 4 differ, first at \(0, 1\): got .*5.*, want .*2"):
        assert_equal([[1, 5], [3, 9]], [[1, 2], [3, 4]])
    with pytest.raises(AssertionError, match="shapes differ"):
        assert_equal(np.ones(2), np.ones((2, 1)))
    with pytest.raises(AssertionError, match="1 of 2 differ"):
        assert_equal([1.0, np.nan], [1.0, np.nan])
    with pytest.raises(AssertionError, match="nothing to compare"):
        assert_equal([], [])


def test_integers_are_small_float32():
    values = helpers.integers(np.random.default_rng(11), (500,))
    assert values.dtype == np.float32
    assert sorted(set(values.tolist())) == [-3, -2, -1, 0, 1, 2, 3]
    assert helpers.normal(np.random.default_rng(11), (2, 3)).dtype == np.float32


@pytest.mark.parametrize("transposed", [False, True])
def test_draw_conv_shape_covers_the_ground(transposed):
    rng = np.random.default_rng(12)
    shapes = [helpers.draw_conv_shape(rng, transposed) for _ in range(400)]
    output_size = ref.conv_transpose2d_output_size if transposed else ref.conv2d_output_size
    for s in shapes:
        extra = [s["output_padding"]] if transposed else []
        assert min(output_size((s["h"], s["w"]), (s["kh"], s["kw"]), s["stride"], s["padding"], *extra)) >= 1
        assert all(e < step for e, step in zip(s["output_padding"], s["stride"], strict=True))
    assert {s["kh"] for s in shapes} == {s["kw"] for s in shapes} == set(range(1, 8))
    assert {s["stride"][0] for s in shapes} == set(range(1, 5)) and {s["padding"][1] for s in shapes} == set(range(4))
    assert {max(s["output_padding"]) for s in shapes} == (set(range(4)) if transposed else {0})
    for unequal in (lambda s: s["h"] != s["w"], lambda s: s["kh"] != s["kw"], lambda s: len(set(s["stride"])) == 2):
        assert sum(map(unequal, shapes)) > 200
    limited = helpers.draw_conv_shape(rng, transposed, size=(30, 40), channels=(60, 70), kernel=(4, 4), batch=(9, 9))
    assert 30 <= limited["h"] <= 40 and 60 <= limited["oc"] <= 70 and limited["kw"] == 4 and limited["n"] == 9


def test_draw_conv_shape_refuses_limits_without_an_output():
    with pytest.raises(ValueError, match="need limits that leave an output"):
        helpers.draw_conv_shape(np.random.default_rng(13), size=(1, 2), kernel=(7, 7), padding=(0, 1))


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "u1", "i4", "u2"])
@pytest.mark.parametrize("shape", [(3, 5, 7), 1, (0, 4), ()], ids=str)
def test_guarded_sees_what_crosses_its_ends(dtype, shape):
    view, check = helpers.guarded(shape, dtype)
    assert view.dtype == dtype and view.shape == np.empty(shape).shape and view.flags.c_contiguous
    assert view.ctypes.data % 256 == 0
    assert np.isnan(view).all() if view.dtype.kind == "f" else set(view.tobytes()) <= {0x5A}
    poison = helpers.guarded(1, dtype)[0]
    view[...] = 1
    check()  # writing the array itself is allowed

    # The same memory with one element more before it and two more behind, as a kernel without a tail guard sees it.
    offset = view.ctypes.data - view.base.ctypes.data
    wider = np.ndarray(view.size + 3, dtype, buffer=view.base, offset=offset - view.itemsize)
    for at, message in [
        (0, "first 1 before the start"),
        (-2, "first 0 behind the end"),
        (-1, "first 1 behind the end"),
    ]:
        for stray in (1, poison[0]):  # poison: NaN over NaN must be seen too
            untouched = wider.view(f"u{view.itemsize}")[at]
            wider[at] = stray
            with pytest.raises(AssertionError, match=f"1 guards overwritten, {message}"):
                check()
            wider.view(f"u{view.itemsize}")[at] = untouched
            check()


def test_guarded_refuses_types_it_cannot_poison():
    with pytest.raises(TypeError, match="need a float or integer type"):
        helpers.guarded((2,), np.complex64)
