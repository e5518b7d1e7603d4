"""What people have on their disks: the same set twice, labels in other files, a file an image, floats, links, pointers.

Each kind is written anew here, and the right images and labels are known.
"""

import gzip
import struct
import tarfile
import warnings
import zipfile

import numpy as np
import pytest
import specimens
from PIL import Image, features

from dcgan_cupy.data import DataError, decoders, make_reader, open_dataset
from dcgan_cupy.data.__main__ import main
from dcgan_cupy.data.formats import arrays

GREY, LABELS = specimens.pictures(12, channels=1)
COLOUR, _ = specimens.pictures(12)
NO_HEIF = "pip install 'dcgan-cupy[heif]'"


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("DCGAN_CUPY_CACHE", str(tmp_path_factory.mktemp("cache")))


def opened(path, channels=3, size=32, **options):
    return open_dataset(str(path), size, channels, **options)


def refused(path, **options) -> str:
    with pytest.raises(DataError) as caught:
        opened(path, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def put(path, data: bytes):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def idx_file(images) -> bytes:
    return struct.pack(">4B3I", 0, 0, 8, 3, *images.shape[:3]) + images.tobytes()


def idx_labels(labels) -> bytes:
    return struct.pack(">4BI", 0, 0, 8, 1, len(labels)) + bytes(labels.tolist())


# ---------------------------------------------------------------------------------------- the same file twice, or half


def test_idx_beside_its_own_gz_is_read_once(tmp_path):
    for name, data in (("train-images-idx3-ubyte", idx_file(GREY)), ("train-labels-idx1-ubyte", idx_labels(LABELS))):
        put(tmp_path / "raw" / name, data)
        put(tmp_path / "raw" / f"{name}.gz", gzip.compress(data))
        put(tmp_path / "again" / name.replace("-idx", ".idx"), data)  # as another public copy names it
    got = opened(tmp_path, 1)
    assert (got.images == GREY).all() and (got.attributes["label"] == LABELS).all()


def test_an_empty_file_does_not_hide_its_gz(tmp_path):
    put(tmp_path / "train-images-idx3-ubyte", b"")
    put(tmp_path / "train-images-idx3-ubyte.gz", gzip.compress(idx_file(GREY)))
    assert (opened(tmp_path, 1).images == GREY).all()


def test_an_array_beside_its_packed_twin_is_read_once(tmp_path):
    np.save(tmp_path / "x.npy", COLOUR)
    np.savez_compressed(tmp_path / "x.npz", COLOUR)
    put(tmp_path / "x.npy.gz", gzip.compress((tmp_path / "x.npy").read_bytes()))
    assert (opened(tmp_path).images == COLOUR).all()


def test_packed_batches_beside_plain_ones_are_read_once(tmp_path):
    specimens.cifar10_binary(tmp_path, COLOUR, LABELS)
    for path in list(tmp_path.glob("*.bin")):
        put(path.with_name(path.name + ".gz"), gzip.compress(path.read_bytes()))
    assert (opened(tmp_path).images == COLOUR).all()


def test_labels_that_only_some_files_have_are_none(tmp_path):
    put(tmp_path / "a-images-idx3-ubyte", idx_file(GREY[:4]))
    put(tmp_path / "b-images-idx3-ubyte", idx_file(GREY[4:]))
    put(tmp_path / "b-labels-idx1-ubyte", idx_labels(LABELS[4:]))
    got = opened(tmp_path, 1)
    assert (got.images == GREY).all() and got.attributes == {}


def test_batches_of_which_one_has_no_labels(tmp_path):
    for i, content in enumerate(({"data": specimens.planes(COLOUR[:4])}, None)):
        content = content or {"data": specimens.planes(COLOUR[4:]), "labels": LABELS[4:].tolist()}
        put(tmp_path / f"data_batch_{i}", specimens.python2(content))
    got = opened(tmp_path)
    assert (got.images == COLOUR).all() and got.attributes == {}


# ------------------------------------------------------------------------------------------------------- NumPy's files


@pytest.mark.parametrize("shape", [(24, 20, 3), (24, 20)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_one_array_a_picture(tmp_path, shape, dtype):
    images = np.random.default_rng(1).integers(0, 256, (5, *shape), np.uint8)
    for i, image in enumerate(images):
        (tmp_path / f"class{i % 2}").mkdir(exist_ok=True)
        np.save(tmp_path / f"class{i % 2}" / f"{i}.npy", image if dtype is np.uint8 else image / np.float32(255))
    got = opened(tmp_path, len(shape), size=20) if len(shape) == 3 else opened(tmp_path, 1, size=20)
    order = [0, 2, 4, 1, 3]
    assert (got.images.reshape(5, 20, 20, -1) == images[order][:, 2:22].reshape(5, 20, 20, -1)).all()
    assert got.attributes["label"].tolist() == [0, 0, 0, 1, 1] and got.classes == ("class0", "class1")


def test_one_picture_alone_is_refused(tmp_path):
    np.save(tmp_path / "a.npy", COLOUR[0])
    assert "one image: [N, H, W, C] is needed" in refused(tmp_path / "a.npy")
    np.savez(tmp_path / "b.npz", COLOUR[0])
    assert "one image: [N, H, W, C] is needed" in refused(tmp_path / "b.npz")


def test_pictures_with_colours_in_front_are_refused(tmp_path):
    for i in range(3):
        np.save(tmp_path / f"{i}.npy", COLOUR[i].transpose(2, 0, 1))
    assert "one image each is [H, W, 3]" in refused(tmp_path)


@pytest.mark.parametrize("images, labels", [("x_{}", "y_{}"), ("{}_images", "{}_labels"), ("X{}", "target{}")])
def test_labels_in_a_file_beside(tmp_path, images, labels):
    for split, pixels in (("train", COLOUR), ("test", 255 - COLOUR[:5])):
        split = f"_{split}" if images == "X{}" else split
        np.save(tmp_path / f"{images.format(split)}.npy", pixels)
        np.save(tmp_path / f"{labels.format(split)}.npy", LABELS[: len(pixels)])
    got = opened(tmp_path)
    assert (got.images == COLOUR).all() and (got.attributes["label"] == LABELS).all()
    got = opened(tmp_path, split="test")
    assert (got.images == 255 - COLOUR[:5]).all() and (got.attributes["label"] == LABELS[:5]).all()
    alone = opened(tmp_path / f"{images.format('_train' if images == 'X{}' else 'train')}.npy")
    assert (alone.images == COLOUR).all() and (alone.attributes["label"] == LABELS).all()


def test_labels_beside_of_another_length_are_refused(tmp_path):
    np.save(tmp_path / "x_train.npy", COLOUR)
    np.save(tmp_path / "y_train.npy", LABELS[:7])
    assert "need 12 labels, for 'x_train.npy', got 'y_train.npy' (it has 7)" in refused(tmp_path)


def test_two_arrays_of_images_do_not_share_labels(tmp_path):
    np.save(tmp_path / "images_a.npy", COLOUR)
    np.save(tmp_path / "images_b.npy", 255 - COLOUR)
    np.save(tmp_path / "labels.npy", LABELS)
    got = opened(tmp_path)
    assert len(got) == 24 and got.attributes == {}


def test_flat_grey_rows(tmp_path):
    np.save(tmp_path / "a.npy", GREY.reshape(12, -1))
    assert (opened(tmp_path / "a.npy", 1).images == GREY).all()
    np.savez(tmp_path / "b.npz", x=GREY.reshape(12, -1), labels=LABELS, one_hot_y=np.eye(100, dtype=np.uint8)[LABELS])
    got = opened(tmp_path / "b.npz", 1)
    assert (got.images == GREY).all() and (got.attributes["label"] == LABELS).all()


RAMP = np.arange(256, dtype=np.uint8).repeat(12).reshape(3, 32, 32)


@pytest.mark.parametrize(
    "values, least, most",
    [
        (RAMP / 255.0, 0, 0),
        ((RAMP / 255.0).astype(np.float16), 0, 1),
        ((RAMP / 127.5 - 1).astype(np.float32), 0, 0),
        (RAMP.astype(np.float64), 0, 0),
        (RAMP.astype(np.int64), 0, 0),
        (RAMP.astype(">i2"), 0, 0),
        (RAMP.astype(np.uint16) * 257, 0, 0),
    ],
    ids=["f8 to 1", "f2 to 1", "f4 -1 to 1", "f8 to 255", "i8", "i2, high byte first", "u2"],
)
def test_numbers_of_a_plain_range(tmp_path, values, least, most):
    np.save(tmp_path / "a.npy", values)
    np.savez_compressed(tmp_path / "b.npz", values)
    for name in ("a.npy", "b.npz"):
        off = opened(tmp_path / name, 1).images[..., 0].astype(int) - RAMP
        assert np.abs(off).max() <= most


def test_yes_and_no_are_white_and_black(tmp_path):
    np.save(tmp_path / "a.npy", RAMP > 99)
    assert (opened(tmp_path / "a.npy", 1).images[..., 0] == (RAMP > 99) * 255).all()


@pytest.mark.parametrize(
    "values",
    [
        RAMP / 16.0,
        (RAMP > 99).astype(np.int64),
        RAMP.astype(np.int64) - 128,
        RAMP / 511.0 - 0.25,
        RAMP / 128.0,
        RAMP * 4.0,
        np.where(RAMP == 200, np.nan, RAMP / 255.0),
        np.where(RAMP == 200, np.inf, RAMP / 255.0),
        np.zeros((3, 32, 32)),
        RAMP.astype(np.uint16) * 16,
    ],
    ids=range(10),
)
def test_numbers_that_could_mean_two_things_are_refused(tmp_path, values):
    np.save(tmp_path / "a.npy", values)
    text = refused(tmp_path / "a.npy", channels=1)
    assert "a.npy" in text and ("not finite" in text or "(x * 255).round().astype(np.uint8)" in text)


def test_the_range_is_that_of_the_last_number_too(tmp_path, monkeypatch):
    monkeypatch.setattr(arrays, "READ", 4096)
    values = np.concatenate([RAMP / 255.0, RAMP / 255.0, RAMP / 255.0 + 0.5])
    np.save(tmp_path / "a.npy", values)
    assert "from 0 to 1.5" in refused(tmp_path / "a.npy", channels=1)


def test_a_header_of_python_2_is_read_in_silence(tmp_path):
    header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (3L, 32L, 32L, 3L), }".ljust(117) + b"\n"
    put(tmp_path / "a.npy", b"\x93NUMPY\x01\0" + struct.pack("<H", len(header)) + header + COLOUR[:3].tobytes())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert (opened(tmp_path / "a.npy").images == COLOUR[:3]).all()


# ----------------------------------------------------------------------------------------------- pictures of all kinds


def test_content_decides_not_the_suffix(tmp_path):
    names = ["a.png", "b.jfif", "c.jpe", "d", "e.dat", "f.txt", "g.jpg"]
    for name, image in zip(names, COLOUR):
        put(tmp_path / "set" / name, specimens.png(image))
    put(tmp_path / "set" / "notes.txt", b"BMW and P5 are no images")
    put(tmp_path / "set" / "empty.bin", b"")
    for source in ("set", "set.zip", "set.tar", "set.tar.gz"):
        if source == "set.zip":
            with zipfile.ZipFile(tmp_path / source, "w", zipfile.ZIP_DEFLATED) as archive:
                for path in sorted((tmp_path / "set").iterdir()):
                    archive.write(path, path.name)
        elif source != "set":
            with tarfile.open(tmp_path / source, "w:gz" if source.endswith("gz") else "w") as archive:
                for path in sorted((tmp_path / "set").iterdir()):
                    archive.add(path, path.name)
        assert (opened(tmp_path / source).images == COLOUR[:7]).all()
        reader = make_reader(str(tmp_path / source), 32)
        assert reader.total == 7 and reader.left_out == {"txt": 1, "bin": 1}


@pytest.mark.parametrize("form, suffix", [("TIFF", "tif"), ("PPM", "ppm"), ("DIB", "bmp"), ("AVIF", "avif")])
def test_other_kinds_of_pictures(tmp_path, form, suffix):
    if form == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    form = "BMP" if form == "DIB" else form
    image = Image.fromarray(COLOUR[0])
    if form == "AVIF":  # which loses much of noise
        image = Image.linear_gradient("L").resize((32, 32)).convert("RGB")
    image.save(tmp_path / f"a.{suffix}", form)
    off = opened(tmp_path).images[0].astype(int) - np.asarray(image)
    assert np.abs(off).max() <= (8 if form == "AVIF" else 0)


def test_grey_pgm_and_plain_ppm(tmp_path):
    put(tmp_path / "a.pgm", b"P5\n# a comment\n32 32\n255\n" + GREY[0].tobytes())
    put(tmp_path / "b.ppm", b"P3 32 32 255\n" + " ".join(map(str, COLOUR[0].reshape(-1))).encode())
    got = opened(tmp_path).images
    assert (got[0] == GREY[0]).all() and (got[1] == COLOUR[0]).all()


def test_heic_is_read_or_named(tmp_path):
    put(tmp_path / "a.heic", b"\0\0\0\x18ftypheic" + bytes(100))
    said = refused(tmp_path)
    assert NO_HEIF not in said if decoders.pillow_heif else NO_HEIF in said


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
def test_heic(tmp_path, mode):
    """Four plain quarters, upright whatever the file says of turning, transparent on white, and within HEVC's loss."""
    pytest.importorskip("pillow_heif", reason="the extra heif is not installed")
    quarters = np.array([[[250, 10, 10], [10, 250, 10]], [[10, 10, 250], [250, 250, 10]]], np.uint8)
    image = Image.fromarray(quarters.repeat(32, 0).repeat(32, 1)).convert(mode)
    if mode == "RGBA":
        image.putalpha(Image.linear_gradient("L").resize(image.size))
    want = image if mode != "RGBA" else Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    want = np.asarray(want.convert("RGB").resize((32, 32), Image.Resampling.LANCZOS)).astype(int)
    turned = Image.Exif()
    turned[274] = 6  # what a telephone held upright writes: turn it clockwise to look at it
    image.save(tmp_path / "a.heic", quality=95)
    image.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "b.heif", quality=95, exif=turned.tobytes())
    put(tmp_path / "c.heic", (tmp_path / "a.heic").read_bytes()[:-100])
    got = opened(tmp_path, on_bad="skip")
    assert len(got.images) == 2 and [name for name, _ in got.skipped] == ["c.heic"]
    inner = np.r_[2:14, 18:30]  # the edges of the quarters ring
    for pixels in got.images.astype(int):
        assert np.abs(pixels - want)[np.ix_(inner, inner)].max() <= 8


def test_what_is_left_out_is_counted(tmp_path, capsys):
    for i in range(10):
        put(tmp_path / "set" / f"{i}.h5", b"\x89HDF\r\n\x1a\n")
    assert main(["info", str(tmp_path / "set")]) == 0
    assert "10 files of other kinds: h5 10" in capsys.readouterr().out
    assert "(10 files of other kinds: h5 10)" in refused(tmp_path / "set")


# ----------------------------------------------------------------------------------------------------- links, pointers


def test_linked_class_folders_are_followed_once(tmp_path):
    for i in range(6):
        put(tmp_path / "elsewhere" / f"{i}.png", specimens.png(COLOUR[i]))
        put(tmp_path / "set" / "dogs" / f"{i}.png", specimens.png(255 - COLOUR[i]))
    (tmp_path / "set" / "cats").symlink_to(tmp_path / "elsewhere")
    got = opened(tmp_path / "set")
    assert got.classes == ("cats", "dogs") and (got.images == np.concatenate([COLOUR[:6], 255 - COLOUR[:6]])).all()
    (tmp_path / "set" / "same").symlink_to("dogs")
    assert len(opened(tmp_path / "set", on_bad="skip")) == 12


@pytest.mark.parametrize("name", ["a.png", "data.mdb", "train-images-idx3-ubyte", "x.npy", "set.zip"])
def test_git_lfs_pointers_are_named(tmp_path, name):
    put(tmp_path / "set" / name, b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"a" * 64 + b"\nsize 9\n")
    assert "Git LFS pointer" in refused(tmp_path / "set")
    assert "Git LFS pointer" in refused(tmp_path / "set" / name)


def test_dead_links_are_named(tmp_path):
    (tmp_path / "train-images-idx3-ubyte.gz").symlink_to(tmp_path / "nowhere")
    assert "train-images-idx3-ubyte.gz" in refused(tmp_path) and "a link to nowhere" in refused(tmp_path)
    put(tmp_path / "a-images-idx3-ubyte", idx_file(GREY))
    assert "links to nowhere" in refused(tmp_path) and "train-images" in refused(tmp_path)


def test_weights_are_named(tmp_path):
    import torch

    torch.save({"a": torch.zeros(3)}, tmp_path / "netG.pth")
    assert "PyTorch" in refused(tmp_path / "netG.pth")
