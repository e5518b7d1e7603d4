"""The float64 references against PyTorch: activations, losses, Adam, Philox, images."""

import numpy as np
import pytest
from helpers import assert_close, assert_equal
from reference_cases import (
    leaf,
    signal,
    torch,  # noqa: F401
)

from dcgan_cupy import reference as ref


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
