"""Image files, decoded to the pixel."""

import io

import numpy as np
import pytest
import simplejpeg
from data_cases import jpeg, noise, own_cache, photos, save  # noqa: F401
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from dcgan_cupy.data import open_dataset, picture, reader


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
