"""The command's flags and the settings they give."""

import os
import subprocess
import sys
from dataclasses import fields

import numpy as np
import pytest
from train_cases import (
    ROOT,
    place,  # noqa: F401
)

from dcgan_cupy import train
from dcgan_cupy.config import Config, flag
from dcgan_cupy.errors import UserError


def test_parse_without_flags_gives_the_defaults():
    assert train.parse([]) == Config()


def test_defaults_are_the_papers():
    config = Config().resolved("gpu")
    assert (config.image_size, config.features_g, config.features_d, config.batch_size, config.z_dim) == (
        64,
        64,
        64,
        128,
        100,
    )
    assert (config.network, config.lr_g, config.lr_d, config.lr_decay, config.ema) == ("seeds", None, None, None, None)
    assert (config.lr, config.beta1, config.beta2, config.z, config.loss) == (
        2e-4,
        0.5,
        0.999,
        "uniform",
        "non-saturating",
    )
    assert (config.data, config.seed, config.bn_gain, config.flip, config.channels) == ("faces", 0, 1.0, False, 3)


@pytest.mark.parametrize(
    "flags, settings",
    [
        ("--dataset faces", {"data": "faces"}),
        ("--dataset folder --dataroot pics", {"data": "pics"}),
        ("--dataroot pics --dataset lsun", {"data": "pics"}),
        ("--dataset pics", {"data": "pics"}),
        ("--dataroot pics", {"data": "pics"}),
        ("--workers 2", {}),
        ("--batchSize 32", {"batch_size": 32}),
        ("--imageSize 64", {"image_size": 64}),
        ("--imageSize 64x64", {"image_size": 64}),
        ("--image-size 48x80", {"image_size": "48x80"}),
        ("--nc 1", {"channels": 1}),
        ("--nz 50", {"z_dim": 50}),
        ("--ngf 8", {"features_g": 8}),
        ("--ndf 9", {"features_d": 9}),
        ("--niter 25", {"epochs": 25}),
        ("--lr 0.001", {"lr": 0.001}),
        ("--lr 1", {"lr": 1.0}),
        ("--beta1 0.9", {"beta1": 0.9}),
        ("--beta1 0", {"beta1": 0.0}),
        ("--outf there", {"out": "there"}),
        ("--netG g.npz", {"generator": "g.npz"}),
        ("--netD=d.npz", {"discriminator": "d.npz"}),
        ("--manualSeed 9", {"seed": 9}),
        ("--dry-run", {"dry_run": True}),
        ("--dry_run", {"dry_run": True}),
        ("--lr 1 --lr 2", {"lr": 2.0}),
        (
            (
                "--dataset folder --dataroot pics --workers 2 --batchSize 64 --imageSize 64 --nz 100 --ngf 64 --ndf 64"
                " --niter 25 --lr 0.0002 --beta1 0.5 --netG  --netD  --outf . --manualSeed 1 --dry-run"
            ),
            {
                "data": "pics",
                "batch_size": 64,
                "image_size": 64,
                "z_dim": 100,
                "features_g": 64,
                "features_d": 64,
                "epochs": 25,
                "lr": 2e-4,
                "beta1": 0.5,
                "generator": "",
                "discriminator": "",
                "out": ".",
                "seed": 1,
                "dry_run": True,
            },
        ),
    ],
)
def test_parse_knows_the_flags_of_pytorchs_example(flags, settings):
    assert train.parse(flags.split(" ")) == Config(**settings)


OTHER = {
    "data": "pics",
    "format": "zip",
    "split": "all",
    "crop": 108,
    "on_bad": "skip",
    "image_size": 128,
    "channels": 1,
    "flip": True,
    "batch_size": 7,
    "z_dim": 11,
    "z": "normal",
    "network": "example",
    "conditional": True,
    "n_classes": 7,
    "lr_g": 0.25,
    "lr_d": 0.75,
    "lr_decay": "linear",
    "ema": 0.5,
    "tensorboard": True,
    "features_g": 5,
    "features_d": 6,
    "steps": 77,
    "epochs": 3,
    "lr": 0.5,
    "beta1": 0.25,
    "beta2": 0.75,
    "loss": "minimax",
    "bn_gain": 0.0,
    "seed": 2**63 - 1,
    "device": "gpu",
    "kernels": "textbook",
    "out": "x",
    "classes": "a,b",
    "sample_every": 4,
    "checkpoint_every": 5,
    "keep": 2,
    "keep_every": 6,
    "generator": "g",
    "discriminator": "d",
    "dry_run": True,
    "no_sync_bn": True,
    "worker_timeout": 3.5,
}


@pytest.mark.parametrize("setting", fields(Config), ids=lambda f: f.name)
def test_parse_has_a_flag_for_each_setting(setting):
    value = OTHER[setting.name]
    assert value != setting.default, "a new setting: give it a value other than its default in OTHER"
    for name in (flag(setting.name), *setting.metadata["aliases"]):
        beside = {"conditional": True} if setting.name == "n_classes" else {}  # which it needs
        got = train.parse(["--conditional"] * len(beside) + ([name] if value is True else [name, str(value)]))
        assert got == Config(**{setting.name: value, **beside}) and type(getattr(got, setting.name)) is type(value)


def test_config_takes_no_wrong_types():
    for settings in (
        {"steps": 1.0},
        {"steps": True},
        {"flip": 1},
        {"data": 3},
        {"lr": "1"},
        {"lr": None},
        {"seed": np.float64(1)},
    ):
        (name,) = settings
        with pytest.raises(UserError, match=rf"^train: {flag(name)}: need "):
            Config(**settings)


def test_config_resolved_fills_in_what_the_device_decides():
    for kind in ("cpu", "gpu"):
        full = Config().resolved(kind)
        assert (
            None not in (full.image_size, full.features_g, full.features_d, full.batch_size, full.steps)
            and full.epochs is None
        )
        own = Config(image_size=16, epochs=2, batch_size=3).resolved(kind)
        assert (own.image_size, own.epochs, own.steps, own.batch_size) == (16, 2, None, 3)
        for config in (Config(dry_run=True, epochs=5), Config(dry_run=True, steps=50)):
            assert (config.resolved(kind).steps, config.resolved(kind).epochs) == (2, None)
        assert full.resolved(kind) == full


def test_help_names_every_setting_and_needs_no_dataset():
    done = subprocess.run(
        [sys.executable, "-m", "dcgan_cupy.train", "--help"],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "120"},
    )
    assert done.returncode == 0 and done.stderr == ""
    for setting in fields(Config):
        for name in (flag(setting.name), *setting.metadata["aliases"]):
            assert name in done.stdout, name
    assert (
        "height x width: 48x80" in done.stdout
        and "non-saturating|minimax" in done.stdout
        and "(default: 0.0002)" in done.stdout
    )
