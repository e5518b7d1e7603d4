"""Images that were drawn or decoded once, kept on disk for the next run.

    data/<format>-<size>px-<hash>.npy       the images, uint8 NHWC, opened as a memory map
    data/<format>-<size>px-<hash>.json      their key, checksums, the attributes, the files that were skipped
    data/<format>-<size>px-<hash>.part      an entry that is being made, and its .journal: build.py

The hash is of the key: everything that determines the pixels. The .json is renamed into place last: it alone says that
an entry exists, and its checksums that both files are whole and belong together. All of it may be deleted any time.
"""

import hashlib
import json
import os
import re
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ...cache import cache_root
from ...machine import free_memory, in_bytes
from ..reader import Batch, DataError, Look, Reader, Task, tasks_in
from . import build, pool
from .build import CannotWrite, unpack

Progress = Callable[[int, int], None]  # (items done, items in all)
VERIFIED = 1 << 30  # bytes of an entry that are checked when it is opened: of a larger one, samples


class Found(Batch):
    """A whole dataset: what its reader gave, and what was wrong with its container."""

    classes: tuple[str, ...] = ()
    lost: int = 0  # items that gave no image
    entry: Path | None = None  # where it is kept


def data_folder(cache: Path | None = None) -> Path:
    """Where entries are. Raises: RuntimeError if there is no home folder."""
    return (cache_root() if cache is None else Path(cache)).expanduser() / "data"


def collect(
    reader: Reader, cache: Path | None = None, progress: Progress | None = None, most_lost: float = 1.0
) -> Found:
    """All images of `reader`, from the cache if it has them, else read and stored there.

    Where the cache cannot be written, a warning says so and the images come in memory. No image at all is not stored.
    `most_lost`: the share of items that may give no image; reading ends early once more have not.
    Raises: DataError if the disk, or the memory in its place, would not hold them.
    """
    try:
        folder = data_folder(cache)
    except RuntimeError as error:  # no home folder
        return _without_cache(reader, progress, "no folder to keep images in", error)
    key, entry = place(reader, folder)
    found = load(entry, key)
    if found is not None:
        return found
    try:
        made = build.build(entry, key, reader, progress, lambda: load(entry, key), most_lost)
    except CannotWrite as error:
        return _without_cache(reader, progress, folder, error.__cause__ or error)
    if made is not None:  # nothing to store, or more lost than is allowed
        return _found(made.batch, reader, made.lost)
    found = load(entry, key)  # what the disk holds, and not what should be there
    if found is None:
        return _without_cache(reader, progress, folder, OSError("it does not give back what was written"))
    return found


def place(reader: Reader, folder: Path) -> tuple[dict, Path]:
    """A reader's key, and the name of its entry without a suffix."""
    look: Look = reader.look
    key = {**reader.key(), "image_size": look.size, "channels": look.channels, "crop": look.crop, "count": reader.count}
    digest = hashlib.blake2b(json.dumps(key, sort_keys=True).encode(), digest_size=12).hexdigest()
    return key, folder / f"{re.sub(r'[^A-Za-z0-9_]', '_', reader.format)}-{look.size}px-{digest}"


def _found(batch: Batch, reader: Reader, lost: int) -> Found:
    found = Found(batch.images, batch.attributes, batch.skipped, batch.damage)
    found.classes, found.lost = tuple(reader.classes), lost
    return found


def _without_cache(reader: Reader, progress: Progress | None, folder, error) -> Found:
    cause = getattr(error, "strerror", None) or error
    total = reader.total if reader.count is None else min(reader.count, reader.total)
    need, free = min(total, getattr(reader, "room", total)) * int(np.prod(reader.look.shape)), free_memory()
    if need > free // 2:
        raise DataError(
            f"open_dataset: cache: need a folder that can be written, got {folder} ({cause}); in memory the images"
            f" would take {in_bytes(need)} of {in_bytes(free)}"
        )
    warnings.warn(
        f"open_dataset: cache: need a folder that can be written, got {folder} ({cause}); "
        "the images stay in memory and are made again next time",
        RuntimeWarning,
        stacklevel=4,
    )
    rest = Batch(np.empty((0, *reader.look.shape), np.uint8), {}, list(reader.skipped), reader.damage)
    images, columns, done = [], {}, 0
    have = lost = 0
    for task, batch in pool.in_order(carry_out, reader.tasks(0), tasks_in(reader.total)):
        batch = build.first(batch, None if reader.count is None else reader.count - have)
        images.append(batch.images)
        have += len(batch.images)
        lost += build.lost_of(task.stop - done, batch)
        rest.skipped.extend(batch.skipped)
        rest.damage = rest.damage or batch.damage
        for name, values in batch.attributes.items():
            columns.setdefault(name, []).append(values)
        done = task.stop
        if progress is not None:
            progress(min(have if reader.count else done, total), total)
        if have == reader.count:
            break
    rest.images = np.concatenate([rest.images, *images])
    rest.attributes = {name: np.concatenate(parts) for name, parts in columns.items()}
    return _found(rest, reader, lost + len(reader.skipped))


def carry_out(task: Task) -> Batch:
    """A task's batch."""
    return task.function(*task.arguments)


# ----------------------------------------------------------------------------------------------------------- reading


def load(entry: Path, key: dict | None) -> Found | None:
    """The entry if it is there and whole; None if it has to be made. Without a key whatever the entry holds."""
    try:
        note = json.loads(entry.with_suffix(".json").read_bytes())
        if key is not None and note["key"] != key:
            return None
        path = entry.with_suffix(".npy")
        images = np.load(path, mmap_mode="r", allow_pickle=False)
        if images.dtype != np.uint8 or list(images.shape) != note["shape"] or not images.flags.c_contiguous:
            return None
        if not _checked(path, images, note["pieces"]):
            return None
        attributes, check = unpack(note["attributes"])
        if check != note["crc32"]:
            return None
        found = Found(images, attributes, [(name, reason) for name, reason in note["skipped"]], note["damage"])
        found.classes, found.lost, found.entry = tuple(note["classes"]), note["lost"], entry
        return found
    except Exception:  # absent, cut short, not ours: whatever it is, it is made again
        return None


def _checked(path: Path, images: np.ndarray, pieces: list) -> bool:
    """Whether the pieces, or samples from all over a large entry, are as they were written.

    Read, not mapped: it keeps no memory.
    """
    row = images[0].nbytes if len(images) else 0
    step = 1 + images.nbytes // VERIFIED
    with open(path, "rb") as file:
        at = os.fstat(file.fileno()).st_size - images.nbytes
        for i, (count, check) in enumerate(pieces):
            if i % step == 0 or i == len(pieces) - 1:
                file.seek(at)
                if zlib.crc32(file.read(count * row)) != check:
                    return False
            at += count * row
    return sum(count for count, _ in pieces) == len(images)


def entries(folder: Path) -> list[tuple[Path, dict, int]]:
    """(entry, its key, bytes on disk) of all that the cache holds; of one that is not finished the key is empty."""
    found = []
    for stem in sorted({path.with_suffix("") for path in folder.glob("*px-*.*")}):
        try:
            key = json.loads(stem.with_suffix(".json").read_bytes())["key"]
        except (OSError, ValueError, KeyError, TypeError):
            key = {}
        files = [stem.with_suffix(suffix) for suffix in build.SUFFIXES]
        found.append((stem, key, sum(path.stat().st_size for path in files if path.exists())))
    return found


def remove(entry: Path) -> None:
    """Deletes an entry, the .json first: without it there is none."""
    for suffix in build.SUFFIXES:
        entry.with_suffix(suffix).unlink(missing_ok=True)
