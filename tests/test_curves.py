"""loss.png by both painters, TensorBoard's events, and the lines of a run that nobody watches."""

import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image
from travel_cases import SMALL, command, done, log_of, refused  # noqa: F401

from dcgan_cupy.runs import board, curves

TINY = (*SMALL, "--image-size", "16", "--features-g", "4")
BLUE, RED, GREEN, ORANGE = (0x1F, 0x77, 0xB4), (0xD6, 0x27, 0x28), (0x2C, 0xA0, 0x2C), (0xFF, 0x7F, 0x0E)


def log(path, values):
    """A log of (loss_d, loss_g, d_real, d_fake) a step."""
    lines = [dict(zip(("step", "epoch", "loss_d", "loss_g", "d_real", "d_fake", "d_fake_after"), (i, 0, *v, 0.5)))
             for i, v in enumerate(values, 1)]  # fmt: skip
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.fixture(params=["matplotlib", "pillow"])
def painter(request, monkeypatch):
    if request.param == "pillow":
        monkeypatch.setattr(curves, "find_spec", lambda name: None)
    return request.param


def places(image, colour):
    """(row, column) of the pixels of about this colour."""
    return np.argwhere(np.abs(np.asarray(image, int) - colour).max(axis=2) < 40)


def drawn(tmp_path, values):
    curves.draw(log(tmp_path / "log.jsonl", values), tmp_path / "loss.png")
    return Image.open(tmp_path / "loss.png").convert("RGB")


def test_curves_are_where_they_belong(tmp_path, painter):
    """G's loss rises, D's falls; D(x) lies above D(G(z)) in the lower half; all four colours are there."""
    image = drawn(tmp_path, [(2 - i / 100, 0.2 + i / 100, 0.9, 0.1) for i in range(150)])
    assert image.size == (1000, 600)
    inside = image.crop((0, 0, 880, 600))  # without the legend
    blue, red, green, orange = (places(inside, c) for c in (BLUE, RED, GREEN, ORANGE))
    assert min(map(len, (blue, red, green, orange))) > 300
    assert blue[:, 0].max() < 300 < green[:, 0].min()  # the losses above, the probabilities below
    for line, way in ((blue, 1), (red, -1)):  # rows count downwards
        left, right = (line[line[:, 1] < 200][:, 0].mean(), line[line[:, 1] > 700][:, 0].mean())
        assert way * (right - left) > 50
    assert green[:, 0].mean() + 100 < orange[:, 0].mean()


@pytest.mark.parametrize("values", [
    [(1.3, 0.7, 0.5, 0.5)],
    [(1.3, 0.7, 0.5, 0.5)] * 2,
    [(1.3, None, 0.5, None)] * 3,
    [(-1.0, -2.0, 0.0, 0.0), (1e30, 3.0, 1.0, 1.0)],
    [(0.0, 0.0, 0.0, 0.0)] * 5,
], ids=["one step", "two steps", "no numbers", "below 0 and far", "nothing but 0"])  # fmt: skip
def test_odd_logs(tmp_path, painter, values):
    assert drawn(tmp_path, values).size == (1000, 600)


def test_no_log_no_picture(tmp_path, painter):
    (tmp_path / "log.jsonl").write_text("")
    curves.draw(tmp_path / "log.jsonl", tmp_path / "loss.png")
    assert not (tmp_path / "loss.png").exists()


def test_a_long_log_is_drawn_by_means(tmp_path):
    values = [(float(i), 1.0, 0.5, 0.5) for i in range(4500)]
    steps, found = curves.read(log(tmp_path / "log.jsonl", values))
    assert len(steps) == 900 and steps[0] == 3.0 and found["loss_d"][0] == 2.0  # five at a time
    with open(tmp_path / "log.jsonl", "a") as file:
        file.write('{"step": 4501, "los\n[1]\n"text"\n{"step": "x"}\n')
    assert len(curves.read(tmp_path / "log.jsonl")[0]) == 900


def test_smooth_leaves_out_what_is_no_number():
    values = np.array([1.0] * 100 + [np.nan] + [1.0] * 100)
    got = curves.smooth(values)
    assert np.isnan(got[100]) and (got[np.arange(201) != 100] == 1.0).all()
    ramp = np.arange(300.0)
    assert np.abs(curves.smooth(ramp) - ramp).max() <= 1.5  # the ends lean on what they have


def test_a_run_leaves_its_curves_and_prints_lines(command, tmp_path):
    out = done(command("train", *TINY, "--steps", "4", "--out", tmp_path / "run"))
    assert Image.open(tmp_path / "run" / "loss.png").size == (1000, 600)
    number = r"\d+\.\d{4}"
    shape = (
        rf"\[\d+/\d+\]\[\d+/\d+\] Loss_D: {number} Loss_G: {number} D\(x\): {number} D\(G\(z\)\): {number} / {number}"
    )
    lines = [line for line in out.splitlines() if re.match(shape, line)]
    assert len(lines) == 4 and not (tmp_path / "run" / "tensorboard").exists()
    last = log_of(tmp_path / "run")[-1]
    assert f"Loss_D: {last['loss_d']:.4f} Loss_G: {last['loss_g']:.4f} D(x): {last['d_real']:.4f}" in lines[-1]


def events(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder), size_guidance={"images": 0, "scalars": 0})
    found.Reload()
    return found


def test_tensorboard_shows_the_log_and_the_samples(command, tmp_path):
    """A run that died after its last checkpoint and was resumed: of steps that were done twice the later count."""
    flags = (*TINY, "--tensorboard", "--sample-every", "2", "--checkpoint-every", "2", "--steps", "4", "--ema", "0.5")
    run = tmp_path / "run"
    done(command("train", *flags, "--out", run))
    shutil.rmtree(run / "checkpoints" / "000004")
    done(command("train", "--resume", run, "--steps", "6"))
    found, lines = events(run / "tensorboard"), log_of(run)
    assert sorted(found.Tags()["scalars"]) == ["d_fake", "d_fake_after", "d_real", "loss_d", "loss_g"]
    for name in found.Tags()["scalars"]:
        got = [(e.step, e.value) for e in found.Scalars(name)]
        assert got == [(line["step"], float(np.float32(line[name]))) for line in lines]
    for name, suffix in (("samples", ""), ("samples-ema", "-ema")):
        got = found.Images(name)
        assert [e.step for e in got] == [0, 2, 4, 6]
        for e in got:
            path = run / "samples" / f"{e.step:06d}{suffix}.png"
            assert e.encoded_image_string == path.read_bytes()
            assert (e.width, e.height) == Image.open(path).size


def test_tensorboard_changes_no_other_byte(command, tmp_path):
    for name, more in (("with", ["--tensorboard"]), ("without", [])):
        done(command("train", *TINY, "--steps", "2", "--out", tmp_path / name, *more))
    for name in ("log.jsonl", "generator.npz", "samples/000002.png", "loss.png"):
        assert (tmp_path / "with" / name).read_bytes() == (tmp_path / "without" / name).read_bytes()


def test_tensorboard_that_is_not_there(command, tmp_path, monkeypatch):
    monkeypatch.setattr(board, "find_spec", lambda name: None)
    refused(command("train", *TINY, "--tensorboard", "--out", tmp_path / "run"),
            "train: --tensorboard: need the tensorboard extra (pip install 'dcgan-cupy[tensorboard]')")  # fmt: skip
    assert not (tmp_path / "run").exists()
