"""Tar archives opened so that their headers cannot cost more than they are worth.

tarfile reads a long name or a list of extended headers whole, however long it says it is, and keeps what it has read; a
compressed
archive of some kB can say gigabytes. Here the bytes between two members are counted, and those that a compressed
archive inflates to.
"""

import bz2
import gzip
import lzma
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ..reader import Unreadable

HEADERS = 1 << 20  # bytes of headers of one member
SHARED = 1000  # global headers, which are kept for all members that follow
INFLATED, SLACK = 200, 1 << 30  # an archive inflates to so many times its size, and so many bytes, at most
OPENERS = ((b"\x1f\x8b", gzip.open), (b"BZh", bz2.open), (b"\xfd7zXZ", lzma.open))


class Counted:
    """A file whose reads are counted. Raises: Unreadable when they are too many."""

    def __init__(self, file: BinaryIO, most: int | None):
        self.file, self.most, self.read_since, self.free = file, most, 0, False

    def read(self, size: int = -1) -> bytes:
        if not self.free:
            self.read_since += size if size >= 0 else HEADERS + 1
            if self.read_since > HEADERS:
                raise Unreadable(f"too dear: more than {HEADERS:,} bytes of headers for one member")
        data = self.file.read(size)
        self._check()
        return data

    def seek(self, at: int, whence: int = 0) -> int:
        if whence == 0 and self.most is not None and at > self.most:
            raise Unreadable(f"too dear: it inflates to more than {self.most:,} bytes")
        return self.file.seek(at, whence)

    def tell(self) -> int:
        return self.file.tell()

    def _check(self) -> None:
        if self.most is not None and self.file.tell() > self.most:
            raise Unreadable(f"too dear: it inflates to more than {self.most:,} bytes")

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True


class Archive:
    """The members of a tar, and the bytes of the one that was yielded last."""

    def __init__(self, archive: tarfile.TarFile, counted: Counted):
        self._archive, self._counted = archive, counted

    def __iter__(self) -> Iterator[tarfile.TarInfo]:
        for member in self._archive:
            if len(self._archive.pax_headers) > SHARED:
                raise Unreadable(f"too dear: more than {SHARED:,} headers for all members")
            yield member
            self._counted.read_since = 0
            self._archive.members.clear()  # it would keep every member it has seen

    def read(self, member: tarfile.TarInfo, size: int = -1) -> bytes:
        """Its first bytes, or all."""
        self._counted.free = True
        try:
            with self._archive.extractfile(member) as file:
                return file.read(size)
        finally:
            self._counted.free = False

    @contextmanager
    def inside(self, member: tarfile.TarInfo) -> Iterator["Archive"]:
        """A tar in a tar that is not compressed."""
        self._counted.free = True
        try:
            with self._archive.extractfile(member) as file:
                counted = Counted(file, None)
                with tarfile.open(fileobj=counted, mode="r:") as inner:
                    yield Archive(inner, counted)
        finally:
            self._counted.free = False


@contextmanager
def opened(path: Path) -> Iterator[Archive]:
    """A tar, plain or compressed. Raises: what reading a damaged one raises."""
    with open(path, "rb") as raw:
        head = raw.read(6)
        raw.seek(0, 2)
        size = raw.tell()
        raw.seek(0)
        opener = next((opener for magic, opener in OPENERS if head.startswith(magic)), None)
        with opener(raw) if opener else raw as file:
            counted = Counted(file, SLACK + INFLATED * size if opener else None)
            with tarfile.open(fileobj=counted, mode="r:") as archive:
                yield Archive(archive, counted)


def is_tar(path: Path) -> bool:
    """Whether a file is a tar, plain or compressed."""
    try:
        with opened(path):
            return True
    except Exception:  # decompressors and tarfile raise much
        return False
