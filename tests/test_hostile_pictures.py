"""Folders with hostile image files."""

import os
import struct
import threading
import zlib

import pytest
from data_cases import noise, own_cache, photos, save  # noqa: F401

from dcgan_cupy.data import open_dataset, picture, reader
from dcgan_cupy.data.formats import folder
from dcgan_cupy.data.store import entry as cache


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and has next to nothing in it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")


def reasons(dataset) -> dict[str, str]:
    return dict(dataset.skipped)


def test_folder_hostile_files_are_skipped_and_named(photos, tmp_path):
    good = save(photos / "good.png", noise(8, 32, 32))
    jpeg = save(tmp_path / "whole.jpg", noise(8, 64, 64))
    for name, whole in (("cut.png", good), ("cut.jpg", jpeg)):
        (photos / name).write_bytes(whole.read_bytes()[:-300])
    (photos / "head_only.png").write_bytes(good.read_bytes()[:20])
    (photos / "empty.png").write_bytes(b"")
    (photos / "text.png").write_text("This is not a picture.")
    (photos / "vector.jpg").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n")
    (photos / "bomb.png").write_bytes(png_header(60_000, 60_000))
    (photos / "bomblet.png").write_bytes(png_header(9_000, 9_000))  # below the limit Pillow warns from
    damaged = bytearray(good.read_bytes())
    damaged[100] ^= 0xFF
    (photos / "flipped.png").write_bytes(damaged)
    os.mkfifo(photos / "pipe.png")
    (photos / "gone.png").symlink_to(photos / "nowhere.png")
    (photos / "device.png").symlink_to("/dev/zero")
    (photos / "circle").symlink_to(photos)
    with open(photos / "sparse.webp", "wb") as file:
        file.write(b"RIFF\x00\x00\x00\x40WEBPVP8L")
        file.truncate(picture.BYTE_LIMIT + 1)  # takes no room on the disk

    done = []
    worker = threading.Thread(target=lambda: done.append(open_dataset(str(photos), 16, on_bad="skip")), daemon=True)
    worker.start()
    worker.join(30)
    assert done, "opening the folder hangs"
    assert len(done[0]) == 1
    why = reasons(done[0])
    assert set(why) == {
        "cut.png",
        "cut.jpg",
        "head_only.png",
        "empty.png",
        "text.png",
        "vector.jpg",
        "bomb.png",
        "bomblet.png",
        "flipped.png",
        "pipe.png",
        "gone.png",
        "device.png",
        "circle",
        "sparse.webp",
    }
    assert "truncated" in why["cut.png"] and "truncated" in why["cut.jpg"]
    assert why["empty.png"] == "an empty file" and why["gone.png"] == "a link to nowhere"
    assert why["text.png"] == why["vector.jpg"] == "not a PNG, JPEG, WebP, BMP, GIF, TIFF, PPM, HEIC or AVIF image"
    assert why["bomb.png"] == "more than 67,108,864 pixels"
    assert why["bomblet.png"] == "9000 x 9000 pixels, more than 67,108,864"
    assert why["pipe.png"] == why["device.png"] == "not a regular file"
    assert why["circle"] == "a link to a folder that is read already, or that holds this one"
    assert why["sparse.webp"] == "536,870,913 bytes, more than 536,870,912"
    assert all(why.values()) and all("\n" not in reason for reason in why.values())


def test_folder_a_file_that_becomes_a_pipe_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(reader.Unreadable, match="not a regular file"):
        folder.open_regular(tmp_path / "pipe.png")


def test_folder_a_file_that_vanishes_is_skipped(photos):
    save(photos / "a.png", noise(9, 8, 8))
    save(photos / "b.png", noise(9, 8, 8))
    vanishing = folder.Folder(photos, reader.Look(8, 3))
    assert vanishing.total == 2
    (photos / "a.png").unlink()
    batch = cache.collect(vanishing)
    assert len(batch.images) == 1 and batch.skipped == [("a.png", "No such file or directory")]


def test_folder_without_permission(photos, monkeypatch):
    save(photos / "a.png", noise(9, 8, 8))
    save(photos / "b.png", noise(9, 8, 8)).chmod(0)
    real_open = os.open

    def strict_open(path, *arguments, **options):  # what chmod does, also for root
        if str(path).endswith("b.png"):
            raise PermissionError(13, "Permission denied", str(path))
        return real_open(path, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", strict_open)
        dataset = open_dataset(str(photos), 8, on_bad="skip")
    assert len(dataset) == 1 and dataset.skipped == [("b.png", "Permission denied")]
    (photos / "b.png").chmod(0o644)  # the same bytes and time, readable now
    assert len(open_dataset(str(photos), 8)) == 2
