"""The drawn faces: what determines them, and that their attributes show."""

from dataclasses import replace

import numpy as np
import pytest
from data_cases import own_cache  # noqa: F401
from PIL import Image

from dcgan_cupy.data import faces, open_dataset


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
