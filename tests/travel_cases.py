"""What the tests of export, import and averages share."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from dcgan_cupy import export, import_weights, sample, train
from dcgan_cupy.device import RecorderDevice, get
from dcgan_cupy.networks import CLASSES, ExampleGenerator, Generator, discriminator, generator
from dcgan_cupy.runs.model import read

Gs = (Generator, ExampleGenerator)
KINDS = ("safetensors", "pth", "npz", "onnx")
PARTS = ("generator", "discriminator", "generator_ema")
SMALL = ("--device", "cpu", "--dataset", "fake", "--batch-size", "4", "--features-d", "4", "--z-dim", "12")


def lively(path: Path, network) -> Path:
    """A file of weights whose images and probabilities are spread over their range, which first weights' are not.

    Each convolution keeps the variance: it is drawn with 1 / the numbers that meet in an output.
    """
    rng, state = np.random.default_rng(5), network.state_dict()
    for name, value in state.items():
        drawn = rng.standard_normal(value.shape)
        if value.ndim == 4:
            first = value.shape[0] == 12  # G's: one number of each of z's
            meet = value.shape[0] if first else 4 * value.shape[0] if isinstance(network, Gs) else value[0].size
            state[name] = (drawn / np.sqrt(meet)).astype(np.float32)
        elif name.endswith(("weight", "running_var")):
            state[name] = (1 + 0.2 * np.tanh(drawn)).astype(np.float32)
        elif not name.endswith("tracked"):
            state[name] = (0.3 * drawn).astype(np.float32)
    np.savez(path, **state)
    return path


def trained(folder: Path, network: str, *more: str) -> Path:
    """A run of three steps: 64 px, which the foreign modules are for."""
    run, dev = folder / network, RecorderDevice("cpu")
    make_g, make_d = CLASSES[network]
    files = ("--netG", str(lively(folder / f"{network}-g.npz", make_g(12, 3, 6, 64, device=dev))),
             "--netD", str(lively(folder / f"{network}-d.npz", make_d(3, 4, 64, device=dev))))  # fmt: skip
    flags = (*SMALL, "--network", network, "--features-g", "6", "--image-size", "64", "--steps", "3", "--ema", "0.5")
    assert train.main([*flags, *files, "--lr", "0.01", "--out", str(run), *more]) == 0
    return run


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    """network -> a run's folder. Not to be written to."""
    folder = tmp_path_factory.mktemp("travel")
    return {network: trained(folder, network) for network in ("seeds", "example")}


@pytest.fixture
def command(capfd):
    """command(name, *arguments) -> (exit code, stdout, stderr)"""
    mains = {"export": export.main, "import": import_weights.main, "sample": sample.main, "train": train.main}

    def call(name, *arguments):
        capfd.readouterr()
        code = mains[name]([str(a) for a in arguments])
        return code, *capfd.readouterr()

    return call


def done(result) -> str:
    """stdout of a command that did its work and had nothing to complain of."""
    code, out, err = result
    assert code == 0 and not err, err
    return out


def refused(result, message: str) -> None:
    """One sentence, exit code 2."""
    code, _, err = result
    assert code == 2 and message in err, err
    assert err.count("\n") == 1 and "Traceback" not in err and len(err) < 1000


def tree(folder: Path) -> dict:
    """Every file below a folder and its bytes."""
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None for p in folder.rglob("*")}


def weights_of(source) -> dict:
    """part -> state_dict, as the package reads it."""
    return read("test", str(source)).networks


def assert_same(got: dict, want: dict) -> None:
    """Names, shapes, types and every bit."""
    assert set(got) == set(want)
    for name, value in want.items():
        assert got[name].dtype == value.dtype and got[name].shape == value.shape, name
        assert np.isfinite(value).all() and (got[name] == value).all(), name


def images_of(source, z: np.ndarray, part: str = "generator") -> np.ndarray:
    """[n, c, h, w] of z [n, z_dim], by our kernels in evaluation mode."""
    found = read("test", str(source))
    dev = get("cpu")
    g = generator(found.config, dev)
    g.load_state_dict(found.networks[part])
    return dev.numpy(g.forward(dev.array(z.reshape(len(z), 1, 1, -1)), training=False)).transpose(0, 3, 1, 2)


def probabilities_of(source, x: np.ndarray) -> np.ndarray:
    """[n] of images [n, c, h, w], by our kernels in evaluation mode."""
    found = read("test", str(source))
    dev = get("cpu")
    d = discriminator(found.config, dev)
    d.load_state_dict(found.networks["discriminator"])
    return dev.numpy(d.forward(dev.array(x.transpose(0, 2, 3, 1).copy()), training=False)).ravel()


def log_of(run) -> list[dict]:
    return [json.loads(line) for line in (Path(run) / "log.jsonl").read_text().splitlines()]


def tensors(path: Path) -> dict:
    """What each kind's own library makes of a file."""
    if path.suffix == ".pth":
        return torch.load(path, weights_only=True)
    if path.suffix == ".safetensors":
        return load_file(path)
    with np.load(path, allow_pickle=False) as file:
        return {name: torch.from_numpy(file[name]) for name in file.files}
