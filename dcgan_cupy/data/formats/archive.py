"""Images in an archive, read where they lie: nothing is unpacked, so no name in it can lead anywhere. Tars; zips.py has
the other.

The directory of the archive is read once; workers then read each member's bytes at its place in the file. A compressed
tar has no
places: it is unrolled from the front, and workers are handed the bytes.
"""

import os
import struct
import zlib
from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from .. import picture, splits
from ..decoders import MEMORY
from ..fingerprint import fingerprint
from ..picture import BYTE_LIMIT, HEAD, SUFFIXES, kind_of
from ..reader import Batch, DataError, Look, Task, Unreadable, code_version, span
from ..splits import choose_split, class_labels
from . import tars

STORED, DEFLATED = 0, 8
BLOBS = 1 << 26  # bytes of members that are held at a time
MEMBER_LIMIT = 20_000_000  # names in one archive: a file of some MB can claim more than fits in memory


class Piece(NamedTuple):
    """A run of bytes in a file. packed: bytes in the file; size: bytes once inflated; crc: of those, None if there is
    none."""

    start: int
    packed: int
    size: int
    method: int = STORED
    crc: int | None = None
    local: bool = False  # a zip's own header lies in front, of a length that only it knows
    planes: tuple[int, int, int] | None = None  # no image file but so many planes, rows, columns: blue, green, red


class Held:
    """What a listing holds in memory, as far as names decide it. Raises: DataError when it is more than the file is
    worth."""

    EACH = 400  # bytes of a name and its piece, beside the letters

    def __init__(self, path: Path):
        self.path, self.room = path, MEMORY + path.stat().st_size

    def add(self, name) -> None:
        self.room -= self.EACH + len(name)
        if self.room < 0:
            raise refuse(self.path, "archive", f"too dear: its names alone take more than {MEMORY >> 20:,} MB")


class Packed:
    """The reader of images that lie in one file: a list of names and pieces."""

    damage = ""
    given_labels: np.ndarray | None = None  # by a reader of several

    def __init__(self, path: Path, look: Look, count: int | None = None, split: str = "train"):
        self.left_out: Counter[str] = Counter()  # members of other kinds, by what they are
        self.path, self.look, self.count, self.split = path.resolve(), look, count, split
        self.source = str(self.path)

    @cached_property
    def members(self) -> list[tuple[str, Piece]]:
        """What is read, in order."""
        found = self._listing[0]
        chosen = set(choose_split([name for name, _ in found], self.split))
        return [member for member in found if member[0] in chosen]

    @cached_property
    def _listing(self) -> tuple[list[tuple[str, Piece]], list[tuple[str, str]]]:
        return self.list_members()

    def list_members(self) -> tuple[list[tuple[str, Piece]], list[tuple[str, str]]]:
        """(images with their places, what is skipped with the reason)"""
        raise NotImplementedError

    @property
    def skipped(self) -> list[tuple[str, str]]:
        return self._listing[1]

    @property
    def total(self) -> int:
        return len(self.members)

    @cached_property
    def _classes(self) -> tuple[tuple[str, ...], np.ndarray | None]:
        return class_labels([name for name, _ in self.members])

    @property
    def classes(self) -> tuple[str, ...]:
        return self._classes[0]

    def key(self) -> dict:
        return {
            "reader": self.format,
            "code": code_version(__file__, picture.__file__, splits.__file__),
            "content": fingerprint(self.path),
            "split": self.split,
        }

    def known(self, first: int, stop: int) -> dict[str, np.ndarray]:
        """The labels of some members."""
        labels = self._classes[1] if self.given_labels is None else self.given_labels
        return {} if labels is None else {"label": labels[first:stop]}

    def tasks(self, start: int) -> Iterator[Task]:
        for first, stop in span(start, self.total):
            yield Task(stop, decode_pieces, (self.source, self.members[first:stop], self.look, self.known(first, stop)))


def decode_pieces(path: str, members: list[tuple[str, Piece]], look: Look, attributes: dict[str, np.ndarray]) -> Batch:
    """Some images of a file."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    try:
        names = [name for name, _ in members]
        if any(piece.planes for _, piece in members):
            return picture.gather(names, lambda i: _of_planes(descriptor, members[i][1], look), look, attributes)
        return picture.decode_each(names, lambda i: read_piece(descriptor, members[i][1]), look, attributes)
    finally:
        os.close(descriptor)


def _of_planes(descriptor: int, piece: Piece, look: Look) -> np.ndarray:
    data = read_piece(descriptor, piece)
    if piece.planes is None:
        return picture.decode(data, look)
    pixels = np.ascontiguousarray(np.frombuffer(data, np.uint8).reshape(piece.planes)[::-1].transpose(1, 2, 0))
    return picture.fit(Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels), look)


def decode_blobs(names: list[str], blobs: list[bytes | str], look: Look, attributes: dict[str, np.ndarray]) -> Batch:
    """Images whose bytes are at hand; a text instead of bytes is the reason why they are not."""

    def read_one(i: int) -> bytes:
        if isinstance(blobs[i], str):
            raise Unreadable(blobs[i])
        return blobs[i]

    return picture.decode_each(names, read_one, look, attributes)


def read_piece(descriptor: int, piece: Piece) -> bytes:
    """The bytes of a member, inflated and checked. Raises: Unreadable."""
    if max(piece.packed, piece.size) > BYTE_LIMIT:
        raise Unreadable(f"{max(piece.packed, piece.size):,} bytes, more than {BYTE_LIMIT:,}")
    start = piece.start
    if piece.local:
        header = os.pread(descriptor, 30, start)
        if len(header) < 30 or header[:4] != b"PK\x03\x04":
            raise Unreadable("its header in the archive is damaged")
        start += 30 + sum(struct.unpack("<HH", header[26:30]))
    data = _pread(descriptor, start, piece.packed)
    if piece.method == DEFLATED:
        inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            data = inflate.decompress(data, piece.size + 1)  # no more than it claims, whatever it holds
        except zlib.error:
            raise Unreadable("its compressed data are damaged") from None
    if len(data) != piece.size:
        there = "more" if len(data) > piece.size else f"{len(data):,}"
        raise Unreadable(f"the archive promises {piece.size:,} bytes, there are {there}")
    if not data:
        raise Unreadable("an empty file")
    if piece.crc is not None and zlib.crc32(data) != piece.crc:
        raise Unreadable("its checksum in the archive is not that of its bytes")
    return data


def _pread(descriptor: int, start: int, size: int) -> bytes:
    data = os.pread(descriptor, size, start)
    while len(data) < size and (more := os.pread(descriptor, size - len(data), start + len(data))):
        data += more
    if len(data) < size:
        raise Unreadable("the file ends before it does")
    return data


def is_hidden(name: str) -> bool:
    """Whether a member is no business of ours: hidden, or a Mac's shadow of another."""
    return any((part.startswith(".") and part not in (".", "..")) or part == "__MACOSX" for part in name.split("/"))


def is_image(name: str) -> bool:
    """Whether a member is meant as an image: by its suffix, and not hidden."""
    return name.lower().endswith(SUFFIXES) and not is_hidden(name)


def suffix_of(name: str) -> str:
    """The suffix, as what is left out is counted by."""
    stem, dot, suffix = name.rpartition("/")[2].rpartition(".")
    return suffix.lower()[:12] if dot and stem else "no suffix"


def refuse(path: Path, what: str, error) -> DataError:
    """The error for an archive that cannot be read at all."""
    return DataError(f"open_dataset: source: need a whole {what}, got {str(path)!r} ({picture.reason(error)})")


class Tar(Packed):
    """Images in a tar archive, plain or compressed; in a plain one also in tars inside it, as in ImageNet's training
    set."""

    format = "tar"

    @cached_property
    def compressed(self) -> bool:
        with open(self.path, "rb") as file:
            return file.read(262)[257:] != b"ustar"

    def list_members(self):
        found, skipped, numbers, held = [], [], {}, Held(self.path)
        try:
            with tars.opened(self.path) as archive:
                for name, member, start in self._walk(archive, "", 0, skipped):
                    found.append((name, Piece(start, member.size, member.size)))
                    held.add(name)
                    if len(found) > MEMBER_LIMIT:
                        raise refuse(self.path, "tar archive", f"more than {MEMBER_LIMIT:,} members")
        except DataError:
            raise
        except Exception as error:
            if not found:
                raise refuse(self.path, "tar archive", error) from None
            self.damage = f"after {found[-1][0]}: {picture.reason(error)}"
        if self.compressed:
            return found, skipped  # in the order of the file: there is no way back
        for i, (name, _) in enumerate(found):  # of two members with one name the later one counts, as when unpacking
            numbers[name] = i
        return sorted(found[i] for i in numbers.values()), sorted(skipped)

    def _walk(self, archive: tars.Archive, prefix: str, offset: int, skipped: list) -> Iterator[tuple]:
        """(name, member, its place in the file) of the images, in a tar and in the tars inside it."""
        for member in archive:
            name = prefix + member.name
            if member.isfile() and member.name.endswith(".tar") and not prefix and not self.compressed:
                try:
                    with archive.inside(member) as inner:
                        yield from self._walk(inner, f"{name[:-4]}/", member.offset_data, skipped)
                except Exception as error:  # tarfile raises much
                    skipped.append((name, picture.reason(error)))
            elif is_hidden(member.name) or member.isdir():
                continue
            elif member.isreg() and not member.issparse():
                if is_image(member.name) or kind_of(archive.read(member, HEAD)):
                    yield name, member, offset + member.offset_data
                else:
                    self.left_out[suffix_of(member.name)] += 1
            elif is_image(member.name):
                link = member.issym() or member.islnk()
                skipped.append((name, "a link, not followed" if link else "not a regular file"))

    def tasks(self, start: int) -> Iterator[Task]:
        if not self.compressed:
            yield from super().tasks(start)
            return
        unrolled = self._unroll()
        for first, stop in self._pieces():
            names = [name for name, _ in self.members[first:stop]]
            blobs = [next(unrolled, "the archive ends before it does") for _ in names]
            if first >= start:
                yield Task(stop, decode_blobs, (names, blobs, self.look, self.known(first, stop)))

    def _pieces(self) -> Iterator[tuple[int, int]]:
        """(first, stop) of as many members as are held at a time."""
        for first, stop in span(0, self.total):
            held, begun = 0, first
            for at in range(first, stop):
                size = self.members[at][1].size
                if at > begun and held + size > BLOBS:
                    yield begun, at
                    held, begun = 0, at
                held += min(size, BYTE_LIMIT)
            yield begun, stop

    def _unroll(self) -> Iterator[bytes | str]:
        """The bytes of each member, or the reason why there are none; ends where the archive does."""
        wanted = iter(self.members)
        name, piece = next(wanted)
        try:
            with tars.opened(self.path) as archive:
                for member in archive:
                    if member.offset_data != piece.start or member.name != name:
                        continue
                    if piece.size > BYTE_LIMIT:
                        yield f"{piece.size:,} bytes, more than {BYTE_LIMIT:,}"
                    else:
                        yield archive.read(member) or "an empty file"
                    name, piece = next(wanted)
        except StopIteration:
            return
        except Exception as error:  # cut short or damaged: what came before is good
            yield picture.reason(error)
