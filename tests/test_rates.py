"""Learning rates: G's and D's own, and their fall."""

import json

import numpy as np
import pytest
from ops_cases import EPS32, F32, F64, Out, Updated, assert_each_close, launch
from trainer_cases import config, images, one_thread  # noqa: F401
from travel_cases import SMALL, command, done, refused  # noqa: F401

from dcgan_cupy import ops
from dcgan_cupy.errors import UserError
from dcgan_cupy.optim import Adam
from dcgan_cupy.trainer import Trainer

TINY = (*SMALL, "--image-size", "16", "--features-g", "4")


@pytest.mark.parametrize("steps", [1, 3, 1000])
def test_the_rate_falls_in_equal_steps(device, steps):
    """Step t of n takes 1 - (t - 1) / n of it: all in the first, 1/n in the last, nothing after it."""
    state, factors = np.array([0, 2e-4]), np.empty(2, F32)
    for t in range(1, min(steps, 5) + 1):
        state, factors = launch(device, ops.adam_advance, Updated(state), Out(2), 0.5, 0.999, 1.0 / steps)
        assert_each_close(factors[:1], [2e-4 * (1 - (t - 1) / steps) / (1 - 0.5**t)], 1.01 * EPS32)
        assert state[1] == 2e-4  # what it falls from stays
    for t, share in ((steps, 1 / steps), (steps + 1, 0.0), (steps + 9, 0.0)):
        _, factors = launch(device, ops.adam_advance, Updated(np.array([t - 1, 1.0])), Out(2), 0.0, 0.999, 1.0 / steps)
        assert_each_close(factors[:1], [share], 1e-6, atol=1e-15)


def test_without_a_fall_the_bits_are_as_before(device):
    state = np.array([4, 2e-4])
    _, factors = launch(device, ops.adam_advance, Updated(state), Out(2), 0.5, 0.999)
    assert factors[0] == F32(F64(2e-4) / (1 - 0.5**5))


def test_adam_refuses_no_steps(device):
    a = device.zeros((3,))
    with pytest.raises(UserError, match=r"^Adam: steps: need at least 1, got 0$"):
        Adam(a, a, steps=0, device=device)


@pytest.mark.parametrize("settings, g, d", [
    ({}, 2e-4, 2e-4),
    ({"lr": 0.01}, 0.01, 0.01),
    ({"lr_g": 0.02}, 0.02, 2e-4),
    ({"lr_d": 0.03}, 2e-4, 0.03),
    ({"lr": 0.01, "lr_g": 0.02, "lr_d": 0.03}, 0.02, 0.03),
])  # fmt: skip
def test_each_network_has_its_rate(device, rng, settings, g, d):
    """Adam's first step is as long as the learning rate, whatever the gradient."""
    cfg = config(**settings)
    trainer = Trainer(cfg, device)
    before = [device.numpy(network.param).copy() for network in (trainer.g, trainer.d)]
    trainer.step(device.array(images(rng, cfg)))
    for network, old, rate in zip((trainer.g, trainer.d), before, (g, d), strict=True):
        moved = np.abs(device.numpy(network.param) - old).max()
        assert rate * 0.99 < moved < rate * 1.01


def test_the_last_step_is_an_nth_of_the_first(device, rng):
    """beta1 = beta2 = 0: every step is as long as its rate."""
    cfg = config(lr=0.01, lr_decay="linear", steps=4, beta1=0.0, beta2=0.0)
    trainer, real, lengths = Trainer(cfg, device), device.array(images(rng, cfg)), []
    for _ in range(5):
        old = device.numpy(trainer.g.param).copy()
        trainer.step(real)
        lengths.append(np.abs(device.numpy(trainer.g.param) - old).max())
    assert np.allclose(lengths, [0.01, 0.0075, 0.005, 0.0025, 0.0], rtol=0.01, atol=1e-9)


def test_settings_and_resume(command, tmp_path):
    flags = (*TINY, "--lr-g", "0.01", "--lr-d", "0.002", "--lr-decay", "linear", "--steps", "6")
    out = done(command("train", *flags, "--out", tmp_path / "whole"))
    assert "Adam lr 0.01 of G and 0.002 of D falling to 0 beta1 0.5" in out
    settings = json.loads((tmp_path / "whole" / "settings.json").read_text())
    assert (settings["lr"], settings["lr_g"], settings["lr_d"], settings["lr_decay"]) == (2e-4, 0.01, 0.002, "linear")
    # from its checkpoint of step 2 on: the same bits; --config gives the same run
    at = tmp_path / "whole" / "checkpoints" / "000004"
    done(command("train", "--resume", at, "--out", tmp_path / "on", "--steps", "6"))
    done(command("train", "--config", tmp_path / "whole" / "settings.json", "--out", tmp_path / "again"))
    for name in ("generator.npz", "discriminator.npz", "log.jsonl"):
        want = (tmp_path / "whole" / name).read_bytes()
        assert (tmp_path / "on" / name).read_bytes() == (tmp_path / "again" / name).read_bytes() == want
    for more, message in (
        (["--steps", "9"], "--steps 9 (there: 6)"),  # it fell over six
        (["--epochs", "2"], "--epochs 2 (there: None)"),
        (["--lr-g", "0.5"], "--lr-g 0.5 (there: 0.01)"),
        (["--lr-d", "0.5"], "--lr-d 0.5 (there: 0.002)"),
    ):
        refused(command("train", "--resume", at, "--out", tmp_path / "no", *more), message)
    assert not (tmp_path / "no").exists()


def test_a_checkpoint_without_the_new_settings_goes_on(command, tmp_path):
    """Of a version that had none of them: they are as by default."""
    from dcgan_cupy.runs import checkpoint

    done(command("train", *TINY, "--steps", "2", "--out", tmp_path / "run"))
    saved = checkpoint.newest(tmp_path / "run" / "checkpoints")
    facts = {name: value for name, value in saved.facts.items() if name not in ("format", "step")}
    for name in ("network", "ema", "lr_g", "lr_d", "lr_decay", "tensorboard"):
        del facts["settings"][name]
    arrays = checkpoint.some(saved, checkpoint.shapes(saved))
    checkpoint.write(tmp_path / "run" / "checkpoints", 2, arrays, facts)
    done(command("train", "--resume", tmp_path / "run", "--steps", "3", "--network", "seeds"))


@pytest.mark.parametrize("flags, message", [
    (["--lr-g", "0"], "train: --lr-g: need more than 0, got 0"),
    (["--lr-d", "0"], "train: --lr-d: need more than 0, got 0"),
    (["--lr-g", "-1"], "train: --lr-g: need a finite number, at least 0.0, got -1.0"),
    (["--lr-d", "inf"], "train: --lr-d: need a finite number, got inf"),
    (["--lr-g", "fast"], "train: argument --lr-g: need a number, got 'fast'"),
    (["--lr-decay", "cosine"], "train: --lr-decay: need one of linear, got 'cosine'"),
    (["--network", "dcgan"], "train: --network: need one of seeds, example, got 'dcgan'"),
])  # fmt: skip
def test_refused(command, flags, message):
    refused(command("train", *TINY, *flags), message)
