"""Runs of other sizes: trained, resumed, sampled, exported, brought back, and what each command refuses."""

import json

import numpy as np
import onnxruntime
import pytest
import sized_networks
import torch
from PIL import Image
from travel_cases import KINDS, SMALL, assert_same, command, done, images_of, lively, refused, tree, weights_of  # noqa: F401

from dcgan_cupy.device import RecorderDevice
from dcgan_cupy.networks import CLASSES, ExampleGenerator
from dcgan_cupy.sizes import shown, sides

pytestmark = pytest.mark.any_size

every_network = pytest.mark.parametrize("network", ["seeds", "example"])
every_size = pytest.mark.parametrize("size", [28, "48x80"])
BATCH, WIDTH = 4, 6


@pytest.fixture(scope="session")
def sized_runs(tmp_path_factory):
    """(network, size) -> a run of three steps. Not to be written to."""
    from dcgan_cupy import train

    folder, runs = tmp_path_factory.mktemp("sizes"), {}
    for network in CLASSES:
        for size in (28, "48x80"):
            run = folder / f"{network}-{size}"
            flags = ("--network", network, "--image-size", str(size), "--features-g", str(WIDTH), "--steps", "3")
            channels, dev = 1 if size == 28 else 3, RecorderDevice("cpu")
            make_g, make_d = CLASSES[network]
            flags += ("--netG", str(lively(folder / "g.npz", make_g(12, channels, WIDTH, size, device=dev))),
                      "--netD", str(lively(folder / "d.npz", make_d(channels, 4, size, device=dev))))  # fmt: skip
            more = ("--channels", "1") if size == 28 else ("--flip",)
            assert train.main([*SMALL, *flags, *more, "--checkpoint-every", "1", "--out", str(run)]) == 0
            runs[network, size] = run
    return runs


@every_network
@every_size
def test_a_run_keeps_its_size(sized_runs, network, size):
    """In its settings as a number or a text, in its checkpoint's, and in its pictures."""
    run, (h, w) = sized_runs[network, size], sides(size)
    assert json.loads((run / "settings.json").read_text())["image_size"] == size
    assert json.loads((run / "checkpoints" / "000003" / "state.json").read_text())["settings"]["image_size"] == size
    scale = 64 // max(h, w) or 1
    with Image.open(run / "samples" / "000003.png") as grid:
        assert grid.size == (8 * (w * scale + 2) + 2, 8 * (h * scale + 2) + 2)


@every_network
@every_size
def test_a_run_goes_on_to_the_same_bits(command, sized_runs, tmp_path, network, size):
    """From its first step's checkpoint to its third: log, pictures and weights of the run that never stopped."""
    done(command("train", "--resume", sized_runs[network, size] / "checkpoints" / "000001", "--out", tmp_path / "on"))
    one, other = tree(sized_runs[network, size]), tree(tmp_path / "on")
    names = ["log.jsonl", "generator.npz", "discriminator.npz", "samples/000003.png"]
    assert all(one[name] == other[name] for name in names)
    assert one["checkpoints/000003/state.safetensors"] == other["checkpoints/000003/state.safetensors"]


@every_network
@every_size
def test_pytorch_draws_the_same(sized_runs, rng, network, size):
    """The modules of sized_networks, with a run's weights, loaded strictly: images within 1e-5."""
    run, channels = sized_runs[network, size], 1 if size == 28 else 3
    g = sized_networks.CLASSES[network][0](12, channels, WIDTH, *sized_networks.SIZES[size]).eval()
    with np.load(run / "generator.npz") as file:
        g.load_state_dict({name: torch.from_numpy(file[name]) for name in file.files}, strict=True)
    z = rng.standard_normal((5, 12)).astype(np.float32)
    with torch.no_grad():
        want = g(torch.from_numpy(z).reshape(5, 12, 1, 1)).numpy()
    assert want.std() > 0.1 and np.abs(images_of(run, z) - want).max() <= 1e-5


@every_network
@every_size
@pytest.mark.parametrize("kind", KINDS)
def test_export_and_import_give_the_bits_back(command, sized_runs, tmp_path, network, size, kind):
    """The size is read from the weights' shapes: kernel and number of convolutions."""
    run = sized_runs[network, size]
    done(command("export", run, "--to", kind, "--out", tmp_path / "e"))
    out = done(command("import", *sorted((tmp_path / "e").iterdir(), reverse=True), "--out", tmp_path / "back"))
    assert f"image_size {size}, channels {1 if size == 28 else 3}, z_dim 12, features_g {WIDTH}, features_d 4" in out
    assert json.loads((tmp_path / "back" / "settings.json").read_text())["image_size"] == size
    before, after = weights_of(run), weights_of(tmp_path / "back")
    for part in ("generator", "discriminator"):
        assert_same(after[part], before[part])
    if kind == "onnx":
        (image,) = onnxruntime.InferenceSession(tmp_path / "e" / "generator.onnx").get_outputs()
        assert image.shape == ["batch", 1 if size == 28 else 3, *sides(size)]


def test_an_imported_rectangle_trains_on(command, sized_runs, tmp_path):
    done(command("import", sized_runs["seeds", "48x80"] / "generator.npz", "--out", tmp_path / "run"))
    flags = ("--device", "cpu", "--dataset", "fake", "--batch-size", "4", "--features-d", "4", "--steps", "1")
    assert "48 x 80 px" in done(command("train", "--resume", tmp_path / "run", *flags))
    other = command("train", "--resume", tmp_path / "run", *flags, "--image-size", "80x48")
    refused(other, "--image-size 80x48 (there: 48x80)")
    assert command("train", "--resume", tmp_path / "run", "--image-size", "48X80")[0] == 0  # the same, said otherwise


@every_size
def test_the_examples_weights_go_by_the_seeds_names(command, sized_runs, tmp_path, size):
    run = sized_runs["example", size]
    done(command("export", run, "--names", "seeds", "--only", "generator", "--out", tmp_path / "g.safetensors"))
    out = done(command("import", tmp_path / "g.safetensors", "--out", tmp_path / "back"))
    assert f"the seeds' network (image_size {size}, " in out and f"features_g {WIDTH // 2}" in out


def test_sample_draws_rectangles(command, sized_runs, tmp_path):
    run = sized_runs["seeds", "48x80"]
    done(command("sample", run, "-n", "6", "--out", tmp_path / "grid.png"))
    done(command("sample", run, "-n", "2", "--out", tmp_path / "files"))
    with Image.open(tmp_path / "grid.png") as grid, Image.open(tmp_path / "files" / "000001.png") as one:
        assert grid.size == (3 * 82 + 2, 2 * 50 + 2) and one.size == (80, 48)
        assert (np.asarray(grid)[2:50, 84:164] == np.asarray(one)).all()
    most = (1 << 26) // (48 * 80)
    refused(command("sample", run, "-n", most + 1, "--out", tmp_path / "a.png"), f"need at most {most} images")


@pytest.mark.parametrize("size, k", [(24, 3), (48, 4)])
def test_weights_of_a_size_that_is_built_otherwise(command, tmp_path, size, k):
    """24 px could be 3 * 8 as well as 6 * 4, and a network of such weights is none of ours."""
    torch.save(sized_networks.SeedsGenerator(12, 3, 2, k, 3).state_dict(), tmp_path / "g.pth")
    refused(
        command("import", tmp_path / "g.pth", "--out", tmp_path / "run"),
        f"need {k} convolutions, one with kernel 6 x 6, for images of {shown(size)} px, got {k + 1} with 3 x 3 in",
    )
    assert not (tmp_path / "run").exists()


def test_weights_of_no_size(command, tmp_path):
    for kernel, text in (((2, 2), "make 8 x 8 px: need sides"), ((3, 9), "make 12 x 36 px: need sides")):
        state = sized_networks.ExampleDiscriminator(3, 2, 2, kernel).state_dict()
        torch.save(state, tmp_path / "d.pth")
        refused(command("import", tmp_path / "d.pth", "--out", tmp_path / "run"), text)


def test_weights_of_another_size_do_not_start_a_run(command, tmp_path):
    """Before a kernel is compiled, and nothing is left."""
    g = ExampleGenerator(12, 3, 6, "80x48", device=RecorderDevice("cpu"))
    np.savez(tmp_path / "g.npz", **g.state_dict())
    flags = ("--network", "example", "--image-size", "48x80", "--features-g", "6", "--out", tmp_path / "run")
    result = command("train", *SMALL, *flags, "--netG", tmp_path / "g.npz", "--steps", "1")
    refused(result, "main.0.weight: need shape (12, 48, 3, 5), got (12, 48, 5, 3)")
    assert not (tmp_path / "run").exists()


def test_settings_of_an_older_run_still_hold(command, tmp_path, monkeypatch):
    """A plain number, as every run before wrote it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old.json").write_text(json.dumps({"image_size": 16, "data": "fake", "used": {}}))
    flags = ("--config", "old.json", *SMALL, "--features-g", "4", "--dry-run")
    assert "16 x 16 px" in done(command("train", *flags)) and (tmp_path / "runs" / "fake-16px-001").is_dir()
    assert "48 x 80 px" in done(command("train", *flags, "--image-size", "48x80"))
    assert (tmp_path / "runs" / "fake-48x80px-001").is_dir()
