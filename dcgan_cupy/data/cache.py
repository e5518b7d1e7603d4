"""Images that were drawn or decoded once, kept on disk for the next run.

    data/<reader>-<size>px-<hash>.npy     the images, uint8 NHWC, opened as a memory map
    data/<reader>-<size>px-<hash>.json    their key, a checksum, the attributes, the files that were skipped

The hash is of the key: everything that determines the pixels. Each file is written under a temporary name and renamed,
the .json last: it alone says that an entry exists, and its checksum that both files are whole and belong together.
So a run that is killed, or two runs at once, leave an entry that is right, or none. All of it may be deleted any time.
"""

import base64
import hashlib
import json
import os
import re
import secrets
import time
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np
import PIL

from ..cache import cache_root

Progress = Callable[[int, int], None]          # (images done, images in all)

PIECE = 1 << 24                                # bytes of a checksum's step
ABANDONED = 24 * 3600                          # seconds after which a temporary file is the remains of a killed run


@dataclass
class Batch:
    """Some images in a row, and what is known of them.

    Shapes: images uint8 [n, H, W, C]; each of attributes [n, ...].   `skipped`: (name, reason) of what gave no image.
    """

    images: np.ndarray
    attributes: dict[str, np.ndarray] = field(default_factory=dict)
    skipped: list[tuple[str, str]] = field(default_factory=list)


class Reader(Protocol):
    """What a kind of dataset must offer; the cache, the checks and the progress are the same for all."""

    name: str                                  # of the kind: begins the names of its cache files
    source: str                                # what the user gave, made unambiguous
    image_size: int
    channels: int
    total: int                                 # images that batches() tries, for the progress

    def key(self) -> dict:
        """Everything that determines the pixels, as JSON can hold it."""

    def batches(self) -> Iterator[Batch]:
        """The images in their order, some at a time."""


def code_version(path: str) -> str:
    """A hash of a module's text, and Pillow's version: when the code that makes the pixels changes, so does the key."""
    return f"{hashlib.blake2b(Path(path).read_bytes(), digest_size=8).hexdigest()}, Pillow {PIL.__version__}"


def collect(reader: Reader, cache: Path | None = None, progress: Progress | None = None) -> Batch:
    """All images of `reader`, from the cache if it has them, else read and stored there.

    Where the cache cannot be written, a warning says so and the images come in memory. No image at all is not stored.
    """
    try:
        folder = (cache_root() if cache is None else Path(cache)).expanduser() / "data"
    except RuntimeError as error:              # no home folder
        return _without_cache(reader, progress, "no folder to keep images in", error)
    key = {**reader.key(), "image_size": reader.image_size, "channels": reader.channels}
    digest = hashlib.blake2b(json.dumps(key, sort_keys=True).encode(), digest_size=12).hexdigest()
    entry = folder / f"{re.sub(r'[^A-Za-z0-9_]', '_', reader.name)}-{reader.image_size}px-{digest}"
    found = _load(entry, key)
    if found is not None:
        return found
    try:
        stored = _store(entry, key, reader, progress)
    except _CannotWrite as error:
        return _without_cache(reader, progress, folder, error.__cause__)
    if not stored.images.size:
        return stored
    found = _load(entry, key)                  # what the disk holds, and not what should be there
    if found is None:
        return _without_cache(reader, progress, folder, OSError("it does not give back what was written"))
    return found


def _without_cache(reader: Reader, progress: Progress | None, folder, error: Exception) -> Batch:
    reason = getattr(error, "strerror", None) or error
    warnings.warn(f"open_dataset: cache: need a folder that can be written, got {folder} ({reason}); "
                  "the images stay in memory and are made again next time", RuntimeWarning, stacklevel=4)
    images, rest = [], Batch(_no_images(reader))
    for batch in _counted(reader, progress, rest):
        images.append(batch.images)
    return Batch(np.concatenate([rest.images, *images]), rest.attributes, rest.skipped)


def _no_images(reader: Reader) -> np.ndarray:
    return np.empty((0, reader.image_size, reader.image_size, reader.channels), np.uint8)


def _counted(reader: Reader, progress: Progress | None, rest: Batch) -> Iterator[Batch]:
    """The reader's batches, one by one, while `rest` gathers their attributes and what was skipped."""
    columns: dict[str, list[np.ndarray]] = {}
    done = 0
    for batch in reader.batches():
        yield batch
        for name, values in batch.attributes.items():
            columns.setdefault(name, []).append(values)
        rest.skipped.extend(batch.skipped)
        done += len(batch.images)
        if progress is not None:
            progress(min(done + len(rest.skipped), reader.total), reader.total)
    rest.attributes = {name: np.concatenate(parts) for name, parts in columns.items()}


# ----------------------------------------------------------------------------------------------------------- writing

class _CannotWrite(Exception):
    """The cache folder, and nothing else, failed."""


@contextmanager
def _replacing(path: Path):
    """A binary file under a temporary name, renamed to `path` at the end; removed if anything goes wrong before.

    The caller wraps its own writes in _writing(): an error of the reader's must not pass for one of the disk's.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    try:
        with _writing():
            file = open(temporary, "xb")       # noqa: SIM115  closed below, where a full disk must not raise again
        try:
            yield file
            with _writing():
                file.flush()
        finally:
            with suppress(OSError):
                file.close()
        with _writing():
            os.replace(temporary, path)
    finally:
        with suppress(OSError):
            temporary.unlink()                 # there no longer, if it was renamed


@contextmanager
def _writing():
    try:
        yield
    except OSError as error:
        raise _CannotWrite from error


def _store(entry: Path, key: dict, reader: Reader, progress: Progress | None) -> Batch:
    """Write the entry, image by image as they come: a set larger than memory is no trouble. Returns the rest."""
    with _writing():
        entry.parent.mkdir(parents=True, exist_ok=True)
        _sweep(entry.parent)
    shape, check = _no_images(reader).shape, 0
    rest = Batch(_no_images(reader))
    with suppress(_NothingToStore), _replacing(entry.with_suffix(".npy")) as file:
        with _writing():
            _write_header(file, shape)
        start, count = file.tell(), 0
        for batch in _counted(reader, progress, rest):
            images = np.ascontiguousarray(batch.images)
            assert images.dtype == np.uint8 and images.shape[1:] == shape[1:], (reader.name, images.dtype, images.shape)
            with _writing():
                file.write(images)
            check = zlib.crc32(images, check)
            count += len(images)
        if not count:
            raise _NothingToStore
        with _writing():
            file.seek(0)
            _write_header(file, (count, *shape[1:]))
        assert file.tell() == start, "NumPy leaves room in the header for the number of images to grow"
        rest.images = np.broadcast_to(np.uint8(0), (count, *shape[1:]))      # says only how many there are
    if not rest.images.size:
        return rest
    attributes, check = _pack(rest.attributes, check)
    note = {"key": key, "shape": rest.images.shape, "crc32": check, "attributes": attributes, "skipped": rest.skipped}
    with _replacing(entry.with_suffix(".json")) as file, _writing():
        file.write(json.dumps(note).encode())
    return rest


class _NothingToStore(Exception):
    """Not one image was read; leaves no file behind."""


def _write_header(file: BinaryIO, shape: tuple) -> None:
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})


def _pack(attributes: dict[str, np.ndarray], check: int) -> tuple[dict, int]:
    """The attributes as JSON can hold them, bit for bit, and the checksum carried on over them."""
    packed = {}
    for name, values in sorted(attributes.items()):
        data = np.ascontiguousarray(values).tobytes()
        check = zlib.crc32(data, check)
        packed[name] = {"dtype": values.dtype.str, "shape": values.shape, "base64": base64.b64encode(data).decode()}
    return packed, check


def _sweep(folder: Path) -> None:
    """Remove what killed runs left behind."""
    for path in folder.glob(".*.tmp"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > ABANDONED:
                path.unlink()


# ----------------------------------------------------------------------------------------------------------- reading

def _load(entry: Path, key: dict) -> Batch | None:
    """The entry if it is there and whole; None if it has to be made."""
    try:
        note = json.loads(entry.with_suffix(".json").read_bytes())
        if note["key"] != key:
            return None
        images = np.load(entry.with_suffix(".npy"), mmap_mode="r", allow_pickle=False)
        if images.dtype != np.uint8 or list(images.shape) != note["shape"] or not images.flags.c_contiguous:
            return None
        check, flat = 0, images.reshape(-1)
        for start in range(0, flat.size, PIECE):
            check = zlib.crc32(flat[start:start + PIECE], check)
        attributes = {}
        for name, packed in sorted(note["attributes"].items()):
            data = base64.b64decode(packed["base64"], validate=True)
            check = zlib.crc32(data, check)
            attributes[name] = np.frombuffer(data, np.dtype(packed["dtype"])).reshape(packed["shape"])
        if check != note["crc32"]:
            return None
        return Batch(images, attributes, [(name, reason) for name, reason in note["skipped"]])
    except Exception:                          # absent, cut short, not ours: whatever it is, it is made again
        return None
