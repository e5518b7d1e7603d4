"""Conditional networks: the twin in PyTorch, the trainer's step, labels with their images, what is refused."""

import conditional_twins as twins
import numpy as np
import pytest
import torch
from helpers import assert_close, assert_equal
from test_feed import marked
from test_trainer import play
from trainer_cases import classes, config, images, latents, nchw, one_thread  # noqa: F401

from dcgan_cupy.choices import RUNGS
from dcgan_cupy.device import CpuDevice
from dcgan_cupy.errors import UserError
from dcgan_cupy.feed import Batches
from dcgan_cupy.networks import CLASSES, Generator
from dcgan_cupy.preflight import plan
from dcgan_cupy.random import Random
from dcgan_cupy.trainer import STREAMS, Trainer

pytestmark = pytest.mark.any_size

TEN = {"conditional": True, "n_classes": 10}


@pytest.mark.large
@pytest.mark.parametrize("seed", range(3))
def test_twenty_steps_equal_pytorch(device, seed):
    """As the unconditional trainer's: losses and weights within 1e-5 of float64, what they moved within 1e-4.

    With the same agreement on what float32 cannot decide (tests/test_trainer.py): the judge takes the trainer's side
    of a rectifier where its own number is rounding, and its own everywhere else.
    """
    play(device, config(**TEN, image_size=32, seed=seed), 20, seed)


@pytest.mark.parametrize(
    "settings",
    [
        {"n_classes": 3, "channels": 1, "features_g": 5, "features_d": 3, "batch_size": 7, "z_dim": 1},
        {"n_classes": 2, "loss": "minimax", "bn_gain": 0.0},
        {"n_classes": 5, "kernels": "textbook"},
        {"n_classes": 5, "kernels": "tiled"},
    ],
    ids=str,
)
def test_step_equals_pytorch_whatever_the_settings(device, settings):
    play(device, config(conditional=True, **settings), 5, 1)


def test_step_with_the_tiles_of_a_gpu():
    play(CpuDevice(tiles="gpu"), config(**TEN, seed=0), 3, 0)


@pytest.mark.parametrize("network", ["seeds", "example"])
def test_every_convolution_takes_the_maps_and_the_names_are_the_plain_ones(device, network):
    make_g, make_d = CLASSES[network]
    for make, sizes in ((make_g, (20, 3, 4, 16)), (make_d, (3, 4, 16))):
        plain = make(*sizes, device=device).state_dict()
        got = make(*sizes, device=device, classes=7).state_dict()
        assert list(got) == list(plain)
        for name, value in plain.items():
            shape = list(value.shape)
            if value.ndim == 4:
                shape[0 if make is make_g else 1] += 7
            assert list(got[name].shape) == shape, name


@pytest.mark.parametrize("rung", RUNGS)
def test_another_label_is_another_image(device, rng, rung):
    """Evaluation mode: as the twin in float64, whatever class; each image by its own label."""
    g = Generator(20, 1, 4, 16, device=device, kernels=rung, random=Random(device, 3), classes=4)
    twin = twins.Generator(20, 1, 4, 16, 4).double().eval()
    state = {name: a * 20 if a.ndim == 4 else a for name, a in g.state_dict().items()}
    g.load_state_dict(state)
    twin.load_state_dict({name: torch.from_numpy(a) for name, a in state.items()}, strict=True)
    z = np.repeat(rng.uniform(-1, 1, (1, 1, 1, 20)).astype(np.float32), 6, 0)
    labels = np.array([3, 0, 1, 2, 0, 3], np.int32)
    got = device.numpy(g.given(device.array(labels)).forward(device.array(z), training=False))
    with torch.no_grad():
        want = twin(nchw(z), torch.from_numpy(labels)).numpy().transpose(0, 2, 3, 1)
    assert_close(got, want, 1e-5)
    assert_equal(got[0], got[5])
    assert_equal(got[1], got[4])
    assert len({image.tobytes() for image in got}) == 4


def test_a_replayed_step_is_the_launched_one(device, rng):
    """Labels in an array that is filled anew: captured steps draw what launched ones draw, to the bit."""
    cfg = config(**TEN)
    real, labels = device.array(images(rng, cfg)), device.empty((cfg.batch_size,), "int32")
    ends = []
    for replayed in (True, False):
        trainer, draw = Trainer(cfg, device), np.random.default_rng(2)
        for _ in range(5):
            device.upload(labels, draw.integers(0, 10, cfg.batch_size, np.int32))
            trainer.step(real if replayed else device.array(device.numpy(real)), labels=labels)
        ends.append(trainer.state())
    for name, value in ends[0].items():
        assert (value == ends[1][name]).all(), name
    assert {"random.z", "random.labels"} <= set(ends[0])


def test_fakes_draw_labels_from_a_stream_of_their_own(device, rng):
    """A function of the seed; z is what it is without classes."""
    cfg = config(**TEN, seed=5)
    trainer, plain, real = Trainer(cfg, device), Trainer(config(seed=5), device), device.array(images(rng, cfg))
    labels = device.array(classes(rng, cfg)["labels"])
    stream, want = Random(device, 5, STREAMS["labels"]), device.empty((cfg.batch_size,), "int32")
    for _ in range(4):
        trainer.step(real, labels=labels)
        plain.step(real)
        assert_equal(device.numpy(trainer.labels), device.numpy(stream.integers(want, 10)))
        assert_equal(device.numpy(trainer.z), device.numpy(plain.z))


def test_state_goes_on_to_the_same_bits(device, rng):
    cfg = config(**TEN, ema=0.5)
    real, labels = device.array(images(rng, cfg)), device.array(classes(rng, cfg)["labels"])
    one = Trainer(cfg, device)
    for _ in range(3):
        one.step(real, labels=labels)
    saved, two = {name: a.copy() for name, a in one.state().items()}, Trainer(cfg, device)
    two.load_state(saved)
    for _ in range(3):
        assert one.step(real, labels=labels) == two.step(real, labels=labels)
    for name, value in one.state().items():
        assert (value == two.state()[name]).all(), name
    z = device.array(latents(rng, cfg))
    for averaged in (False, True):
        drawn = device.numpy(one.sample(z, averaged, labels)).copy()
        assert_equal(drawn, device.numpy(two.sample(z, averaged, labels)))


def test_the_plan_is_what_a_step_does(device, rng):
    """Every kernel of a conditional run is known before it begins."""
    cfg = config(**TEN, batch_size=4).resolved(device.kind)
    planned = plan(cfg, device.kind, 4)
    assert {"label_maps_forward", "label_maps_backward", "concat_label_add", "random_integers"} <= {
        key[1] for key in planned.kernels
    }
    trainer, real = Trainer(cfg, device), device.array(images(rng, cfg))
    labels = device.array(classes(rng, cfg)["labels"])
    trainer.step(real, labels=labels)
    before = device.allocated_bytes
    trainer.step(real, labels=labels)
    assert device.allocated_bytes == before


@pytest.mark.parametrize("resident", [True, False])
@pytest.mark.parametrize("flip", [False, True])
def test_labels_come_with_their_images(device, resident, flip):
    source, labels = marked(23), (np.arange(23) * 7 % 5).astype(np.int32)
    batches = Batches(device, source, 4, seed=1, flip=flip, resident=resident, labels=labels)
    seen = []
    for position in range(17):
        if position == 8:  # as a resumed run begins: anywhere
            batches.close()
            batches = Batches(device, source, 4, seed=1, flip=flip, resident=resident, labels=labels)
            batches.position = 8
        batch = device.numpy(batches.next())
        numbers = np.rint((batch[:, 0, 0, 0] + 1) * 127.5).astype(int) // 2
        assert_equal(device.numpy(batches.labels), labels[numbers])
        seen.append(numbers)
    batches.close()
    plain = Batches(device, source, 4, seed=1, flip=flip, resident=resident)
    assert plain.labels is None
    for numbers in seen:
        batch = device.numpy(plain.next())
        assert_equal(np.rint((batch[:, 0, 0, 0] + 1) * 127.5).astype(int) // 2, numbers)
    plain.close()


def test_networks_refuse_labels_that_do_not_fit(device, rng):
    cfg = config(**TEN)
    trainer, z = Trainer(cfg, device), device.array(latents(rng, cfg))
    with pytest.raises(
        UserError, match=r"^LabelSumConvolution.forward: labels: need \(4,\) for the images .*, got none$"
    ):
        trainer.sample(z)
    with pytest.raises(
        UserError, match=r"^LabelSumConvolution.forward: labels: need \(4,\) for the images .*, got \(3,\)$"
    ):
        trainer.sample(z, labels=device.zeros((3,), "int32"))
    with pytest.raises(UserError, match=r"^Generator.given: labels: need none for a network without classes, got some"):
        Trainer(config(), device).sample(z, labels=device.zeros((4,), "int32"))
    with pytest.raises(UserError, match=r"^train: --n-classes: need --conditional beside it, got 3 alone$"):
        config(n_classes=3)
