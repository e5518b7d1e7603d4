"""Datasets: a name or a path in, one uint8 array of images out.

    open_dataset("faces", 64)                    cartoon faces, drawn here: nothing to download
    open_dataset("my_photos/", 64)               every image file below a folder
    open_dataset("img_align_celeba.zip", 64, crop=108)
    open_dataset("mnist", 32, channels=1)        fetched before: python -m dcgan_cupy.data fetch mnist

    source ─► choose.py: which reader ─► tasks over all cores (store/pool.py) ─► kept on disk (store/) ─► Dataset

A reader is small: it has a key, which says what determines its pixels, and cuts its work into tasks (reader.py). To add
a format, write a reader in formats/ and choose it in choose.py.
"""

import operator
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..cache import why_not_read
from ..choices import FORMATS, ON_BAD, SPLITS
from ..machine import counted
from ..sizes import sides
from .choose import reader_of
from .faces import DEFAULT_COUNT, Faces
from .fetch import CONSENT, FETCHED, fetched_folder
from .formats.fake import Fake
from .left_out import others
from .reader import DataError, Look, Reader, as_flags
from .store.entry import Found, Progress, collect

__all__ = ["FORMATS", "NAMES", "ON_BAD", "SPLITS", "DataError", "Dataset", "as_flags", "check", "open_dataset"]

NAMES = ("faces", "fake", *FETCHED)  # faces and noise need no file, the others are fetched first
SIZES = (8, 1024)
MOST_BAD = 0.01  # the share of unreadable images that is skipped when nothing else is asked for


@dataclass
class Dataset:
    """Images of one size, in memory or mapped from the cache.

    Shapes: images uint8 [N, height, width, channels]; attributes: name -> [N, ...], empty where nothing is known;
    `label` counts from 0 and `classes` holds the labels' names, where the source has names.
    `skipped` holds (path, reason) of every file that gave no image, `notes` what else is to be known: where a container
    is damaged, and which attribute was left out. `source` is the name or the full path.
    Raises: DataError for images of another kind, or an attribute that has not one value an image.
    """

    name: str
    images: np.ndarray
    attributes: dict[str, np.ndarray] = field(default_factory=dict)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    source: str = ""
    format: str = ""
    classes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    damage: str = ""  # where the source is damaged, if it is and that was allowed

    def __post_init__(self):
        if self.images.dtype != np.uint8 or self.images.ndim != 4:
            raise DataError(
                f"Dataset: images: need uint8 [N, H, W, C], got {self.images.dtype} {list(self.images.shape)}"
            )
        for name, values in self.attributes.items():
            if values.ndim < 1 or len(values) != len(self.images):
                need = f"one value for each of {counted(len(self.images), 'image')}"
                raise DataError(f"Dataset: attributes: need {need}, got {name} {list(values.shape)}")

    def __len__(self) -> int:
        return len(self.images)


def open_dataset(
    source: str,
    image_size: int | str | tuple[int, int],
    channels: int = 3,
    *,
    seed: int = 0,
    count: int | None = None,
    crop: int | None = None,
    format: str | None = None,
    split: str = "train",
    classes: tuple[str, ...] = (),
    on_bad: str | None = None,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> Dataset:
    """The images of `source`: a name ("faces", "mnist" …), or a path (./faces for a folder of that name).

    `image_size`: height and width, or both: "48x80", (48, 80).
    `count`: how many; without it 10,000 faces, or every image of a file.   `seed`: which faces; files ignore it.
    `crop`: the short side of what is cut from the middle of each image before it is resized, in the shape of the result
    (default: as large as it gets).
    `format`: one of FORMATS, instead of the one that the content shows.   `split`: train, test or all, where the source
    tells them apart.
    `classes`: the only ones to be read, of class folders, LSUN's categories or EMNIST's sets (default: all).
    `on_bad`: what to do about images that cannot be read: "skip" them, "fail" at the first; default: skip up to 1 %,
    then fail.
    `cache`: the cache's folder, instead of $DCGAN_CUPY_CACHE or the usual place.
    `progress(done, total)` is called now and then while images are made; not at all when they come from the cache.
    Raises: DataError.
    """
    reader = check(
        source,
        image_size,
        channels,
        seed=seed,
        count=count,
        crop=crop,
        format=format,
        split=split,
        classes=classes,
        on_bad=on_bad,
    )
    most = {"skip": 1.0, "fail": 0.0, None: MOST_BAD}[on_bad]
    found = collect(reader, cache, progress, most)
    _judge(found, reader, on_bad, most)
    name = reader.format if reader.source == "faces" else source if source in NAMES else Path(reader.source).name
    notes = (*((f"{reader.format} damaged {found.damage}",) if found.damage else ()), *found.notes)
    return Dataset(
        name,
        found.images,
        found.attributes,
        found.skipped,
        reader.source,
        reader.format,
        found.classes,
        notes,
        found.damage,
    )


def check(source: str, image_size, channels: int = 3, *, on_bad: str | None = None, least: int = 1, **options):
    """The reader of a source that open_dataset would take as far as can be told without decoding; `options` as there.

    `least`: images that are needed, such as a batch.   Raises: DataError.
    """
    if on_bad is not None and on_bad not in ON_BAD:
        raise DataError(f"open_dataset: on_bad: need one of {', '.join(ON_BAD)}, got {on_bad!r}")
    reader = make_reader(source, image_size, channels, **options)
    if not reader.total and not reader.skipped:
        what = (
            "a folder with image files (png jpg webp bmp gif tif ppm pgm avif heic)"
            if reader.format == "folder"
            else f"a {reader.format} file with images"
        )
        left = f" ({rest})" if (rest := others(reader)) else ""
        raise DataError(f"open_dataset: source: need {what}, got {reader.source}, which has none{left}")
    there = reader.total if reader.count is None else min(reader.count, reader.total)
    if there < least:
        raise DataError(
            f"open_dataset: source: need {counted(least, 'image')} or more, got {reader.source} with {there:,}"
        )
    return reader


def make_reader(
    source: str,
    image_size: int | str | tuple[int, int],
    channels: int = 3,
    *,
    seed: int = 0,
    count: int | None = None,
    crop: int | None = None,
    format: str | None = None,
    split: str = "train",
    classes: tuple[str, ...] = (),
) -> Reader:
    """The reader that fits the source; nothing has been decoded yet. Raises: DataError if none does."""
    image_size = sides(image_size) or image_size
    for side in image_size if isinstance(image_size, tuple) else (image_size,):
        _whole("image_size", side, *SIZES)
    if isinstance(channels, bool) or channels not in (1, 3):
        raise DataError(f"open_dataset: channels: need 1 (grey) or 3 (RGB), got {channels!r}")
    seed = _whole("seed", seed, 0)
    count = None if count is None else _whole("count", count, 1)
    crop = None if crop is None else _whole("crop", crop, 1, 1 << 15)
    for argument, value, known in (("format", format, FORMATS), ("split", split, SPLITS)):
        if value not in known and (value is not None or argument == "split"):
            raise DataError(f"open_dataset: {argument}: need one of {', '.join(known)}, got {value!r}")
    look = Look(image_size, int(channels), crop)
    if classes and source in ("faces", "fake"):
        raise DataError(f"open_dataset: classes: need a dataset of files for them, got {source}")
    if source == "fake":
        return Fake(look, seed, count)
    if source == "faces":
        if crop is not None or format is not None:
            raise DataError(
                f"open_dataset: {'crop' if crop else 'format'}: need a dataset of files for it, got faces, "
                "which are drawn"
            )
        return Faces(look, seed, DEFAULT_COUNT if count is None else count)
    return reader_of(_path(source), look, count, split, format, tuple(classes))


def _path(source: str) -> Path:
    """Where the source lies. Raises: DataError."""
    need = f"open_dataset: source: need the name of a dataset ({', '.join(NAMES)}) or the path of one"
    if source in FETCHED:
        folder = fetched_folder(source)
        if folder.is_dir() and (reason := why_not_read(folder)):
            raise DataError(f"open_dataset: source: need {source} as you fetched it, got {reason}")
        if not folder.is_dir():
            beside = f", or give ./{source}" if Path(source).exists() else ""
            raise DataError(
                f"open_dataset: source: need {source} fetched first, got no {folder} (python -m dcgan_cupy.data fetch "
                f"{source}{beside})"
            )
        return folder
    try:
        path = Path(source).expanduser()
        mode = path.stat().st_mode
    except (OSError, ValueError, RuntimeError, TypeError) as error:
        reason = "does not exist" if isinstance(error, FileNotFoundError) else getattr(error, "strerror", None) or error
        hint = f"; python -m dcgan_cupy.data fetch {source} tells how to get it" if source in CONSENT else ""
        raise DataError(f"{need}, got {source!r} ({reason}{hint})") from None
    if not os.fspath(source):
        raise DataError(f"{need}, got {source!r} (no name)")
    if not stat.S_ISDIR(mode) and not stat.S_ISREG(mode):
        raise DataError(f"{need}, got {source!r} (neither a file nor a folder)")
    return path


def _judge(found: Found, reader: Reader, on_bad: str | None, most: float) -> None:
    """Raises: DataError if there is no image, or more was lost than `on_bad` allows."""
    if not len(found.images):
        raise DataError(
            f"open_dataset: source: need images that can be read, got {reader.source} with {_some(found.skipped)}"
        )
    if on_bad == "skip":
        return
    if found.damage:
        kept = counted(len(found.images), "image")
        raise DataError(
            f"open_dataset: source: need a whole {reader.format} file, got {reader.source}, damaged {found.damage}; "
            f"--on-bad skip takes the {kept} that it gives"
        )
    if found.lost > most * (found.lost + len(found.images)):
        limit = "all images readable" if on_bad == "fail" else f"at most {MOST_BAD:.0%} unreadable images"
        raise DataError(
            f"open_dataset: on_bad: need {limit} (--on-bad skip leaves them out), got {found.lost:,} in "
            f"{reader.source}: "
            f"{_list(found.skipped, 20)}"
        )


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


def _some(skipped: list[tuple[str, str]]) -> str:
    """The first few of what was skipped, and how many there were."""
    return f"none, {len(skipped)} skipped ({_list(skipped, 3)})"


def _list(skipped: list[tuple[str, str]], shown: int) -> str:
    listed = "; ".join(f"{path}: {reason}" for path, reason in skipped[:shown])
    more = f" and {len(skipped) - shown} more" if len(skipped) > shown else ""
    return f"{listed}{more}"
