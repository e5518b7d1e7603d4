"""Images that were drawn or decoded once, kept on disk for the next run.

    data/<format>-<size>px-<hash>.npy       the images, uint8 NHWC, opened as a memory map
    data/<format>-<size>px-<hash>.json      their key, checksums, the attributes, the files that were skipped
    data/<format>-<size>px-<hash>.part      an entry that is being made, and its .journal: build.py

The hash is of the key: everything that determines the pixels. The .json is renamed into place last: it alone says that
an entry exists, and its checksums that both files are whole and belong together. All of it may be deleted any time. Who
may have written it: ../../cache.py. Reading takes no lock and writes nothing.
"""

import hashlib
import json
import os
import random
import re
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ...cache import cache_root, open_to_read, why_not_read
from ...errors import UserError
from ...machine import free_memory, in_bytes
from ...sizes import named
from ..reader import Batch, DataError, Look, Reader, Task, tasks_in
from . import build, pool
from .build import VERIFIED, CannotWrite, unpack
from .sealed import unseal

Progress = Callable[[int, int], None]  # (items done, items in all)


class Found(Batch):
    """A whole dataset: what its reader gave, and what was wrong with its container."""

    classes: tuple[str, ...] = ()
    lost: int = 0  # items that gave no image
    notes: tuple[str, ...] = ()  # what was left out, but images


def data_folder(cache: Path | None = None) -> Path:
    """Where entries are. Raises: UserError if there is no home folder."""
    return (cache_root() if cache is None else Path(cache).expanduser().absolute()) / "data"


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
    except (UserError, RuntimeError) as error:  # no home folder
        return _without_cache(reader, progress, "no folder to keep images in", error)
    key, entry = place(reader, folder)
    found = load(entry, key)
    if found is not None:
        return found
    try:
        made = build.build(entry, key, reader, progress, lambda: load(entry, key), most_lost)
    except CannotWrite as error:
        return _without_cache(reader, progress, folder, error)
    if made is not None:  # nothing to store, or more lost than is allowed
        return _found(made.batch, reader, made.lost)
    found = load(entry, key)  # what the disk holds, and not what should be there
    if found is None:
        return _without_cache(reader, progress, folder, OSError("it does not give back what was written"))
    return found


def place(reader: Reader, folder: Path) -> tuple[dict, Path]:
    """A reader's key, and the name of its entry without a suffix."""
    look: Look = reader.look
    size = named(look.size)
    key = {**reader.key(), "image_size": size, "channels": look.channels, "crop": look.crop, "count": reader.count}
    digest = hashlib.blake2b(json.dumps(key, sort_keys=True).encode(), digest_size=12).hexdigest()
    return key, folder / f"{re.sub(r'[^A-Za-z0-9_]', '_', reader.format)}-{size}px-{digest}"


def _found(batch: Batch, reader: Reader, lost: int, notes=()) -> Found:
    found = Found(batch.images, batch.attributes, batch.skipped, batch.damage)
    found.classes, found.lost, found.notes = tuple(reader.classes), lost, tuple(notes)
    return found


def _without_cache(reader: Reader, progress: Progress | None, folder, error) -> Found:
    cause = getattr(error, "strerror", None) or error
    total = reader.total if reader.count is None else min(reader.count, reader.total)
    need, free = min(total, getattr(reader, "room", total)) * int(np.prod(reader.look.shape)), free_memory()
    if need > free // 2:
        raise DataError(
            f"open_dataset: cache: need a folder that can be written, got {folder} ({cause}); in memory the images "
            f"would take {in_bytes(need)} of {in_bytes(free)}"
        )
    warnings.warn(
        f"open_dataset: cache: need a folder that can be written, got {folder} ({cause}); "
        "the images stay in memory and are made again next time",
        RuntimeWarning,
        stacklevel=4,
    )
    rest = Batch(np.empty((0, *reader.look.shape), np.uint8), {}, list(reader.skipped), reader.damage)
    images, known, done = [], [], 0
    have = lost = 0
    for task, batch in pool.in_order(carry_out, reader.tasks(0), tasks_in(reader.total)):
        batch = build.first(batch, None if reader.count is None else reader.count - have)
        images.append(batch.images)
        have += len(batch.images)
        lost += build.lost_of(task.stop - done, batch)
        rest.skipped.extend(batch.skipped)
        rest.damage = rest.damage or batch.damage
        known.append((len(batch.images), batch.attributes))
        done = task.stop
        if progress is not None:
            progress(min(have if reader.count else done, total), total)
        if have == reader.count:
            break
    rest.images = np.concatenate([rest.images, *images])
    rest.attributes, notes = build.join(known)
    return _found(rest, reader, lost + len(reader.skipped), notes)


def carry_out(task: Task) -> Batch:
    """A task's batch."""
    return task.function(*task.arguments)


# ----------------------------------------------------------------------------------------------------------- reading


def load(entry: Path, key: dict) -> Found | None:
    """The entry if it is there, whole, and of this user or root; None if it has to be made."""
    try:
        if why_not_read(entry.parent, entry.parent.parent):
            return None
        note = _note(entry)
        if note is None or note["key"] != key:
            return None
        with open_to_read(entry.with_suffix(".npy")) as file:
            start = build.header(tuple(note["shape"]))
            if file.read(len(start)) != start or not _checked(file, len(start), note):
                return None
            images = np.memmap(file, np.uint8, "r", len(start), tuple(note["shape"]))
    except (OSError, ValueError):  # absent, unreadable, cut short
        return None
    skipped = [(name, reason) for name, reason in note["skipped"]]
    found = Found(images, unpack(note["attributes"]), skipped, note["damage"])
    found.classes, found.lost, found.notes = tuple(note["classes"]), note["lost"], tuple(note["notes"])
    return found


def _note(entry: Path) -> dict | None:
    """What an entry's .json says, if it is as it was written."""
    with open_to_read(entry.with_suffix(".json")) as file:
        found = unseal(file.read())
    return found and found[0]


def _checked(file, at: int, note: dict) -> bool:
    """Whether the pieces, or other samples each time of a large entry, are as they were written. Read, not mapped: it
    keeps no memory."""
    row = int(np.prod(note["shape"][1:]))
    step = 1 + note["shape"][0] * row // VERIFIED
    taken, pieces = random.randrange(step), note["pieces"]
    if os.fstat(file.fileno()).st_size != at + note["shape"][0] * row:
        return False
    for i, (count, check) in enumerate(pieces):
        if i % step == taken or i == len(pieces) - 1:
            file.seek(at)
            if zlib.crc32(file.read(count * row)) != check:
                return False
        at += count * row
    return True


def entries(folder: Path) -> list[tuple[Path, dict, int]]:
    """(entry, its key, bytes on disk) of all that the cache holds; of one that is not finished, or damaged, the key is
    empty."""
    found = []
    for stem in sorted({path.with_suffix("") for path in folder.glob("*px-*.*")}):
        try:
            key = (_note(stem) or {"key": {}})["key"]
        except OSError:
            key = {}
        files = [stem.with_suffix(suffix) for suffix in build.SUFFIXES]
        found.append((stem, key, sum(path.stat().st_size for path in files if path.is_file())))
    return found


def remove(entry: Path) -> None:
    """Deletes an entry, the .json first: without it there is none."""
    for suffix in build.SUFFIXES:
        entry.with_suffix(suffix).unlink(missing_ok=True)
