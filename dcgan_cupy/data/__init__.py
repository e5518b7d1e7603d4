"""Datasets: a name or a folder in, one uint8 array of images out.

    open_dataset("faces", 64)            cartoon faces, drawn here: nothing to download
    open_dataset("my_photos/", 64)       every image file below a folder

    source ─► a reader (faces.py, folder.py): batches of uint8 images ─► cache.py: kept on disk ─► Dataset

A reader is small: it has a key, which says what determines its pixels, and it yields batches (cache.py: Reader).
To add a format, write a reader in a file of its own and choose it in `_reader`.
"""

import operator
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..errors import UserError
from .cache import Progress, Reader, collect
from .faces import DEFAULT_COUNT, Faces
from .folder import SUFFIXES, Folder

__all__ = ["NAMES", "DataError", "Dataset", "open_dataset"]

NAMES = ("faces",)                       # datasets that need no file
SIZES = (8, 1024)


class DataError(UserError):
    """A dataset that cannot be opened as asked; one sentence, `where: argument: need this, got that`."""


@dataclass
class Dataset:
    """Images of one size, in memory or mapped from the cache.

    Shapes: images uint8 [N, size, size, channels]; attributes: name -> [N, ...], empty where nothing is known.
    `skipped` holds (path, reason) of every file that gave no image, `source` the name or the folder's full path.
    """

    name: str
    images: np.ndarray
    attributes: dict[str, np.ndarray] = field(default_factory=dict)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    source: str = ""

    def __len__(self) -> int:
        return len(self.images)


def open_dataset(source: str, image_size: int, channels: int = 3, *, seed: int = 0, count: int | None = None,
                 cache: Path | None = None, progress: Progress | None = None) -> Dataset:
    """The images of `source`: "faces", or a path to a folder (./faces for a folder of that name).

    `count`: how many; without it 10,000 faces, or every image of a folder.   `seed`: which faces; folders ignore it.
    `cache`: the cache's folder, instead of $DCGAN_CUPY_CACHE or the usual place.
    `progress(done, total)` is called now and then while images are made; not at all when they come from the cache.
    Raises: DataError.
    """
    image_size = _whole("image_size", image_size, *SIZES)
    if isinstance(channels, bool) or channels not in (1, 3):
        raise DataError(f"open_dataset: channels: need 1 (grey) or 3 (RGB), got {channels!r}")
    channels = int(channels)
    seed = _whole("seed", seed, 0)
    count = None if count is None else _whole("count", count, 1)
    reader = _reader(source, image_size, channels, seed, count)
    images = collect(reader, cache, progress)
    if not len(images.images):
        raise DataError(f"open_dataset: source: need images that can be read, got {reader.source} "
                        f"with {_some(images.skipped)}")
    name = reader.name if source in NAMES else Path(reader.source).name
    return Dataset(name, images.images, images.attributes, images.skipped, reader.source)


def _reader(source: str, image_size: int, channels: int, seed: int, count: int | None) -> Reader:
    """The reader that fits the source. Raises: DataError if none does."""
    if source == "faces":
        return Faces(image_size, channels, seed, DEFAULT_COUNT if count is None else count)
    need = f"open_dataset: source: need the name of a dataset ({', '.join(NAMES)}) or a folder of images"
    try:
        path = Path(source).expanduser()
        mode = path.stat().st_mode
    except (OSError, ValueError, RuntimeError, TypeError) as error:
        reason = "does not exist" if isinstance(error, FileNotFoundError) else getattr(error, "strerror", None) or error
        raise DataError(f"{need}, got {source!r} ({reason})") from None
    if not stat.S_ISDIR(mode) or not os.fspath(source):
        raise DataError(f"{need}, got {source!r} ({'a file' if os.fspath(source) else 'no name'})")
    reader = Folder(path, image_size, channels, count)
    if not reader.total and not reader.skipped:
        raise DataError(f"open_dataset: source: need a folder with image files ({' '.join(SUFFIXES)}), "
                        f"got {reader.source}, which has none")
    return reader


def _whole(argument: str, value, least: int, most: int | None = None) -> int:
    """`value` as an int. Raises: DataError if it is no whole number, or out of range."""
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool) or number < least or (most is not None and number > most):
        span = f"from {least} to {most}" if most is not None else f"of at least {least}"
        raise DataError(f"open_dataset: {argument}: need a whole number {span}, got {value!r}")
    return number


def _some(skipped: list[tuple[str, str]], shown: int = 3) -> str:
    """The first few of what was skipped, and how many there were."""
    listed = "; ".join(f"{path}: {reason}" for path, reason in skipped[:shown])
    more = f" and {len(skipped) - shown} more" if len(skipped) > shown else ""
    return f"none, {len(skipped)} skipped ({listed}{more})"
