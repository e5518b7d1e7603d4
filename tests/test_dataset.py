"""A Dataset and its attributes; what was left out is said; what can be refused is refused before anything slow."""

import io
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dcgan_cupy import train
from dcgan_cupy.config import DEVICE_DEFAULTS
from dcgan_cupy.data import DataError, Dataset, as_flags, check, open_dataset, picture
from dcgan_cupy.data.__main__ import main
from dcgan_cupy.data.reader import Batch, Look, Task
from dcgan_cupy.data.store import build
from dcgan_cupy.data.store.entry import collect
from dcgan_cupy.device import gpu


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("DCGAN_CUPY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def pictures(folder, count):
    folder.mkdir()
    for i in range(count):
        Image.fromarray(np.full((9, 8, 3), 20 + i, np.uint8)).save(folder / f"{i:02d}.png")
    return str(folder)


def cut_tar(path, keep):
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as archive:
        for i in range(20):
            file = io.BytesIO()
            Image.fromarray(np.random.default_rng(i).integers(0, 256, (28, 28, 3), np.uint8)).save(file, "PNG")
            info = tarfile.TarInfo(f"{i:02d}.png")
            info.size = len(file.getvalue())
            archive.addfile(info, io.BytesIO(file.getvalue()))
    path.write_bytes(whole.getvalue()[: int(len(whole.getvalue()) * keep)])
    return str(path)


IMAGES = np.zeros((7, 8, 9, 3), np.uint8)


@pytest.mark.parametrize(
    "values", [np.zeros(3, np.int32), np.zeros((8, 2)), np.zeros((1, 7)), np.int32(5), np.zeros(0)]
)
def test_an_attribute_has_one_value_an_image(values):
    with pytest.raises(DataError, match=r"^Dataset: attributes: need one value for each of 7 images, got label \["):
        Dataset("a", IMAGES, {"other": np.zeros(7), "label": values})


@pytest.mark.parametrize("images", [IMAGES.astype(np.float32), IMAGES[0], IMAGES[None]])
def test_images_of_another_kind(images):
    with pytest.raises(DataError, match=r"^Dataset: images: need uint8 \[N, H, W, C\], got "):
        Dataset("a", images)


def test_a_right_dataset():
    assert len(Dataset("a", IMAGES, {"label": np.zeros(7, np.int32), "box": np.zeros((7, 4))})) == 7
    assert len(Dataset("a", IMAGES[:0], {"label": np.zeros(0, np.int32)})) == 0


class Half:
    """A reader whose second piece alone knows labels, and whose fourth has two numbers for one."""

    format, source, count, total, classes, skipped, damage = "half", "half", None, 16, (), [], ""
    look = Look(8, 1)

    def key(self):
        return {"reader": "half"}

    def tasks(self, start):
        known = [
            {"age": np.arange(4)},
            {"age": np.arange(4), "label": np.arange(4)},
            {"age": np.arange(4)},
            {"age": np.arange(4)},
        ]
        known[3] |= {"label": np.zeros((4, 2), np.int64)}
        for i in range(start // 4, 4):
            yield Task(4 * i + 4, half_piece, (i, known[i]))


def half_piece(i, known):
    return Batch(np.full((4, 8, 8, 1), i, np.uint8), known)


@pytest.mark.parametrize("blocked", [False, True])
def test_an_attribute_that_only_some_images_have_is_left_out_and_said(place, blocked):
    cache = place / "c"
    if blocked:  # a file where a folder should be: images in memory
        cache.write_text("")
    with pytest.warns(RuntimeWarning) if blocked else pytest.MonkeyPatch.context():
        found = collect(Half(), cache)
    assert list(found.attributes) == ["age"] and found.attributes["age"].tolist() == [*range(4)] * 4
    assert found.notes == ("label left out: known of 8 of 16 images",)
    if not blocked:
        again = collect(Half(), cache)
        assert again.notes == found.notes and isinstance(again.images, np.memmap)


def test_join_follows_its_images():
    one, two = np.arange(3), np.arange(5)
    assert build.join([(3, {"a": one}), (0, {}), (5, {"a": two})])[0]["a"].tolist() == [*one, *two]
    assert build.join([(3, {"a": two}), (5, {"a": one})]) == ({}, ["a left out: known of 0 of 8 images"])


def test_damage_is_said_with_on_bad_skip(place, capsys):
    path = cut_tar(place / "cut.tar", 0.45)
    dataset = open_dataset(path, 28, on_bad="skip")
    assert 0 < len(dataset) < 20 and len(dataset.notes) == 1
    assert re.match(r"tar damaged .*\d\d\.png", dataset.notes[0]), dataset.notes
    for command in ("prepare", "info"):
        assert main([command, path, "--image-size", "28", "--on-bad", "skip"]) == 0
        assert re.search(r"^(note|damaged) .*\d\d\.png", capsys.readouterr().out, re.M), command
    assert open_dataset(path, 28, on_bad="skip").notes == dataset.notes  # from the cache


def test_info_counts_what_is_no_image(place, capsys):
    (place / "d" / "deep").mkdir(parents=True)
    for i in range(10):
        (place / "d" / f"{i}.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(99))
    (place / "d" / "deep" / "notes").write_bytes(b"words")
    (place / "d" / ".hidden.h5").write_bytes(b"")
    assert main(["info", "d", "--image-size", "16"]) == 0
    assert "left out  11 files of other kinds: h5 10, no suffix 1\n" in capsys.readouterr().out
    assert main(["prepare", "d", "--image-size", "16"]) == 2
    assert "which has none (11 files of other kinds: h5 10, no suffix 1)\n" in capsys.readouterr().err
    pictures(place / "e", 2)
    (place / "e" / "a.txt").write_text("words")
    assert main(["prepare", "e", "--image-size", "16"]) == 0
    assert "left out  1 file of other kinds: txt 1\n" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["cpu", "gpu"])
def test_prepare_takes_the_size_that_training_takes(place, capsys, monkeypatch, kind):
    """Each on a machine that has that device: what was prepared is what is read."""
    monkeypatch.setattr(gpu, "why_not", lambda: "" if kind == "gpu" else "none here")
    folder = pictures(place / "set", 3)
    size = DEVICE_DEFAULTS[kind]["image_size"]
    for arguments in (["prepare", folder], ["prepare", folder, "--device", kind]):
        assert main(arguments) == 0 and f"3 of {size} x {size} px" in capsys.readouterr().out
    config = train.parse(["--data", folder]).resolved(kind)
    monkeypatch.setattr(picture, "decode", lambda *_: pytest.fail("decoded again"))
    asked = {name: getattr(config, name) for name in ("seed", "crop", "format", "split", "on_bad")}
    assert len(open_dataset(config.data, config.image_size, config.channels, **asked)) == 3


@pytest.mark.parametrize(
    "source, options, message",
    [
        ("nowhere", {}, r"source: need the name .* got 'nowhere' \(does not exist\)"),
        ("set", {"format": "idx"}, "source: |format: "),
        ("set/00.png", {}, r"source: need .* \(a single image: give its folder\)"),
        ("set", {"least": 64}, r"source: need 64 images or more, got .*set with 3$"),
        ("set", {"least": 64, "count": 2}, r"source: need 64 images or more, got .*set with 2$"),
        ("faces", {"least": 64, "count": 9}, r"source: need 64 images or more, got faces with 9$"),
        ("set", {"on_bad": "x"}, "on_bad: need one of skip, fail, got 'x'"),
        ("nowhere", {"on_bad": "x"}, "on_bad: need one of skip, fail, got 'x'"),
        ("mnist", {}, "source: need mnist fetched first"),
    ],
)
def test_check_refuses_without_decoding(place, monkeypatch, source, options, message):
    pictures(place / "set", 3)
    for name in ("decode", "decode_each", "fit_each"):
        monkeypatch.setattr(picture, name, lambda *_: pytest.fail("decoded"))
    with pytest.raises(DataError, match="^open_dataset: (" + message + ")"):
        check(source, 16, **options)
    assert check("set", 16, least=3).total == 3 and not (place / "cache").exists()


def test_errors_in_the_words_of_a_command(place):
    with pytest.raises(DataError, match=r"^train: --data: need the name"), as_flags("train", source="--data"):
        open_dataset("nowhere", 16)
    with pytest.raises(DataError, match=r"^train: --image-size: need"), as_flags("train", source="--data"):
        open_dataset("faces", 7)
    with pytest.raises(DataError, match=r"^fetch: x: y$"), as_flags("train", source="--data"):
        raise DataError("fetch: x: y")


def test_info_of_a_damaged_cache_and_one_that_is_not_used(place, capsys):
    open_dataset("faces", 16, count=3)
    (note,) = (place / "cache" / "data").glob("*.json")
    note.write_text('{"key": [1]}')
    assert main(["info"]) == 0 and "(not finished)" in capsys.readouterr().out
    (place / "cache" / "data").chmod(0o777)
    assert main(["info"]) == 0 and "unused    cache: " in capsys.readouterr().out
    assert main(["clear"]) == 0 and "of 1 dataset in" in capsys.readouterr().out


def test_cupy_is_not_looked_for_where_the_size_is_given():
    code = "import sys; from dcgan_cupy.data.__main__ import main\n"
    code += "main(['info', 'faces', '--image-size', '16']); print('cupy' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.stdout.endswith("False\n")
