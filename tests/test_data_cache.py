"""The cache of images: hits, keys, damage, full disks, several processes."""

import json
import os
import shutil
import signal
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from data_cases import noise, own_cache, photos, save  # noqa: F401

from dcgan_cupy.data import DataError, faces, open_dataset, picture
from dcgan_cupy.data.formats import folder
from dcgan_cupy.data.store import build
from dcgan_cupy.data.store import entry as cache

ROOT = Path(__file__).resolve().parents[1]


def test_cache_hit_is_bit_equal_and_draws_nothing(own_cache, monkeypatch):
    first = open_dataset("faces", 16, count=20)
    before = np.array(first.images)
    monkeypatch.setattr(faces, "draw", lambda *_: pytest.fail("drawn again"))
    seen = []
    again = open_dataset("faces", 16, count=20, progress=lambda *p: seen.append(p))
    assert isinstance(again.images, np.memmap) and not again.images.flags.writeable
    assert (again.images == before).all() and seen == []
    assert set(again.attributes) == set(first.attributes)
    for name, values in first.attributes.items():
        assert values.dtype == again.attributes[name].dtype and (values == again.attributes[name]).all()
    assert sorted(path.suffix for path in own_cache.iterdir()) == [".json", ".npy"]


def test_cache_keeps_what_was_skipped(photos, monkeypatch):
    save(photos / "a.png", noise(1, 8, 8))
    (photos / "b.png").write_bytes(b"")
    first = open_dataset(str(photos), 8, on_bad="skip")
    monkeypatch.setattr(picture, "decode", lambda *_: pytest.fail("decoded again"))
    again = open_dataset(str(photos), 8, on_bad="skip")
    assert again.skipped == first.skipped == [("b.png", "an empty file")] and (again.images == first.images).all()


def test_cache_key_follows_all_that_determines_the_pixels(own_cache, photos, tmp_path):
    def entries() -> int:
        return len(list(own_cache.glob("*.json")))

    for n, options in enumerate([{}, {"seed": 1}, {"count": 4}, {"channels": 1}, {"image_size": 17}, {}], 1):
        open_dataset("faces", **{"image_size": 16, "count": 3, **options})
        assert entries() == min(n, 5), options  # the last is the first again
    for place, value in ((photos, 1), (tmp_path / "twin", 2)):  # name, bytes and time alike
        save(place / "a.bmp", np.full((8, 8, 3), value, np.uint8))
        os.utime(place / "a.bmp", ns=(0, 0))
        assert (open_dataset(str(place), 8).images == value).all()
    assert entries() == 7
    save(photos / "a.bmp", np.full((8, 8, 3), 9, np.uint8))
    assert (open_dataset(str(photos), 8).images == 9).all()
    save(photos / "b.bmp", np.full((8, 8, 3), 9, np.uint8))
    assert len(open_dataset(str(photos), 8)) == 2
    (photos / "a.bmp").rename(photos / "c.bmp")
    open_dataset(str(photos), 8)
    assert entries() == 10


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-100] ^= 1
    path.write_bytes(data)


def other_shape(path: Path) -> None:
    """A header that claims petabytes."""
    header = {"descr": "|u1", "fortran_order": False, "shape": (1 << 43, 16, 16, 3)}
    with open(path, "r+b") as file:
        np.lib.format.write_array_header_1_0(file, header)


def other_attribute(path: Path) -> None:
    note = json.loads(path.read_text())
    note["attributes"]["smile"]["base64"] = "AAAA" + note["attributes"]["smile"]["base64"][4:]
    path.write_text(json.dumps(note))


@pytest.mark.parametrize(
    ("suffix", "damage"),
    [
        (".npy", cut_short),
        (".npy", flip_a_bit),
        (".npy", other_shape),
        (".npy", Path.unlink),
        (".npy", lambda path: path.write_bytes(b"")),
        (".npy", lambda path: path.write_bytes(b"junk" * 99)),
        (".json", cut_short),
        (".json", other_attribute),
        (".json", Path.unlink),
        (".json", lambda path: path.write_text("[]")),
        (".json", lambda path: path.write_bytes(b"\xff\x00")),
    ],
)
def test_cache_damaged_entry_is_made_again(own_cache, suffix, damage):
    whole = open_dataset("faces", 16, count=5)
    images, smile = np.array(whole.images), np.array(whole.attributes["smile"])
    (path,) = own_cache.glob("*" + suffix)
    damage(path)
    seen = []
    again = open_dataset("faces", 16, count=5, progress=lambda *p: seen.append(p))
    assert seen == [(5, 5)], "the damage was not noticed"
    assert (again.images == images).all() and (again.attributes["smile"] == smile).all()
    open_dataset("faces", 16, count=5, progress=lambda *p: seen.append(p))
    assert len(seen) == 1, "the entry was not mended"


def test_cache_entry_of_other_pixels_is_not_taken(own_cache):
    """A whole entry under the wrong name: its own key gives it away."""
    want = np.array(open_dataset("faces", 16, count=5, seed=1).images)
    mine = {path.suffix: path for path in own_cache.iterdir()}
    open_dataset("faces", 16, count=5, seed=2)
    for path in set(own_cache.iterdir()) - set(mine.values()):
        path.replace(mine[path.suffix])
    assert (open_dataset("faces", 16, count=5, seed=1).images == want).all()


def test_cache_that_cannot_be_written_gives_images_in_memory(tmp_path, recwarn):
    blocked = tmp_path / "file"
    blocked.write_text("where a folder should be")
    want = open_dataset("faces", 16, count=70)
    assert not recwarn.list
    message = r"open_dataset: cache: need a folder that can be written, got .*file.data \(Not a directory\)"
    with pytest.warns(RuntimeWarning, match=message) as caught:
        got = open_dataset("faces", 16, count=70, cache=blocked)
    assert len(caught) == 1 and caught[0].filename == __file__
    assert not isinstance(got.images, np.memmap) and (got.images == want.images).all()
    assert all((got.attributes[name] == want.attributes[name]).all() for name in want.attributes)


def test_cache_asks_for_the_room_first(own_cache, monkeypatch):
    monkeypatch.setattr(build.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9 - 5000, 5000))
    monkeypatch.setattr(faces, "draw", lambda *_: pytest.fail("begun without the room"))
    with pytest.raises(DataError, match=r"cache: need 16.8 MB more in .* for 70 images, got 5 kB free \(make room"):
        open_dataset("faces", 16, count=70, seed=1)


def test_cache_on_a_disk_that_fills_up_meanwhile(own_cache, monkeypatch):
    want = np.array(open_dataset("faces", 16, count=70, seed=1).images)
    for path in own_cache.iterdir():
        path.unlink()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(build.os, "pwrite", full)
    with pytest.warns(RuntimeWarning, match=r"\(No space left on device\)"):
        got = open_dataset("faces", 16, count=70, seed=1)
    assert (got.images == want).all() and not list(own_cache.glob("*.json"))


def test_cache_that_would_not_fit_into_memory_either(tmp_path, monkeypatch):
    blocked = tmp_path / "file"
    blocked.write_text("where a folder should be")
    monkeypatch.setattr(cache, "free_memory", lambda: 60_000)
    with pytest.raises(DataError, match=r"in memory the images would take 53.8 kB of 60 kB"):
        open_dataset("faces", 16, count=70, cache=blocked)


def test_cache_reader_that_fails_leaves_nothing_and_its_own_error(own_cache, photos, monkeypatch):
    save(photos / "a.png", noise(1, 8, 8))

    def broken(*_):
        raise OSError("the reader's own trouble")

    monkeypatch.setattr(folder.Folder, "tasks", broken)
    with pytest.raises(OSError, match="the reader's own trouble"):
        open_dataset(str(photos), 8)
    assert not list(own_cache.glob("*.json")) and not list(own_cache.glob("*.npy"))


def test_cache_place(tmp_path, monkeypatch):
    monkeypatch.delenv("DCGAN_CUPY_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    open_dataset("faces", 16, count=1)
    assert len(list((tmp_path / "xdg" / "dcgan_cupy" / "data").iterdir())) == 2
    open_dataset("faces", 16, count=1, cache=tmp_path / "own")
    assert len(list((tmp_path / "own" / "data").iterdir())) == 2


CHILD = """
import os, signal, sys
from dcgan_cupy.data import open_dataset
import zlib
def progress(done, total):
    if sys.argv[1] == "die" and done >= 64:
        os.kill(os.getpid(), signal.SIGKILL)
images = open_dataset("faces", 16, count=200, progress=progress).images
print(type(images).__name__, zlib.crc32(images))
"""


def child(how: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", CHILD, how],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def test_cache_two_processes_at_once(own_cache):
    running = [child("live") for _ in range(2)]
    answers = [process.communicate(timeout=60)[0] for process in running]
    images = open_dataset("faces", 16, count=200).images
    assert answers == [f"memmap {zlib.crc32(images)}\n"] * 2
    assert len(list(own_cache.iterdir())) == 2


def test_cache_after_a_kill(own_cache, monkeypatch):
    killed = child("die")
    killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert sorted(path.suffix for path in own_cache.iterdir()) == [".journal", ".part"]
    open_dataset("faces", 16, count=2)
    assert len(list(own_cache.iterdir())) == 4  # it might belong to a run that goes on
    done = []
    monkeypatch.setattr(faces, "draw", lambda i, *rest, draw=faces.draw: done.append(i) or draw(i, *rest))
    images = open_dataset("faces", 16, count=200).images
    assert min(done) == 64 and (images[[3, 150]] == [np.asarray(faces.draw(i, 16)[0]) for i in (3, 150)]).all()
    assert sorted(path.suffix for path in own_cache.iterdir()) == [".json", ".json", ".npy", ".npy"]


def test_cache_part_that_was_damaged_is_made_again_from_there(own_cache, monkeypatch):
    child("die").communicate(timeout=60)
    (part,) = own_cache.glob("*.part")
    flip_a_bit(part)
    done = []
    monkeypatch.setattr(faces, "draw", lambda i, *rest, draw=faces.draw: done.append(i) or draw(i, *rest))
    images = open_dataset("faces", 16, count=200).images
    assert min(done) == 0 and (images[63] == np.asarray(faces.draw(63, 16)[0])).all()


def test_cache_part_that_nobody_goes_on_with_is_swept(own_cache):
    child("die").communicate(timeout=60)
    for path in own_cache.iterdir():
        os.utime(path, (0, 0))
    open_dataset("faces", 16, count=2)
    assert sorted(path.suffix for path in own_cache.iterdir()) == [".json", ".npy"]
