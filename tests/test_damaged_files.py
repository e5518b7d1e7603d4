"""Data files that are cut short or damaged, in every format."""

import gc
import gzip
import os
import struct
import warnings
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import specimens
from hostile_cases import IMAGES, LABELS, PNG, guarded, opened, place, refused, whole  # noqa: F401

from dcgan_cupy.data import DataError, open_dataset
from dcgan_cupy.data.store import pool


@pytest.mark.parametrize("write", specimens.EVERY, ids=lambda write: write.__name__)
@pytest.mark.parametrize("share", [0, 0.001, 0.02, 0.3, 0.5, 0.9, 0.999])
def test_cut_short(write, share, place):
    """Files cut at many places: never another error, and the images before the cut are right where there are any."""
    images, labels = (IMAGES, LABELS) if write not in specimens.GREY else specimens.pictures(channels=1)
    path = write(place, images, labels)
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    largest = max(files, key=lambda file: file.stat().st_size)
    whole = {image.tobytes() for image in np.concatenate([images, 255 - images])}
    os.truncate(largest, int(largest.stat().st_size * share))
    try:
        dataset = opened(path, channels=images.shape[-1])
    except DataError as error:
        assert str(path) in str(error) or largest.name in str(error)
    else:
        assert all(image.tobytes() in whole for image in dataset.images), "an image that was never there"
        if share < 0.9:
            assert dataset.skipped or len(dataset) < len(images) or len(files) > 1


@pytest.mark.parametrize(
    "write, keep",
    [
        (specimens.idx_plain, 16 + 5 * 1024 + 7),
        (specimens.npy, 128 + 5 * 3072 + 7),
        (specimens.mat_plain, 128 + 56 + 5 * 3072 + 7 + 8),
        (specimens.cifar100_binary, 5 * 3074 + 7),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_cut_short_the_images_before_are_kept(write, keep, place):
    grey = write in specimens.GREY
    images, labels = specimens.pictures(channels=1 if grey else 3)
    path = write(place, images, labels)
    os.truncate(path if path.is_file() else path / "train.bin", keep)
    if write is specimens.mat_plain:
        assert "cut short" in refused(path)  # its lengths say so before any image is read
        return
    dataset = opened(path, channels=images.shape[-1])
    assert (dataset.images == images[:5]).all() and "ends before" in dataset.skipped[-1][1]
    with pytest.raises(DataError, match=r"at most 1% unreadable images .* got \d+ in"):
        open_dataset(str(path), 32, images.shape[-1])


def test_a_damaged_gzip_gives_what_comes_before(place):
    """Random pixels do not deflate: the damage is at its own place in the file."""
    images, labels = specimens.pictures(200, channels=1)
    specimens.idx(place, images, labels)
    path = place / "train-images-idx3-ubyte.gz"
    os.truncate(path, path.stat().st_size // 2)
    dataset = opened(path, channels=1)
    assert 50 < len(dataset) < 110 and (dataset.images == images[: len(dataset)]).all() and dataset.skipped


def wrong_gzip(path: Path) -> None:
    """Packs a file so that one byte is not what was packed; nothing but the checksum says so."""
    packed = bytearray(gzip.compress(path.read_bytes(), 0))  # stored: a changed byte is no fault of deflate's
    packed[5000] ^= 1
    path.write_bytes(packed)


@pytest.mark.parametrize("count", [11, 200])
@pytest.mark.parametrize("trailing", [b"", b"more"])
def test_a_gzip_whose_checksum_is_wrong(place, count, trailing):
    """Every image is there, and one of them is not what was packed: nobody can say which."""
    images, labels = specimens.pictures(count, channels=1)
    specimens.idx_plain(place, images, labels)
    path = place / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes() + trailing)
    wrong_gzip(path)
    for _ in range(2):  # read, then from the cache
        dataset = opened(path, channels=1)
        assert len(dataset) == count and (dataset.images != images).sum() == 1
        assert "damaged somewhere in train-images-idx3-ubyte" in refused(path, channels=1, on_bad=None)


def test_a_wrong_checksum_outlives_a_killed_run(place, monkeypatch):
    """The first of two files is damaged; the run that read it ends in the second."""
    images, labels = specimens.pictures(300, channels=1)
    specimens.idx_plain(place, images, labels)
    first = place / "train-images-idx3-ubyte"
    (place / "more-train-images-idx3-ubyte").write_bytes(first.read_bytes())
    wrong_gzip(place / "more-train-images-idx3-ubyte")  # comes first

    class Killed(Exception):
        pass

    def kill(done, total):
        if done > 400:
            raise Killed

    with pytest.raises(Killed):
        opened(place, channels=1, progress=kill)
    assert "damaged somewhere in more-train-images" in refused(place, channels=1, on_bad=None)


@pytest.mark.parametrize("cores", [1, 2])
def test_a_wrong_checksum_of_images_that_are_not_wanted(place, monkeypatch, cores):
    """Whether it is met must not depend on how far a pool reads ahead."""
    images, labels = specimens.pictures(200, channels=1)
    specimens.idx_plain(place, images, labels)
    path = place / "train-images-idx3-ubyte"
    wrong_gzip(path)
    monkeypatch.setattr(pool, "PATIENCE", 0)
    monkeypatch.setattr(pool, "STARTS", 0)
    monkeypatch.setattr(pool, "cores", lambda: cores)
    monkeypatch.setattr(pool, "_is_done", lambda future: True)
    assert len(opened(path, channels=1, count=100, on_bad=None)) == 100


def test_what_follows_a_whole_gzip_is_no_damage(place):
    images, labels = specimens.pictures(11, channels=1)
    specimens.idx(place, images, labels)
    path = place / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes() + b"something else")
    assert (opened(path, channels=1, on_bad=None).images == images).all()


def test_labels_with_a_wrong_checksum(place):
    images, labels = specimens.pictures(6000, size=4, channels=1)
    specimens.idx_plain(place, images, labels)
    wrong_gzip(place / "train-labels-idx1-ubyte")
    assert "labels" in refused(place, channels=1) and "checksum" in refused(place, channels=1)


def test_an_array_with_a_wrong_checksum(place):
    np.save(place / "set.npy", IMAGES)
    wrong_gzip(place / "set.npy")
    assert "damaged somewhere in set.npy" in refused(place / "set.npy", on_bad=None)


def test_a_file_that_the_system_says_nothing_about(place, monkeypatch):
    """Some network folders fail at a single file; the others must not be lost."""
    for i in range(6):
        (place / f"{i}.png").write_bytes(PNG)
    real = os.scandir

    class Entry:
        def __init__(self, entry):
            self.entry, self.name = entry, entry.name

        def is_dir(self, follow_symlinks=True):
            if self.name == "3.png":
                raise OSError(5, "Input/output error")
            return self.entry.is_dir(follow_symlinks=follow_symlinks)

        def __getattr__(self, name):
            return getattr(self.entry, name)

    class Entries:
        def __init__(self, path):
            self.entries = real(path)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.entries.close()

        def __iter__(self):
            return self

        def __next__(self):
            return Entry(next(self.entries))

        close = __exit__

    monkeypatch.setattr(os, "scandir", Entries)
    dataset = opened(place)
    assert len(dataset) == 5 and dataset.skipped == [("3.png", "Input/output error")]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0",
        b"\0" * 5000,
        b"PK",
        b"PK\x03\x04" + b"\xff" * 100,
        b"PK\x05\x06" + b"\0" * 18,
        b"\x1f\x8b",
        b"\x1f\x8b\x08\0" + b"\0" * 50,
        b"\x93NUMPY",
        b"\x93NUMPY\x01\0\xff\xff{",
        b"\x93NUMPY\x09\0",
        b"\x80\x04.",
        b"\x80\x02}q\0.",
        b"BZh91AY",
        b"\xfd7zXZ\0",
        b"MATLAB 5.0",
        b"MATLAB 5.0".ljust(126) + b"IM",
        b"MATLAB 5.0".ljust(126) + b"MI" + b"\0" * 64,
        b"\x89HDF\r\n\x1a\n" + b"\0" * 100,
        b"\0\0\x08\x03",
        b"\0\0\x08\x03" + b"\0" * 12,
        b"\0\0\x08\x03" + b"\xff" * 12,
        b"\0\0\x0d\x03" + b"\0\0\0\x01" * 3 + b"\0" * 4,
        b"\0" * 16 + struct.pack("<II", 0xBEEFC0DE, 1),
        b"\0" * 16 + struct.pack("<II", 0xBEEFC0DE, 1) + b"\xff" * 9000,
        b"%!PS-Adobe",
        b"<!doctype html>",
        b"\xff" * 3073,
        np.random.default_rng(64).bytes(64),
        b"a" * 257 + b"ustar" + b"\0" * 250,
        PNG,
    ],
    ids=lambda content: f"{content[:8]!r}-{len(content)}",
)
def test_wrong_magic(content, place):
    (place / "file").write_bytes(content)
    assert "file" in refused(place / "file")
    for form in ("zip", "tar", "idx", "cifar", "pickle", "lmdb", "mat", "numpy"):
        refused(place / "file", format=form)


def test_a_file_of_no_bytes_in_a_folder_of_packed_files(place):
    specimens.cifar10_binary(place, IMAGES, LABELS)
    (place / "data_batch_3.bin").write_bytes(b"")
    assert (opened(place).images == IMAGES).all()


@pytest.mark.parametrize("write", specimens.EVERY, ids=lambda write: write.__name__)
@pytest.mark.parametrize("keep", [1.0, 0.7])
def test_every_file_is_closed(write, keep, place, recwarn):
    """Whether it can be read or not."""
    name, data = whole(write)
    path = place / name
    path.write_bytes(data[: int(keep * len(data))])
    gc.collect()
    recwarn.clear()
    warnings.simplefilter("always", ResourceWarning)
    with suppress(DataError):
        opened(path)
    gc.collect()
    assert [str(one.message) for one in recwarn if one.category is ResourceWarning] == []
