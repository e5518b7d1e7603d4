"""The moving average of G's weights: the kernel, the trainer's step, runs that end early and go on."""

import numpy as np
import pytest
from helpers import assert_close, assert_equal, normal
from ops_cases import EPS32, F32, Updated, assert_each_close, launch
from trainer_cases import config, images, latents, one_thread  # noqa: F401
from travel_cases import SMALL, assert_same, command, done, refused, weights_of  # noqa: F401

from dcgan_cupy import ops
from dcgan_cupy import reference as ref
from dcgan_cupy.errors import UserError
from dcgan_cupy.optim import Average
from dcgan_cupy.preflight import plan
from dcgan_cupy.runs import checkpoint
from dcgan_cupy.trainer import Trainer

pytestmark = pytest.mark.any_size


@pytest.mark.parametrize("size", [1, 255, 257, 1000])
@pytest.mark.parametrize("decay", [0.0, 0.5, 0.999])
def test_average_step(device, rng, size, decay):
    mean, param = normal(rng, size), normal(rng, size)
    got = launch(device, ops.average_step, Updated(mean), param, 1 - decay)
    # a difference, a product, a sum: three roundings of numbers no larger than these
    largest = np.abs(mean).max() + np.abs(param).max()
    assert_each_close(got, ref.average(mean, param, decay), 3 * EPS32, atol=3 * EPS32 * largest)


def test_an_average_that_has_arrived_stays(device, rng):
    """To the last bit, whatever the decay: the difference is 0."""
    param = normal(rng, 500)
    got = launch(device, ops.average_step, Updated(param.copy()), param, 1 - 0.999)
    assert_equal(got, param)


def test_average_refuses(device):
    a, b = device.zeros((3,)), device.zeros((4,))
    with pytest.raises(UserError, match=r"^average_step: "):
        ops.average_step(device, a, b, 0.5)
    for decay in (-0.1, 1.0, float("nan")):
        with pytest.raises(UserError, match=r"^Average: decay: need 0 or more and less than 1, got "):
            Average(a, a, decay, device=device)


@pytest.mark.parametrize("network", ["seeds", "example"])
def test_the_trainers_average_follows_g(device, rng, network):
    """Six steps, the last four replayed from a capture, against float64; its pictures are those of a G that has it."""
    cfg = config(ema=0.75, network=network, lr=0.01)
    trainer, real = Trainer(cfg, device), device.array(images(rng, cfg))
    want = {name: np.asarray(a, np.float64) for name, a in trainer.g.state_dict().items()}
    assert_same(trainer.weights()["generator_ema"], trainer.g.state_dict())
    for _ in range(6):
        trainer.step(real)
        now = trainer.g.state_dict()
        want = {name: now[name] if "running" in name or "tracked" in name else ref.average(a, now[name], 0.75)
                for name, a in want.items()}  # fmt: skip
    got = trainer.weights()["generator_ema"]
    assert list(got) == list(now)
    for name, value in want.items():
        assert_close(got[name], value, 1e-6, name)  # six steps of three roundings
        if name.endswith("weight"):
            assert np.abs(got[name] - now[name]).max() > 1e-4  # it is not G itself
    z = device.array(latents(rng, cfg))
    drawn = device.numpy(trainer.sample(z, averaged=True)).copy()
    trainer.g.load_state_dict(got)
    assert_equal(drawn, device.numpy(trainer.sample(z)))


def test_a_decay_of_0_is_g(device, rng):
    cfg = config(ema=0.0, lr=0.01)
    trainer, real = Trainer(cfg, device), device.array(images(rng, cfg))
    for _ in range(3):
        trainer.step(real)
    for name, value in trainer.g.state_dict().items():  # average + (param - average) may round
        assert_close(trainer.weights()["generator_ema"][name], value, 1e-6, name)


def test_it_changes_nothing_else_and_a_step_allocates_nothing(device, rng):
    plain, cfg = config(), config(ema=0.9)
    real = device.array(images(rng, cfg))
    one, two = Trainer(plain, device), Trainer(cfg, device)
    for _ in range(3):
        a, b = one.step(real), two.step(real)
        before = device.allocations
    two.step(real)
    assert a == b and device.allocations == before
    assert not any(name.startswith("generator_ema") for name in one.state())
    assert {f"generator_ema.{name}" for name in two.g.state_dict(two.average.average)} == set(two.state()) - set(
        one.state()
    )


def test_begin_with_starts_the_average_anew(device, rng):
    cfg = config(ema=0.9, lr=0.01)
    trainer, other = Trainer(cfg, device), Trainer(config(seed=9), device)
    trainer.step(device.array(images(rng, cfg)))
    trainer.begin_with({"generator": other.g.state_dict()})
    assert_same(trainer.weights()["generator_ema"], other.g.state_dict())


def test_plan_knows_it():
    """The average, and no second set of gradients."""
    cfg = config(ema=0.9).resolved("cpu")
    with_it, without = plan(cfg, "cpu"), plan(config().resolved("cpu"), "cpu")
    assert {k[1] for k in set(with_it.kernels) - set(without.kernels)} == {"average_step"}
    assert with_it.bytes > without.bytes


def test_resumed_to_the_same_bits(command, tmp_path):
    """Six steps at once, and three and three: weights, averages, samples, the checkpoint; and the log."""
    flags = (*SMALL, "--image-size", "16", "--features-g", "4", "--ema", "0.8", "--sample-every", "2", "--lr", "0.01",
             "--checkpoint-every", "3", "--steps", "6")  # fmt: skip
    done(command("train", *flags, "--out", tmp_path / "whole"))
    done(command("train", *flags, "--out", tmp_path / "parts", "--steps", "3"))
    done(command("train", "--resume", tmp_path / "parts", "--steps", "6"))
    whole = {p.relative_to(tmp_path / "whole"): p for p in (tmp_path / "whole").rglob("*")}
    names = [p for p in whole if p.suffix in (".npz", ".safetensors", ".jsonl") or "ema" in p.name or "0000" in p.stem]
    assert len([p for p in names if p.name.endswith("-ema.png")]) == 4 and "generator_ema.npz" in map(str, names)
    for name in names:
        if whole[name].is_file():
            assert (tmp_path / "parts" / name).read_bytes() == whole[name].read_bytes(), name
    assert (tmp_path / "whole" / "samples" / "000006-ema.png").read_bytes() != (
        tmp_path / "whole" / "samples" / "000006.png"
    ).read_bytes()
    found = weights_of(tmp_path / "parts")
    with np.load(tmp_path / "parts" / "generator_ema.npz") as file:
        assert_same(found["generator_ema"], dict(file))
    refused(command("train", "--resume", tmp_path / "parts", "--ema", "0.9", "--steps", "7"), "--ema 0.9 (there: 0.8)")
    assert checkpoint.newest(tmp_path / "parts" / "checkpoints").step == 6


def test_sample_and_walk_take_either(command, tmp_path):
    from dcgan_cupy import walk

    flags = (*SMALL, "--image-size", "16", "--features-g", "4", "--steps", "2", "--lr", "0.05")
    done(command("train", *flags, "--ema", "0.9", "--out", tmp_path / "run"))
    done(command("train", *flags, "--out", tmp_path / "plain"))
    drawn = {}
    for source, which in (("run", "ema"), ("run", "last"), ("run", None), ("plain", "last"), ("plain", None)):
        more = ["--weights", which] if which else []
        out = done(command("sample", tmp_path / source, "-n", "4", "--out", tmp_path / "a.png", "--force", *more))
        assert ("averaged weights" in out) == (source == "run" and which != "last")
        drawn[source, which] = (tmp_path / "a.png").read_bytes()
    assert drawn["run", "ema"] == drawn["run", None] != drawn["run", "last"] == drawn["plain", "last"]
    assert drawn["plain", None] == drawn["plain", "last"]
    refused(command("sample", tmp_path / "plain", "--weights", "ema", "--out", tmp_path / "b.png"),
            "sample: RUN: need a run with averaged weights (train --ema), got")  # fmt: skip
    for which in ("ema", "last"):
        given = [str(tmp_path / "run"), "--weights", which, "--out", str(tmp_path / f"{which}.png")]
        assert walk.main(given) == 0
    assert (tmp_path / "ema.png").read_bytes() != (tmp_path / "last.png").read_bytes()


@pytest.mark.parametrize("value, message", [
    ("1", "train: --ema: need a finite number, at least 0.0 and less than 1.0, got 1.0"),
    ("-0.1", "train: --ema: need a finite number, at least 0.0 and less than 1.0, got -0.1"),
    ("nan", "train: --ema: need a finite number, got nan"),
    ("much", "train: argument --ema: need a number, got 'much'"),
])  # fmt: skip
def test_no_decay(command, value, message):
    refused(command("train", *SMALL, "--ema", value), message)


def test_float32_is_enough_of_the_rate():
    """1 - 0.999 in float32 is within 2e-5 of a thousandth: the memory is 1,000 steps and not 1,017."""
    assert abs(F32(1 - 0.999) / 0.001 - 1) < 1e-7
