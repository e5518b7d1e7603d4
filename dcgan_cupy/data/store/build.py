"""Making a cache entry: by several processes, in a file that a killed run leaves and the next one goes on with.

    <entry>.part       the .npy to be: workers write each task's images at the place of its first item; where items
                       before it gave no image, the parent moves them up. Places only ever move forward, so no worker
                       meets another.
    <entry>.journal    a line for the key, then one for each finished task: where it stopped, how many images, their
                       checksum, the attributes, what was skipped. Each line carries a checksum of itself and of those
                       before it.

The process that builds holds a lock (../locks/<entry>.lock); a second one waits, and finds the entry. A run goes on
after the last line that is as it was written and whose images are there and right.
"""

import base64
import io
import os
import shutil
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import filelock
import numpy as np

from ...cache import open_to_read, open_to_write, private_folder
from ...errors import UserError
from ...machine import in_bytes
from ..reader import Batch, DataError, Reader, Task, tasks_in
from . import pool
from .sealed import seal, unseal

SUFFIXES = (".json", ".npy", ".journal", ".part")
ABANDONED = 7 * 24 * 3600  # seconds after which nobody will go on with an unfinished entry
SPARE = 1 << 24  # bytes beyond the images: attributes, journal
VERIFIED = 1 << 30  # bytes of an entry that are checked when it is opened: of a larger one, samples


class CannotWrite(Exception):
    """The cache folder, and nothing else, failed."""


@dataclass
class Unstored:
    """What was read where nothing is kept: no image at all, or too many lost."""

    batch: Batch
    lost: int


@contextmanager
def _writing():
    try:
        yield
    except OSError as error:
        raise CannotWrite(str(error.strerror or error)) from error


def build(entry: Path, key: dict, reader: Reader, progress, load: Callable, most_lost: float) -> Unstored | None:
    """Makes the entry, unless another process has meanwhile. Returns what was read if that is not to be kept.

    Raises: CannotWrite; DataError if the disk would not hold it.
    """
    root = entry.parent.parent
    try:
        locks = private_folder(private_folder(entry.parent, root).with_name("locks"), root)
    except UserError as error:
        reason = str(error).partition(", got: ")[2].partition(" (")[0]
        raise CannotWrite(reason or str(error).removeprefix("cache: ")) from error
    _sweep(entry.parent)
    with _locked(locks / f"{entry.name}.lock", entry.with_suffix(".journal"), reader, progress):
        if load() is not None:  # the other process finished it
            return None
        with _writing():
            journal = open_to_write(entry.with_suffix(".journal"))
        with journal:
            part = Part(entry, key, reader, journal)
            _check_space(entry.parent, part, reader)
            try:
                done = part.read(progress, most_lost)
            except CannotWrite:
                part.drop()  # a disk that is full needs the room
                raise
            if done is None:
                part.finish()
            elif not done.batch.images.size and part.items == reader.total:
                part.drop()
            return done


@contextmanager
def _locked(path: Path, journal: Path, reader: Reader, progress):
    """One process at a time; as long as it is another, that one's progress is shown."""
    lock = filelock.FileLock(path, mode=0o600)
    while not lock.is_locked:
        try:
            lock.acquire(timeout=0.1)
        except filelock.Timeout:
            if progress is not None:
                with suppress(OSError), open_to_read(journal) as file:
                    if lines := [line for line, _, _ in lines_of(file)][1:]:
                        progress(min(lines[-1]["stop"], reader.total), reader.total)
        except OSError as error:
            raise CannotWrite(error.strerror or str(error)) from error
    try:
        yield
    finally:
        lock.release()


def lines_of(journal) -> Iterator[tuple[dict, str, int]]:
    """(line, its checksum, the byte behind it) of a journal, up to the first that is not as it was written."""
    journal.seek(0)
    check, at = "", 0
    for text in journal:
        found = unseal(text[:-1], check) if text.endswith(b"\n") else None
        if found is None:
            return
        check, at = found[1], at + len(text)
        yield *found, at


def _check_space(folder: Path, part: "Part", reader: Reader) -> None:
    with _writing():
        free = shutil.disk_usage(folder).free
    missing = part.expected - part.size() + SPARE
    if missing > free:
        raise DataError(
            f"open_dataset: cache: need {in_bytes(missing)} more in {folder} for {part.total:,} images, got "
            f"{in_bytes(free)} free (make room, or set DCGAN_CUPY_CACHE to another place)"
        )


class Part:
    """An entry that is being made."""

    def __init__(self, entry: Path, key: dict, reader: Reader, journal):
        self.entry, self.key, self.reader, self.journal = entry, key, reader, journal
        self.path = entry.with_suffix(".part")
        self.shape = reader.look.shape
        self.row = int(np.prod(self.shape))
        self.total = reader.total if reader.count is None else min(reader.count, reader.total)
        self.header = len(header((reader.total, *self.shape)))
        self.expected = self.header + min(self.total, getattr(reader, "room", self.total)) * self.row
        self.items = self.images = self.lost = 0
        self.damage = reader.damage
        self.base = 0, 0  # items and images that were there when this run began
        self.lines: list[dict] = []
        self._resume()

    def size(self) -> int:
        """Bytes that are there already."""
        return self.path.stat().st_size if self.path.exists() else 0

    def _resume(self) -> None:
        """Takes over what an earlier run finished."""
        with _writing():
            lines = list(lines_of(self.journal))
            self.check, at = "", 0
            with open_to_write(self.path) as file:
                if lines and lines[0][0] == {"key": self.key}:
                    file.seek(self.header)
                    for line, check, end in lines:
                        if "key" not in line:
                            if zlib.crc32(file.read(line["images"] * self.row)) != line["crc32"]:
                                break
                            self._add(line)
                        self.check, at = check, end
                else:
                    file.truncate(0)
                    file.write(header((0, *self.shape)))
            self.journal.seek(at)
            self.journal.truncate()
            if not at:
                self._write_line({"key": self.key})

    def _add(self, line: dict) -> None:
        self.lines.append(line)
        self.lost += line["lost"]
        self.damage = self.damage or line["damage"]
        self.images += line["images"]
        self.items = line["stop"]

    def _write_line(self, line: dict) -> None:
        text, self.check = seal(line, self.check)
        self.journal.write(text + b"\n")
        self.journal.flush()

    def read(self, progress, most_lost: float) -> Unstored | None:
        """Reads what is missing. Returns what there is if it is not to be stored."""
        reader, start = self.reader, self.items
        self.base = start, self.images
        allowed = most_lost * max(1, reader.total)
        if self.images != reader.count and self.items < reader.total:
            place = partial(carry_out, str(self.path), self.header + (self.images - start) * self.row, self.row)
            for (first_item, task), done in pool.in_order(
                place, _numbered(reader.tasks(start), start), tasks_in(reader.total - start)
            ):
                self._take(first_item, task, done)
                if progress is not None:
                    progress(min(self.images if reader.count else self.items, self.total), self.total)
                if self.images == reader.count or self.lost > allowed:
                    break
        batch = Batch(np.broadcast_to(np.uint8(0), (self.images, *self.shape)), {}, self.skipped(), self.damage)
        return Unstored(batch, self.all_lost()) if not self.images or self.lost > allowed else None

    def _take(self, first_item: int, task: Task, done: tuple) -> None:
        """A finished task: its images move up to where they belong, then the journal says so."""
        (batch, check), place = done, self.header + self.images * self.row
        count = len(batch.images)
        kept = first(batch, None if self.reader.count is None else self.reader.count - self.images)
        there = self.header + (self.base[1] + first_item - self.base[0]) * self.row
        with _writing():  # the images, and the journal
            if there != place or len(kept.images) != count:
                with open_to_write(self.path) as file:
                    data = os.pread(file.fileno(), len(kept.images) * self.row, there)
                    check = zlib.crc32(data)
                    os.pwrite(file.fileno(), data, place)
            line = {
                "stop": task.stop,
                "images": len(kept.images),
                "crc32": check,
                "lost": lost_of(task.stop - first_item, kept),
                "attributes": pack(kept.attributes),
                "skipped": kept.skipped,
                "damage": kept.damage,
            }
            self._write_line(line)
        self._add(line)

    def skipped(self) -> list:
        """Of the listing and of all tasks."""
        return [*self.reader.skipped, *(tuple(row) for line in self.lines for row in line["skipped"])]

    def all_lost(self) -> int:
        """Items without an image, those included that the listing gave up."""
        return self.lost + len(self.reader.skipped)

    def finish(self) -> None:
        """Header, rename, note, rename."""
        attributes, notes = join((line["images"], unpack(line["attributes"])) for line in self.lines)
        note = {
            "key": self.key,
            "shape": (self.images, *self.shape),
            "pieces": [(line["images"], line["crc32"]) for line in self.lines],
            "attributes": pack(attributes),
            "skipped": self.skipped(),
            "notes": notes,
            "lost": self.all_lost(),
            "damage": self.damage,
            "classes": self.reader.classes,
            "source": self.reader.source,
        }
        with _writing():
            with open_to_write(self.path) as file:
                start = header((self.images, *self.shape))
                assert len(start) == self.header, "NumPy leaves room in the header for the number of images to grow"
                file.write(start)
                file.truncate(self.header + self.images * self.row)
                if self.images * self.row > VERIFIED:  # samples might not notice what a power failure took
                    file.flush()
                    os.fsync(file.fileno())
            temporary = self.entry.with_suffix(".json.tmp")
            with open_to_write(temporary) as file:
                file.truncate(0)
                file.write(seal(note)[0])
            os.replace(self.path, self.entry.with_suffix(".npy"))
            os.replace(temporary, self.entry.with_suffix(".json"))
            self.entry.with_suffix(".journal").unlink()

    def drop(self) -> None:
        """Leaves nothing."""
        for suffix in (".part", ".journal"):
            self.entry.with_suffix(suffix).unlink(missing_ok=True)


def carry_out(path: str, offset: int, row: int, numbered: tuple[int, Task]) -> tuple[Batch, int]:
    """A worker's part: the images of a task go to the file at their place; the rest comes back, with their checksum."""
    first_item, task = numbered
    batch = task.function(*task.arguments)
    images = np.ascontiguousarray(batch.images)
    with _writing():
        descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW)
        try:
            view, at = memoryview(images.reshape(-1)), offset + first_item * row
            while len(view):
                written = os.pwrite(descriptor, view, at)
                view, at = view[written:], at + written
        finally:
            os.close(descriptor)
    return replace(batch, images=np.empty((len(images), 0), np.uint8)), zlib.crc32(
        images
    )  # how many there are, and no bytes


def _numbered(tasks, start: int):
    """(its first item, task) for each task."""
    for task in tasks:
        yield start, task
        start = task.stop


def first(batch: Batch, count: int | None) -> Batch:
    """No more than so many images of a batch, and what was skipped: all of it."""
    if count is None or len(batch.images) <= count:
        return batch
    return replace(
        batch,
        images=batch.images[:count],
        attributes={name: values[:count] for name, values in batch.attributes.items()},
    )


def lost_of(items: int, batch: Batch) -> int:
    """How many of a task's items gave no image; those that were not wanted any more are not lost."""
    return min(items - len(batch.images), items) if batch.skipped else 0


def header(shape: tuple) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return file.getvalue()


def pack(attributes: dict[str, np.ndarray]) -> dict:
    """The attributes as JSON can hold them, bit for bit."""
    return {
        name: {
            "dtype": values.dtype.str,
            "shape": values.shape,
            "base64": base64.b64encode(np.ascontiguousarray(values).tobytes()).decode(),
        }
        for name, values in sorted(attributes.items())
    }


def unpack(packed: dict) -> dict[str, np.ndarray]:
    """The way back."""
    return {
        name: np.frombuffer(base64.b64decode(column["base64"]), np.dtype(column["dtype"])).reshape(column["shape"])
        for name, column in packed.items()
    }


def join(parts: Iterable[tuple[int, dict[str, np.ndarray]]]) -> tuple[dict[str, np.ndarray], list[str]]:
    """(attributes of all images, a note of each that is left out). parts: (number of images, attributes of those).

    An attribute that is not known of every image would come to stand beside others than its own.
    """
    parts = [(count, known) for count, known in parts if count]
    total, joined, notes = sum(count for count, _ in parts), {}, []
    for name in dict.fromkeys(name for _, known in parts for name in known):
        columns = [known[name] for count, known in parts if len(known.get(name, ())) == count]
        having = sum(map(len, columns))
        if having == total and len({column.shape[1:] for column in columns}) == 1:
            joined[name] = np.concatenate(columns)
        else:
            notes.append(f"{name} left out: known of {having:,} of {total:,} images")
    return joined, notes


def _sweep(folder: Path) -> None:
    """Remove what killed runs left behind and nobody went on with."""
    for path in (*folder.glob("*.part"), *folder.glob("*.journal"), *folder.glob("*.tmp"), *folder.glob(".*.tmp")):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > ABANDONED:
                path.unlink()
