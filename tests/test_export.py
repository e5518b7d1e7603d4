"""Exported weights in the modules they are for: the seeds', PyTorch's example's, and ONNX runtime."""

import numpy as np
import onnxruntime
import pytest
import torch
from foreign_networks import ExampleDiscriminator, ExampleGenerator, SeedsDiscriminator, SeedsGenerator
from travel_cases import (  # noqa: F401
    KINDS,
    PARTS,
    assert_same,
    command,
    done,
    images_of,
    probabilities_of,
    refused,
    runs,
    tensors,
    tree,
    weights_of,
)

from dcgan_cupy.runs import writers

pytestmark = pytest.mark.any_size

NEAR = 1e-5
"""Of numbers up to 1: six layers of float32 sums in another order; 4e-6 seen in images, 3e-7 in probabilities."""

CLASSES = {"seeds": (SeedsGenerator, SeedsDiscriminator), "example": (ExampleGenerator, ExampleDiscriminator)}

every_network = pytest.mark.parametrize("network", ["seeds", "example"])


def latent(rng, n=5):
    return rng.standard_normal((n, 12)).astype(np.float32)


def pictures(rng, n=5):
    return np.tanh(rng.standard_normal((n, 3, 64, 64))).astype(np.float32)


def near(got, want):
    assert got.shape == want.shape and np.isfinite(want).all() and want.std() > 0.03
    assert np.abs(got - want).max() <= NEAR


@every_network
@pytest.mark.parametrize("kind", ["safetensors", "pth", "npz"])
def test_exports_load_strictly_and_draw_the_same(command, runs, tmp_path, rng, network, kind):
    out = done(command("export", runs[network], "--to", kind, "--names", network, "--out", tmp_path / "e"))
    assert sorted(p.name for p in (tmp_path / "e").iterdir()) == sorted(f"{part}.{kind}" for part in PARTS)
    assert out.count("\n") == 3 and f"e/generator.{kind}" in out
    make_g, make_d = CLASSES[network]
    z, x = latent(rng), pictures(rng)
    for part in ("generator", "generator_ema"):
        g = make_g(12, 3, 6).eval()
        g.load_state_dict(tensors(tmp_path / "e" / f"{part}.{kind}"), strict=True)
        with np.load(runs[network] / f"{part}.npz") as file:  # what the run wrote at its end
            assert_same({name: value.numpy() for name, value in g.state_dict().items()}, dict(file))
        with torch.no_grad():
            near(g(torch.from_numpy(z).reshape(5, 12, 1, 1)).numpy(), images_of(runs[network], z, part))
    d = make_d(3, 4).eval()
    values = tensors(tmp_path / "e" / f"discriminator.{kind}")
    d.load_state_dict(values, strict=True)
    with torch.no_grad():
        near(d(torch.from_numpy(x)).numpy().ravel(), probabilities_of(runs[network], x))
    if kind != "safetensors":  # which sorts
        assert list(values) == list(d.state_dict())


@every_network
def test_onnx_runs_at_any_batch(command, runs, tmp_path, rng, network):
    done(command("export", runs[network], "--to", "onnx", "--out", tmp_path / "e"))
    sessions = {part: onnxruntime.InferenceSession(tmp_path / "e" / f"{part}.onnx") for part in PARTS}
    for n in (1, 5):
        z, x = latent(rng, n), pictures(rng, n)
        for part in ("generator", "generator_ema"):
            (got,) = sessions[part].run(["image"], {"z": z.reshape(n, 12, 1, 1)})
            near(got, images_of(runs[network], z, part))
        (got,) = sessions["discriminator"].run(["probability"], {"image": x})
        assert got.shape == (n, 1, 1, 1)
        if n > 1:
            near(got.ravel(), probabilities_of(runs[network], x))


def test_the_example_fits_the_seeds_module_with_biases_of_zero(command, runs, tmp_path, rng):
    """Its G of ngf is theirs of features_g = ngf / 2."""
    done(command("export", runs["example"], "--to", "pth", "--names", "seeds", "--out", tmp_path / "e"))
    g, d = SeedsGenerator(12, 3, 3).eval(), SeedsDiscriminator(3, 4).eval()
    g.load_state_dict(tensors(tmp_path / "e" / "generator.pth"), strict=True)
    d.load_state_dict(tensors(tmp_path / "e" / "discriminator.pth"), strict=True)
    assert not g.state_dict()["gen.4.bias"].any() and not d.state_dict()["disc.0.bias"].any()
    z, x = latent(rng), pictures(rng)
    with torch.no_grad():
        near(g(torch.from_numpy(z).reshape(5, 12, 1, 1)).numpy(), images_of(runs["example"], z))
        near(d(torch.from_numpy(x)).numpy().ravel(), probabilities_of(runs["example"], x))


def test_checkpoints_and_files_are_sources_too(command, runs, tmp_path):
    """As sample reads them: a run is its newest checkpoint."""
    last = runs["seeds"] / "checkpoints" / "000003"
    done(command("export", runs["seeds"], "--out", tmp_path / "a"))
    done(command("export", last, "--out", tmp_path / "b"))
    done(command("export", last / "state.safetensors", "--out", tmp_path / "c"))
    assert tree(tmp_path / "a") == tree(tmp_path / "b") == tree(tmp_path / "c")
    done(command("export", runs["seeds"] / "discriminator.npz", "--out", tmp_path / "d"))
    assert [p.name for p in (tmp_path / "d").iterdir()] == ["discriminator.safetensors"]
    assert_same(weights_of(tmp_path / "d" / "discriminator.safetensors")["discriminator"],
                weights_of(runs["seeds"])["discriminator"])  # fmt: skip
    done(command("export", runs["seeds"], "--only", "generator_ema", "--out", tmp_path / "g.NPZ"))
    assert_same(weights_of(tmp_path / "g.NPZ")["generator"], weights_of(runs["seeds"])["generator_ema"])


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "export: the following arguments are required: RUN"),
        (["RUN"], "export: one of the arguments --out --page is required"),
        (["RUN", "--out", "o", "--to", "hdf5"], "export: argument --to: invalid choice: 'hdf5'"),
        (["RUN", "--out", "o", "--names", "keras"], "export: argument --names: invalid choice: 'keras'"),
        (["RUN", "--out", "o", "--only", "h"], "export: argument --only: invalid choice: 'h'"),
        (["RUN", "--out", "o", "--nonsense"], "export: unrecognized arguments: --nonsense"),
        (
            ["RUN", "--names", "example", "--out", "o"],
            "export: --names: need a network without biases for the names of",
        ),
        (["nowhere", "--out", "o"], "export: RUN: need a run, a checkpoint or a file of weights, got 'nowhere'"),
        (["x" * 300, "--out", "o"], "export: RUN: need a run, a checkpoint or a file of weights, got 'xxx"),
        (["empty", "--out", "o"], "export: RUN: need a run with a whole checkpoint, got 'empty', which has none"),
        (["text.npz", "--out", "o"], "export: RUN: need a .npz, .safetensors, .pth or .onnx file of weights, got text"),
        (["RUN", "--out", "nowhere/o"], "export: --out: need a name in a folder that exists, got nowhere/o"),
        (["RUN", "--out", "text.npz"], "need a folder for generator and discriminator and generator_ema (or --only"),
        (["RUN", "--out", "text.txt"], "export: --out: need a folder, or a name that ends in safetensors, pth, npz"),
        (["RUN", "--out", "g.pth"], "export: --out: need a folder for generator and discriminator and generator_ema"),
        (
            ["RUN", "--only", "generator", "--to", "pth", "--out", "g.npz"],
            "export: --out: need a name that ends in .pth",
        ),
        (["RUN", "--only", "generator", "--out", "text.npz"], "export: --out: need a name that is free, got text.npz"),
        (["RUN", "--out", "full"], "export: --out: need a name that is free, got full/generator.safetensors"),
        (["RUN/discriminator.npz", "--only", "generator", "--out", "o"], "need one of discriminator, got generator"),
        (["RUN", "--out", "folders", "--force"], "need a file's name, got folders/generator.safetensors, a folder"),
    ],
)
def test_wrong_use_one_sentence_and_nothing_written(command, runs, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "folders" / "generator.safetensors").mkdir(parents=True)
    (tmp_path / "text.npz").write_text("no weights")
    (tmp_path / "text.txt").write_text("no weights")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "generator.safetensors").write_text("mine")
    before = tree(tmp_path)
    refused(command("export", *(a.replace("RUN", str(runs["seeds"])) for a in arguments)), message)
    assert tree(tmp_path) == before


def test_force_writes_over(command, runs, tmp_path):
    done(command("export", runs["seeds"], "--out", tmp_path / "e"))
    good = tree(tmp_path / "e")
    (tmp_path / "e" / "generator.safetensors").write_text("mine")
    refused(command("export", runs["seeds"], "--out", tmp_path / "e"), "--force writes over it")
    done(command("export", runs["seeds"], "--out", tmp_path / "e", "--force"))
    assert tree(tmp_path / "e") == good


@pytest.mark.parametrize("kind, what", [("pth", "PyTorch (pip install torch)"), ("onnx", "'dcgan-cupy[onnx]'")])
def test_what_is_not_installed(command, runs, tmp_path, monkeypatch, kind, what):
    monkeypatch.setattr(writers, "find_spec", lambda name: None)
    refused(command("export", runs["seeds"], "--to", kind, "--out", tmp_path / "e"), what)
    assert not (tmp_path / "e").exists()
    done(command("export", runs["seeds"], "--out", tmp_path / "e"))


def test_an_odd_width_has_no_place_in_the_seeds_module(command, tmp_path, rng):
    g = ExampleGenerator(3, 3, 5)
    torch.save(g.state_dict(), tmp_path / "g.pth")
    refused(command("export", tmp_path / "g.pth", "--names", "seeds", "--out", tmp_path / "o"),
            "need an even number of features for the seeds' names")  # fmt: skip


def test_nothing_is_compiled(command, runs, tmp_path, monkeypatch):
    from dcgan_cupy.device.host import launch

    monkeypatch.setattr(launch, "build", None)
    for kind in KINDS:
        done(command("export", runs["example"], "--to", kind, "--out", tmp_path / kind))
    done(command("import", tmp_path / "pth" / "generator.pth", "--out", tmp_path / "run"))
