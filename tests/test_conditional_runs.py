"""Conditional runs: begun, resumed, sampled by class, taken elsewhere and brought back; what is refused."""

import json
from pathlib import Path

import conditional_twins as twins
import numpy as np
import onnxruntime
import pytest
import torch
from helpers import assert_equal
from PIL import Image
from trainer_cases import one_thread  # noqa: F401
from travel_cases import KINDS, assert_same, done, lively, refused, tensors, tree, weights_of

from bench import digits
from dcgan_cupy import export, import_weights, sample, train, walk
from dcgan_cupy.device import RecorderDevice, get, host
from dcgan_cupy.networks import Discriminator, Generator
from dcgan_cupy.runs.model import Sampler, load

pytestmark = pytest.mark.any_size

K, Z, SIZE = 3, 12, 16
TINY = ("--device", "cpu", "--image-size", str(SIZE), "--features-g", "4", "--features-d", "4", "--batch-size", "4",
        "--z-dim", str(Z), "--conditional")  # fmt: skip
NAMES = ("a cat", "dog", "[red]1[/]")  # a name may look like markup, or hold another class's number


@pytest.fixture
def command(capfd):
    """command(name, *arguments) -> (exit code, stdout, stderr)"""
    mains = {"export": export, "import": import_weights, "sample": sample, "train": train, "walk": walk}

    def call(name, *arguments):
        capfd.readouterr()
        code = mains[name].main([str(a) for a in arguments])
        return code, *capfd.readouterr()

    return call


@pytest.fixture(scope="session")
def data(tmp_path_factory) -> Path:
    """Class folders with five pictures each."""
    folder, rng = tmp_path_factory.mktemp("classes") / "pets", np.random.default_rng(1)
    for name in NAMES:
        (folder / name.replace("/", "∕")).mkdir(parents=True)
        for i in range(5):
            pixels = rng.integers(0, 256, (SIZE, SIZE, 3), np.uint8)
            Image.fromarray(pixels).save(folder / name.replace("/", "∕") / f"{i}.png")
    return folder


@pytest.fixture(scope="session")
def made(tmp_path_factory, data) -> Path:
    """A run of six steps that nobody ended, from weights whose images differ. Not to be written to."""
    folder, dev = tmp_path_factory.mktemp("conditional"), RecorderDevice("cpu")
    g = lively(folder / "g.npz", Generator(Z, 3, 4, SIZE, device=dev, classes=K))
    d = lively(folder / "d.npz", Discriminator(3, 4, SIZE, device=dev, classes=K))
    flags = ("--steps", "6", "--ema", "0.5", "--lr", "0.01", "--netG", g, "--netD", d, "--sample-every", "2")
    more = ("--checkpoint-every", "3", "--keep", "9", "--data", data, "--out", folder / "run")
    assert train.main([str(a) for a in (*TINY, *flags, *more)]) == 0
    return folder / "run"


def test_a_resumed_run_ends_in_the_same_bytes(command, made, data, tmp_path):
    out = tmp_path / "again"
    done(command("train", "--resume", made / "checkpoints" / "000003", "--out", out))
    got, want = tree(out), tree(made)
    same = [name for name in want if name.startswith(("checkpoints/000006/state.safe", "samples/000004", "generator"))]
    assert len(same) == 5 - 1 + 1  # the state, two samples (G, its average), two files of G
    for name in [*same, "log.jsonl", "samples/000006.png", "discriminator.npz"]:
        assert got[name] == want[name], name
    settings = json.loads((out / "settings.json").read_text())
    assert settings["conditional"] and settings["n_classes"] == K
    assert sorted(settings["used"]["classes"]) == sorted(name.replace("/", "∕") for name in NAMES)
    refused(command("train", "--resume", made, "--n-classes", 4), "--n-classes 4 (there: 3)")


def test_the_settings_are_read_back(command, made, tmp_path):
    done(command("train", "--config", made / "settings.json", "--out", tmp_path / "b", "--sample-every", 6))
    assert (tmp_path / "b" / "log.jsonl").read_bytes() == (made / "log.jsonl").read_bytes()


def tiles(path: Path, rows: int, columns: int) -> np.ndarray:
    """The images of a grid, [rows, columns, size, size, 3]: cut out and made small again."""
    sheet = np.asarray(Image.open(path).convert("RGB"))
    side = (sheet.shape[0] - 2) // rows - 2
    assert sheet.shape[:2] == (rows * (side + 2) + 2, columns * (side + 2) + 2)
    cut = [[sheet[2 + r * (side + 2) :, 2 + c * (side + 2) :][:side, :side] for c in range(columns)]
           for r in range(rows)]  # fmt: skip
    scale = side // SIZE
    return np.array(cut)[:, :, ::scale, ::scale]


def drawn(source, count: int, labels) -> np.ndarray:
    """Images of the first vectors of seed 0."""
    from dcgan_cupy.runs.model import latents

    model, dev = load("test", str(source)), get("cpu")
    (z,) = latents(model, dev, count, 0)
    return Sampler(model, dev, count).images(z, np.asarray(labels, np.int32))


def test_a_grid_has_a_row_for_each_class(command, made, tmp_path):
    out = done(command("sample", made, "--out", tmp_path / "a.png"))
    assert out.startswith("24 images of ") and "a row a class: [red]1[∕], a cat, dog" in out
    got = tiles(tmp_path / "a.png", 3, 8)
    assert_equal(got.swapaxes(0, 1).reshape(24, SIZE, SIZE, 3), drawn(made, 24, np.arange(24) % 3))
    done(
        command("sample", made, "-n", 7, "--batch", 2, "--out", tmp_path / "b.png")
    )  # the same bytes, blanks at the end
    assert_equal(tiles(tmp_path / "b.png", 3, 3)[0], got[0, :3])
    assert_equal(tiles(tmp_path / "b.png", 3, 3)[1:, :2], got[1:, :2])
    assert (tiles(tmp_path / "b.png", 3, 3)[1:, 2] == 255).all()
    for batch in (64, 100):  # vectors are drawn 1,024 at a time, which 100 does not divide
        done(command("sample", made, "-n", 1030, "--batch", batch, "--out", tmp_path / f"{batch}.png"))
    assert (tmp_path / "64.png").read_bytes() == (tmp_path / "100.png").read_bytes()
    done(command("sample", made, "-n", 2, "--out", tmp_path / "c.png"))
    assert_equal(tiles(tmp_path / "c.png", 2, 1), got[:2, :1])
    shown = tiles(made / "samples" / "000006.png", 3, 8)  # the run's own grid: one z a column
    assert len({image.tobytes() for image in shown.reshape(24, -1)}) == 24
    real = tiles(made / "samples" / "real.png", 3, 8)
    assert (real[:, 5:] == 255).all() and not (real[:, :5] == 255).all((2, 3, 4)).any()


def test_one_class_by_name_or_number(command, made, tmp_path):
    for i, (word, number) in enumerate((("dog", 2), ("1", 1), ("a cat", 1), ("[red]1[∕]", 0))):
        done(command("sample", made, "-n", 4, "--class", word, "--out", tmp_path / f"{i}.png"))
        got = tiles(tmp_path / f"{i}.png", 2, 2).reshape(4, SIZE, SIZE, 3)
        assert_equal(got, drawn(made, 4, [number] * 4), word)
    for word in ("3", "-1", "cow", "", "9" * 5000, "²", "1.0"):
        message = "sample: --class: need one of [red]1[∕], a cat, dog, or a number from 0 to 2, got "
        refused(command("sample", made, "--class", word, "--out", tmp_path / "x.png"), message)
    refused(command("walk", made, "--class", "cow", "--out", tmp_path / "x.png"), "walk: --class: need one of ")
    assert not (tmp_path / "x.png").exists()
    out = done(command("sample", made, "-n", 5, "--class", "dog", "--files", "--out", tmp_path / "files"))
    assert "5 images" in out
    got = np.stack([np.asarray(Image.open(tmp_path / "files" / f"00000{i}.png")) for i in range(5)])
    assert_equal(got, drawn(made, 5, [2] * 5))


def test_a_walk_keeps_its_class(command, made, tmp_path):
    out = done(command("walk", made, "--class", "dog", "--seeds", "0,1", "--frames", 3, "--out", tmp_path / "w.png"))
    assert out.startswith("4 images of class dog from 2 points")
    assert "of class [red]1[∕] from" in done(command("walk", made, "--seeds", "0,1", "--out", tmp_path / "v.png"))
    first = np.asarray(Image.open(tmp_path / "w.png"))[2:66:4, 2:66:4]
    assert_equal(first, drawn(made, 1, [2])[0])


def outputs(made: Path, z, x, labels) -> tuple:
    """Images and probabilities by our kernels, [n, c, h, w] and [n]."""
    found, dev, there = weights_of(made), get("cpu"), None
    g, d = Generator(Z, 3, 4, SIZE, device=dev, classes=K), Discriminator(3, 4, SIZE, device=dev, classes=K)
    g.load_state_dict(found["generator"])
    d.load_state_dict(found["discriminator"])
    there = dev.array(labels)
    images = dev.numpy(g.given(there).forward(dev.array(z.reshape(len(z), 1, 1, Z)), training=False)).copy()
    nhwc = dev.array(np.ascontiguousarray(x.transpose(0, 2, 3, 1)))
    return images.transpose(0, 3, 1, 2), dev.numpy(d.given(there).forward(nhwc, training=False)).ravel()


def near(got, want) -> None:
    """Within 1e-5 (tests/test_export.py: six layers of float32 sums in another order)."""
    assert got.shape == want.shape and np.isfinite(want).all() and want.std() > 0.01
    assert np.abs(got - want).max() <= 1e-5


@pytest.mark.parametrize("kind", KINDS)
def test_weights_travel_and_come_back(command, made, data, tmp_path, rng, kind):
    done(command("export", made, "--to", kind, "--out", tmp_path / "e"))
    z, labels = rng.uniform(-1, 1, (5, Z)).astype(np.float32), np.array([0, 1, 2, 2, 0], np.int32)
    x = np.tanh(rng.standard_normal((5, 3, SIZE, SIZE))).astype(np.float32)
    images, probabilities = outputs(made, z, x, labels)
    g_file, d_file = (tmp_path / "e" / f"{part}.{kind}" for part in ("generator", "discriminator"))
    if kind == "onnx":
        for n in (1, 5):
            given = {"z": z[:n].reshape(n, Z, 1, 1), "label": labels[:n].astype(np.int64)}
            near(onnxruntime.InferenceSession(g_file).run(["image"], given)[0], images[:n])
        given = {"image": x, "label": labels.astype(np.int64)}
        near(onnxruntime.InferenceSession(d_file).run(["probability"], given)[0].ravel(), probabilities)
    else:
        g, d = twins.Generator(Z, 3, 4, SIZE, K).eval(), twins.Discriminator(3, 4, SIZE, K).eval()
        g.load_state_dict(tensors(g_file), strict=True)
        d.load_state_dict(tensors(d_file), strict=True)
        with torch.no_grad():
            label = torch.from_numpy(labels)
            near(g(torch.from_numpy(z).reshape(5, Z, 1, 1), label).numpy(), images)
            near(d(torch.from_numpy(x), label).numpy().ravel(), probabilities)

    out = done(command("import", g_file, d_file, "--out", tmp_path / "back"))
    assert f"n_classes {K}" in out
    for part in ("generator", "discriminator"):
        assert_same(weights_of(tmp_path / "back")[part], weights_of(made)[part])
    done(command("sample", tmp_path / "back", "-n", 4, "--class", 2, "--out", tmp_path / "i.png"))
    done(command("sample", g_file, "--out", tmp_path / "j.png"))
    message = "sample: --class: need a number from 0 to 2, got 'dog'"
    refused(command("sample", g_file, "--class", "dog", "--out", tmp_path / "k.png"), message)
    flags = ("--batch-size", 4, "--device", "cpu", "--steps", 2, "--data", data)
    done(command("train", "--resume", tmp_path / "back", *flags))
    assert len((tmp_path / "back" / "log.jsonl").read_text().splitlines()) == 2


@pytest.fixture
def nothing_compiles(monkeypatch):
    def stop(*arguments, **options):
        raise AssertionError("a kernel is compiled")

    monkeypatch.setattr(host.launch, "build", stop)


def test_refusals(command, made, data, tmp_path, nothing_compiles):
    """Each one sentence, exit code 2, before a compile; nothing is left behind."""
    flat = tmp_path / "flat"
    flat.mkdir()
    for i in range(5):
        Image.new("RGB", (SIZE, SIZE), (i, 0, 0)).save(flat / f"{i}.png")
    digits.draw(tmp_path / "one", 5)
    of_one = tmp_path / "one" / "train-labels-idx1-ubyte"
    of_one.write_bytes(of_one.read_bytes()[:-5] + bytes(5))
    labels = "train: --conditional: need data with labels, one class an image, got "
    out = tmp_path / "out"
    for flags, message in (
        (("--data", "faces"), f"{labels}faces without"),
        (("--data", flat), f"{labels}flat without"),
        (("--data", tmp_path / "one"), "train: --conditional: need data of 2 classes or more, got 1 in one"),
        (("--data", data, "--n-classes", 2), "train: --n-classes: need the 3 of pets or more, got 2"),
        (("--data", data, "--n-classes", 1), "train: --n-classes: need a whole number, at least 2"),
        (("--data", "fake", "--netG", made / "generator.npz"), "need shape"),  # of three classes, not ten
    ):
        refused(command("train", *TINY, *flags, "--out", out), message)
    plain = [flag for flag in TINY if flag != "--conditional"]
    alone = "train: --n-classes: need --conditional beside it, got 3 alone"
    refused(command("train", *plain, "--n-classes", 3, "--data", data, "--out", out), alone)
    refused(command("train", *plain, "--netG", made / "generator.npz", "--data", data, "--out", out), "need shape")
    assert not out.exists()


def test_a_plain_run_knows_no_classes(command, tmp_path):
    file = lively(tmp_path / "g.npz", Generator(Z, 3, 4, SIZE, device=RecorderDevice("cpu")))
    message = f"--class: need a conditional network (train --conditional) for it, got {file}"
    refused(command("sample", file, "--class", "0", "--out", tmp_path / "a.png"), f"sample: {message}")
    refused(command("walk", file, "--class", "0", "--out", tmp_path / "a.png"), f"walk: {message}")


def test_other_labels_are_other_data(command, tmp_path, monkeypatch):
    """A resumed run wants the labels that it had."""
    digits.draw(tmp_path / "d", 20, seed=1)
    flags = (*TINY, "--channels", "1", "--data", tmp_path / "d", "--steps", "1")
    done(command("train", *flags, "--out", tmp_path / "run"))
    path = tmp_path / "d" / "train-labels-idx1-ubyte"
    content = bytearray(path.read_bytes())
    content[-1] = (content[-1] + 1) % 10
    path.write_bytes(content)
    refused(command("train", "--resume", tmp_path / "run", "--steps", 2), "need the images that")


def test_more_classes_than_the_data_have(command, data, tmp_path):
    done(command("train", *TINY, "--n-classes", 5, "--data", data, "--steps", 1, "--out", tmp_path / "run"))
    assert len(json.loads((tmp_path / "run" / "settings.json").read_text())["used"]["classes"]) == 5
    assert "0, 1, 2" not in done(command("sample", tmp_path / "run", "--out", tmp_path / "a.png"))
