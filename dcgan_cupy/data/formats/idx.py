"""MNIST's format, plain or gzipped: magic 00 00 08 rank, the lengths (4 bytes each, high byte first), then the
bytes."""

import math
import re
import struct
from pathlib import Path

import numpy as np

from ..picture import PIXEL_LIMIT, reason
from ..reader import DataError
from .packed_files import BROKEN, Member, of_path, unreadable
from .pixel_blocks import Block

MAGIC = re.compile(rb"\0\0\x08[\x01\x03\x04]")
EMNIST = re.compile(r"emnist-(\w+?)-")  # whose images lie column by column
LABELS = 1 << 26  # of one file
WHAT = "a file in MNIST's idx format"
BLOCK, END = 1 << 12, 1 << 16  # bytes that are read at a time, and in all, in search of the end behind the last row


def shape_of(head: bytes) -> tuple[int, ...]:
    """The lengths that a header declares."""
    return struct.unpack_from(f">{head[3]}I", head, 4) if len(head) >= 4 + 4 * head[3] else ()


def is_idx(head: bytes) -> bool:
    """Whether a file begins as an idx file of bytes does."""
    return bool(MAGIC.match(head)) and bool(shape_of(head))


def blocks(members: list[Member], path: Path) -> tuple[list[Block], tuple[str, ...]]:
    """The images of each file of images, with the labels of the file that belongs to it."""
    names = {member.name: member for member in members}
    found, subsets = [], set()
    for member in members:
        if not is_idx(head := member.head()) or len(shape := shape_of(head)) < 3:
            continue
        if not 0 < math.prod(shape[1:]) <= PIXEL_LIMIT or (len(shape) == 4 and shape[3] not in (1, 3)):
            raise unreadable(member, WHAT, f"images of {' x '.join(map(str, shape[1:]))}")
        attributes = {}
        partner = next((names[name] for name in _labels_of(member.name) if name in names), None)
        partner = partner or _beside(member, path)
        if partner is not None:
            attributes["label"] = _labels(partner, shape[0])
        rows = Rows(member, 4 + 4 * len(shape), shape[1:])
        subset = EMNIST.match(member.name.rpartition("/")[2])
        read = Transposed(rows) if subset else rows
        subsets.add(subset[1] if subset else None)
        found.append(Block(member.name, shape[0], read, attributes, rows.room(), rows.end, rows.row_bytes))
    if len(subsets) > 1 and subsets != {None}:
        named = ", ".join(sorted(subset or "other files" for subset in subsets))
        raise DataError(
            f"open_dataset: source: need one of EMNIST's sets, which share images (--classes names it), got {named} "
            f"in {str(path)!r}"
        )
    if not found:
        raise DataError(f"open_dataset: source: need {WHAT} that holds images, got {str(path)!r}")
    return found, ()


def _labels_of(name: str) -> list[str]:
    """What the file of labels may be called."""
    folder, slash, last = name.rpartition("/")
    stem = last.removesuffix(".gz")
    twin = stem.replace("images", "labels").replace("idx3", "idx1").replace("idx4", "idx1")
    return [] if twin == stem else [f"{folder}{slash}{twin}", f"{folder}{slash}{twin}.gz"]


def _beside(member: Member, path: Path) -> Member | None:
    """The file of labels next to a single file of images."""
    for name in _labels_of(path.name) if member.name == path.name else ():
        twin = path.with_name(name)
        if twin.is_file():
            return of_path(twin)[0]
    return None


def _labels(member: Member, count: int) -> np.ndarray:
    head = member.head()
    if not is_idx(head) or shape_of(head) != (count,) or count > LABELS:
        raise unreadable(
            member, f"labels of {count:,} images", f"it declares {shape_of(head) if is_idx(head) else 'no idx data'}"
        )
    rows = Rows(member, 8, ())
    labels = rows(0, min(count, rows.room()))
    if isinstance(labels, str) or len(labels) != count:
        raise unreadable(
            member, f"labels of {count:,} images", labels if isinstance(labels, str) else f"there are {len(labels):,}"
        )
    if rows.end():
        raise unreadable(member, f"labels of {count:,} images", "its checksum is not that of its bytes")
    return labels.astype(np.int32)


class Transposed:
    """Images that lie column by column."""

    def __init__(self, rows: "Rows"):
        self.rows = rows

    def __call__(self, start: int, stop: int) -> np.ndarray | str:
        rows = self.rows(start, stop)
        return rows if isinstance(rows, str) else np.ascontiguousarray(rows.swapaxes(1, 2))


class Rows:
    """rows(start, stop): a piece of a file of equal rows; fewer where it ends early, and the reason if none can be
    read."""

    def __init__(self, member: Member, offset: int, shape: tuple[int, ...], row_bytes: int | None = None):
        self.member, self.offset, self.shape = member, offset, shape
        self.row_bytes = row_bytes or math.prod(shape)
        self._open = self._file = None
        self._at = 0

    def room(self) -> int:
        """How many rows there can be at most."""
        return max(0, self.member.room() - self.offset) // self.row_bytes

    def __call__(self, start: int, stop: int) -> np.ndarray | str:
        try:
            if self._file is None or start < self._at:  # a gzipped file has no way back
                self._enter()
            self._file.seek(self.offset + start * self.row_bytes)
            data = self._file.read((stop - start) * self.row_bytes)
            self._at = stop
        except BROKEN as error:  # damaged: row by row, until it is reached
            self._leave()
            data = self._up_to_the_damage(start, stop)
            if not data:
                return " ".join(str(error).split()) or "damaged"
        rows = len(data) // self.row_bytes
        return np.frombuffer(data, np.uint8, rows * self.row_bytes).reshape(rows, *(self.shape or ()))

    def end(self) -> str:
        """Reads on after the last rows: a packed file has its checksum there. Where it is damaged, or nothing."""
        try:
            for _ in range(0, END, BLOCK):
                if self._file is None or not self._file.read(BLOCK):
                    break
        except BROKEN as error:
            if "Not a gzipped file" in str(error):  # something else follows: the checksum before it was right
                return ""
            return f"somewhere in {self.member.name} ({reason(error)})"
        return ""

    def _up_to_the_damage(self, start: int, stop: int) -> bytes:
        rows = []
        try:
            self._enter()
            self._file.seek(self.offset + start * self.row_bytes)
            for _ in range(start, stop):
                rows.append(self._file.read(self.row_bytes))
        except BROKEN:
            pass
        finally:
            self._leave()
        return b"".join(row for row in rows if len(row) == self.row_bytes)

    def _enter(self) -> None:
        self._leave()
        self._open = self.member.open()
        self._file = self._open.__enter__()

    def _leave(self) -> None:
        if self._open is not None:
            self._open.__exit__(None, None, None)
        self._open = self._file = None
