"""Images of other sizes than 2^k: MNIST's own, with no resampling, in every format; rectangles cut as Pillow would."""

import io

import numpy as np
import pytest
import specimens
from data_cases import jpeg, noise, own_cache, save  # noqa: F401
from PIL import Image

from dcgan_cupy.data import DataError, faces, guard, open_dataset, picture, reader
from dcgan_cupy.data.__main__ import main

OWN_SIZE = {write for write in specimens.EVERY if "cifar" in write.__name__ or "imagenet" in write.__name__}  # 32 px


@pytest.mark.parametrize("write", specimens.EVERY, ids=lambda write: write.__name__)
def test_every_format_at_28(write, tmp_path):
    """Pictures of 28 x 28 are the file's to the byte, whatever they lie in; those of 32 x 32 are Pillow's."""
    channels = 1 if write in specimens.GREY else 3
    images, labels = specimens.pictures(size=32 if write in OWN_SIZE else 28, channels=channels)
    (tmp_path / "specimen").mkdir()
    got = open_dataset(str(write(tmp_path / "specimen", images, labels)), 28, channels)
    want = np.stack([small(image) for image in images]) if write in OWN_SIZE else images
    assert got.skipped == [] and got.images.shape == (len(images), 28, 28, channels)
    if write in specimens.UNORDERED:
        assert sorted(image.tobytes() for image in got.images) == sorted(image.tobytes() for image in want)
    else:
        assert (got.images == want).all()


def small(image: np.ndarray) -> np.ndarray:
    mode = image[..., 0] if image.shape[2] == 1 else image
    return np.asarray(Image.fromarray(mode).resize((28, 28), Image.Resampling.LANCZOS)).reshape(28, 28, -1)


def test_mnist_in_colour_is_the_files_too(tmp_path):
    images, labels = specimens.pictures(size=28, channels=1)
    got = open_dataset(str(specimens.idx(tmp_path, images, labels)), 28).images
    assert (got == images).all() and got.shape == (12, 28, 28, 3)


BOXES = [  # height, width, crop -> left, top, right, bottom for images of 48 x 80
    (218, 178, None, (0, 55, 178, 162)),  # 178 wide: 106.8 high
    (48, 80, None, (0, 0, 80, 48)),
    (96, 160, None, (0, 0, 160, 96)),
    (100, 300, None, (66, 0, 233, 100)),  # 100 high: 166.7 wide
    (300, 100, None, (0, 120, 100, 180)),
    (90, 150, 48, (35, 21, 115, 69)),
    (218, 178, 96, (9, 61, 169, 157)),
]


@pytest.mark.parametrize("height, width, crop, box", BOXES, ids=str)
def test_the_middle_is_cut_in_the_images_shape(tmp_path, height, width, crop, box):
    pixels = noise(3, height, width)
    save(tmp_path / "set" / "a.png", pixels)
    got = open_dataset(str(tmp_path / "set"), "48x80", crop=crop).images
    source = Image.fromarray(pixels)
    if crop:
        source, box = source.crop(box), None
    assert got.shape == (1, 48, 80, 3)
    assert (got[0] == np.asarray(source.resize((80, 48), Image.Resampling.LANCZOS, box))).all()


def test_a_crop_must_fit_both_ways(tmp_path):
    save(tmp_path / "set" / "a.png", noise(0, 100, 70))
    assert len(open_dataset(str(tmp_path / "set"), "48x80", crop=42).images) == 1  # 42 x 70
    with pytest.raises(DataError, match=r"a\.png: 70 x 100 pixels, too small for a crop of 43"):
        open_dataset(str(tmp_path / "set"), "48x80", crop=43)


@pytest.mark.parametrize("crop", [None, 40])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_photos_are_turned_before_they_are_cut(tmp_path, orientation, crop):
    """A photo and its upright twin give the same rectangle."""
    exif, upright = Image.Exif(), Image.fromarray(noise(4, 60, 100))
    exif[0x0112] = orientation
    back = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # Pillow's transpositions that lead from upright to the file
    lying = upright.transpose(Image.Transpose(back[orientation])) if orientation > 1 else upright
    (tmp_path / "set").mkdir()
    lying.save(tmp_path / "set" / "a.png", exif=exif)
    upright.save(tmp_path / "set" / "b.png")
    one, other = open_dataset(str(tmp_path / "set"), "48x80", crop=crop).images
    assert (one == other).all()


def smooth(width: int, height: int) -> Image.Image:
    return Image.fromarray(noise(2, 8, 10)).resize((width, height), Image.Resampling.BICUBIC)


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("crop", [None, 600])
def test_large_jpegs_are_shrunk_while_decoded(tmp_path, turned, crop):
    exif, pixels = Image.Exif(), smooth(1601, 1203)
    exif[0x0112] = 6 if turned else 1
    lying = pixels.transpose(Image.Transpose.ROTATE_90) if turned else pixels
    (tmp_path / "set").mkdir()
    lying.save(tmp_path / "set" / "a.jpg", quality=95, exif=exif)
    got = open_dataset(str(tmp_path / "set"), (48, 80), crop=crop).images[0].astype(int)
    high, wide = (600, 1000) if crop else (961, 1601)
    left, top = (1601 - wide) // 2, (1203 - high) // 2
    want = pixels.resize((80, 48), Image.Resampling.LANCZOS, (left, top, left + wide, top + high))
    assert np.abs(got - np.asarray(want)).mean() < 2


def test_a_crop_as_large_as_a_shrunk_jpeg():
    """Its sides are rounded one by one: 800 of 1001 x 800 px is 101 of 126 x 100 by the width."""
    file = io.BytesIO()
    smooth(1001, 800).save(file, "JPEG", exif=Image.Exif(), comment=b"Exif")
    assert picture.decode_here(file.getvalue(), reader.Look(12, 3, 800)).shape == (12, 12, 3)


@pytest.mark.parametrize("look", [reader.Look((20, 28), 1), reader.Look((28, 20), 3, 10), reader.Look(28, 3)], ids=str)
def test_the_guarded_decoder_makes_rectangles(look):
    file = io.BytesIO()
    Image.fromarray(noise(6, 40, 50)).save(file, "TIFF")
    assert (guard.decode(file.getvalue(), look) == picture.decode_here(file.getvalue(), look)).all()


@pytest.mark.parametrize("simple", [True, False])
def test_plain_jpegs_make_rectangles(monkeypatch, simple):
    data, look = jpeg(noise(1, 50, 70)), reader.Look((20, 48), 3)
    want = picture.fit(Image.open(io.BytesIO(data)), look)
    if not simple:
        monkeypatch.setattr(picture, "simplejpeg", None)
    assert (picture.decode(data, look) == want).all()


@pytest.mark.parametrize("size", [(28, 28), (48, 80), (80, 48), (48, 112)], ids=str)
def test_faces_of_any_shape(size):
    """The face is the one of a square of the short side: as many pixels of hair; the background is in all corners."""
    for i in range(12):
        drawn, known = faces.draw(i, size)
        pixels, square = np.asarray(drawn), np.asarray(faces.draw(i, min(size))[0])
        assert pixels.shape == (*size, 3)
        hair, there = ((p == known["hair_colour"]).all(axis=2).sum() for p in (pixels, square))
        assert abs(hair - there) <= 0.2 * there + 12, i  # a tail of hair may reach below a square
        for corner in (pixels[0, 0], pixels[0, -1]):
            assert np.abs(corner.astype(int) - known["background"]).max() <= 2, i
    assert (np.asarray(faces.draw(3, (28, 28))[0]) == np.asarray(faces.draw(3, 28)[0])).all()


def test_a_shirt_reaches_the_bottom_of_a_tall_picture():
    for i in range(12):
        pixels = np.asarray(faces.draw(i, (112, 48))[0])
        assert (pixels[-1, 20:28] == pixels[-3, 20:28]).all() and np.ptp(pixels[-1, 20:28], axis=0).max() <= 2, i
        assert np.abs(pixels[-1, 24].astype(int) - pixels[-1, 0]).max() > 2, i


def test_the_cache_tells_sizes_apart(tmp_path, own_cache):
    save(tmp_path / "set" / "a.png", noise(0, 60, 60))
    first = {size: open_dataset(str(tmp_path / "set"), size).images for size in ("48x80", "80x48", 48, (48, 48))}
    again = open_dataset(str(tmp_path / "set"), (48, 80)).images
    assert isinstance(again, np.memmap) and (again == first["48x80"]).all() and again.shape == (1, 48, 80, 3)
    names = sorted(path.name.rpartition("-")[0] for path in own_cache.glob("*.npy"))
    assert names == ["folder-48px", "folder-48x80px", "folder-80x48px"]


def test_the_data_command_takes_rectangles(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "set" / "a.png", noise(0, 60, 60))
    for command in ("prepare", "info", "grid"):
        assert main([command, "set", "--image-size", "48x80"]) == 0
        out = capsys.readouterr().out
        assert "48 x 80 px" in out or command == "grid"
    assert main(["info"]) == 0 and "48x80 px" in capsys.readouterr().out
    with Image.open("grid.png") as grid:
        assert grid.size == (84, 52)
    for wrong in ("48x", "x", "48x80x3"):
        assert main(["info", "set", "--image-size", wrong]) == 2
        assert "need px such as 64, or height x width such as 48x80" in capsys.readouterr().err
    for wrong in ("7x80", "48x2000", "0"):
        assert main(["info", "set", "--image-size", wrong]) == 2
        assert "data: --image-size: need a whole number from 8 to 1024" in capsys.readouterr().err
