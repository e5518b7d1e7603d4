"""The command: what its flags mean, what it says to bad ones (one sentence, exit code 2, nothing written), and small runs:
the files they leave, going on from weights, the same bytes from the same seed, Ctrl-C, a loss that is no number."""

import io
import itertools
import json
import math
import os
import signal
import subprocess
import sys
import time
import zipfile
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from dcgan_cupy import data, train
from dcgan_cupy.cache import cache_root
from dcgan_cupy.config import Config, flag
from dcgan_cupy.data import open_dataset
from dcgan_cupy.device import get, gpu
from dcgan_cupy.errors import UserError
from dcgan_cupy.networks import Discriminator, Generator
from dcgan_cupy.runs import checkpoint, prepare
from dcgan_cupy.runs.folder import RunFolder
from dcgan_cupy.runs.log import Log
from dcgan_cupy.trainer import Step, Trainer

ROOT = Path(__file__).resolve().parents[1]
PHOTOS, BATCH = 9, 4  # an epoch is two steps
TINY = ("--image-size", "16", "--features-g", "8", "--features-d", "8", "--batch-size", str(BATCH), "--device", "cpu")


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """An empty working folder, with photos/ in it. Decoded images are kept beside it, compiled kernels where they always are."""
    cache, here = tmp_path / "cache", tmp_path / "here"
    for name in ("cpu", "zig"):
        (cache_root() / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        cache.mkdir(exist_ok=True)
        (cache / name).symlink_to((cache_root() / name).resolve())
    monkeypatch.setenv("DCGAN_CUPY_CACHE", str(cache))
    (here / "photos").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for i in range(PHOTOS):
        Image.fromarray(rng.integers(0, 256, (20, 18, 3), dtype=np.uint8)).save(here / "photos" / f"{i}.png")
    monkeypatch.chdir(here)
    return here


@pytest.fixture
def command(capfd):
    """Runs the command here, in this process: command(*flags) -> (exit code, stdout, stderr)."""

    def run(*flags):
        capfd.readouterr()
        code = train.main(["--data", "photos", *TINY, *flags])
        return code, *capfd.readouterr()

    return run


def start(*flags, **environment) -> subprocess.Popen:
    """The command as a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "dcgan_cupy.train", "--data", "photos", *TINY, *flags],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )


def tree(folder: Path) -> dict:
    """Every file below a folder and its bytes."""
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def read_log(run) -> list[dict]:
    """The log's lines; each must be whole, finite and in its place."""
    text = (Path(run) / "log.jsonl").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert text.endswith("\n") and [line["step"] for line in lines] == list(range(1, len(lines) + 1))
    assert all(list(line) == ["step", "epoch", *Step._fields] for line in lines)
    assert all(math.isfinite(value) for line in lines for value in line.values())
    return lines


def weights(run) -> dict:
    """Both files of weights: {"generator gen.0.0.weight": array, …}."""
    found = {}
    for name in ("generator", "discriminator"):
        with np.load(Path(run) / f"{name}.npz") as file:
            found.update({f"{name} {key}": file[key] for key in file.files})
    return found


def same(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


# Flags


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
            "--dataset folder --dataroot pics --workers 2 --batchSize 64 --imageSize 64 --nz 100 --ngf 64 --ndf 64 --niter 25 --lr 0.0002 "
            "--beta1 0.5 --netG  --netD  --outf . --manualSeed 1 --dry-run",
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
    "sample_every": 4,
    "checkpoint_every": 5,
    "keep": 2,
    "keep_every": 6,
    "generator": "g",
    "discriminator": "d",
    "dry_run": True,
}


@pytest.mark.parametrize("setting", fields(Config), ids=lambda f: f.name)
def test_parse_has_a_flag_for_each_setting(setting):
    value = OTHER[setting.name]
    assert value != setting.default, "a new setting: give it a value other than its default in OTHER"
    for name in (flag(setting.name), *setting.metadata["aliases"]):
        got = train.parse([name] if value is True else [name, str(value)])
        assert got == Config(**{setting.name: value}) and type(getattr(got, setting.name)) is type(value)


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
        "16|32|64|128" in done.stdout and "non-saturating|minimax" in done.stdout and "(default: 0.0002)" in done.stdout
    )


# What cannot be


def write(path: str, content: bytes | str = b"") -> str:
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


def npz(path: str, compressed: bool = False, **arrays) -> str:
    (np.savez_compressed if compressed else np.savez)(path, **arrays)
    return path


def good_weights(path: str, network=Generator, **settings) -> str:
    """A file of weights that the tiny run would take."""
    tiny = {"features_g" if network is Generator else "features_d": 8, "image_size": 16}
    return npz(path, **network(device=get("cpu"), **{**tiny, **settings}).state_dict())


def cut(path: str) -> str:
    """The first half of a good file of weights."""
    good = Path(good_weights("good.npz")).read_bytes()
    return write(path, good[: len(good) // 2])


def flipped(path: str) -> str:
    """A good file of weights with one bit changed in the middle."""
    good = bytearray(Path(good_weights("good.npz")).read_bytes())
    good[len(good) // 2] ^= 8
    return write(path, bytes(good))


def claims(path: str) -> str:
    """An array whose header claims 8 TiB."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (1 << 41,)})
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("gen.0.0.weight.npy", header.getvalue() + bytes(64))
    return path


def member(path: str) -> str:
    """A .npz with the right names and one member that is no array."""
    with np.load(good_weights("good.npz")) as file, zipfile.ZipFile(path, "w") as archive:
        for name in file.files:
            archive.writestr(name, b"no array")
    return path


def of_type(path: str, dtype) -> str:
    """The right names and shapes, the wrong type."""
    with np.load(good_weights("good.npz")) as file:
        return npz(path, **{name: file[name].astype(dtype) for name in file.files})


def photos_of(folder: str, **files) -> str:
    Path(folder).mkdir()
    for name, content in files.items():
        write(f"{folder}/{name.replace('_', '.')}", content)
    return folder


def bare(path: str) -> str:
    """A single array under the name of a .npz."""
    with open(path, "wb") as file:
        np.save(file, np.zeros(3))
    return path


def pipe(path: str) -> str:
    os.mkfifo(path)
    return path


def old_run(path: str) -> str:
    write(f"{path}/settings.json", "{}")
    return path


LIMIT = "less than 65536"
BAD = [
    # flags and their values
    (["--nonsense"], "unrecognized arguments: --nonsense"),
    (["photos"], "unrecognized arguments: photos"),
    (["--image", "16"], "unrecognized arguments: --image"),
    (["--lr"], "argument --lr: expected one argument"),
    (["--flip=yes"], "argument --flip: ignored explicit argument 'yes'"),
    (["--steps", "many"], "argument --steps: need a whole number, got 'many'"),
    (["--steps", "1.5"], "argument --steps: need a whole number, got '1.5'"),
    (["--steps", "9" * 5000], "argument --steps: need a whole number"),
    (["--lr", "fast"], "argument --lr: need a number, got 'fast'"),
    (["--workers", "some"], "argument --workers: need a whole number, got 'some'"),
    (["--lr", "nan"], "--lr: need a finite number, got nan"),
    (["--lr", "inf"], "--lr: need a finite number, got inf"),
    (["--lr=-inf"], "--lr: need a finite number, got -inf"),
    (["--lr", "1e999"], "--lr: need a finite number, got inf"),
    (["--lr", "-1"], "--lr: need a finite number, at least 0.0, got -1.0"),
    (["--lr", "0"], "--lr: need more than 0, got 0"),
    (["--lr", "1e-999"], "--lr: need more than 0, got 0"),
    (["--beta1", "1"], "--beta1: need a finite number, at least 0.0 and less than 1.0, got 1.0"),
    (["--beta2", "-0.1"], "--beta2: need a finite number, at least 0.0 and less than 1.0, got -0.1"),
    (["--image-size", "48"], "--image-size: need one of 16, 32, 64, 128, got 48"),
    (["--imageSize", "0"], "--image-size: need one of 16, 32, 64, 128, got 0"),
    (["--imageSize", "256"], "--image-size: need one of 16, 32, 64, 128, got 256"),
    (["--channels", "2"], "--channels: need one of 1, 3, got 2"),
    (["--batch-size", "1"], "--batch-size: need a whole number, at least 2"),
    (["--batch-size", "-4"], "--batch-size: need a whole number, at least 2"),
    (["--nz", "0"], "--z-dim: need a whole number, at least 1 and less than 65536, got 0"),
    (["--nz", "9999999999"], LIMIT),
    (["--ngf", "0"], "--features-g: need a whole number, at least 1"),
    (["--ngf", "999999999999"], LIMIT),
    (["--ndf", "999999999999999999999"], LIMIT),
    (["--batch-size", "999999999999"], LIMIT),
    (["--steps", "0"], "--steps: need a whole number, at least 1"),
    (["--steps", "1" + "0" * 400], "--steps: need a whole number, at least 1 and less than 2147483648"),
    (["--epochs", "0"], "--epochs: need a whole number, at least 1"),
    (["--sample-every", "0"], "--sample-every: need a whole number, at least 1"),
    (["--steps", "5", "--epochs", "2"], "--steps: need either steps or epochs, got both (5 and 2)"),
    (["--seed", "-1"], "--seed: need a whole number, at least 0"),
    (["--seed", str(2**63)], "--seed: need a whole number"),
    (["--z", "gauss"], "--z: need one of uniform, normal, got 'gauss'"),
    (["--loss", "hinge"], "--loss: need one of non-saturating, minimax, got 'hinge'"),
    (["--bn-gain", "0.5"], "--bn-gain: need one of 0, 1, got 0.5"),
    (["--device", "tpu"], "--device: need one of auto, cpu, gpu, got 'tpu'"),
    (["--kernels", "cudnn"], "--kernels: need one of textbook"),
    # images
    (["--data", "nowhere"], "got 'nowhere' (does not exist)"),
    (["--data", ""], "got '' (no name)"),
    (
        ["--dataset", "lsun", "--data", "faces"],
        "got 'lsun' (does not exist; python -m dcgan_cupy.data fetch lsun tells",
    ),
    (["--dataset", "folder", "--data", "faces"], "--dataset: need --dataroot"),
    (["--data", lambda: photos_of("empty")], "need a folder with image files"),
    (["--data", lambda: photos_of("texts", a_txt="some", b_md="text")], "need a folder with image files"),
    (["--data", lambda: write("a.png", "no folder")], "got 'a.png' (a file of another kind)"),
    (["--data", lambda: photos_of("broken", a_png="no png", b_jpg="no jpg")], "2 skipped (a.png: not a PNG"),
    (["--batch-size", "10"], "--batch-size: need at most the number of images, 9, got 10"),
    # weights
    (
        ["--netG", "nowhere.npz"],
        "--generator: need a .npz, .safetensors, .pth or .onnx file of weights, got nowhere.npz: No such file or directory",
    ),
    (
        ["--netD", "nowhere.npz"],
        "--discriminator: need a .npz, .safetensors, .pth or .onnx file of weights, got nowhere.npz: No such file or directory",
    ),
    (["--netG", "photos"], "got photos: no plain file"),
    (["--netG", "photos/0.png/g.npz"], "Not a directory"),
    (
        ["--netG", lambda: write("text.npz", "These are no weights.")],
        "got text.npz: not a whole file of one of these kinds",
    ),
    (["--netD", lambda: write("empty.npz")], "got empty.npz: not a whole file of one of these kinds"),
    (["--netG", lambda: cut("cut.npz")], "got cut.npz: not a whole .npz or .pth file"),
    (["--netG", lambda: bare("bare.npz")], "got bare.npz: not a whole file of one of these kinds"),
    (["--netG", lambda: pipe("pipe.npz")], "got pipe.npz: no plain file"),
    (["--netG", lambda: flipped("flipped.npz")], "got flipped.npz: Bad CRC-32"),
    (["--netG", lambda: claims("claims.npz")], "got claims.npz: Unable to allocate 8.00 TiB"),
    (["--netG", lambda: member("member.npz")], "got member.npz: gen.0.0.weight is no array of numbers"),
    (["--netG", lambda: of_type("words.npz", str)], "got words.npz: gen.0.0.weight is no array of numbers"),
    (["--netG", lambda: of_type("complex.npz", complex)], "got complex.npz: gen.0.0.weight is no array of numbers"),
    (["--netG", lambda: npz("pickled.npz", a=np.array([{}]))], "got pickled.npz: Object arrays cannot be loaded"),
    (["--netG", lambda: npz("bomb.npz", compressed=True, a=np.zeros(1 << 22))], "got bomb.npz: far larger inside"),
    (["--netG", lambda: npz("nothing.npz")], "14 missing (first: gen.0.0.weight)"),
    (["--netG", lambda: npz("other.npz", a=np.zeros(3))], "and 1 unknown (first: a)"),
    (["--netD", lambda: good_weights("g.npz")], "Discriminator.load_state_dict: need the names of this network"),
    (
        ["--netG", lambda: good_weights("wide.npz", features_g=3)],
        "gen.0.0.weight: need shape (100, 32, 4, 4), got (100, 12, 4, 4)",
    ),
    (
        ["--netD", lambda: good_weights("grey.npz", Discriminator, channels_img=1)],
        "disc.0.weight: need shape (8, 3, 4, 4), got (8, 1,",
    ),
    # the run's folder
    (["--out", lambda: old_run("old")], "--out: need a folder without a run in it, got old"),
    (["--out", "photos/0.png"], "--out: need a folder that can be written"),
    (["--out", "photos/0.png/run"], "--out: need a folder that can be written"),
    (["--out", "x" * 300], "File name too long"),
]


def shown(flags) -> str:
    return " ".join(word if isinstance(word, str) else "FILE" for word in flags)[:40]


@pytest.mark.parametrize("flags, message", BAD, ids=[f"{shown(flags)}-{i}" for i, (flags, _) in enumerate(BAD)])
def test_bad_flag_one_sentence_and_nothing_written(command, place, flags, message):
    flags = [word if isinstance(word, str) else word() for word in flags]
    before = tree(place)
    code, out, err = command("--steps", "2", *flags) if "--epochs" not in flags else command(*flags)
    assert code == 2 and message in err
    assert err.count("\n") == 1 and err.endswith("\n") and "Traceback" not in out + err and "Errno" not in err
    assert err.startswith(("train: ", "open_dataset: ", "Generator.", "Discriminator.")), "the sentence says where"
    assert tree(place) == before


@pytest.mark.parametrize("threads", ["many", "-1", "1.5", "100000", "1" + 22 * "0"])
def test_bad_number_of_threads(command, place, monkeypatch, threads):
    monkeypatch.setenv("DCGAN_CUPY_THREADS", threads)
    before = tree(place)
    code, _, err = command("--steps", "2")
    assert (
        code == 2 and err.startswith("device: cpu: ") and "threads" in err and threads in err and err.count("\n") == 1
    )
    assert tree(place) == before


@pytest.mark.skipif(not gpu.why_not(), reason="there is a GPU")
def test_no_gpu(command, place):
    before = tree(place)
    code, _, err = command("--device", "gpu")
    assert code == 2 and err.startswith("device: gpu: need a CUDA device, got none: ") and err.count("\n") == 1
    assert tree(place) == before


@pytest.mark.parametrize(
    "flags, environment, message",
    [
        (["--lr", "nan"], {}, "train: --lr: need a finite number, got nan\n"),
        (["--steps", "2"], {"CXX": "/nowhere/c++"}, "device: cpu: /nowhere/c++: need a C++ compiler that runs, got: "),
        (["--steps", "2", "--data", "nowhere"], {}, "open_dataset: source: need the name of a dataset (faces, mnist,"),
    ],
    ids=["flag", "compiler", "data"],
)
def test_bad_flag_as_a_process(place, flags, environment, message):
    before = tree(place)
    process = start(*flags, **environment)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 2 and err.startswith(message) and err.count("\n") == 1 and "Traceback" not in out
    assert tree(place) == before


def test_memory_that_does_not_suffice(command, monkeypatch):
    """A sentence and exit code 1: it may be right another time."""
    monkeypatch.setattr(prepare, "Trainer", lambda *_: np.empty(1 << 50))
    code, _, err = command("--steps", "2", "--out", "large")
    assert code == 1
    assert err.startswith("train: memory: need more than is free: Unable to allocate") and err.count("\n") == 1
    assert not Path("large").exists()


@pytest.mark.parametrize("what", ["log", "sample", "checkpoint"])
def test_a_full_disk_ends_no_run_and_loses_nothing_that_comes_later(command, monkeypatch, what):
    """Said once, the run goes on; lines of the log wait until there is room."""
    calls = itertools.count()

    def full(real):
        def write(*given, **named):
            if next(calls) in (2, 3):
                raise OSError(28, "No space left on device")
            return real(*given, **named)

        return write

    place = {"log": (Log, "_send"), "sample": (RunFolder, "sample"), "checkpoint": (checkpoint, "write")}[what]
    monkeypatch.setattr(*place, full(getattr(*place)))
    code, out, err = command("--steps", "8", "--sample-every", "1", "--checkpoint-every", "1", "--out", "full")
    assert code == 0 and err == "" and 1 <= out.count("could not be written: No space left on device") <= 2
    assert [line["step"] for line in read_log("full")] == list(range(1, 9))
    assert checkpoint.newest(Path("full/checkpoints")).step == 8


# Runs


def test_run_leaves_its_files(command, device):
    code, out, err = command(
        "--steps", "7", "--sample-every", "3", "--out", "a/run", "--seed", "5", "--flip", "--device", device.kind
    )
    run = Path("a/run")
    assert code == 0 and err == ""
    assert sorted(path.name for path in run.iterdir()) == [
        ".lock",
        "checkpoints",
        "discriminator.npz",
        "generator.npz",
        "log.jsonl",
        "samples",
        "settings.json",
        "timing.json",
    ]
    assert sorted(path.name for path in (run / "samples").iterdir()) == [
        f"{name}.png" for name in ("000000", "000003", "000006", "000007", "real")
    ]
    settings = json.loads((run / "settings.json").read_text())
    used = settings.pop("used")
    assert used["description"] == device.description and used["device"] == device.kind and used["kernels"] == "best"
    config = Config(**settings)  # what was written makes the same run again
    assert asdict(config) == settings and (config.steps, config.epochs, config.seed, config.flip) == (7, None, 5, True)
    assert [line["epoch"] for line in read_log(run)] == [0, 0, 1, 1, 2, 2, 3]
    timing = json.loads((run / "timing.json").read_text())
    assert timing["steps"] == 7 and timing["seconds"] > 0
    assert timing["images_per_second"] == pytest.approx(7 * BATCH / timing["seconds"], rel=0.05)
    for line in (
        "photos: 9 images, 16 x 16 px",
        device.description,
        "features 8 / 8",
        "7 steps of 4 images (3.5 epochs)",
        "seed 5",
        "a/run/",
        "[0/4][0/2] Loss_D: ",
        "[3/4][0/2] Loss_D: ",
        "7 steps in ",
    ):
        assert line in out, line


def test_run_pictures(command):
    """Grids of 64 samples, and of the first real images, each pixel enlarged to 4 x 4."""
    for channels, mode in (("3", "RGB"), ("1", "L")):
        run = Path(f"run{channels}")
        assert command("--steps", "2", "--lr", "0.01", "--out", str(run), "--channels", channels)[0] == 0
        pictures = {path.stem: np.asarray(Image.open(path)) for path in (run / "samples").iterdir()}
        assert {Image.open(path).mode for path in (run / "samples").iterdir()} == {mode}
        assert pictures["000000"].shape[:2] == pictures["000002"].shape[:2] == (8 * (64 + 2) + 2,) * 2
        assert (pictures["000000"] != pictures["000002"]).mean() > 0.3  # two steps can be seen
        real = pictures["real"]
        assert real.shape[:2] == (3 * (64 + 2) + 2,) * 2
        images = open_dataset("photos", 16, int(channels)).images
        for i, image in enumerate(images):
            top, left = 2 + i // 3 * 66, 2 + i % 3 * 66
            part = real[top : top + 64, left : left + 64].reshape(64, 64, -1)
            assert (part == image.repeat(4, 0).repeat(4, 1)).all()
        real = real.copy()
        for i in range(PHOTOS):
            real[2 + i // 3 * 66 : 66 + i // 3 * 66, 2 + i % 3 * 66 : 66 + i % 3 * 66] = 255
        assert (real == 255).all()  # between them is nothing


def test_run_goes_on_from_weights(command):
    """The first picture of a run that starts from another's weights is the other's last; its weights are one step further."""
    flags, g, d = ("--seed", "3", "--lr", "0.001"), "one/generator.npz", "one/discriminator.npz"
    assert command("--steps", "4", "--out", "one", *flags)[0] == 0
    assert command("--steps", "1", "--out", "two", *flags, "--netG", g, "--discriminator", d)[0] == 0
    first, last = Path("one/samples/000004.png").read_bytes(), Path("two/samples/000000.png").read_bytes()
    assert first == last and first != Path("one/samples/000000.png").read_bytes()
    one, two = weights("one"), weights("two")
    assert one.keys() == two.keys()
    for name in one:
        if name.endswith("tracked"):
            assert (int(one[name]), int(two[name])) == ((4, 5) if name.startswith("generator") else (12, 15))
        elif "running" not in name:
            moved = np.abs(one[name] - two[name]).max()
            assert 0 < moved <= 0.001 * 1.01, name  # Adam's first step: at most the learning rate
    assert command("--steps", "1", "--out", "three", *flags, "--generator", g)[0] == 0
    assert Path("three/samples/000000.png").read_bytes() == last
    assert read_log("three")[0]["d_real"] != read_log("two")[0]["d_real"]  # another D


def test_same_seed_same_run(command):
    for out, seed in (("one", "3"), ("same", "3"), ("other", "4")):
        assert command("--steps", "5", "--flip", "--out", out, "--seed", seed)[0] == 0
    one, same_, other = (Path(out, "log.jsonl").read_bytes() for out in ("one", "same", "other"))
    assert len(read_log("one")) == 5
    assert one == same_ and same(weights("one"), weights("same"))
    assert tree(Path("one/samples")) == tree(Path("same/samples"))
    assert one != other and not same(weights("one"), weights("other"))


def test_settings_reach_the_training(command):
    """Each of these changes the log."""
    logs = []
    for i, flags in enumerate(
        (
            [],
            ["--lr", "0.001"],
            ["--beta1", "0.9"],
            ["--beta2", "0.9"],
            ["--loss", "minimax"],
            ["--bn-gain", "0"],
            ["--z", "normal"],
            ["--nz", "50"],
            ["--ngf", "4"],
            ["--ndf", "4"],
            ["--flip"],
            ["--channels", "1"],
            ["--batch-size", "3"],
            ["--image-size", "32"],
        )
    ):
        assert command("--steps", "4", "--out", f"run{i}", *flags)[0] == 0
        logs.append(Path(f"run{i}/log.jsonl").read_bytes())
    assert len(set(logs)) == len(logs)


def test_number_of_threads_changes_no_byte():
    running = {
        threads: start("--steps", "5", "--out", f"run{threads}", DCGAN_CUPY_THREADS=threads)
        for threads in ("1", "2", "3")
    }
    for threads, process in running.items():
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        assert f"{threads} thread" in out
    logs = {Path(f"run{threads}/log.jsonl").read_bytes() for threads in running}
    assert len(logs) == 1 and len(read_log("run1")) == 5
    assert same(weights("run1"), weights("run2")) and same(weights("run1"), weights("run3"))


def test_epochs_give_the_number_of_steps(command):
    assert command("--epochs", "2", "--out", "run")[0] == 0
    assert [line["epoch"] for line in read_log("run")] == [
        0,
        0,
        1,
        1,
    ]  # 9 images in batches of 4: two steps, one image left out
    settings = json.loads(Path("run/settings.json").read_text())
    assert (settings["steps"], settings["epochs"]) == (4, None)


def test_dry_run_takes_two_steps(command):
    for i, flags in enumerate(([], ["--steps", "50"], ["--niter", "50"])):
        code, out, _ = command("--dry-run", "--out", f"run{i}", *flags)
        assert code == 0 and len(read_log(f"run{i}")) == 2 and "2 steps in" in out
        assert Path(f"run{i}/generator.npz").exists() and Path(f"run{i}/samples/000002.png").exists()


def test_default_folders_are_numbered(command):
    before = {"photos"}
    for number in ("001", "002"):
        code, out, _ = command("--steps", "1", "--data", "./photos")
        assert code == 0 and f"runs/photos-16px-{number}" in out
    assert {path.name for path in Path(".").iterdir()} - before == {"runs"}
    assert sorted(path.name for path in Path("runs").iterdir()) == ["photos-16px-001", "photos-16px-002"]
    assert len(read_log("runs/photos-16px-001")) == len(read_log("runs/photos-16px-002")) == 1


def test_a_run_is_never_written_over(command, place):
    assert command("--steps", "1", "--out", "run")[0] == 0
    before = tree(place)
    code, _, err = command("--steps", "2", "--out", "run")
    assert code == 2 and "need a folder without a run in it, got run" in err and tree(place) == before
    write("other/notes.txt", "mine")
    assert command("--steps", "1", "--out", "other")[0] == 0 and Path("other/notes.txt").read_text() == "mine"


def test_faces(command, monkeypatch):
    """The dataset that needs no file, and drawn faces that follow the seed."""
    monkeypatch.setattr(data, "DEFAULT_COUNT", 12)
    for seed in ("0", "1"):
        code, out, _ = command(
            "--dataset", "faces", "--data", "faces", "--dry-run", "--seed", seed, "--out", f"run{seed}"
        )
        assert code == 0 and "faces: 12 images" in out and len(read_log(f"run{seed}")) == 2
    assert Path("run0/samples/real.png").read_bytes() != Path("run1/samples/real.png").read_bytes()


def test_skipped_files_are_named(command):
    """Their names may hold anything, markup for the terminal too."""
    names = ["[/bold].png", "[red]x[1].png", "e\x1b[31m.png", "line\nbreak.png", "ends\\.png", "z1.png", "z2.png"]
    for name in names:
        if "/" in name:
            Path("photos", name).parent.mkdir()
        write(f"photos/{name}", "no png")
    code, out, err = command("--steps", "1", "--out", "[run]", "--on-bad", "skip")
    assert code == 0 and err == "" and "9 images" in out and "7 files skipped" in out
    for shown in (
        "skipped [/bold].png: not a PNG",
        "skipped [red]x[1].png: ",
        "skipped e\\x1b[31m.png: ",
        "skipped line\\nbreak.png: ",
        "skipped ends\\.png: ",
        "and 2 more",
        "[run]",
    ):
        assert shown in out, shown
    assert "\x1b" not in out and "z2.png" not in out


def test_names_that_are_no_text():
    """File names are bytes; a terminal that takes UTF-8 alone gets them all the same."""
    folder = Path(os.fsdecode(b"[/f]\xff"))
    folder.parent.mkdir()
    Path("photos").rename(folder)
    (folder / os.fsdecode(b"\xfe.png")).write_text("no png")
    process = start("--data", str(folder), "--steps", "1", "--on-bad", "skip", PYTHONIOENCODING="utf-8:strict")
    out, err = process.communicate(timeout=60)
    assert (
        process.returncode == 0 and err == "" and "\\udcff: 9 images" in out and "skipped \\udcfe.png: not a PNG" in out
    )
    assert len(read_log(next(Path("runs").iterdir()))) == 1


def test_paths_are_not_broken_over_lines(command):
    long = "/".join(["a folder of a folder"] * 6)
    code, out, _ = command("--steps", "1", "--out", long)
    assert code == 0 and out.count(long) == 2


def test_display_on_a_terminal(place):
    screen = io.StringIO()
    given = train.parse_given(["--data", "photos", *TINY, "--steps", "3", "--out", "run"])
    assert train.train(given, Console(file=screen, force_terminal=True, width=120)) == 0
    assert len(read_log("run")) == 3 and "3/3" in screen.getvalue() and "images/s" in screen.getvalue()


# Runs that end early


def test_loss_that_is_no_number(command, place):
    """Exit code 1 and a sentence; the log holds what came before, and no weights of it are kept."""
    code, out, err = command("--steps", "50", "--lr", "1e30", "--out", "run")
    assert code == 1 and err.count("\n") == 1 and "Traceback" not in out + err
    assert err.startswith("train: step ") and "loss: need finite numbers, got " in err and "lower --lr" in err
    text = Path("run/log.jsonl").read_text()
    lines = [
        json.loads(line, parse_constant=pytest.fail) for line in text.splitlines()
    ]  # NaN and Infinity are not JSON
    assert 1 <= len(lines) < 50
    assert [None in line.values() for line in lines] == [False] * (len(lines) - 1) + [True]
    assert json.loads(Path("run/timing.json").read_text())["steps"] == len(lines)
    assert not any(np.isnan(a).any() for path in Path("run").glob("*.npz") for a in np.load(path).values())


def test_loss_that_is_no_number_leaves_the_last_checkpoint(command, monkeypatch):
    assert command("--steps", "4", "--out", "good")[0] == 0
    step, taken = Trainer.step, itertools.count()  # 0 is the plan's

    def failing(self, real, *rest):
        result = step(self, real, *rest)
        return result._replace(loss_g=math.inf) if next(taken) == 6 else result

    monkeypatch.setattr(Trainer, "step", failing)
    code, _, err = command("--steps", "50", "--sample-every", "2", "--checkpoint-every", "2", "--out", "run")
    assert code == 1 and err.startswith("train: step 6: loss: need finite numbers, got ") and "inf of G" in err
    kept, good = (checkpoint.newest(Path(run, "checkpoints")) for run in ("run", "good"))
    assert kept.step == 4 and f"the last good checkpoint is {kept.path}" in err
    assert (kept.path / checkpoint.STATE).read_bytes() == (good.path / checkpoint.STATE).read_bytes()
    assert sorted(path.name for path in Path("run/samples").iterdir()) == [
        "000000.png",
        "000002.png",
        "000004.png",
        "real.png",
    ]


def test_interrupt_saves_everything():
    """Ctrl-C: exit code 130 after the step at hand, its weights and a checkpoint saved, every line of the log whole."""
    process = start("--steps", "1000000", "--out", "run")
    log, deadline = Path("run/log.jsonl"), time.monotonic() + 60
    while not (log.exists() and log.read_bytes().count(b"\n") >= 3):
        assert time.monotonic() < deadline and process.poll() is None, process.communicate(timeout=9)
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130 and err == "" and "Traceback" not in out
    steps = len(read_log("run"))
    assert steps >= 3 and f"{steps} steps in " in out
    assert json.loads(Path("run/timing.json").read_text())["steps"] == steps
    assert sorted(path.name for path in Path("run/samples").iterdir()) == ["000000.png", "real.png"]
    assert sorted(path.name for path in Path("run").iterdir() if path.is_file()) == [
        ".lock",
        "discriminator.npz",
        "generator.npz",
        "log.jsonl",
        "settings.json",
        "timing.json",
    ]
    kept = weights("run")
    assert int(kept["generator gen.0.1.num_batches_tracked"]) == steps
    flags = ["--steps", "1", "--out", "on", "--netG", "run/generator.npz", "--netD", "run/discriminator.npz"]
    given = train.parse_given(["--data", "photos", *TINY, *flags])
    assert train.train(given, Console(file=io.StringIO())) == 0
    assert int(weights("on")["generator gen.0.1.num_batches_tracked"]) == steps + 1


def test_interrupt_twice_stops_at_once(monkeypatch, command):
    """The second Ctrl-C does not wait for the step: a sentence, no traceback. The log has all that came before, then already."""
    step, taken = Trainer.step, itertools.count()  # 0 is the plan's

    def slow(self, real, *rest):
        if next(taken) == 3:
            assert len(read_log("run")) == 2
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
        return step(self, real, *rest)

    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(Trainer, "step", slow)
    code, _, err = command("--steps", "50", "--out", "run")
    assert code == 130 and err.startswith("interrupted") and err.count("\n") == 1
    assert signal.getsignal(signal.SIGINT) is before and len(read_log("run")) == 2
