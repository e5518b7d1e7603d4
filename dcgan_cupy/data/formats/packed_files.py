"""The files that a packed dataset consists of, wherever they lie: one file, a folder of them, or in a zip or tar
archive."""

import gzip
import lzma
import os
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ..picture import POINTER, reason
from ..reader import DataError, Unreadable
from . import tars
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
FILES = 10_000  # files of an archive that may be arrays; more are an error
FOLDER_FILES = 1_000_000  # of a folder
ROLLED = 1 << 36  # bytes that may be inflated in all to reach the members of a compressed tar, each from the front
LIMIT = 1 << 40  # bytes of one file: none, in effect; arrays are checked against their declared sizes
DEPTH = 4  # levels of folders
PROSE = (".md", ".txt", ".rst", ".json", ".yml", ".yaml", ".html", ".pdf")
TWINS = ("gz", "npz")
OTHERS = (
    (
        b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19",
        "a file of PyTorch's, which holds weights, or tensors: save images as .npy",
    ),
    (POINTER, "a Git LFS pointer, not the file: run git lfs pull"),
    (b"\x89HDF", "an HDF5 file: read it with h5py and save the images as .npy, or from MATLAB with -v7"),
    (b"PAR1", "a Parquet file: save the images as files or as .npy"),
    (b"<!DOCTYPE", "a web page, not the file"),
    (b"<!doctype", "a web page, not the file"),
    (b"<html", "a web page, not the file"),
    (b"%PDF", "a PDF document"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive: unpack it"),
    (b"Rar!", "a RAR archive: unpack it"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard file: unpack it"),
)


@dataclass(frozen=True)
class Member:
    """A file by its name and a way to open it. `packed`: its bytes on the disk; `start`: its first, where they are at
    hand."""

    name: str
    size: int
    opener: Callable[[], "BinaryIO"]
    packed: int = 0
    start: bytes | None = None

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
        if self.start is not None and self.start[:2] != b"\x1f\x8b":
            return self.start
        if self.start is not None:
            try:
                return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(self.start, HEAD)
            except zlib.error:
                return b""
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
    size = path.stat().st_size
    return [Member(path.name, size, lambda: open_regular(path, LIMIT), size)]


def of_folder(path: Path) -> list[Member]:
    """The regular files of a folder, some levels deep, by name; each once. Raises: DataError if there are too many."""
    found = []
    for whole in walk(path):
        if whole.is_file() and os.access(whole, os.R_OK):
            size = whole.stat().st_size
            name = whole.relative_to(path).as_posix()
            found.append(Member(name, size, lambda whole=whole: open_regular(whole, LIMIT), size))
        if len(found) > FOLDER_FILES:
            raise DataError(f"open_dataset: source: need at most {FOLDER_FILES:,} files, got more in {str(path)!r}")
    return once(sorted(found, key=lambda member: natural(member.name)))


def walk(path: Path) -> Iterator[Path]:
    """The files of a folder that are not hidden, some levels deep, dead links included; links to folders are followed,
    each once."""
    seen = {_identity(path)}
    for place, folders, files in os.walk(path, followlinks=True):
        depth = len(Path(place).relative_to(path).parts)
        inner = sorted(name for name in folders if not name.startswith(".")) if depth < DEPTH else []
        folders[:] = [
            name for name in inner if (own := _identity(Path(place) / name)) not in seen and not seen.add(own)
        ]
        yield from (Path(place) / name for name in sorted(files) if not name.startswith("."))


def _identity(path: Path) -> tuple[int, int]:
    try:
        info = path.stat()
    except OSError:
        return 0, 0
    return info.st_dev, info.st_ino


def dead_links(path: Path) -> list[str]:
    """The names of data files that are links to nowhere."""
    return [
        whole.relative_to(path).as_posix()
        for whole in walk(path)
        if whole.is_symlink() and not whole.exists() and not whole.name.lower().endswith(PROSE)
    ]


def once(members: list[Member]) -> list[Member]:
    """Without the packed twin of a file that lies there unpacked, or of an array that lies there alone, and without a
    second
    copy of an idx file under a name that differs in its folder and its dots only."""
    names = {member.name for member in members if member.size}
    kept, copies = [], set()
    for member in members:
        stem, dot, suffix = member.name.rpartition(".")
        if dot and suffix.lower() in TWINS and (stem in names or f"{stem}.npy" in names):
            continue
        plain = stem if suffix.lower() == "gz" else member.name
        last = plain.rpartition("/")[2].replace(".", "-").lower()
        if last.endswith("ubyte"):
            copy = last, member.head()
            if copy in copies:
                continue
            copies.add(copy)
        kept.append(member)
    return kept


def other_kind(head: bytes) -> str:
    """What a file is that is often given and cannot be read, with what to do; nothing if it is none of them."""
    for magic, what in OTHERS:
        if head.startswith(magic):
            return what
    if head[:2] == b"PK" and b"/data.pkl" in head[:200]:
        return OTHERS[0][1]
    return "safetensors, which hold weights" if head[8:10] == b'{"' and head[4:8] == bytes(4) else ""


def of_zip(path: Path) -> list[Member]:
    """The members of a zip archive."""
    with zipfile.ZipFile(path) as archive:
        infos = [info for info in archive.infolist() if not info.filename.endswith("/") and not info.flag_bits & 1]
    _few(path, len(infos))
    found = [
        Member(info.filename, size_in_zip(info), lambda name=info.filename: _in_zip(path, name), info.compress_size)
        for info in infos
    ]
    return once(sorted(found, key=lambda member: natural(member.name)))


def _few(path: Path, count: int) -> None:
    if count > FILES:
        raise DataError(
            f"open_dataset: source: need at most {FILES:,} files of arrays in an archive, got more in {str(path)!r} "
            "(unpack it, or join them)"
        )


def size_in_zip(info: zipfile.ZipInfo) -> int:
    """The bytes that a member claims, but no more than its packed bytes can give."""
    return min(info.file_size, INFLATED * info.compress_size)


def _in_zip(path: Path, name: str) -> BinaryIO:
    return open_inside(lambda use: use(zipfile.ZipFile(path)).open(name))


def open_inside(opener: Callable) -> BinaryIO:
    """An open member of an archive that closes with it. opener(use): opens it, by way of use(what closes later)."""
    with ExitStack() as stack:
        file = opener(stack.enter_context)
        close, rest = file.close, stack.pop_all()

    def close_all() -> None:
        close()
        rest.close()

    file.close = close_all
    return file


def of_tar(path: Path) -> list[Member]:
    """The regular members of a tar archive. One that is compressed is inflated anew for each member that is read."""
    found, end, size = [], 0, path.stat().st_size
    with tars.opened(path) as archive:
        for info in archive:
            if info.isreg():
                start = archive.read(info, HEAD)
                packed = min(info.size, size)
                found.append(Member(info.name, info.size, lambda info=info: _in_tar(path, info), packed, start))
                end = info.offset_data + info.size
            _few(path, len(found))
    if end > 2 * size and sum(member.size > 0 for member in found) * end > ROLLED:
        raise Unreadable(f"too dear: {len(found):,} members of a compressed tar; unpack it")
    return once(sorted(found, key=lambda member: natural(member.name)))


def _in_tar(path: Path, info: tarfile.TarInfo) -> BinaryIO:
    return open_inside(lambda use: use(tarfile.open(path)).extractfile(info))


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
