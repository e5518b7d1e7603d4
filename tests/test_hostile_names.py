"""Names, links and odd files in archives and folders."""

import io
import os
import socket
import tarfile
import zipfile
from pathlib import Path

import pytest
import specimens
from hostile_cases import IMAGES, LABELS, PNG, guarded, opened, place, refused  # noqa: F401

from dcgan_cupy.data import DataError

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
        (os.fsdecode(b"\xfe.png"), "not a PNG, JPEG, WebP, BMP, GIF, TIFF, PPM, HEIC or AVIF image")
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


def test_a_member_without_a_name(place):
    """ZipInfo.is_dir() of such a one is an IndexError. Found by fuzzing, in a zip of pictures and in one of arrays."""
    path = specimens.zipped(place, IMAGES, LABELS)
    with zipfile.ZipFile(place / "arrays.zip", "w") as archive:
        archive.write(specimens.npy(place, IMAGES, LABELS), "x.npy")
    for archived in (path, place / "arrays.zip"):
        with zipfile.ZipFile(archived, "a") as archive:
            archive.writestr("y", b"nothing")
            archive.filelist[-1].filename = ""
        assert len(opened(archived).images) == len(IMAGES)
