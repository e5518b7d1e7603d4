"""Files from strangers: whatever is in them, there is one sentence with the file's name, or the good images and a note of the others.

Nothing crashes, hangs, runs code, or writes outside of the cache. Every case has 20 seconds.
"""

import gzip
import io
import os
import pickle
import signal
import socket
import struct
import tarfile
import time
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import specimens
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from dcgan_cupy.data import DataError, open_dataset
from dcgan_cupy.data.__main__ import main
from dcgan_cupy.data.store import pool

IMAGES, LABELS = specimens.pictures()
PNG = specimens.png(IMAGES[0])


@pytest.fixture(autouse=True)
def guarded(tmp_path, monkeypatch):
    """A cache of its own, an end to whatever hangs, and nothing new outside of the cache afterwards."""
    monkeypatch.setenv("DCGAN_CUPY_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)

    def too_long(*_):
        raise AssertionError("hangs")

    old = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, old)
    assert not Path("/tmp/pwned").exists() and not (tmp_path.parent / "escaped.png").exists()


@pytest.fixture
def place(tmp_path):
    (tmp_path / "given").mkdir()
    return tmp_path / "given"


def opened(path, **options):
    return open_dataset(str(path), 32, **{"on_bad": "skip", **options})


def refused(path, **options) -> str:
    """The sentence."""
    with pytest.raises(DataError, match=r"^open_dataset: \w+: need .*, got ") as caught:
        opened(path, **options)
    text = str(caught.value)
    assert "\n" not in text and len(text) < 1000
    return text


# ------------------------------------------------------------------------------------------- truncated at every kind of place


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


# ------------------------------------------------------------------------------------------------------ wrong from the start


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
        os.urandom(64),
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


# --------------------------------------------------------------------------------------------------------- huge declared sizes


def test_bomb_by_pixels(place):
    def png(width, height):
        def chunk(kind, data):
            return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

        head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
        return (
            b"\x89PNG\r\n\x1a\n"
            + chunk(b"IHDR", head)
            + chunk(b"IDAT", zlib.compress(bytes(100)))
            + chunk(b"IEND", b"")
        )

    for i, size in enumerate([(60_000, 60_000), (2**31 - 1, 1), (1, 2**31 - 1), (9000, 9000), (0, 5)]):
        (place / f"bomb{i}.png").write_bytes(png(*size))
    (place / "good.png").write_bytes(PNG)
    dataset = opened(place)
    assert len(dataset) == 1 and len(dataset.skipped) == 5
    assert dict(dataset.skipped)["bomb3.png"] == "9000 x 9000 pixels, more than 67,108,864"


def test_bomb_by_zip_ratio(place):
    with zipfile.ZipFile(place / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", bytes(1 << 24))  # 16 MB of nothing: no image
        archive.writestr("b.png", PNG)
    data = bytearray((place / "bomb.zip").read_bytes())
    at = data.rindex(b"PK\x01\x02", 0, data.rindex(b"PK\x01\x02"))
    data[at + 24 : at + 28] = struct.pack("<I", 1000)  # and a directory that says it is small
    (place / "bomb.zip").write_bytes(data)
    dataset = opened(place / "bomb.zip")
    assert len(dataset) == 1 and dataset.skipped == [("a.png", "the archive promises 1,000 bytes, there are more")]


def test_zip_members_that_claim_gigabytes(place):
    with zipfile.ZipFile(place / "big.zip", "w") as archive:
        archive.writestr("a.png", PNG)
        archive.writestr("b.png", PNG)
    data = bytearray((place / "big.zip").read_bytes())
    at = data.index(b"PK\x01\x02")
    data[at + 20 : at + 28] = struct.pack("<II", 2**31, 2**31)
    (place / "big.zip").write_bytes(data)
    dataset = opened(place / "big.zip")
    assert len(dataset) == 1 and "2,147,483,648 bytes, more than" in dataset.skipped[0][1]


@pytest.mark.parametrize(
    "shape", [(2**32 - 1, 28, 28), (1, 2**32 - 1, 2**32 - 1), (5, 0, 28), (5, 2**16, 2**16), (0, 28, 28)]
)
def test_idx_that_claims_much(place, shape):
    (place / "x-images-idx3-ubyte").write_bytes(struct.pack(">4B3I", 0, 0, 8, 3, *shape) + bytes(5 * 784))
    if shape[0] == 2**32 - 1:
        dataset = opened(place / "x-images-idx3-ubyte", channels=1)
        assert len(dataset) == 5 and dataset.skipped[0][0] == "x-images-idx3-ubyte[5 to 4294967294]"
    else:
        refused(place / "x-images-idx3-ubyte", channels=1)


def npy(shape: str, descr: str = "|u1", data: bytes = bytes(4096)) -> bytes:
    header = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\0" + struct.pack("<H", len(header)) + header + data


@pytest.mark.parametrize(
    "shape",
    [
        "(2**40, 32, 32, 3)",
        "(1099511627776, 32, 32, 3)",
        "(-1, 32, 32, 3)",
        "(5, 100000, 100000, 3)",
        "(1e9, 2, 2)",
        "(True, 32, 32, 3)",
        "()",
        "(3,)",
        "(99999999999999999999, 2, 2)",
        "[5, 32, 32]",
        "((((((5))))))",
    ],
)
def test_npy_headers(place, shape):
    (place / "a.npy").write_bytes(npy(shape))
    try:
        assert len(opened(place / "a.npy")) <= 2
    except DataError as error:
        assert "a.npy" in str(error)


@pytest.mark.parametrize(
    "descr", ["|O", "<f4", "<M8", "|V16", "|S5", "nonsense", "__import__('os').system('touch /tmp/pwned')"]
)
def test_npy_of_other_things(place, descr):
    (place / "a.npy").write_bytes(npy("(4, 32, 32)", descr))
    assert "a.npy" in refused(place / "a.npy")


def test_npz_that_claims_much(place):
    with zipfile.ZipFile(place / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("images.npy", npy("(1000000000, 32, 32, 3)", data=IMAGES[:3].tobytes()))
        archive.writestr("labels.npy", npy("(1000000000,)", "<i8"))
    dataset = opened(place / "a.npz")
    assert (dataset.images == IMAGES[:3]).all() and dataset.skipped[0][0] == "a.npz/images[3 to 999999999]"


@pytest.mark.parametrize("size", [2**31 - 1, 2**32 - 1, 1000])
def test_mat_that_claims_much(place, size):
    specimens.mat_plain(place, IMAGES, LABELS)
    data = bytearray((place / "train_32x32.mat").read_bytes())
    data[132:136] = struct.pack("<I", size)
    (place / "train_32x32.mat").write_bytes(data)
    refused(place / "train_32x32.mat")


# ------------------------------------------------------------------------------------------------- archives that lead elsewhere

HOSTILE_NAMES = [
    "../escaped.png",
    "../../escaped.png",
    "/tmp/escaped.png",
    "a/../../escaped.png",
    "C:\\escaped.png",
    "a\0b.png",
    "\n.png",
    "x" * 5000 + ".png",
    "\u202egnp.exe.png",
    "-rf.png",
    "CON.png",
    "[red]x.png",
]


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_names_in_archives_are_only_names(place, name):
    with zipfile.ZipFile(place / "a.zip", "w") as archive:
        archive.writestr(name, PNG)
    with tarfile.open(place / "a.tar", "w") as archive:
        info = tarfile.TarInfo(name.replace("\0", ""))
        info.size = len(PNG)
        archive.addfile(info, io.BytesIO(PNG))
    before = sorted(path for path in place.parent.rglob("*") if "cache" not in path.parts)
    for path in (place / "a.zip", place / "a.tar"):
        try:
            assert (opened(path).images == IMAGES[:1]).all()
        except DataError as error:  # zipfile ends a name at its zero byte
            assert "\0" in name and "which has none" in str(error)
    assert sorted(path for path in place.parent.rglob("*") if "cache" not in path.parts) == before


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_tar_members_that_are_no_files(place, kind):
    with tarfile.open(place / "a.tar", "w") as archive:
        for name, data in (("a.png", PNG), ("b.png", None)):
            info = tarfile.TarInfo(name)
            if data:
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
            else:
                info.type, info.linkname = kind, "/etc/passwd"
                archive.addfile(info)
    dataset = opened(place / "a.tar")
    assert len(dataset) == 1 and dataset.skipped[0][0] == "b.png"


def test_zip_links_and_passwords(place):
    with zipfile.ZipFile(place / "a.zip", "w") as archive:
        link = zipfile.ZipInfo("link.png")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("secret.png", PNG)
        archive.writestr("good.png", PNG)
        lzma = zipfile.ZipInfo("lzma.png")
        lzma.compress_type = zipfile.ZIP_LZMA
        archive.writestr(lzma, PNG)
    data = bytearray((place / "a.zip").read_bytes())
    at = data.rindex(b"PK\x01\x02", 0, data.index(b"secret.png", data.index(b"PK\x01\x02")))
    data[at + 8] |= 1
    (place / "a.zip").write_bytes(data)
    dataset = opened(place / "a.zip")
    assert len(dataset) == 1
    assert dict(dataset.skipped) == {
        "link.png": "a link, not followed",
        "secret.png": "encrypted",
        "lzma.png": "compressed by another method than deflate",
    }


def test_zip_with_a_wrong_checksum_and_damaged_members(place):
    specimens.zipped(place, IMAGES, LABELS)
    data = bytearray((place / "pictures.zip").read_bytes())
    data[data.index(b"IDAT") + 20] ^= 1
    (place / "pictures.zip").write_bytes(data)
    dataset = opened(place / "pictures.zip")
    assert len(dataset) == 11 and dataset.skipped[0][1] == "its checksum in the archive is not that of its bytes"


def test_a_tar_inside_a_tar_inside_a_tar_ends(place):
    inner = place / "a.tar"
    specimens.tarred(place, IMAGES[:2], LABELS[:2]).rename(inner)
    for depth in range(3):
        outer = place / f"{depth}.tar"
        with tarfile.open(outer, "w") as archive:
            archive.add(inner, "inner.tar")
        inner = outer
    assert "which has none" in refused(inner)


# --------------------------------------------------------------------------------------------------------------- special files


def test_devices_pipes_sockets_and_links_in_a_folder(place):
    (place / "good.png").write_bytes(PNG)
    os.mkfifo(place / "pipe.png")
    (place / "zero.png").symlink_to("/dev/zero")
    (place / "circle").symlink_to(place)
    (place / "self.png").symlink_to(place / "self.png")
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(place / "s.png"))
    dataset = opened(place)
    server.close()
    assert len(dataset) == 1 and {name for name, _ in dataset.skipped} == {
        "pipe.png",
        "zero.png",
        "circle",
        "self.png",
        "s.png",
    }


@pytest.mark.parametrize(
    "make", [os.mkfifo, lambda path: os.symlink("/dev/zero", path), lambda path: os.symlink(path, path)]
)
def test_a_source_that_is_no_file(place, make):
    make(place / "data.zip")
    refused(place / "data.zip")


def test_names_in_odd_encodings(place):
    for name in (b"\xff\xfe.png", "ü.png".encode("latin1"), b"new\nline.png", b"\x1b[31m.png", "ﷺ.png".encode()):
        with open(os.path.join(os.fsencode(place), name), "wb") as file:
            file.write(PNG)
    with open(os.path.join(os.fsencode(place), b"\xfe.png"), "wb") as file:
        file.write(b"none")
    dataset = opened(place)
    assert len(dataset) == 5 and dataset.skipped == [
        (os.fsdecode(b"\xfe.png"), "not a PNG, JPEG, WebP, BMP or GIF image")
    ]
    assert opened(place).skipped == dataset.skipped  # through the cache


def test_folder_without_permission(place, monkeypatch):
    (place / "good.png").write_bytes(PNG)
    (place / "closed").mkdir()
    real = os.scandir

    def strict(path):  # what chmod does, also for root
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", strict)
    dataset = opened(place)
    assert len(dataset) == 1 and dataset.skipped == [("closed", "cannot be listed: Permission denied")]


@pytest.mark.parametrize(
    "write", [specimens.zipped, specimens.tarred, specimens.lmdb, specimens.npy], ids=lambda write: write.__name__
)
def test_files_that_change_while_they_are_read(write, place, monkeypatch):
    """Cut short after the listing: what is gone is named, what was read is right."""
    path = write(place, IMAGES, LABELS)
    file = path / "data.mdb" if path.is_dir() else path
    seen = []

    def change(*_):
        if not seen:
            os.truncate(file, file.stat().st_size // 2)
        seen.append(1)

    from dcgan_cupy.data import reader
    from dcgan_cupy.data.formats import archive
    from dcgan_cupy.data.formats import pixel_blocks as blocks

    monkeypatch.setattr(reader, "CHUNK", 4)
    for module in (archive, blocks):
        real = module.span
        monkeypatch.setattr(module, "span", lambda *a, real=real: (change() or row for row in real(*a)))
    dataset = opened(path)
    whole = {image.tobytes() for image in IMAGES}
    assert all(image.tobytes() in whole for image in dataset.images) and dataset.skipped


# -------------------------------------------------------------------------------------------------------------------- pickles


class Runs:
    def __init__(self, call, *arguments):
        self.how = call, arguments

    def __reduce__(self):
        return self.how


@pytest.mark.parametrize(
    "value",
    [
        Runs(os.system, "touch /tmp/pwned"),
        Runs(eval, "open('/tmp/pwned', 'w')"),
        {b"data": Runs(exec, "open('/tmp/pwned', 'w')")},
        {b"data": np.empty(10, object)},
        {b"data": {}},
        {b"data": np.zeros((3, 3072))},
        {b"data": np.zeros((3, 100), np.uint8)},
        {b"data": IMAGES.reshape(12, -1), b"labels": ["a"] * 12},
        {b"data": IMAGES.reshape(12, -1), b"labels": [1]},
        {b"data": IMAGES.reshape(12, -1), b"labels": [-1] * 12},
        [1, 2, 3],
        Path("a"),
    ],
    ids=range(12),
)
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_pickles_run_nothing(place, value, protocol):
    (place / "data_batch_1").write_bytes(pickle.dumps(value, protocol))
    refused(place / "data_batch_1")


@pytest.mark.parametrize(
    "code",
    [
        b"\x80\x02cos\nsystem\n(S'touch /tmp/pwned'\ntR.",
        b"\x80\x02cbuiltins\neval\n(S'1'\ntR.",
        b"\x80\x02(S'touch /tmp/pwned'\nios\nsystem\n.",
        b"\x80\x02cnumpy\nndarray\n((I1000000000000\ntI1\ntR.",
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n(tR(I1\n(I99999999999\ntcnumpy\ndtype\n(S'u1'\ntRI00\nS'a'\ntb.",
        b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\x7f",
        b"\x80\x02Nr\xff\xff\xff\x7f.",
        b"\x80\x02" + b"(" * 100000 + b".",
        b"\x80\x02)" + b"\x85" * 200000 + b"Ns.",
        b"\x80\x02]" + b"q\0h\0a" * 50 + b".",
        b"\x80\x02\x8b\xff\xff\xff\x7f1.",
        b"\x80\x05\x97.",
        b"\x80\x02P1\n.",
        b"\x80\x02L" + b"9" * 100000 + b"L\n.",
        b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f.",
        b"\x80\x02}(U\x04datacnumpy\ndtype\n(U\x02O8tRu.",
        b"\x80\x02\x82\x01.",
        b"\x80\x02c_codecs\nencode\n(X\x01\0\0\0aX\x03\0\0\0hextR.",
    ],
    ids=range(18),
)
def test_pickles_written_by_hand(place, code):
    (place / "data_batch_1").write_bytes(code)
    refused(place / "data_batch_1", format="pickle")


# ----------------------------------------------------------------------------------------------------------------------- LMDB


@pytest.mark.parametrize(
    "at, value", [(128, 2**40), (128, 0), (128, 1), (40, 3), (40, 2**31)]
)  # the tree's root, the pages' size
def test_lmdb_with_wrong_numbers(place, at, value):
    path = specimens.lmdb(place, IMAGES, LABELS) / "data.mdb"
    data = bytearray(path.read_bytes())
    for meta in (0, 4096):
        data[meta + at : meta + at + 4] = struct.pack("<Q", value)[:4]
        if value == 2**40:
            data[meta + at : meta + at + 8] = struct.pack("<Q", value)
    path.write_bytes(data)
    refused(path)


def test_lmdb_whose_tree_is_a_circle(place):
    path = specimens.lmdb(place, IMAGES, LABELS) / "data.mdb"
    data = bytearray(path.read_bytes())
    (root,) = struct.unpack_from("<Q", data, 4096 + 16 + 24 + 48 + 40)
    page = root * 4096
    data[page + 10 : page + 14] = struct.pack("<HH", 1, 18)  # a branch with one child: itself
    data[page + 16 : page + 18] = struct.pack("<H", 100)
    data[page + 100 : page + 108] = struct.pack("<HHHH", root, 0, 0, 0)
    path.write_bytes(data)
    assert "circle" in refused(path)


# ------------------------------------------------------------------------------------------------------ sizes, modes, the cache


def test_mixed_sizes_and_modes(place):
    for i, (mode, size) in enumerate(
        [
            ("RGB", (1, 1)),
            ("L", (30_000, 1)),
            ("RGBA", (1, 30_000)),
            ("P", (5, 7)),
            ("1", (9, 3)),
            ("LA", (40, 40)),
            ("I;16", (33, 20)),
        ]
    ):
        Image.new(mode, size).save(place / f"{i}.png")
    Image.new("CMYK", (40, 30)).save(place / "7.jpg")
    Image.new("L", (30_000, 2000)).save(place / "8.png")
    dataset = opened(place, on_bad="fail")
    assert len(dataset) == 9


def test_a_cache_that_is_only_read(place, monkeypatch):
    (place / "good.png").write_bytes(PNG)
    real = open

    def strict(path, mode="r", *rest, **more):  # what a read-only disk does, also for root
        if "cache" in str(path) and mode != "r" and "r" not in mode:
            raise OSError(30, "Read-only file system", str(path))
        return real(path, mode, *rest, **more)

    from dcgan_cupy.data.store import build

    monkeypatch.setattr(build, "open", strict, raising=False)
    with pytest.warns(RuntimeWarning, match=r"need a folder that can be written, got .* \(Read-only file system\)"):
        assert (opened(place).images == IMAGES[:1]).all()


# ------------------------------------------------------------------------------------------------------------------ the policy


def test_one_in_a_hundred(place):
    for i in range(198):
        (place / f"{i:03d}.png").write_bytes(PNG)
    (place / "bad1.png").write_bytes(b"no image")
    assert len(open_dataset(str(place), 16)) == 198
    with pytest.raises(DataError, match=r"need all images readable .* got 1 in .*: bad1.png: not a PNG"):
        open_dataset(str(place), 16, on_bad="fail")
    (place / "bad2.png").write_bytes(b"no image")
    (place / "bad3.png").write_bytes(b"no image")
    with pytest.raises(
        DataError, match=r"need at most 1% unreadable images \(--on-bad skip leaves .*, got 3 in .*: bad1.png: .*; bad3"
    ):
        open_dataset(str(place), 16)
    assert len(open_dataset(str(place), 16, on_bad="skip")) == 198
    with pytest.raises(DataError, match="got 3 in"):  # from the cache, where they are now
        open_dataset(str(place), 16)
    with pytest.raises(DataError, match="on_bad: need one of skip, fail, got 'maybe'"):
        open_dataset(str(place), 16, on_bad="maybe")


def test_too_many_are_noticed_early(place, monkeypatch):
    from dcgan_cupy.data import reader

    monkeypatch.setattr(reader, "CHUNK", 10)
    for i in range(200):
        (place / f"{i:03d}.png").write_bytes(b"none" if i < 20 else PNG)
    seen = []
    with pytest.raises(DataError, match="need images that can be read"):
        open_dataset(str(place), 16, progress=lambda done, total: seen.append(done))
    assert seen == [10]


def test_the_command_names_what_was_skipped(place, capsys):
    (place / "good.png").write_bytes(PNG)
    (place / "bad[1].png").write_bytes(b"no image")
    assert main(["prepare", str(place), "--on-bad", "skip", "--image-size", "16"]) == 0
    out, err = capsys.readouterr()
    assert "1: not a PNG" in out and "bad[1].png: not a PNG" in out and err == ""
    assert main(["prepare", str(place), "--image-size", "16"]) == 2
    out, err = capsys.readouterr()
    assert err.count("\n") == 1 and "bad[1].png: not a PNG" in err


# -------------------------------------------------------------------------------------------------------------------- fuzzing

WHOLE = {}


def whole(write) -> tuple[str, bytes]:
    """A small specimen's name and bytes, made once."""
    if write not in WHOLE:
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            images, labels = specimens.pictures(6, channels=1 if write in specimens.GREY else 3)
            path = write(Path(folder), images, labels)
            files = [path] if path.is_file() else [file for file in sorted(path.rglob("*")) if file.is_file()]
            file = max(files, key=lambda file: file.stat().st_size)
            WHOLE[write] = file.name, file.read_bytes()
    return WHOLE[write]


EXAMPLES = int(os.environ.get("DCGAN_CUPY_FUZZ", "8"))


@pytest.mark.parametrize("write", specimens.EVERY, ids=lambda write: write.__name__)
def test_fuzz(write, place):
    """Bytes changed, cut out and put in anywhere: a dataset or a sentence. DCGAN_CUPY_FUZZ=3000 makes a campaign of it."""
    name, data = whole(write)
    signal.alarm(0)  # each example has its own limit below

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize="DCGAN_CUPY_FUZZ" not in os.environ,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(
        st.lists(
            st.tuples(st.integers(0, len(data)), st.integers(0, 3), st.binary(min_size=1, max_size=9)),
            min_size=1,
            max_size=6,
        )
    )
    def attack(changes):
        changed = bytearray(data)
        for at, kind, new in changes:
            if kind == 0:
                changed[at : at + len(new)] = new
            elif kind == 1:
                del changed[at : at + 1 + 37 * new[0]]
            elif kind == 2:
                changed[at % 600 : at % 600 + len(new)] = new  # headers are at the front
            else:
                changed[max(0, len(changed) - at % 600) :][: len(new)] = new
                del changed[len(changed) - at % 90 :]  # and directories at the end
        (place / name).write_bytes(changed)
        begun = time.monotonic()
        for form in (None, {"zipped": "zip", "tarred": "tar", "lmdb": "lmdb"}.get(write.__name__)):
            try:
                opened(place / name, format=form)
            except DataError as error:
                assert "\n" not in str(error)
        assert time.monotonic() - begun < 10

    attack()
