"""What train refuses: one sentence, nothing written."""

import io
import itertools
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from train_cases import command, place, read_log, shown, start, tree, write  # noqa: F401

from dcgan_cupy.device import Device, get, gpu
from dcgan_cupy.networks import Discriminator, Generator
from dcgan_cupy.runs import checkpoint, prepare
from dcgan_cupy.runs.folder import RunFolder
from dcgan_cupy.runs.log import Log


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
SIDES = "need sides of m * 2^k px, m from 3 to 7, one k of 2 or more for both, at most 512"


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
    (["--image-size", "50"], f"--image-size: {SIDES}, got 50; the nearest is 48"),
    (["--imageSize", "0"], f"--image-size: {SIDES}, got 0; the nearest is 12"),
    (["--imageSize", "600"], f"--image-size: {SIDES}, got 600; the nearest is 512"),
    (["--image-size", "30"], f"--image-size: {SIDES}, got 30; the nearest is 28 or 32"),
    (["--image-size", "32x64"], f"--image-size: {SIDES}, got 32x64; the nearest is 32x56"),
    (["--image-size", "48x80x3"], "--image-size: need a size in px such as 64, or height x width such as 48x80, got"),
    (["--image-size", "large"], "--image-size: need a size in px such as 64, or height x width such as 48x80, got 'l"),
    (["--image-size", "-16"], "--image-size: need a size in px such as 64, or height x width such as 48x80, got '-16"),
    (["--image-size", "64.0"], "--image-size: need a size in px such as 64, or height x width such as 48x80, got '64"),
    (["--image-size", "9" * 400], "--image-size: need a size in px such as 64, or height x width such as 48x80, got"),
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
        (
            "--generator: need a .npz, .safetensors, .pth or .onnx file of weights, got nowhere.npz: No such file or"
            " directory"
        ),
    ),
    (
        ["--netD", "nowhere.npz"],
        (
            "--discriminator: need a .npz, .safetensors, .pth or .onnx file of weights, got nowhere.npz: No such file"
            " or directory"
        ),
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


@pytest.mark.parametrize("flags, message", BAD, ids=[f"{shown(flags)}-{i}" for i, (flags, _) in enumerate(BAD)])
def test_bad_flag_one_sentence_and_nothing_written(command, place, flags, message):
    flags = [word if isinstance(word, str) else word() for word in flags]
    before, compiled = tree(place), Device.compilations
    code, out, err = command("--steps", "2", *flags) if "--epochs" not in flags else command(*flags)
    assert code == 2 and message in err
    assert err.count("\n") == 1 and err.endswith("\n") and "Traceback" not in out + err and "Errno" not in err
    assert err.startswith(("train: ", "open_dataset: ", "Generator.", "Discriminator.")), "the sentence says where"
    assert tree(place) == before and Device.compilations == compiled, "refused before the first kernel is compiled"


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
        (["--steps", "2", "--data", "nowhere"], {}, "train: --data: need the name of a dataset (faces, fake, mnist,"),
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
