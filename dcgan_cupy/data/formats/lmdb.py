"""Images in an LMDB, as LSUN comes: a B+ tree of pages in one file, read here without a library.

    page      number 8 bytes · pad 2 · flags 2 · lower 2 · upper 2 (or, of an overflow page, how many pages 4) · offsets
              of nodes 2 each
    meta      pages 0 and 1, after the page's 16 bytes: magic, version, address, map size, two trees (48 bytes each),
              last page,
              number of the transaction; the larger number is the one that counts
    node      size or child page, low and high 2 bytes each · flags 2 · bytes of the key 2 · key · value

The library maps the file and follows what it finds there: a file that was cut short ends the process with a bus error.
Here each
number is checked against the file before it is used, and values are read in place by the workers.
"""

import mmap
import struct
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import numpy as np

from ..picture import BYTE_LIMIT, POINTER
from . import datum
from .archive import Held, Packed, Piece, refuse

MAGIC, VERSION = 0xBEEFC0DE, 1
HEADER = 16
BRANCH, LEAF, OVERFLOW = 1, 2, 4
BIG, SUBDATA, DUPLICATES = 1, 2, 4  # flags of a node
NONE = 2**64 - 1  # the root of an empty tree
DEEPEST = 64


class Damaged(Exception):
    """A page is not what the tree needs there."""


class Lmdb(Packed):
    """The values of an LMDB as image files; their names are the keys."""

    format = "lmdb"

    labels: np.ndarray | None = None

    def list_members(self):
        found, labels, held, records = [], [], Held(self.path), None
        with open(self.path, "rb") as file:
            try:
                data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            except ValueError as error:  # an empty file
                raise refuse(self.path, "LMDB", error) from None
            with data:
                try:
                    for key, piece in Tree(data).walk():
                        if records is None:
                            records = datum.is_datum(data[piece.start : piece.start + min(piece.size, BYTE_LIMIT)])
                        if records:
                            piece, label = datum.piece_of(data, piece)
                            labels.append(label)
                        found.append((key.decode("ascii", "backslashreplace"), piece))
                        held.add(key)
                except (Damaged, struct.error) as error:
                    if not found:
                        pointer = data[: len(POINTER)] == POINTER
                        why = "a Git LFS pointer, not the file: run git lfs pull" if pointer else error
                        raise refuse(self.path, "LMDB", why) from None
                    self.damage = f"after {found[-1][0]}: {error}"
        if labels and min(labels) >= 0:
            self.labels = np.array(labels, np.int32)
        return found, []

    @cached_property
    def _classes(self):
        return (), self.labels if self.members else None


class Tree:
    """The main tree of an LMDB in memory. Raises: Damaged."""

    def __init__(self, data: mmap.mmap):
        self.data = data
        self.page_size = 4096
        metas = []
        first = self._meta(0)
        if first is not None:
            self.page_size = first[0]
            metas = [meta for meta in (first, self._meta(self.page_size)) if meta is not None]
        if not metas:
            raise Damaged("no meta page of an LMDB")
        _, self.depth, self.entries, self.root, _ = max(metas, key=lambda meta: meta[-1])
        self.last = len(data) // self.page_size
        self.seen: set[int] = set()

    def _meta(self, start: int) -> tuple[int, int, int, int, int] | None:
        """(page size, depth, entries, root, transaction) of the meta page at `start`."""
        try:
            magic, version = struct.unpack_from("<II", self.data, start + HEADER)
            (page_size,) = struct.unpack_from("<I", self.data, start + HEADER + 24)
            _, _, depth, _, _, _, entries, root = struct.unpack_from("<IHH5Q", self.data, start + HEADER + 24 + 48)
            (transaction,) = struct.unpack_from("<Q", self.data, start + HEADER + 24 + 96 + 8)
        except struct.error:
            return None
        if magic != MAGIC or version != VERSION or not 256 <= page_size <= 65536 or page_size & (page_size - 1):
            return None
        return page_size, depth, entries, root, transaction

    def walk(self) -> Iterator[tuple[bytes, Piece]]:
        """(key, where its value lies) in the order of the keys."""
        if self.root != NONE:
            yield from self._page(self.root, 0)

    def _page(self, number: int, depth: int) -> Iterator[tuple[bytes, Piece]]:
        start = number * self.page_size
        if depth > DEEPEST or number in self.seen:
            raise Damaged("its tree runs in a circle")
        if number >= self.last:
            raise Damaged(f"cut short: page {number} of {self.last} is asked for")
        self.seen.add(number)
        flags, lower = struct.unpack_from("<HH", self.data, start + 10)
        count = (lower - HEADER) // 2
        if not flags & (BRANCH | LEAF) or not 0 <= count <= self.page_size // 2:
            raise Damaged(f"page {number} is no page of a tree")
        room = self.page_size - HEADER  # nodes lie beside each other: a page that says more repeats itself
        for place in struct.unpack_from(f"<{count}H", self.data, start + HEADER):
            if not HEADER <= place <= self.page_size - 8:
                raise Damaged(f"page {number} points outside of itself")
            low, high, node_flags, key_size = struct.unpack_from("<4H", self.data, start + place)
            room -= 2 + 8 + key_size
            if room < 0:
                raise Damaged(f"page {number} holds more than a page can")
            if flags & BRANCH:
                yield from self._page(low | high << 16 | node_flags << 32, depth + 1)
                continue
            key_end = place + 8 + key_size
            size = low | high << 16
            if key_end > self.page_size or node_flags & (SUBDATA | DUPLICATES):
                raise Damaged(f"page {number} holds no plain values")
            key = self.data[start + place + 8 : start + key_end]
            if node_flags & BIG:
                (over,) = struct.unpack_from("<Q", self.data, start + key_end)
                if over in self.seen:
                    raise Damaged(f"page {over} belongs to two values")
                self.seen.add(over)
                value = over * self.page_size + HEADER
            else:
                value = start + key_end
            yield key, Piece(value, size, size)


def is_lmdb(head: bytes) -> bool:
    """Whether a file begins as an LMDB's data.mdb does."""
    return len(head) >= 24 and struct.unpack_from("<II", head, HEADER) == (MAGIC, VERSION)


def data_file(folder: Path) -> Path | None:
    """The data file of an LMDB's folder."""
    path = folder / "data.mdb"
    return path if path.is_file() else None
