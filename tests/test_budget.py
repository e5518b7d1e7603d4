"""What a file may cost: every kind of bomb is read or refused within its time and memory, in a process that has 1 GB
more.

DCGAN_CUPY_FUZZ=3000 makes a campaign of the last test.
"""

import gzip
import io
import os
import random
import resource
import signal
import struct
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import specimens
from PIL import Image

from dcgan_cupy.data import DataError, open_dataset, picture
from dcgan_cupy.data.formats import lmdb, pickles
from dcgan_cupy.data.reader import Look

IMAGES, LABELS = specimens.pictures(6)
LIMIT = 1 << 30  # bytes beyond what Python with the package takes
SECONDS = 25  # by the clock: the machine may be busy; processor time is what is bounded below
EXAMPLES = int(os.environ.get("DCGAN_CUPY_FUZZ", "6"))

OPENS = """
import os, resource, sys
from dcgan_cupy.data import DataError, open_dataset
with open("/proc/self/statm") as file:
    used = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
resource.setrlimit(resource.RLIMIT_AS, (used + int(sys.argv[2]), -1))
begun = resource.getrusage(resource.RUSAGE_SELF).ru_utime
try:
    print("images", len(open_dataset(sys.argv[1], 32, on_bad="skip").images))
except DataError as error:
    print("refused", error)
print("seconds", resource.getrusage(resource.RUSAGE_SELF).ru_utime - begun)
"""


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DCGAN_CUPY_CACHE", str(tmp_path / "cache"))


def outcome(path, seconds: float = 6.0) -> str:
    """The first line of what opening a path says, in a process of its own with a limit of memory."""
    done = subprocess.run(
        [sys.executable, "-c", OPENS, str(path), str(LIMIT)],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    first, last = done.stdout.splitlines()
    assert float(last.split()[1]) < seconds, last
    return first


def progressive(side: int, scans: int) -> bytes:
    """A grey JPEG whose first scan of frequencies comes so many times more."""
    file = io.BytesIO()
    Image.new("L", (side, side), 128).save(file, "JPEG", progressive=True)
    data = file.getvalue()
    starts = [i for i in range(len(data)) if data[i : i + 2] == b"\xff\xda"]
    first = next(i for i in starts if data[i + 7] > 0)  # 1 component: length 8; its first frequency is not 0
    end = data.index(b"\xff", first + 10)
    return data[:end] + data[first:end] * scans + b"\xff\xd9"


def test_a_progressive_jpeg_of_many_scans(tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "bomb.jpg").write_bytes(progressive(4096, 4000))
    (tmp_path / "set" / "good.png").write_bytes(specimens.png(IMAGES[0]))
    begun = time.monotonic()
    got = open_dataset(str(tmp_path / "set"), 32, on_bad="skip")
    assert time.monotonic() - begun < SECONDS
    assert (got.images == IMAGES[:1]).all() and "too dear" in dict(got.skipped)["bomb.jpg"]


def test_a_picture_in_the_child_is_the_same_as_here():
    file = io.BytesIO()
    Image.fromarray(IMAGES[0]).resize((700, 500)).save(file, "JPEG", progressive=True)
    for look in (Look(32, 3), Look(40, 1), Look(32, 3, crop=300)):
        data = file.getvalue()
        assert (picture.guard.decode(data, look) == picture.decode_here(data, look)).all()
    with pytest.raises(picture.Unreadable, match="truncated"):
        picture.guard.decode(file.getvalue()[:2000], Look(32, 3))
    assert (picture.guard.decode(data, look) == picture.decode_here(data, look)).all()  # and the child goes on


def test_ordinary_pictures_start_no_child(monkeypatch):
    monkeypatch.setattr(picture.guard, "decode", None)
    for form in ("JPEG", "PNG", "WEBP", "BMP", "GIF"):
        for size in ((64, 64), (1200, 900)):
            file = io.BytesIO()
            Image.fromarray(IMAGES[0]).resize(size).save(
                file, form, **({"progressive": True} if form == "JPEG" else {})
            )
            if form != "GIF" or size == (64, 64):
                picture.decode(file.getvalue(), Look(32, 3))


@pytest.mark.parametrize(
    "kind", ["long names", "extended headers", "headers for all", "sparse", "one member of nothing"]
)
def test_tar_gz_whose_headers_inflate(tmp_path, kind):
    """Each some MB of nothing, packed a thousandfold."""

    def head(name: bytes, size: int, letter: bytes) -> bytes:
        info = tarfile.TarInfo(name.decode())
        info.size, info.type = size, letter
        return info.tobuf(tarfile.GNU_FORMAT)

    png = specimens.png(IMAGES[0])
    image = head(b"a.png", len(png), b"0") + png.ljust(-(-len(png) // 512) * 512, b"\0")
    path = tmp_path / "a.tar.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(image)
        if kind == "sparse":
            block = bytearray(head(b"b.png", 0, b"S"))
            block[482] = 1
            block[148:156] = b"%06o\0 " % (sum(block[:148]) + sum(block[156:512]) + 256)
            file.write(block)
            more = (b"00000000001\0" * 42 + bytes(1) + bytes(7)).ljust(512, b"\0")
            more = more[:504] + b"\x01" + bytes(7)
            for _ in range(400_000):
                file.write(more)
        elif kind == "one member of nothing":
            file.write(head(b"b.dat", 1 << 33, b"0"))
            for _ in range(300):
                file.write(bytes(1 << 22))
        else:
            size = 600 << 20
            file.write(head(b"x", size, {"long names": b"L", "extended headers": b"x", "headers for all": b"g"}[kind]))
            for _ in range(150):
                file.write(bytes(1 << 22))
    said = outcome(path, 12)
    assert said in ("images 1",), said


def test_many_long_names(tmp_path, monkeypatch):
    monkeypatch.setenv("DCGAN_CUPY_FILE_MEGABYTES", "32")
    with (
        gzip.open(tmp_path / "a.tar.gz", "wb", compresslevel=1) as file,
        tarfile.open(fileobj=file, mode="w") as archive,
    ):
        for i in range(200):
            info = tarfile.TarInfo("a" * 300_000 + f"{i}.png")
            info.size = 1
            archive.addfile(info, io.BytesIO(b"x"))
    assert "too dear" in outcome(tmp_path / "a.tar.gz", 15)


def test_an_lmdb_that_repeats_itself(tmp_path):
    """One page of 64 kB says that it holds 30,000 nodes, all of them one with a key of 60 kB."""
    size = 65536

    def meta(transaction: int) -> bytes:
        tree = struct.pack("<IHH5Q", 0, 0, 1, 0, 1, 0, 30_000, 2)
        free = struct.pack("<IHH5Q", size, 0, 0, 0, 0, 0, 0, 2**64 - 1)
        body = struct.pack("<IIQQ", 0xBEEFC0DE, 1, 0, 1 << 30) + free + tree + struct.pack("<QQ", 2, transaction)
        return (struct.pack("<QHHHH", 0, 0, 8, 0, 0) + body).ljust(size, b"\0")

    places = 2000
    page = bytearray(struct.pack("<QHHHH", 2, 0, 2, 16 + 2 * places, 0) + struct.pack("<H", 5000) * places)
    page = page.ljust(5000, b"\0") + struct.pack("<4H", 10, 0, 0, 60_000)
    (tmp_path / "data.mdb").write_bytes(meta(1) + meta(2) + page.ljust(size, b"a") + bytes(size))
    assert "refused" in outcome(tmp_path / "data.mdb")  # 120 MB of keys in 200 kB, of which one is read
    found = lmdb.Lmdb(tmp_path / "data.mdb", Look(32, 3))
    assert found.total == 1 and "more than a page can" in found.damage


def test_a_gzipped_pickle_of_nothing(tmp_path):
    with gzip.open(tmp_path / "data_batch_1", "wb", compresslevel=1) as file:
        file.write(b"\x80\x04}\x8c\x04data\x8e" + struct.pack("<Q", 1 << 30))
        for _ in range(256):
            file.write(bytes(1 << 22))
        file.write(b"s.")
    assert "too dear" in outcome(tmp_path / "data_batch_1")


def test_a_pickle_whose_keys_share_a_hash(tmp_path):
    path = tmp_path / "data_batch_1"
    keys = (i * (2**61 - 1) for i in range(1, 50_001))
    path.write_bytes(b"\x80\x02}(" + b"".join(b"\x8a\x0a" + key.to_bytes(10, "little") + b"N" for key in keys) + b"u.")
    assert "too dear" in outcome(path)


def test_a_pickle_whose_key_is_walked_through_for_ever(tmp_path):
    code = b"\x80\x02}(I1\nI2\n\x86q\0" + b"".join(b"h%c\x68%c\x86q%c" % (i, i, i + 1) for i in range(60)) + b"Nu."
    (tmp_path / "data_batch_1").write_bytes(code.replace(b"}(", b"}", 1)[:-2] + b"Ns.")
    assert "too dear" in outcome(tmp_path / "data_batch_1") or "refused" in outcome(tmp_path / "data_batch_1")


def test_a_pickle_changes_nothing_for_the_next(tmp_path):
    evil = b"\x80\x02c_codecs\nencode\nN}X\x0c\0\0\0__defaults__X\x05\0\0\0ascii\x85s\x86b."
    for module, name in pickles.ALLOWED:
        code = evil.replace(b"c_codecs\nencode\n", f"c{module}\n{name}\n".encode())
        with pytest.raises(pickles.Refused):
            pickles.load(io.BytesIO(code), len(code))
    path = specimens.cifar10_python(tmp_path, IMAGES, LABELS)
    assert (open_dataset(str(path), 32).images == IMAGES).all()


def test_many_instructions(tmp_path):
    with gzip.open(tmp_path / "data_batch_1", "wb", compresslevel=1) as file:
        file.write(b"\x80\x02](" + b"N" * 50_000_000 + b"e.")
    assert "too dear" in outcome(tmp_path / "data_batch_1")


def test_zip_members_that_lie_in_one_place(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for i in range(3):
            archive.writestr(f"{i}.png", specimens.png(IMAGES[i]))
    data = bytearray(path.read_bytes())
    at = -1
    while (at := data.find(b"PK\x01\x02", at + 1)) >= 0:
        data[at + 42 : at + 46] = bytes(4)
    path.write_bytes(data)
    got = open_dataset(str(path), 32, on_bad="skip")
    assert len(got) == 1 and sum(why == "it lies where another member does" for _, why in got.skipped) == 2


def test_rows_are_read_a_few_at_a_time(tmp_path):
    """16 images of 36 million pixels each, packed a thousandfold."""
    with gzip.open(tmp_path / "train-images-idx3-ubyte.gz", "wb", compresslevel=1) as file:
        file.write(struct.pack(">4B3I", 0, 0, 8, 3, 16, 6000, 6000))
        for _ in range(16):
            file.write(bytes(6000 * 6000))
    assert outcome(tmp_path / "train-images-idx3-ubyte.gz", 25) == "images 16"


# ------------------------------------------------------------------------------------------------------------- fuzzing


def _tiff(place: Path) -> Path:
    Image.fromarray(IMAGES[0]).save(place / "a.tif", compression="tiff_lzw")
    return place / "a.tif"


def _floats(place: Path) -> Path:
    np.save(place / "a.npy", IMAGES / np.float32(255))
    return place / "a.npy"


def _datum(place: Path) -> Path:
    import lmdb as library

    with library.open(str(place), map_size=1 << 22) as env, env.begin(write=True) as transaction:
        for i in range(4):
            data = specimens.png(IMAGES[i])
            transaction.put(
                b"%d" % i, b"\x22" + bytes([len(data) & 127 | 128, len(data) >> 7]) + data + b"\x28\x01\x38\x01"
            )
    return place / "data.mdb"


def _progressive(place: Path) -> Path:
    (place / "a.jpg").write_bytes(progressive(256, 50))
    return place / "a.jpg"


def _pickle(place: Path) -> Path:
    (place / "data_batch_1").write_bytes(gzip.compress(specimens.python2({"data": specimens.planes(IMAGES)})))
    return place / "data_batch_1"


def _pnm(place: Path) -> Path:
    (place / "a.ppm").write_bytes(b"P6 32 32 255\n" + IMAGES[0].tobytes())
    return place / "a.ppm"


def _tar_gz(place: Path) -> Path:
    return specimens.tar_gz(place, IMAGES, LABELS)


@pytest.mark.parametrize(
    "write", [_tiff, _pnm, _floats, _datum, _progressive, _pickle, _tar_gz], ids=lambda f: f.__name__
)
def test_fuzz_within_the_budget(write, tmp_path):
    """Bytes changed, cut out, put in and repeated: a dataset or a sentence, in time and in 1 GB more than now."""
    place = tmp_path / "set"
    place.mkdir()
    path = write(place)
    data = path.read_bytes()
    chance = random.Random(write.__name__ if "DCGAN_CUPY_FUZZ" not in os.environ else None)
    for _ in range(EXAMPLES):
        changed = bytearray(data)
        for _ in range(chance.randint(1, 5)):
            at, size = chance.randrange(len(changed)), chance.randint(1, 9)
            if chance.random() < 0.5:
                at %= 600  # headers are at the front
            kind = chance.randrange(4)
            if kind == 0:
                changed[at : at + size] = chance.choice([bytes(size), b"\xff" * size, chance.randbytes(size)])
            elif kind == 1:
                del changed[at : at + 37 * size]
            elif kind == 2:
                changed[at:at] = chance.randbytes(size)
            else:
                changed[at:at] = changed[at : at + 200] * size
            changed = changed or bytearray(1)
        path.write_bytes(changed)
        _attack(path if path.suffix not in (".tif", ".ppm", ".jpg") else place)


def _attack(path: Path) -> None:
    def too_long(*_):
        raise AssertionError("hangs")

    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    before, old = resource.getrlimit(resource.RLIMIT_AS), signal.signal(signal.SIGALRM, too_long)
    resource.setrlimit(resource.RLIMIT_AS, (used + LIMIT, before[1]))
    signal.alarm(SECONDS)
    try:
        open_dataset(str(path), 32, on_bad="skip")
    except DataError as error:
        assert "\n" not in str(error)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, old)
        resource.setrlimit(resource.RLIMIT_AS, before)
