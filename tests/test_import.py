"""Runs made of weights from elsewhere: every format and its habits, and back again to the same bits."""

import json

import numpy as np
import pytest
import torch
from foreign_networks import ExampleDiscriminator, ExampleGenerator, SeedsDiscriminator, SeedsGenerator
from safetensors.torch import save_file
from travel_cases import KINDS, SMALL, assert_same, command, done, images_of, log_of, refused, runs, tree, weights_of  # noqa: F401

from dcgan_cupy.runs import checkpoint, weights

pytestmark = pytest.mark.any_size

every_network = pytest.mark.parametrize("network", ["seeds", "example"])


@every_network
@pytest.mark.parametrize("kind", KINDS)
def test_round_trip_to_the_same_bits(command, runs, tmp_path, network, kind):
    """Run, files, run, files: the arrays are those of the checkpoint, the files the same."""
    done(command("export", runs[network], "--to", kind, "--out", tmp_path / "e"))
    files = [tmp_path / "e" / f"{part}.{kind}" for part in ("generator", "discriminator")]
    out = done(command("import", *files, "--out", tmp_path / "run"))
    assert "image_size 64, channels 3, z_dim 12, features_g 6, features_d 4" in out
    got, want = weights_of(tmp_path / "run"), weights_of(runs[network])
    assert list(got) == ["generator", "discriminator"]
    for part in got:
        assert_same(got[part], want[part])
        assert all(int(a) >= 3 for name, a in got[part].items() if name.endswith("tracked"))  # and not lost
    done(command("export", tmp_path / "run", "--to", kind, "--out", tmp_path / "again"))
    for file in files:
        assert (tmp_path / "again" / file.name).read_bytes() == file.read_bytes()


def test_through_every_format_in_turn(command, runs, tmp_path):
    source = runs["example"]
    for i, kind in enumerate((*KINDS, *reversed(KINDS))):
        done(command("export", source, "--to", kind, "--out", tmp_path / f"e{i}"))
        source = tmp_path / f"run{i}"
        files = [tmp_path / f"e{i}" / f"{part}.{kind}" for part in ("discriminator", "generator")]
        done(command("import", *files, "--out", source))
    got, want = weights_of(source), weights_of(runs["example"])
    for part in ("generator", "discriminator"):
        assert_same(got[part], want[part])


def test_a_run_of_weights_samples_the_same_bytes(command, runs, tmp_path):
    done(command("export", runs["example"], "--to", "pth", "--out", tmp_path / "e"))
    done(command("import", tmp_path / "e" / "generator.pth", "--out", tmp_path / "run"))
    for source, name, more in ((runs["example"], "a.png", ["--weights", "last"]), (tmp_path / "run", "b.png", []),
                               (tmp_path / "e" / "generator.pth", "c.png", [])):  # fmt: skip
        done(command("sample", source, "-n", "4", "--device", "cpu", "--out", tmp_path / name, *more))
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes() == (tmp_path / "c.png").read_bytes()


def foreign(rng, network="example", nz=9, nc=3, width=5):
    """G and D with trained-looking numbers."""
    g, d = (
        (ExampleGenerator(nz, nc, width), ExampleDiscriminator(nc, width))
        if network == "example"
        else (SeedsGenerator(nz, nc, width), SeedsDiscriminator(nc, width))
    )
    with torch.no_grad():
        for module in (g, d):
            for name, value in module.state_dict().items():
                if name.endswith("tracked"):
                    value.fill_(7)
                else:
                    drawn = torch.tensor(0.1 * rng.standard_normal(tuple(value.shape)), dtype=torch.float32)
                    value.copy_(drawn.abs() + 0.5 if name.endswith("running_var") else drawn)
    return g.eval(), d.eval()


def as_numpy(state: dict) -> dict:
    return {name: value.detach().float().numpy() if value.is_floating_point() else value.numpy()
            for name, value in state.items()}  # fmt: skip


HABITS = {
    "plain": lambda s: s,
    "data_parallel": lambda s: {f"module.{name}": v for name, v in s.items()},
    "before_0_4": lambda s: {name: v for name, v in s.items() if not name.endswith("tracked")},
    "half": lambda s: {name: v.half() if v.is_floating_point() else v for name, v in s.items()},
    "bfloat16": lambda s: {name: v.bfloat16() if v.is_floating_point() else v for name, v in s.items()},
    "double": lambda s: {name: v.double() if v.is_floating_point() else v for name, v in s.items()},
    "reversed": lambda s: dict(reversed(list(s.items()))),
}


@pytest.mark.parametrize("reader", ["torch", "no torch"])
@pytest.mark.parametrize("habit", HABITS)
def test_pths_and_their_habits(command, tmp_path, monkeypatch, rng, habit, reader):
    """Both readers of .pth; float16 and bfloat16 come as the float32 that they are, double rounded."""
    if reader == "no torch":
        monkeypatch.setattr(weights, "find_spec", lambda name: None)
    for network in ("example", "seeds"):
        modules, files = foreign(rng, network), []
        for module, name in zip(modules, ("netG_epoch_24.pth", "netD.pt"), strict=True):
            torch.save(HABITS[habit](module.state_dict()), tmp_path / name)
            files.append(tmp_path / name)
        done(command("import", *files, "--out", tmp_path / network))
        got = weights_of(tmp_path / network)
        for part, module in zip(("generator", "discriminator"), modules, strict=True):
            want = as_numpy(HABITS[habit](module.state_dict()))
            want = {name.removeprefix("module."): value for name, value in want.items()}
            for name in module.state_dict():
                want.setdefault(name, np.zeros((), np.int64))
            assert_same(got[part], want)


@pytest.mark.parametrize("reader", ["torch", "no torch"])
def test_wrapped_parameters_and_views(command, tmp_path, monkeypatch, rng, reader):
    """What people save beside a bare state_dict: a checkpoint around it, parameters, views."""
    if reader == "no torch":
        monkeypatch.setattr(weights, "find_spec", lambda name: None)
    g, _ = foreign(rng)
    odd = {name: torch.nn.Parameter(v.permute(1, 0, 2, 3).contiguous().permute(1, 0, 2, 3)) if v.ndim == 4 else v
           for name, v in g.state_dict().items()}  # fmt: skip
    torch.save({"state_dict": odd, "epoch": 3}, tmp_path / "g.pth")
    done(command("import", tmp_path / "g.pth", "--out", tmp_path / "run"))
    assert_same(weights_of(tmp_path / "run")["generator"], as_numpy(g.state_dict()))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
@pytest.mark.parametrize("kind", ["safetensors", "npz", "onnx"])
def test_other_types_in_other_kinds(command, tmp_path, rng, kind, dtype):
    g, _ = foreign(rng)
    state = {n: v.to(getattr(torch, dtype)) if v.is_floating_point() else v for n, v in g.state_dict().items()}
    file = tmp_path / f"g.{kind}"
    if kind == "safetensors":
        save_file(state, file)
    elif kind == "npz":
        if dtype == "bfloat16":
            pytest.skip("NumPy has no such type")
        np.savez(file, **{name: value.numpy() for name, value in state.items()})
    else:
        onnx_file(file, state)
    done(command("import", file, "--out", tmp_path / "run"))
    want = as_numpy(state)
    if kind == "onnx":
        want = {name: np.zeros((), np.int64) if name.endswith("tracked") else value for name, value in want.items()}
    assert_same(weights_of(tmp_path / "run")["generator"], want)


def onnx_file(path, state, **changes):
    """A graph that holds these numbers, as other exporters write it: without num_batches_tracked."""
    import ml_dtypes
    import onnx
    from onnx import helper, numpy_helper

    def tensor(name, value):
        a = value.float().numpy().astype(ml_dtypes.bfloat16) if value.dtype == torch.bfloat16 else value.numpy()
        return numpy_helper.from_array(np.ascontiguousarray(a), name)

    numbers = [tensor(name, value) for name, value in state.items() if not name.endswith("tracked")]
    io = [helper.make_tensor_value_info(n, 1, [None]) for n in "ab"]
    graph = helper.make_graph([helper.make_node("Identity", ["a"], ["b"])], "g", io[:1], io[1:], numbers)
    path.write_bytes(helper.make_model(graph).SerializeToString())
    assert onnx.load(path).graph.initializer


@pytest.mark.parametrize("size, nc, width, nz", [(16, 1, 3, 7), (32, 3, 6, 100), (128, 1, 2, 5)])
def test_sizes_are_read_from_the_shapes(command, tmp_path, size, nc, width, nz):
    from dcgan_cupy.device import RecorderDevice
    from dcgan_cupy.networks import CLASSES

    for network, (make_g, make_d) in CLASSES.items():
        dev = RecorderDevice("cpu")
        np.savez(tmp_path / "g.npz", **make_g(nz, nc, width, size, device=dev).state_dict())
        np.savez(tmp_path / "d.npz", **make_d(nc, width + 1, size, device=dev).state_dict())
        done(command("import", tmp_path / "d.npz", tmp_path / "g.npz", "--out", tmp_path / network))
        settings = json.loads((tmp_path / network / "settings.json").read_text())
        want = {"network": network, "image_size": size, "channels": nc, "z_dim": nz, "features_g": width,
                "features_d": width + 1, "z": {"seeds": "uniform", "example": "normal"}[network]}  # fmt: skip
        assert {name: settings[name] for name in want} == want
        assert set(settings["used"]["imported"]) == {"generator", "discriminator"}


def test_an_imported_example_trains_on(command, runs, tmp_path, rng):
    """Its first picture is drawn with the imported weights, its steps go on from them, and it can be resumed."""
    torch.manual_seed(0)
    g, d = ExampleGenerator(12, 3, 6), ExampleDiscriminator(3, 4)
    for module, name in ((g, "g.pth"), (d, "d.pth")):
        torch.save({f"module.{n}": v for n, v in module.state_dict().items()}, tmp_path / name)
    run = tmp_path / "run"
    done(command("import", tmp_path / "g.pth", tmp_path / "d.pth", "--out", run))
    z = rng.standard_normal((4, 12)).astype(np.float32)
    with torch.no_grad():
        assert np.abs(g.eval()(torch.from_numpy(z).reshape(4, 12, 1, 1)).numpy() - images_of(run, z)).max() < 1e-5
    flags = ("--device", "cpu", "--dataset", "fake", "--batch-size", "4", "--ema", "0.5")
    out = done(command("train", "--resume", run, "--steps", "2", *flags))
    assert "example, features 6 / 4, z 12 normal" in out
    assert [line["step"] for line in log_of(run)] == [1, 2]
    assert (run / "samples" / "000000.png").exists() and (run / "samples" / "real.png").exists()
    after = weights_of(run)
    moved = np.abs(after["generator"]["main.0.weight"] - g.state_dict()["main.0.weight"].numpy()).max()
    assert 0 < moved < 1e-3  # two of Adam's steps, each of about the learning rate
    assert int(after["generator"]["main.1.num_batches_tracked"]) == 2
    done(command("train", "--resume", run, "--steps", "3"))
    assert [line["step"] for line in log_of(run)] == [1, 2, 3]
    used = json.loads((run / "settings.json").read_text())["used"]
    assert used["imported"]["generator"]["file"] == str(tmp_path / "g.pth")  # it is not forgotten where it is from
    # the same game by the other way in: --netG, --netD
    other = tmp_path / "other"
    more = ("--network", "example", "--features-g", "6", "--features-d", "4", "--z-dim", "12", "--image-size", "64")
    files = ("--netG", tmp_path / "g.pth", "--netD", tmp_path / "d.pth")
    done(command("train", *flags, *more, *files, "--steps", "3", "--checkpoint-every", "1", "--out", other))
    for part, want in weights_of(other).items():
        assert_same(weights_of(run)[part], want)


def test_what_is_fixed_when_it_trains(command, runs, tmp_path):
    run = tmp_path / "run"
    done(command("import", runs["example"] / "generator.npz", "--out", run))
    start = ("train", "--resume", run, "--device", "cpu", "--dataset", "fake", "--steps", "1")
    for flags, message in (
        (["--features-g", "7"], "--features-g 7 (there: 6)"),
        (["--image-size", "32"], "--image-size 32 (there: 64)"),
        (["--network", "seeds"], "--network seeds (there: example)"),
        (["--nz", "5"], "--z-dim 5 (there: 12)"),
        (["--z", "uniform"], "--z uniform (there: normal)"),
        (["--netG", "g.npz"], "--generator g.npz (there: None)"),
    ):
        before = tree(run)
        refused(
            command(*start, *flags), f"train: --resume: need the settings of {run}/checkpoints/000000, got {message}"
        )
        assert tree(run) == before
    out = done(command(*start, "--batch-size", "6", "--features-d", "3", "--lr", "0.1", "--out", tmp_path / "new"))
    assert "features 6 / 3" in out and weights_of(run).keys() == {"generator"}
    assert weights_of(tmp_path / "new").keys() == {"generator", "discriminator"}


@pytest.mark.parametrize("kind", KINDS)
def test_netg_takes_every_kind(command, runs, tmp_path, kind):
    """The first picture is that of the weights' own run at its end."""
    done(command("export", runs["seeds"], "--to", kind, "--out", tmp_path / "e"))
    files = ("--netG", tmp_path / "e" / f"generator.{kind}", "--netD", tmp_path / "e" / f"discriminator.{kind}")
    flags = ("--image-size", "64", "--features-g", "6", "--out", tmp_path / "run", "--steps", "1")
    done(command("train", *SMALL, *files, *flags))
    last = (runs["seeds"] / "samples" / "000003.png").read_bytes()
    assert (tmp_path / "run" / "samples" / "000000.png").read_bytes() == last


def test_another_networks_weights_are_named(command, runs, tmp_path):
    flags = ("--image-size", "64", "--features-g", "6", "--out", tmp_path / "run", "--steps", "1")
    refused(command("train", *SMALL, *flags, "--netG", runs["example"] / "generator.npz"),
            "train: --generator: need the generator of the seeds' network, got the generator of PyTorch's")  # fmt: skip
    refused(command("train", *SMALL, *flags, "--network", "example", "--netD", runs["seeds"] / "discriminator.npz"),
            "need the discriminator of PyTorch's example, got the discriminator of the seeds' network")  # fmt: skip
    assert not (tmp_path / "run").exists()


def test_d_alone_draws_nothing(command, runs, tmp_path):
    """It can be brought in, but not sampled; G alone the other way round has no D to export."""
    done(command("import", runs["seeds"] / "discriminator.npz", "--out", tmp_path / "run"))
    for source in (tmp_path / "run", runs["seeds"] / "discriminator.npz"):
        refused(command("sample", source, "--out", tmp_path / "a.png"),
                "sample: RUN: need the weights of a generator, got those of discriminator")  # fmt: skip
    done(command("import", runs["seeds"] / "generator.npz", "--out", tmp_path / "g"))
    refused(command("export", tmp_path / "g", "--only", "discriminator", "--out", tmp_path / "e"),
            "export: --only: need one of generator, got discriminator, not in")  # fmt: skip


def test_force_writes_over_a_run_and_over_nothing_else(command, runs, tmp_path):
    file, run = runs["example"] / "generator.npz", tmp_path / "run"
    done(command("import", file, "--out", run))
    (run / "mine.txt").write_text("x")
    before = tree(run)
    refused(command("import", file, "--out", run), "need a name that is free")
    assert tree(run) == before
    done(command("import", file, "--out", run, "--force"))
    assert not (run / "mine.txt").exists() and checkpoint.look(run / "checkpoints" / "000000").step == 0
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "a.txt").write_text("x")
    for out in (tmp_path / "letters", tmp_path / "letters" / "a.txt"):
        refused(command("import", file, "--out", out, "--force"), "import: --out: need a name that is free")
    assert (tmp_path / "letters" / "a.txt").read_text() == "x"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["letters", "run"]
