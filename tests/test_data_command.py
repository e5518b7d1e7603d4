"""python -m dcgan_cupy.data: what it tells, what it leaves, and its sentences."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import specimens
from PIL import Image

from dcgan_cupy.data.__main__ import main

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("DCGAN_CUPY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "set").mkdir()
    specimens.folder(tmp_path / "set", *specimens.pictures())
    return tmp_path


def test_prepare_info_grid_clear(place, capsys):
    def told(*arguments):
        code = main([*arguments])
        out, err = capsys.readouterr()
        assert code == 0 and err == ""
        return out

    before = told("info", "set", "--image-size", "32")
    assert (
        "format    folder" in before
        and "images    12\n" in before
        and "classes   " in before
        and "not prepared yet" in before
    )
    made = told("prepare", "set", "--image-size", "32")
    assert "12 of 32 x 32 px (36.9 kB) from" in made and "images/s" in made and "label     int32 [12]" in made
    after = told("info", "set", "--image-size", "32")
    assert "not prepared" not in after and ".npy" in after
    assert "kB" in told("info") and "32 px, 3 channels" in told("info")
    told("grid", "set", "--image-size", "32", "--out", "a.png")
    picture = np.asarray(Image.open("a.png"))
    assert (
        picture.shape == (4 * 66 - 64, 4 * 66 + 2, 3) and len(np.unique(picture)) > 200
    )  # 12 images: 3 rows of 4, twice as large
    assert "of 1 dataset in" in told("clear", "set", "--image-size", "32")
    assert "of 0 datasets" in told("clear")
    assert "not prepared yet" in told("info", "set", "--image-size", "32")


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "data: the following arguments are required: "),
        (["dance"], "data: argument info|prepare|grid|clear|fetch: invalid choice"),
        (["info", "a", "b"], "data: info: need one source or none, got 2"),
        (["prepare"], "data: prepare: need one source, got 0"),
        (["fetch"], "data: fetch: need a name, got 0"),
        (["fetch", "nothing"], "fetch: name: need one of mnist, "),
        (["prepare", "nowhere"], "data: SOURCE: need the name of a dataset"),
        (["prepare", "set", "--crop", "0"], "data: --crop: "),
        (["prepare", "set", "--image-size", "x"], "data: argument --image-size: "),
        (["grid", "set", "--out", "no/where.png"], "data: --out: "),
        (["grid", "set", "--out", "a.xyz"], "data: --out: "),
    ],
)
def test_wrong_use_is_one_sentence(place, capsys, arguments, message):
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert err.startswith(message) and err.count("\n") == 1 and out.strip() == ""


def test_as_a_process_with_a_bar(place):
    done = subprocess.run(
        [sys.executable, "-m", "dcgan_cupy.data", "prepare", "faces", "--count", "300", "--image-size", "16"],
        text=True,
        capture_output=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0 and "300 of 16 x 16 px" in done.stdout and done.stderr == ""
