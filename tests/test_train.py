"""Training runs: what they write, and that they repeat."""

import io
import itertools
import json
import math
import os
import signal
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from train_cases import BATCH, PHOTOS, TINY, command, place, read_log, shown, start, tree, write  # noqa: F401

from dcgan_cupy import data, train
from dcgan_cupy.config import Config
from dcgan_cupy.data import open_dataset
from dcgan_cupy.runs import checkpoint
from dcgan_cupy.trainer import Trainer
from dcgan_cupy.workers import Workers


def weights(run) -> dict:
    """Both files of weights: {"generator gen.0.0.weight": array, …}."""
    found = {}
    for name in ("generator", "discriminator"):
        with np.load(Path(run) / f"{name}.npz") as file:
            found.update({f"{name} {key}": file[key] for key in file.files})
    return found


def same(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


@pytest.mark.large
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
        "loss.png",
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
    assert timing["steps"] == 7 and timing["seconds"] > 0 and timing["processor_seconds"] > 0
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
    """The first picture of a run that starts from another's weights is the other's last.

    Its weights are one step further.
    """
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
    for named in (
        "skipped [/bold].png: not a PNG",
        "skipped [red]x[1].png: ",
        "skipped e\\x1b[31m.png: ",
        "skipped line\\nbreak.png: ",
        "skipped ends\\.png: ",
        "and 2 more",
        "[run]",
    ):
        assert named in out, named
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
    console = Console(file=screen, force_terminal=True, width=120)
    assert train.train(train.begin(given, Workers(), console), console) == 0
    assert len(read_log("run")) == 3 and "3/3" in screen.getvalue() and "images/s" in screen.getvalue()


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

    def failing(self, real, *rest, **labels):
        result = step(self, real, *rest, **labels)
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
        "loss.png",
        "settings.json",
        "timing.json",
    ]
    kept = weights("run")
    assert int(kept["generator gen.0.1.num_batches_tracked"]) == steps
    flags = ["--steps", "1", "--out", "on", "--netG", "run/generator.npz", "--netD", "run/discriminator.npz"]
    given = train.parse_given(["--data", "photos", *TINY, *flags])
    console = Console(file=io.StringIO())
    assert train.train(train.begin(given, Workers(), console), console) == 0
    assert int(weights("on")["generator gen.0.1.num_batches_tracked"]) == steps + 1


def test_interrupt_twice_stops_at_once(monkeypatch, command):
    """The second Ctrl-C does not wait for the step: a sentence, no traceback.

    The log has all that came before, then already.
    """
    step, taken = Trainer.step, itertools.count()  # 0 is the plan's

    def slow(self, real, *rest, **labels):
        if next(taken) == 3:
            assert len(read_log("run")) == 2
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
        return step(self, real, *rest, **labels)

    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(Trainer, "step", slow)
    code, _, err = command("--steps", "50", "--out", "run")
    assert code == 130 and err.startswith("interrupted") and err.count("\n") == 1
    assert signal.getsignal(signal.SIGINT) is before and len(read_log("run")) == 2
