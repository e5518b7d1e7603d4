"""Sets of many people's: LSUN's categories, Caffe's LMDB, EMNIST, archives in a folder, damage that was allowed."""

import gzip
import struct
import time
import zipfile

import numpy as np
import pytest
import specimens
from test_real_folders import COLOUR, GREY, LABELS, idx_file, idx_labels, opened, own_cache, put, refused  # noqa: F401

from dcgan_cupy.data import make_reader
from dcgan_cupy.data.__main__ import main

SIZES = "CRC", "file_size", "compress_size"

# ------------------------------------------------------------------------------------------- LSUN, Caffe, EMNIST, fake


def lsun(place, names):
    import lmdb

    for n, name in enumerate(names):
        with lmdb.open(str(place / name), map_size=1 << 22) as env, env.begin(write=True) as transaction:
            for i in range(3):
                transaction.put(f"{i}".encode(), specimens.png(COLOUR[3 * n + i]))


def test_lsun_categories(tmp_path):
    lsun(tmp_path, ["bedroom_train_lmdb", "church_outdoor_train_lmdb", "bedroom_val_lmdb"])
    got = opened(tmp_path)
    assert (got.images == COLOUR[:6]).all() and got.classes == ("bedroom", "church_outdoor")
    assert got.attributes["label"].tolist() == [0, 0, 0, 1, 1, 1]
    assert (opened(tmp_path, count=4).images == COLOUR[:4]).all()
    assert (opened(tmp_path, classes=("church_outdoor",)).images == COLOUR[3:6]).all()
    assert (opened(tmp_path, split="test").images == COLOUR[6:9]).all() and len(opened(tmp_path, split="all")) == 9
    assert "classes: need some of bedroom, church_outdoor, got 'kitchen'" in refused(tmp_path, classes=("kitchen",))


def number(value: int) -> bytes:
    return bytes([value]) if value < 128 else bytes([value & 127 | 128]) + number(value >> 7)


@pytest.mark.parametrize("encoded", [True, False])
def test_caffes_datum(tmp_path, encoded):
    import lmdb

    with lmdb.open(str(tmp_path), map_size=1 << 22) as env, env.begin(write=True) as transaction:
        for i in range(5):
            planes = np.ascontiguousarray(COLOUR[i, :, :, ::-1].transpose(2, 0, 1)).tobytes()
            data = specimens.png(COLOUR[i]) if encoded else planes
            head = b"" if encoded else b"\x08\x03\x10\x20\x18\x20"
            value = head + b"\x22" + number(len(data)) + data + b"\x28" + number(200 + i) + b"\x38" + bytes([encoded])
            transaction.put(f"{i}".encode(), value)
    got = opened(tmp_path)
    assert (got.images == COLOUR[:5]).all() and got.attributes["label"].tolist() == [200, 201, 202, 203, 204]


def test_emnist_is_upright_and_one_set(tmp_path):
    for subset in ("letters", "balanced"):
        put(tmp_path / f"emnist-{subset}-train-images-idx3-ubyte.gz", gzip.compress(idx_file(GREY.swapaxes(1, 2))))
        put(tmp_path / f"emnist-{subset}-train-labels-idx1-ubyte.gz", gzip.compress(idx_labels(LABELS)))
    assert "balanced, letters" in refused(tmp_path, channels=1)
    got = opened(tmp_path, 1, classes=("letters",))
    assert (got.images == GREY).all() and (got.attributes["label"] == LABELS).all()
    assert (opened(tmp_path / "emnist-balanced-train-images-idx3-ubyte.gz", 1).images == GREY).all()


def test_fake_images_are_noise_that_a_seed_repeats():
    one, same, other = opened("fake", count=90), opened("fake", count=90), opened("fake", count=90, seed=1)
    assert len(opened("fake")) == 1000 and (one.images == same.images).all() and (one.images != other.images).any()
    assert abs(one.images.mean() - 127.5) < 1 and set(one.attributes["label"]) <= set(range(10))


# ------------------------------------------------------------------------------------------------------------ archives


def test_a_folder_of_archives(tmp_path):
    for i in range(2):
        place = tmp_path / f"{i}"
        place.mkdir()
        for kind, write in (("zips", specimens.zipped), ("tars", specimens.tarred), ("packed", specimens.tar_gz)):
            path = write(place, COLOUR[6 * i : 6 * i + 6], np.arange(6) % 2)
            (tmp_path / kind).mkdir(exist_ok=True)
            path.rename(tmp_path / kind / f"shard-{i}{''.join(path.suffixes)}")
    plain = sorted(range(12), key=lambda i: (i // 6, i % 2, i))
    for kind in ("zips", "tars"):
        got = opened(tmp_path / kind)
        assert (got.images == COLOUR[plain]).all() and got.attributes["label"].tolist() == [i % 2 for i in plain]
    got = opened(tmp_path / "packed")
    assert (got.images == COLOUR).all() and got.attributes["label"].tolist() == [0, 1] * 6


def test_zips_in_a_zip(tmp_path):
    """Not compressed, as most programs put them there: read in place, the inner names are folders. Of those that are
    compressed, damaged or in an inner one, the count or the reason.
    """
    specimens.zipped(tmp_path, COLOUR, LABELS)
    data = (tmp_path / "pictures.zip").read_bytes()
    broken = bytearray(data)
    broken[-30:] = bytes(30)
    with zipfile.ZipFile(tmp_path / "outer.zip", "w") as archive:
        archive.writestr("cats.zip", data)
        archive.writestr("sets/dogs.zip", data)
        archive.writestr("broken.zip", broken)
        archive.writestr("packed.zip", data, zipfile.ZIP_DEFLATED)
        archive.write(tmp_path / "pictures.zip", "z.txt")
    one = opened(tmp_path / "pictures.zip").images
    got = opened(tmp_path / "outer.zip", on_bad="skip")
    assert (got.images == np.concatenate([one, one])).all()
    assert got.skipped == [("broken.zip", "a zip archive that is damaged")]
    reader = make_reader(str(tmp_path / "outer.zip"), 32)
    assert reader.total == 2 * len(one) and reader.left_out["zip"] == 1 and reader.left_out["txt"] >= 1
    with zipfile.ZipFile(tmp_path / "twice.zip", "w") as archive:
        archive.write(tmp_path / "outer.zip", "outer.zip")
    assert "which holds other archives ('outer.zip'): unpack it first" in refused(tmp_path / "twice.zip")


def test_one_inner_zip_named_many_times_is_read_once(tmp_path):
    """A directory that names one inner archive thousands of times would make a megabyte 10^8 names."""
    specimens.zipped(tmp_path, COLOUR, LABELS)
    with zipfile.ZipFile(tmp_path / "outer.zip", "w") as archive:
        archive.write(tmp_path / "pictures.zip", "0.zip")
        for i in range(1, 3000):
            info = archive.infolist()[0]
            info = info.from_file(tmp_path / "pictures.zip", f"{i}.zip")
            info.CRC, info.file_size, info.compress_size = (getattr(archive.filelist[0], k) for k in SIZES)
            info.header_offset = 0
            archive.filelist.append(info)
        archive._didModify = True
    begun = time.perf_counter()
    got = opened(tmp_path / "outer.zip", on_bad="skip")
    assert len(got.images) == len(COLOUR) and time.perf_counter() - begun < 2


def test_a_member_of_an_inner_zip_stays_inside_it(tmp_path):
    specimens.zipped(tmp_path, COLOUR, LABELS)
    data = bytearray((tmp_path / "pictures.zip").read_bytes())
    name = next(name for name in zipfile.ZipFile(tmp_path / "pictures.zip").namelist() if name.endswith(".png"))
    struct.pack_into("<I", data, data.rfind(name.encode()) - 4, len(data) + 100)  # its place, before its name
    with zipfile.ZipFile(tmp_path / "outer.zip", "w") as archive:
        archive.writestr("a.zip", data)
        archive.write(tmp_path / "pictures.zip", "b.zip")
    got = opened(tmp_path / "outer.zip", on_bad="skip")
    assert len(got.images) == 2 * len(COLOUR) - 1
    assert [reason for _, reason in got.skipped] == ["it lies outside of its archive"]


@pytest.mark.parametrize("inner, what", [("set/data.mdb", "an LMDB"), ("a.zip", "other archives")])
def test_an_archive_of_other_things_says_so(tmp_path, inner, what):
    lsun(tmp_path, ["bedroom_train_lmdb"])
    specimens.zipped(tmp_path, COLOUR, LABELS)
    data = (tmp_path / "bedroom_train_lmdb/data.mdb" if what == "an LMDB" else tmp_path / "pictures.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "outer.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(inner, data)
    assert f"which holds {what} ('{inner}'): unpack it first" in refused(tmp_path / "outer.zip")


def test_damage_is_said_where_it_is_allowed(tmp_path, capsys):
    path = specimens.tarred(tmp_path, COLOUR, LABELS)
    path.write_bytes(path.read_bytes()[:20_000])
    got = opened(path, on_bad="skip")
    assert got.damage.startswith("after set/") and opened(path, on_bad="skip").damage == got.damage
    assert main(["prepare", str(path), "--image-size", "32", "--on-bad", "skip"]) == 0
    assert f"damaged {got.damage}" in capsys.readouterr().out


def lossless_jpeg(side: int) -> bytes:
    """Grey 128: each pixel is what was predicted, which is one bit of nothing."""

    def segment(kind: int, data: bytes) -> bytes:
        return bytes([0xFF, kind]) + struct.pack(">H", len(data) + 2) + data

    frame = segment(0xC3, struct.pack(">BHHB3B", 8, side, side, 1, 1, 0x11, 0))
    table = segment(0xC4, bytes([0, 1, *[0] * 15, 0]))
    return (
        b"\xff\xd8" + frame + table + segment(0xDA, bytes([1, 1, 0, 1, 0, 0])) + bytes(side * side // 8) + b"\xff\xd9"
    )


def test_a_lossless_jpeg_is_not_shrunk_while_it_is_decoded(tmp_path):
    put(tmp_path / "a.jpg", lossless_jpeg(256))
    assert (opened(tmp_path, 1, size=16).images == 128).all()
