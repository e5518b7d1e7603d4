"""A specimen of every format of datasets, written from the formats' public descriptions with nothing of the package.

Each writer takes images uint8 [N, H, W, C] and labels [N] and makes a file or folder; what is read back must be these
pixels.
"""

import gzip
import io
import pickle
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path
from typing import ClassVar

import numpy as np
from PIL import Image


def pictures(count: int = 12, size: int = 32, channels: int = 3, seed: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Images without two rows alike, and labels from 0 to 9."""
    random = np.random.default_rng(seed)
    return random.integers(0, 256, (count, size, size, channels), np.uint8), random.integers(0, 10, count)


def png(image: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(file, "PNG")
    return file.getvalue()


def folder(place: Path, images, labels) -> Path:
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        path = place / f"class{label}" / f"{i:04d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(image))
    return place


def zipped(place: Path, images, labels) -> Path:
    with zipfile.ZipFile(place / "pictures.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("set/", b"")
        for i, (image, label) in enumerate(zip(images, labels, strict=True)):
            archive.writestr(
                f"set/class{label}/{i:04d}.png", png(image), zipfile.ZIP_DEFLATED if i % 2 else zipfile.ZIP_STORED
            )
        archive.writestr("set/readme.txt", "not an image")
    return place / "pictures.zip"


def tarred(place: Path, images, labels, mode: str = "w") -> Path:
    path = place / ("pictures.tar" + mode[1:].replace(":", "."))
    with tarfile.open(path, mode) as archive:
        for i, (image, label) in enumerate(zip(images, labels, strict=True)):
            data = png(image)
            info = tarfile.TarInfo(f"set/class{label}/{i:04d}.png")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def tar_gz(place: Path, images, labels) -> Path:
    return tarred(place, images, labels, "w:gz")


def tar_of_tars(place: Path, images, labels) -> Path:
    """ImageNet's training set: a tar for each class, in a tar."""
    with tarfile.open(place / "train.tar", "w") as outer:
        for label in sorted(set(labels)):
            inner = io.BytesIO()
            with tarfile.open(fileobj=inner, mode="w") as archive:
                for i in np.flatnonzero(labels == label):
                    data = png(images[i])
                    info = tarfile.TarInfo(f"class{label}_{i}.png")
                    info.size = len(data)
                    archive.addfile(info, io.BytesIO(data))
            info = tarfile.TarInfo(f"class{label}.tar")
            info.size = len(inner.getvalue())
            outer.addfile(info, io.BytesIO(inner.getvalue()))
    return place / "train.tar"


def idx(place: Path, images, labels, squeeze=gzip.compress) -> Path:
    n, h, w, _ = images.shape
    suffix = ".gz" if squeeze is gzip.compress else ""
    for split in ("train", "t10k"):
        pixels = images if split == "train" else 255 - images
        (place / f"{split}-images-idx3-ubyte{suffix}").write_bytes(
            squeeze(struct.pack(">4B3I", 0, 0, 8, 3, n, h, w) + pixels.tobytes())
        )
        (place / f"{split}-labels-idx1-ubyte{suffix}").write_bytes(
            squeeze(struct.pack(">4BI", 0, 0, 8, 1, n) + bytes(labels.tolist()))
        )
    return place


def idx_plain(place: Path, images, labels) -> Path:
    idx(place, images, labels, squeeze=bytes)
    return place / "train-images-idx3-ubyte"


def cifar_rows(images, labels, *more) -> bytes:
    columns = np.stack([*more, labels], axis=1).astype(np.uint8) if more else labels.astype(np.uint8)[:, None]
    return np.concatenate([columns, images.transpose(0, 3, 1, 2).reshape(len(images), -1)], axis=1).tobytes()


def cifar10_binary(place: Path, images, labels) -> Path:
    half = len(images) // 2
    (place / "data_batch_1.bin").write_bytes(cifar_rows(images[:half], labels[:half]))
    (place / "data_batch_2.bin").write_bytes(cifar_rows(images[half:], labels[half:]))
    (place / "test_batch.bin").write_bytes(cifar_rows(255 - images, labels))
    (place / "batches.meta.txt").write_text("airplane\nautomobile\n")
    return place


def cifar10_binary_tar(place: Path, images, labels) -> Path:
    inside = place / "cifar-10-batches-bin"
    inside.mkdir()
    cifar10_binary(inside, images, labels)
    with tarfile.open(place / "cifar-10-binary.tar.gz", "w:gz") as archive:
        archive.add(inside, "cifar-10-batches-bin")
    return place / "cifar-10-binary.tar.gz"


def cifar100_binary(place: Path, images, labels) -> Path:
    (place / "train.bin").write_bytes(cifar_rows(images, labels, labels // 2))
    return place


class Python2(pickle._Pickler):
    """Texts and bytes as Python 2 wrote them: the batches are that old."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def save_bytes(self, value):
        self.write(b"T" + struct.pack("<i", len(value)) + value)
        self.memoize(value)

    def save_str(self, value):
        self.save_bytes(value.encode())

    dispatch[bytes], dispatch[str] = save_bytes, save_str


def python2(value) -> bytes:
    file = io.BytesIO()
    Python2(file, protocol=2).dump(value)
    return file.getvalue().replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")


def planes(images) -> np.ndarray:
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2).reshape(len(images), -1))


def cifar10_python(place: Path, images, labels) -> Path:
    half = len(images) // 2
    for i, part in enumerate((slice(None, half), slice(half, None)), 1):
        content = {
            "batch_label": f"batch {i}",
            "labels": labels[part].tolist(),
            "data": planes(images[part]),
            "filenames": ["a.png"],
        }
        (place / f"data_batch_{i}").write_bytes(python2(content))
    (place / "test_batch").write_bytes(python2({"labels": labels.tolist(), "data": planes(255 - images)}))
    (place / "batches.meta").write_bytes(python2({"label_names": [f"class{i}" for i in range(10)], "num_vis": 3072}))
    return place


def cifar10_python_tar(place: Path, images, labels) -> Path:
    inside = place / "cifar-10-batches-py"
    inside.mkdir()
    cifar10_python(inside, images, labels)
    with tarfile.open(place / "cifar-10-python.tar.gz", "w:gz") as archive:
        archive.add(inside, "cifar-10-batches-py")
    return place / "cifar-10-python.tar.gz"


def cifar100_python(place: Path, images, labels) -> Path:
    content = {"fine_labels": labels.tolist(), "coarse_labels": (labels // 2).tolist(), "data": planes(images)}
    (place / "train").write_bytes(python2(content))
    (place / "meta").write_bytes(
        python2({"fine_label_names": [f"class{i}" for i in range(10)], "coarse_label_names": ["a"]})
    )
    return place


def imagenet32_pickle(place: Path, images, labels) -> Path:
    for i, part in enumerate((slice(None, 5), slice(5, None)), 9):  # 9 and 10: in the order of numbers, not of letters
        content = {"data": planes(images[part]), "labels": (labels[part] + 1).tolist(), "mean": np.zeros(3072)}
        (place / f"train_data_batch_{i}").write_bytes(pickle.dumps(content, protocol=3))
    return place


def imagenet32_npz(place: Path, images, labels) -> Path:
    for i, part in enumerate((slice(None, 5), slice(5, None)), 9):
        np.savez(
            place / f"train_data_batch_{i}.npz",
            data=planes(images[part]),
            labels=labels[part] + 1,
            mean=np.zeros(3072, np.uint8),
        )
    return place


def npy(place: Path, images, labels) -> Path:
    np.save(place / "images.npy", images)
    return place / "images.npy"


def npy_channels_first(place: Path, images, labels) -> Path:
    np.save(place / "images.npy", np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
    return place / "images.npy"


def npz(place: Path, images, labels) -> Path:
    np.savez_compressed(place / "set.npz", x_train=images, y_train=labels, x_test=255 - images, y_test=labels)
    return place / "set.npz"


def element(kind: int, data: bytes) -> bytes:
    """A MATLAB 5 element."""
    if 0 < len(data) <= 4:
        return struct.pack("<HH", kind, len(data)) + data.ljust(4, b"\0")
    return struct.pack("<II", kind, len(data)) + data.ljust(-(-len(data) // 8) * 8, b"\0")


def matrix(name: str, values: np.ndarray) -> bytes:
    flags = element(6, struct.pack("<II", 9 if values.dtype == np.uint8 else 6, 0))
    kind = {np.dtype("u1"): 2, np.dtype("f8"): 9}[values.dtype]
    inner = flags + element(5, struct.pack(f"<{values.ndim}i", *values.shape)) + element(1, name.encode())
    return element(14, inner + element(kind, values.tobytes(order="F")))


def mat(place: Path, images, labels, squeeze: bool = True) -> Path:
    header = b"MATLAB 5.0 MAT-file, written by a test".ljust(124) + struct.pack("<HH", 0x0100, 0x4D49)
    parts = [
        matrix("X", images.transpose(1, 2, 3, 0)),
        matrix("y", np.where(labels == 0, 10, labels).astype(np.uint8)[:, None]),
    ]
    if squeeze:
        parts = [struct.pack("<II", 15, len(z)) + z for z in map(zlib.compress, parts)]
    (place / "train_32x32.mat").write_bytes(header + b"".join(parts))
    return place / "train_32x32.mat"


def mat_plain(place: Path, images, labels) -> Path:
    return mat(place, images, labels, squeeze=False)


def lmdb(place: Path, images, labels) -> Path:
    """By the library itself."""
    import lmdb as library

    path = place / "bedroom_train_lmdb"
    with library.open(str(path), map_size=1 << 26) as environment, environment.begin(write=True) as transaction:
        for i, image in enumerate(images):
            transaction.put(f"{i:04d}".encode(), png(image))
    return path


COLOUR = [
    folder,
    zipped,
    tarred,
    tar_gz,
    tar_of_tars,
    cifar10_binary,
    cifar10_binary_tar,
    cifar100_binary,
    cifar10_python,
    cifar10_python_tar,
    cifar100_python,
    imagenet32_pickle,
    imagenet32_npz,
    npy,
    npy_channels_first,
    npz,
    mat,
    mat_plain,
    lmdb,
]
GREY = [idx, idx_plain]
UNORDERED = {folder, zipped, tarred, tar_gz, tar_of_tars}  # by name, so by class
UNLABELLED = {npy, npy_channels_first, lmdb}
EVERY = COLOUR + GREY
