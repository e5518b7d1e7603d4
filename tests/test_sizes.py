"""Sizes of images: which can be, what they take, and three steps of each beside PyTorch."""

import numpy as np
import pytest
import sized_networks
import torch
from helpers import assert_close
from test_trainer import flat
from trainer_cases import (
    Judge,
    config,
    images,
    latents,
    one_thread,  # noqa: F401
    trainer_gradients,
)

from bench import peer
from dcgan_cupy.config import Config
from dcgan_cupy.device import RecorderDevice
from dcgan_cupy.errors import UserError
from dcgan_cupy.networks import CLASSES
from dcgan_cupy.sizes import named, nearest, sides, stages
from dcgan_cupy.trainer import Trainer

pytestmark = pytest.mark.any_size

POWERS = {16: 2, 32: 3, 64: 4, 128: 5}  # size -> stages of stride 2 before this module was there


@pytest.mark.parametrize(
    "given, want",
    [
        (64, (64, 64)),
        (np.int64(64), (64, 64)),
        ("64", (64, 64)),
        ("48x80", (48, 80)),
        ("48X80", (48, 80)),
        ((48, 80), (48, 80)),
        ([48, 80], (48, 80)),
        *(
            (wrong, None)
            for wrong in (True, 64.0, None, -1, "", "x", "48x", "x80", "48x80x3", "4 8", "-4", "٤", "9" * 7)
        ),
        *((wrong, None) for wrong in ((), (48,), (48, 80, 3), (48, 8.0), (True, 4), (-48, 80), b"48")),
    ],
    ids=repr,
)
def test_sides(given, want):
    assert sides(given) == want
    if want:
        assert named(given) == (64 if want == (64, 64) else "48x80") and type(named(given)) in (int, str)


def test_every_size_that_can_be():
    """Against the rule, word for word, for all of the 640 x 640 pairs near a side of the rule and some beside it."""
    some = sorted({m * 2**k + d for m in range(3, 8) for k in range(2, 8) for d in (-1, 0, 1)} | {0, 1, 8, 640})
    squares = []
    for h in some:
        for w in some:
            fits = [(k, h // 2**k, w // 2**k) for k in range(2, 20) if h % 2**k == w % 2**k == 0]
            fits = [(k, a, b) for k, a, b in fits if 3 <= a <= 7 and 3 <= b <= 7 and max(h, w) <= 512]
            best = max(fits, key=lambda fit: (fit[1] == 4, fit[1]), default=None)  # 4 if it is there, else the largest
            got = stages((h, w))
            assert (got and (got.count, *got.kernel)) == best, (h, w)
            if got and h == w:
                squares.append(h)
    assert squares == [12, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512]


@pytest.mark.parametrize(
    "size, want",
    [
        (30, [28, 32]),
        (50, [48]),
        (100, [96]),
        (0, [12]),
        (600, [512]),
        (10**9, [512]),
        ((32, 64), ["32x56"]),
        ((47, 81), ["48x80"]),
        ((1, 1000), ["192x448"]),
    ],
    ids=str,
)
def test_the_nearest_size(size, want):
    assert nearest(size) == want and all(stages(there) for there in want)


def test_settings_hold_a_number_for_squares():
    """As all runs before did; of a rectangle a text."""
    for given, want in ((64, 64), ("64", 64), ("64x64", 64), ((64, 64), 64), ("48x80", "48x80"), ((48, 80), "48x80")):
        got = Config(image_size=given).image_size
        assert got == want and type(got) is type(want)
        assert Config(image_size=got) == Config(image_size=given)
    with pytest.raises(UserError, match=r"^train: --image-size: need sides of .*, got 32x64; the nearest is 32x56$"):
        Config(image_size=(32, 64))


@pytest.mark.parametrize("network", ["seeds", "example"])
@pytest.mark.parametrize("size", POWERS)
def test_nothing_changes_at_powers_of_two(network, size):
    """Names, order and shapes of weights are those of kernels of 4 everywhere: the seeds' peer, and both originals."""
    (make_g, make_d), (torch_g, torch_d) = CLASSES[network], sized_networks.CLASSES[network]
    device, k = RecorderDevice("cpu"), POWERS[size]
    pairs = [
        (make_g(7, 3, 6, size, device=device), torch_g(7, 3, 6, k, 4)),
        (make_d(3, 5, size, device=device), torch_d(3, 5, k, 4)),
    ]
    if network == "seeds":
        pairs += [(pairs[0][0], peer.Generator(7, 3, 6, size)), (pairs[1][0], peer.Discriminator(3, 5, size))]
    for ours, theirs in pairs:
        assert shapes(ours) == shapes(theirs)


@pytest.mark.parametrize("network", ["seeds", "example"])
@pytest.mark.parametrize("size", sized_networks.SIZES)
def test_names_and_shapes_at_other_sizes(network, size):
    (make_g, make_d), (torch_g, torch_d) = CLASSES[network], sized_networks.CLASSES[network]
    device, shape = RecorderDevice("cpu"), sized_networks.SIZES[size]
    assert shapes(make_g(7, 1, 3, size, device=device)) == shapes(torch_g(7, 1, 3, *shape))
    assert shapes(make_d(1, 5, sides(size), device=device)) == shapes(torch_d(1, 5, *shape))


def shapes(network) -> list:
    return [(name, tuple(value.shape)) for name, value in network.state_dict().items()]


SAME = {"cpu": 1.5, "gpu": 3.0}
"""How much further than float32 PyTorch we may be from float64 PyTorch: on the CPU 1.2 times for gradients and 1.07
times for how far weights went seen, at 2e-6 and 8e-6 of their norms. The GPU's tiles add up in longer rows: 2.3 times,
at 1.4e-6, seen for 48x80 on the stand-in and on the CPU device with those tiles."""


@pytest.mark.parametrize("network", ["seeds", "example"])
@pytest.mark.parametrize(
    "size, features",
    [(28, 8), ("48x80", 4), *(pytest.param(*wide, marks=pytest.mark.large) for wide in ((96, 4), (224, 2), (256, 2)))],
    ids=str,
)
def test_three_steps_are_as_near_to_float64_as_pytorch_is(device, network, size, features):
    """Both float32 games and the float64 one take the same side of a kink (trainer_cases.Judge): what is left is
    rounding."""
    channels = 1 if size == 28 else 3
    cfg = config(
        image_size=size, features_g=features, features_d=features, batch_size=3, network=network, channels=channels
    )
    rng, trainer = np.random.default_rng(0), Trainer(cfg, device)
    exact, single = Judge(trainer), Judge(trainer, torch.float32)
    start = [net.state_dict() for net in (trainer.d, trainer.g)]
    for step in range(3):
        real, z = images(rng, cfg), latents(rng, cfg)
        got = trainer.step(device.array(real), device.array(z))
        want, theirs = exact.step(real, z), single.step(real, z)
        assert_close(got, want, 2e-6, f"step {step}: losses")  # single numbers: 7e-7 seen, of PyTorch's 6e-7
        assert_close(theirs, want, 2e-6, f"step {step}: PyTorch's losses")
        if step == 0:
            for net, a, b in ((trainer.d, exact.grads_d, single.grads_d), (trainer.g, exact.grads_g, single.grads_g)):
                as_near(flat(trainer_gradients(net)), flat(b), flat(a), "gradients", SAME[device.kind])
    for net, a, b, before in zip((trainer.d, trainer.g), (exact.d, exact.g), (single.d, single.g), start):
        ours, want, theirs = net.state_dict(), numbers(a), numbers(b)
        for names in ([n for n in ours if "running" in n], [n for n in ours if n.endswith(("weight", "bias"))]):
            origin = flat(before, names)
            far = [flat(state, names) - origin for state in (ours, theirs, want)]
            as_near(*far, f"how far {names[0]} … went", SAME[device.kind])


def as_near(ours, theirs, want, what, same) -> None:
    """Raises: AssertionError unless we are about as near to `want` as PyTorch is, and both near."""
    assert np.isfinite(want).all() and np.isfinite(ours).all()
    size = np.linalg.norm(want)
    far, limit = np.linalg.norm(ours - want) / size, same * np.linalg.norm(theirs - want) / size
    assert size > 0 and far <= limit < 5e-5, f"{what}: {far:.1e} away, need at most {limit:.1e}"


def numbers(module) -> dict:
    return {name: value.numpy() for name, value in module.state_dict().items()}
