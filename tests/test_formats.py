"""Every format is told by its content and read back to the pixel, with its labels, and a training run takes it."""

import numpy as np
import pytest
import specimens
from PIL import Image
from train_cases import kernels_of_the_cache

from dcgan_cupy import train
from dcgan_cupy.data import DataError, make_reader, open_dataset

pytestmark = pytest.mark.any_size


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    """One for all, but for its kernels, which are those of every test."""
    root = tmp_path_factory.getbasetemp() / "cache-of-formats"
    if not root.is_dir():
        kernels_of_the_cache(root)
    monkeypatch.setenv("DCGAN_CUPY_CACHE", str(root))


def made(write, place):
    images, labels = specimens.pictures(channels=1 if write in specimens.GREY else 3)
    place.mkdir()
    if write in specimens.UNORDERED and write is not specimens.tar_gz:
        order = np.lexsort((np.arange(len(labels)), labels))
        if write is specimens.tar_of_tars:
            order = np.array(sorted(range(len(labels)), key=lambda i: (labels[i], f"class{labels[i]}_{i}.png")))
        return write(place, images, labels), images[order], labels[order]
    return write(place, images, labels), images, labels


@pytest.mark.parametrize("write", specimens.EVERY, ids=lambda write: write.__name__)
def test_specimen_is_read_back_to_the_pixel(write, tmp_path):
    path, images, labels = made(write, tmp_path / "specimen")
    dataset = open_dataset(str(path), 32, images.shape[-1])
    assert dataset.skipped == [] and dataset.images.shape == images.shape
    assert (dataset.images == images).all()
    if write in specimens.UNLABELLED:
        assert "label" not in dataset.attributes
        return
    got = dataset.attributes["label"]
    assert got.shape == labels.shape
    if write in specimens.UNORDERED:
        assert [dataset.classes[i] for i in got] == [f"class{i}" for i in labels]
    else:
        assert (got == labels).all()
    again = open_dataset(str(path), 32, images.shape[-1])  # from the cache
    assert isinstance(again.images, np.memmap) and (again.images == images).all() and again.classes == dataset.classes
    assert (again.attributes["label"] == got).all()


@pytest.mark.parametrize("write", specimens.EVERY, ids=lambda write: write.__name__)
def test_a_training_run_takes_every_format(write, tmp_path, capsys, monkeypatch):
    path, images, _ = made(write, tmp_path / "specimen")
    monkeypatch.chdir(tmp_path)
    flags = (
        "--image-size 16 --batch-size 4 --features-g 4 --features-d 4 --z-dim 4 --dry-run --device cpu --out run --flip"
    )
    code = train.main(["--data", str(path), "--channels", str(images.shape[-1]), *flags.split()])
    out, err = capsys.readouterr()
    assert code == 0 and f"{len(images)} images" in out and "waiting for data" in out, err
    assert len((tmp_path / "run" / "log.jsonl").read_text().splitlines()) == 2


@pytest.mark.parametrize(
    "write",
    [specimens.idx, specimens.cifar10_binary, specimens.cifar10_python, specimens.npz],
    ids=lambda write: write.__name__,
)
def test_splits(write, tmp_path):
    path, images, labels = made(write, tmp_path / "specimen")
    test, both = (open_dataset(str(path), 32, images.shape[-1], split=split) for split in ("test", "all"))
    assert (test.images == 255 - images).all() and (test.attributes["label"] == labels).all()
    assert len(both) == 2 * len(images)


def test_folders_of_splits(tmp_path):
    images, labels = specimens.pictures()
    specimens.folder(tmp_path / "set" / "train", images, labels)
    specimens.folder(tmp_path / "set" / "val", images[:5], labels[:5])
    counts = {split: len(open_dataset(str(tmp_path / "set"), 32, split=split)) for split in ("train", "test", "all")}
    assert counts == {"train": 12, "test": 5, "all": 17}


def test_more_labels_than_one(tmp_path):
    images, labels = specimens.pictures()
    for write in (specimens.cifar100_binary, specimens.cifar100_python):
        place = tmp_path / write.__name__
        place.mkdir()
        known = open_dataset(str(write(place, images, labels)), 32).attributes
        assert (known["label"] == labels).all() and (known["coarse_label"] == labels // 2).all()


def test_format_can_be_given(tmp_path):
    images, labels = specimens.pictures(channels=1)
    specimens.idx(tmp_path, images, labels)
    (tmp_path / "0.png").write_bytes(specimens.png(255 - images[0]))
    assert len(open_dataset(str(tmp_path), 32, 1)) == 1  # what lies there as images comes first
    assert len(open_dataset(str(tmp_path), 32, 1, format="idx")) == 12
    with pytest.raises(DataError, match=r"format: need one of folder, .*, got 'jpeg'"):
        open_dataset(str(tmp_path), 32, format="jpeg")
    with pytest.raises(DataError, match=r"format: need one that suits a folder, got 'zip'"):
        open_dataset(str(tmp_path), 32, format="zip")


def test_names_do_not_decide(tmp_path):
    images, labels = specimens.pictures()
    specimens.zipped(tmp_path, images, labels).rename(tmp_path / "holiday.tar")
    assert make_reader(str(tmp_path / "holiday.tar"), 32).format == "zip"


@pytest.mark.parametrize("height, width", [(218, 178), (64, 300), (108, 108), (500, 700)])
@pytest.mark.parametrize("crop", [None, 60])
def test_resampling_is_pillows_pixel_by_pixel(tmp_path, height, width, crop):
    pixels = np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8)
    (tmp_path / "a.png").write_bytes(specimens.png(pixels))
    got = open_dataset(str(tmp_path), 64, crop=crop).images[0].astype(int)
    side = crop or min(height, width)
    left, top = (width - side) // 2, (height - side) // 2
    box, source = (left, top, left + side, top + side), Image.fromarray(pixels)
    want = (
        source.crop(box).resize((64, 64), Image.Resampling.LANCZOS)
        if crop
        else source.resize((64, 64), Image.Resampling.LANCZOS, box)
    )
    # Up to three times smaller it is the same; beyond, blocks are averaged first, which for noise, the worst case,
    # differs by 5 of 255.
    assert np.abs(got - np.asarray(want)).max() <= (0 if side < 6 * 64 else 6)


def test_crop_of_a_jpeg_that_shrinks_while_it_is_decoded(tmp_path):
    smooth = Image.fromarray(np.random.default_rng(2).integers(0, 256, (8, 10, 3), np.uint8)).resize(
        (1600, 1200), Image.Resampling.BICUBIC
    )
    smooth.save(tmp_path / "a.jpg", quality=95)
    got = open_dataset(str(tmp_path), 32, crop=800).images[0].astype(int)
    want = np.asarray(smooth.crop((400, 200, 1200, 1000)).resize((32, 32), Image.Resampling.LANCZOS)).astype(int)
    assert np.abs(got - want).mean() < 2


def test_crop_larger_than_an_image_is_named(tmp_path):
    (tmp_path / "a.png").write_bytes(specimens.png(np.zeros((40, 50, 3), np.uint8)))
    with pytest.raises(DataError, match=r"a\.png: 50 x 40 pixels, too small for a crop of 60"):
        open_dataset(str(tmp_path), 32, crop=60)
    with pytest.raises(DataError, match="crop: need a dataset of files for it, got faces"):
        open_dataset("faces", 32, crop=60)
