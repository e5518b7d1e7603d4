"""Datasets: faces look as their attributes say, files are read as Pillow reads them, strangers' files do no harm, and
the cache gives back what was put in or nothing. Expected pixels are worked out here, with plain Pillow and NumPy."""

import io
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import threading
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from dcgan_cupy.data import DataError, faces, open_dataset, picture, reader
from dcgan_cupy.data.formats import folder
from dcgan_cupy.data.store import build
from dcgan_cupy.data.store import entry as cache
from dcgan_cupy.errors import UserError

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DCGAN_CUPY_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "data"


@pytest.fixture
def photos(tmp_path):
    place = tmp_path / "photos"
    place.mkdir()
    return place


def noise(seed: int, height: int, width: int, channels: int = 3) -> np.ndarray:
    """uint8 [height, width, channels], or [height, width] for one channel: no two rows or columns alike."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)
    return pixels[..., 0] if channels == 1 else pixels


def save(path: Path, pixels: np.ndarray, **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and has next to nothing in it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")


def reasons(dataset) -> dict[str, str]:
    return dict(dataset.skipped)


# ------------------------------------------------------------------------------------------------------------- faces


def test_faces_same_face_alone_and_in_any_set():
    small, large = open_dataset("faces", 16, count=3, seed=7), open_dataset("faces", 16, count=70, seed=7)
    alone = np.asarray(faces.draw(2, 16, seed=7)[0])
    assert (small.images[2] == alone).all() and (large.images[2] == alone).all()
    assert (large.images[:3] == small.images).all()
    assert (large.images[69] == np.asarray(faces.draw(69, 16, 7)[0])).all()  # from the second batch


def test_faces_differ_by_index_and_seed():
    pictures = {faces.draw(i, 16, seed)[0].tobytes() for i in range(10) for seed in range(3)}
    assert len(pictures) == 30


def test_faces_shapes_types_and_grey():
    colour, grey = open_dataset("faces", 24, count=5), open_dataset("faces", 24, 1, count=5)
    assert colour.images.shape == (5, 24, 24, 3) and grey.images.shape == (5, 24, 24, 1)
    assert colour.images.dtype == grey.images.dtype == np.uint8
    assert len(colour) == 5 and colour.name == colour.source == "faces" and colour.skipped == []
    weights = np.array([299, 587, 114]) / 1000  # ITU-R 601, rounded by Pillow
    assert np.abs(grey.images[..., 0] - colour.images @ weights).max() <= 1


def test_faces_attributes_are_as_declared():
    rows = [faces.attributes(i, 1) for i in range(400)]
    for name, (meaning, kind, limits) in faces.ATTRIBUTES.items():
        values = np.array([row[name] for row in rows])
        assert meaning
        if name == "hair_cut":
            assert set(values) == set(limits)
        else:
            expected = np.dtype(kind.removesuffix("[3]"))
            assert values.dtype == expected and values.shape == ((400, 3) if "[3]" in kind else (400,)), name
            assert values.min() >= limits[0] and values.max() <= limits[-1], name
            assert len(np.unique(values, axis=0)) >= 2, name
    share = np.mean([row["glasses"] for row in rows])
    assert 0.15 < share < 0.45
    assert min(row["smile"] for row in rows) < -0.8 and max(row["smile"] for row in rows) > 0.95


def test_faces_attributes_travel_with_their_images():
    dataset = open_dataset("faces", 16, count=70, seed=3)
    assert set(dataset.attributes) == set(faces.ATTRIBUTES)
    for i in (0, 41, 69):
        drawn = faces.draw(i, 16, 3)[1]
        for name, values in dataset.attributes.items():
            assert len(values) == 70
            assert np.array_equal(values[i], drawn[name]) and np.array_equal(drawn[name], faces.attributes(i, 3)[name])


def test_faces_background_is_in_the_corners():
    for i in range(60):
        picture, known = faces.draw(i, 32)
        pixels = np.asarray(picture).astype(int)
        for corner in (pixels[0, 0], pixels[0, -1]):
            assert np.abs(corner - known["background"]).max() <= 2, i  # 2: the gradient's first step


def test_faces_hair_colour_is_in_the_picture():
    for i in range(80):
        picture, known = faces.draw(i, 64)
        count = (np.asarray(picture) == known["hair_colour"]).all(axis=2).sum()
        if known["hair_cut"] == "bald":
            assert count == 0, i
        elif known["hair_cut"] != "buzz":  # through which the skin shines
            assert count > 40, (i, known["hair_cut"], count)


def mouth_row(picture: Image.Image, column: float) -> float:
    """The row, as a fraction of the side, about which the lower face is redder than skin near this column."""
    pixels = np.asarray(picture).astype(float)
    side = len(pixels)
    strip = pixels[int(0.6 * side) : int(0.78 * side), int(column * side) - 1 : int(column * side) + 2]
    red = (strip[..., 0] - strip[..., 1]).mean(axis=1)
    excess = np.maximum(0, red - np.median(red) - 20)
    return 0.6 + (excess * np.arange(len(red))).sum() / excess.sum() / side


def test_faces_each_trait_shows_where_it_should():
    plain = replace(
        faces.traits(0),
        tilt=0.0,
        shift=(0.0, 0.0),
        beard=False,
        glasses=False,
        skin_tone=0.2,
        blush=0.0,
        smile=0.0,
        lips=True,
        hair_cut="long",
        fringe="centre",
        hair_length=0.7,
    )

    def pixels(**changes) -> np.ndarray:
        return np.asarray(faces.paint(replace(plain, **changes), 128)).astype(int)

    changed = (pixels(glasses=True) != pixels()).any(axis=2)  # glasses: about the eyes, nowhere else
    rows, columns = np.nonzero(changed)
    assert changed.sum() > 300 and rows.min() > 0.3 * 128 and rows.max() < 0.62 * 128
    assert columns.min() < 0.4 * 128 and columns.max() > 0.6 * 128

    sagging = []  # a smile hangs down in the middle
    for smile in (-1, -0.5, 0, 0.25):
        picture = faces.paint(replace(plain, smile=smile), 256)
        sagging.append(mouth_row(picture, 0.5) - mouth_row(picture, 0.44))
    assert sagging == sorted(sagging) and sagging[0] < -0.015 and sagging[-1] > 0.003, sagging

    def mouth_inside(smile):
        return (pixels(smile=smile) == (122, 30, 44)).all(axis=2).sum()

    assert mouth_inside(-1) == mouth_inside(0.2) == 0 < mouth_inside(0.4) < mouth_inside(0.7) < mouth_inside(1)

    cheek = [pixels(skin_tone=tone)[int(0.62 * 128), int(0.38 * 128)].sum() for tone in (0, 0.25, 0.5, 0.75, 1)]
    assert cheek == sorted(cheek, reverse=True) and cheek[0] - cheek[-1] > 200

    covered = [(pixels(hair_length=length) != pixels(hair_cut="bald")).any(axis=2).sum() for length in (0.65, 0.8, 1)]
    assert covered == sorted(covered) and covered[0] < covered[-1]

    blue = pixels(eye_colour=(0, 0, 255)) @ [-1, -1, 1]
    assert (blue[:, :64] > 150).sum() > 10 and (blue[:, 64:] > 150).sum() > 10


@pytest.mark.parametrize("size", [16, 32, 33, 100])
def test_faces_any_size_fills_the_picture_alike(size):
    """The same face at another size is the same picture, larger or smaller."""
    want = np.asarray(faces.draw(5, 256)[0].resize((size, size), Image.Resampling.BOX)).astype(float)
    got = np.asarray(faces.draw(5, size)[0]).astype(float)
    assert np.abs(got - want).mean() < 4  # of 255: the filters' difference


# ------------------------------------------------------------------------------------------------------------ folder


def test_folder_same_size_is_the_file_itself(photos):
    pixels = noise(1, 16, 16)
    save(photos / "a.png", pixels)
    dataset = open_dataset(str(photos), 16)
    assert dataset.images.shape == (1, 16, 16, 3) and (dataset.images[0] == pixels).all()
    assert (dataset.name, dataset.source, dataset.attributes) == ("photos", str(photos), {})


@pytest.mark.parametrize(("height", "width"), [(32, 48), (48, 32), (40, 40), (8, 12), (16, 21)])
def test_folder_resizes_the_short_side_and_cuts_the_centre(photos, height, width):
    pixels = noise(2, height, width)
    save(photos / "a.png", pixels)
    got = open_dataset(str(photos), 16).images[0]
    if (height, width) == (16, 21):  # nothing to resize: a cut and no blur
        want = pixels[:, 2:18]
    else:
        scaled = Image.fromarray(pixels).resize(
            (width * 16 // min(height, width), height * 16 // min(height, width)), Image.Resampling.LANCZOS
        )
        left, top = (scaled.width - 16) // 2, (scaled.height - 16) // 2
        want = np.asarray(scaled.crop((left, top, left + 16, top + 16)))
    assert (got == want).all()


def test_folder_far_larger_images_are_antialiased(photos):
    """One-pixel stripes average to grey; a filter that skips pixels would keep black or white."""
    stripes = np.zeros((640, 640, 3), np.uint8)
    stripes[:, ::2] = 255
    save(photos / "a.png", stripes)
    got = open_dataset(str(photos), 16).images[0].astype(int)
    assert np.abs(got - 127).max() <= 8  # 8: the outermost blocks are not full


def test_folder_large_jpeg_is_near_the_full_decode(photos):
    """A JPEG may be shrunk while it is decoded; that must stay within what JPEG itself loses."""
    smooth = np.asarray(Image.fromarray(noise(3, 12, 18)).resize((960, 640), Image.Resampling.BICUBIC))
    save(photos / "a.jpg", smooth, quality=95)
    want = np.asarray(Image.fromarray(smooth).resize((48, 32), Image.Resampling.LANCZOS).crop((8, 0, 40, 32)))
    got = open_dataset(str(photos), 32).images[0]
    assert np.abs(got - want.astype(int)).mean() < 2


def jpeg(pixels: np.ndarray, mode: str = "RGB", **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(file, "JPEG", **options)
    return file.getvalue()


def by_pillow(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        pixels = np.asarray(image)
    return pixels if pixels.ndim == 3 else pixels[..., None]


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("progressive", [False, True])
def test_plain_jpegs_are_decoded_as_pillow_does(mode, subsampling, progressive):
    for seed in range(12):
        height, width = np.random.default_rng(seed).integers(1, 90, 2)
        data = jpeg(
            noise(seed, height, width), mode, subsampling=subsampling, progressive=progressive, quality=30 + 5 * seed
        )
        got = picture.plain_jpeg(data, reader.Look(64, 3))
        assert got.shape == by_pillow(data).shape and (got == by_pillow(data)).all(), (seed, height, width)


def test_jpegs_that_are_not_plain_go_to_pillow():
    look, pixels, turned = reader.Look(64, 3), noise(1, 64, 64), Image.Exif()
    turned[0x0112] = 6
    assert picture.plain_jpeg(jpeg(pixels), look) is not None
    assert picture.plain_jpeg(jpeg(pixels, exif=turned), look) is None
    assert picture.plain_jpeg(jpeg(pixels, xmp=b"<x:xmpmeta tiff:Orientation='6'/>"), look) is None
    assert picture.plain_jpeg(jpeg(pixels, "CMYK"), look) is None
    assert picture.plain_jpeg(jpeg(pixels, keep_rgb=True), look) is None
    assert picture.plain_jpeg(jpeg(pixels)[:-200], look) is None
    assert picture.plain_jpeg(jpeg(noise(1, 600, 600)), look) is None  # is shrunk while it is decoded


@given(st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 255)), min_size=1, max_size=4), st.integers(50, 3000))
@settings(max_examples=300, deadline=None)
def test_damaged_jpegs_are_what_pillow_makes_of_them(changes, length):
    """Whatever comes through the fast way comes through Pillow too, with the same pixels."""
    data = bytearray(jpeg(noise(5, 40, 33))[:length])
    for place, value in changes:
        data[place % len(data)] = value
    got = picture.plain_jpeg(bytes(data), reader.Look(64, 3))
    if got is not None:
        want = by_pillow(bytes(data))
        assert got.shape == want.shape and (got == want).all()


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("crop", [None, 16, 24])
def test_jpegs_without_simplejpeg_are_the_same(monkeypatch, mode, channels, crop):
    look = reader.Look(16, channels, crop)
    for height, width in ((16, 16), (31, 45), (24, 24), (16, 21)):
        data = jpeg(noise(height, max(height, crop or 0), max(width, crop or 0)), mode)
        monkeypatch.setattr(picture, "simplejpeg", simplejpeg)
        quick = picture.decode(data, look)
        monkeypatch.setattr(picture, "simplejpeg", None)
        assert picture.plain_jpeg(data, look) is None
        assert (quick == picture.decode(data, look)).all(), (height, width)


def test_folder_reads_every_format_in_the_order_of_names(photos):
    names = ["B.PNG", "a/x/1.bmp", "a/x/10.webp", "a/x/2.gif", "b.jpeg", "c.jpg"]
    for i, name in enumerate(reversed(names)):  # made in another order than named
        save(photos / name, np.full((8, 8, 3), 40 * (5 - i), np.uint8))
    (photos / "notes.txt").write_text("not an image, and not meant as one")
    save(photos / ".thumbs" / "t.png", noise(0, 8, 8))
    save(photos / "._a.png", noise(0, 8, 8))
    dataset = open_dataset(str(photos), 8)
    assert dataset.skipped == []
    assert np.abs(dataset.images.mean(axis=(1, 2, 3)) - 40 * np.arange(6)).max() <= 2  # lossy formats: 2 of 255


@pytest.mark.parametrize("orientation", range(1, 9))
def test_folder_turns_photos_upright(photos, orientation):
    pixels = noise(4, 16, 16)
    stored = {
        1: pixels,
        2: pixels[:, ::-1],
        3: pixels[::-1, ::-1],
        4: pixels[::-1],
        5: pixels.transpose(1, 0, 2),
        6: np.rot90(pixels),
        7: np.rot90(pixels, 2).transpose(1, 0, 2),
        8: np.rot90(pixels, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    save(photos / "a.png", np.ascontiguousarray(stored), exif=exif)
    assert (open_dataset(str(photos), 16).images[0] == pixels).all()


def test_folder_transparent_lies_on_white(photos):
    rgba = noise(5, 16, 16, 4)
    rgba[:4, :, 3], rgba[4:8, :, 3] = 0, 255
    save(photos / "1_rgba.png", rgba)
    save(photos / "2_la.png", rgba[..., [0, 3]])
    palette = Image.fromarray(np.repeat(np.arange(2, dtype=np.uint8)[:, None], 2, axis=1), "P")
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.resize((16, 16)).save(photos / "3_palette.png", transparency=0)
    alpha = rgba[..., 3:] / 255
    got = open_dataset(str(photos), 16).images.astype(float)
    assert np.abs(got[0] - (rgba[..., :3] * alpha + 255 * (1 - alpha))).max() <= 1  # 1: rounding
    assert np.abs(got[1] - (rgba[..., :1] * alpha + 255 * (1 - alpha))).max() <= 1
    assert (got[2, :8] == 255).all() and (got[2, 8:] == (40, 50, 60)).all()


def test_folder_sixteen_bits_cmyk_grey_and_bilevel(photos):
    deep = (noise(6, 16, 16, 1).astype(np.uint16) << 8) + 77
    save(photos / "1_deep.png", deep)
    grey = noise(7, 16, 16, 1)
    save(photos / "2_grey.png", grey)
    Image.fromarray(grey > 127).save(photos / "3_bilevel.png")
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(photos / "4_cmyk.jpg", quality=95)
    got = open_dataset(str(photos), 16).images
    assert (got[0] == (deep >> 8)[..., None]).all() and (got[1] == grey[..., None]).all()
    assert (got[2] == np.where(grey > 127, 255, 0)[..., None]).all()
    assert np.abs(got[3].astype(int) - (255, 0, 0)).max() <= 8  # no cyan, all magenta and yellow: red
    alone = open_dataset(str(photos), 16, 1).images
    assert alone.shape == (4, 16, 16, 1) and (alone[0, ..., 0] == deep >> 8).all() and (alone[1, ..., 0] == grey).all()


def test_folder_first_frame_of_an_animation(photos):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ((255, 0, 0), (0, 0, 255))]
    frames[0].save(photos / "a.gif", save_all=True, append_images=frames[1:])
    assert (open_dataset(str(photos), 8).images == (255, 0, 0)).all()


def test_folder_count_is_of_readable_images(photos):
    (photos / "0.png").write_bytes(b"")
    for i in range(1, 5):
        save(photos / f"{i}.png", np.full((8, 8, 3), i, np.uint8))
    seen = []
    dataset = open_dataset(str(photos), 8, count=2, on_bad="skip", progress=lambda *p: seen.append(p))
    assert dataset.images[:, 0, 0, 0].tolist() == [1, 2] and seen[-1] == (2, 2)
    assert len(open_dataset(str(photos), 8, count=99, on_bad="skip")) == 4


def test_folder_more_than_one_batch(photos, monkeypatch):
    monkeypatch.setattr(reader, "CHUNK", 3)
    for i in range(8):
        save(photos / f"{i}.png", np.full((8, 8, 3), i, np.uint8))
    (photos / "4.png").write_bytes(b"")
    seen = []
    dataset = open_dataset(str(photos), 8, on_bad="skip", progress=lambda *p: seen.append(p))
    assert dataset.images[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 5, 6, 7]
    assert dataset.skipped == [("4.png", "an empty file")]
    assert seen == sorted(seen) and seen[-1] == (8, 8)


# ----------------------------------------------------------------------------------------------- files from strangers


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
    assert why["empty.png"] == "an empty file" and why["gone.png"] == "No such file or directory"
    assert why["text.png"] == why["vector.jpg"] == "not a PNG, JPEG, WebP, BMP or GIF image"
    assert why["bomb.png"] == "more than 67,108,864 pixels"
    assert why["bomblet.png"] == "9000 x 9000 pixels, more than 67,108,864"
    assert why["pipe.png"] == why["device.png"] == "not a regular file"
    assert why["circle"] == "a link to a folder, not followed"
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


# ------------------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("nowhere", 16),
            r"source: need the name of a dataset \(faces, .*\) or the path of one, got 'nowhere' "
            r"\(does not exist\)",
        ),
        (("", 16), r"source: need the name .*, got '' \(no name\)"),
        (("a\0b", 16), r"source: need the name .*, got 'a\\x00b' \(embedded null byte\)"),
        (("x" * 5000, 16), r"source: need the name .* \(File name too long\)"),
        ((__file__, 16), r"source: need a folder, zip or tar .*test_data.py' \(a file of another kind\)"),
        (("faces", 7), r"image_size: need a whole number from 8 to 1024, got 7"),
        (("faces", 2000), r"image_size: need a whole number from 8 to 1024, got 2000"),
        (("faces", 32.0), r"image_size: need a whole number from 8 to 1024, got 32.0"),
        (("faces", 16, 2), r"channels: need 1 \(grey\) or 3 \(RGB\), got 2"),
        (("faces", 16, 4), r"channels: need 1 \(grey\) or 3 \(RGB\), got 4"),
        (("faces", 16, True), r"channels: need 1 \(grey\) or 3 \(RGB\), got True"),
    ],
)
def test_open_dataset_refuses(arguments, message):
    with pytest.raises(DataError, match="^open_dataset: " + message):
        open_dataset(*arguments)


def test_open_dataset_refuses_count_and_seed(photos):
    with pytest.raises(DataError, match=r"count: need a whole number of at least 1, got 0$"):
        open_dataset("faces", 16, count=0)
    with pytest.raises(DataError, match=r"seed: need a whole number of at least 0, got -1$"):
        open_dataset("faces", 16, seed=-1)
    assert issubclass(DataError, UserError)


def test_open_dataset_folder_with_nothing_to_read(photos, own_cache):
    with pytest.raises(DataError, match=r"source: need a folder with image files .*photos, which has none$"):
        open_dataset(str(photos), 16)
    for i in range(5):
        (photos / f"{i}.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"5 skipped \(0.png: an empty file; 1.png: .*; 2.png: .* and 2 more\)$"):
        open_dataset(str(photos), 16)
    assert list(own_cache.iterdir()) == []  # nothing to keep, so nothing kept


# -------------------------------------------------------------------------------------------------------------- cache


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
