"""The files that a packed dataset consists of, wherever they lie:

One file, a folder of them, or in a zip or tar archive.
"""

import gzip
import lzma
import os
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ..picture import reason
from ..reader import DataError, Unreadable
from .folder import open_regular

BROKEN = (
    OSError,
    EOFError,
    ValueError,
    RuntimeError,
    NotImplementedError,
    struct.error,
    zlib.error,
    lzma.LZMAError,
    zipfile.BadZipFile,
    tarfile.TarError,
    Unreadable,
)  # what reading a damaged file or archive raises
INFLATED = 1032  # times that deflate can grow what it packed, at most
HEAD = 4096  # bytes that are looked at to tell what a file is
FILES = 10_000  # files that are looked at in a folder
LIMIT = 1 << 40  # bytes of one file: none, in effect; arrays are checked against their declared sizes
DEPTH = 4  # levels of folders


@dataclass(frozen=True)
class Member:
    """A file by its name and a way to open it."""

    name: str
    size: int
    opener: Callable[[], "BinaryIO"]

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """Its bytes, inflated if it is gzipped."""
        with self.opener() as file:
            if file.read(2) == b"\x1f\x8b":
                file.seek(0)
                with gzip.GzipFile(fileobj=file) as inflated:
                    yield inflated
            else:
                file.seek(0)
                yield file

    def head(self) -> bytes:
        """Its first bytes, or fewer."""
        try:
            with self.open() as file:
                return file.read(HEAD)
        except BROKEN:
            return b""

    def room(self) -> int:
        """How many bytes it can hold at most, once inflated."""
        try:
            with self.opener() as file:
                return self.size * INFLATED if file.read(2) == b"\x1f\x8b" else self.size
        except BROKEN:
            return 0


def of_path(path: Path) -> list[Member]:
    """The member that a single file is."""
    return [Member(path.name, path.stat().st_size, lambda: open_regular(path, LIMIT))]


def of_folder(path: Path) -> list[Member]:
    """The regular files of a folder, some levels deep, by name."""
    found = []
    for place, folders, files in os.walk(path):
        depth = len(Path(place).relative_to(path).parts)
        folders[:] = [] if depth >= DEPTH else sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            whole = Path(place) / name
            if not name.startswith(".") and whole.is_file() and os.access(whole, os.R_OK):
                found.append(
                    Member(
                        whole.relative_to(path).as_posix(),
                        whole.stat().st_size,
                        lambda whole=whole: open_regular(whole, LIMIT),
                    )
                )
        if len(found) > FILES:
            break
    return sorted(found, key=lambda member: natural(member.name))


def of_zip(path: Path) -> list[Member]:
    """The members of a zip archive."""
    with zipfile.ZipFile(path) as archive:
        infos = [info for info in archive.infolist() if not info.is_dir() and not info.flag_bits & 1]
    return sorted(
        (
            Member(info.filename, size_in_zip(info), lambda name=info.filename: _in_zip(path, name))
            for info in infos[:FILES]
        ),
        key=lambda member: natural(member.name),
    )


def size_in_zip(info: zipfile.ZipInfo) -> int:
    """The bytes that a member claims, but no more than its packed bytes can give."""
    return min(info.file_size, INFLATED * info.compress_size)


def _in_zip(path: Path, name: str) -> BinaryIO:
    archive = zipfile.ZipFile(path)
    return _closing(archive.open(name), archive)


def _closing(file: BinaryIO, archive) -> BinaryIO:
    """An open member that closes its archive too."""
    close = file.close

    def close_both() -> None:
        close()
        archive.close()

    file.close = close_both
    return file


def of_tar(path: Path) -> list[Member]:
    """The regular members of a tar archive. One that is compressed is inflated anew for each member that is read."""
    found = []
    with tarfile.open(path) as archive:
        for info in archive:
            if info.isreg():
                found.append(Member(info.name, info.size, lambda info=info: _in_tar(path, info)))
            if len(found) >= FILES:
                break
    return sorted(found, key=lambda member: natural(member.name))


def _in_tar(path: Path, info: tarfile.TarInfo) -> BinaryIO:
    archive = tarfile.open(path)  # noqa: SIM115  closed with the member
    return _closing(archive.extractfile(info), archive)


def natural(name: str) -> list:
    """The order that people expect: batch_2 before batch_10."""
    digits, parts = "", []
    for c in name + "\0":
        if c.isdecimal() and c.isascii():
            digits += c
            continue
        if digits:
            parts.append((0, int(digits) if len(digits) < 20 else 0, digits))
            digits = ""
        parts.append((1, ord(c), ""))
    return parts


def unreadable(member: Member, what: str, error) -> DataError:
    """The error for a file of a packed dataset."""
    return DataError(
        f"open_dataset: source: need {what}, got {member.name!r} ({error if isinstance(error, str) else reason(error)})"
    )
