"""Images in a zip archive, such as CelebA's img_align_celeba.zip; also in zips that lie in it uncompressed, as most
programs put them there.
"""

import io
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from ..decoders import MEMORY
from ..picture import BYTE_LIMIT, HEAD, kind_of
from ..reader import DataError, Unreadable, code_version
from .archive import DEFLATED, MEMBER_LIMIT, STORED, Held, Packed, Piece, is_hidden, is_image, refuse, suffix_of

ENTRY = 16  # bytes in memory for each of a zip's directory


class Region(io.RawIOBase):
    """A run of bytes of a file, as a file."""

    def __init__(self, file: BinaryIO, start: int, size: int):
        self.file, self.start, self.size, self.at = file, start, size, 0

    def seek(self, at: int, whence: int = 0) -> int:
        self.at = max(0, at + (0, self.at, self.size)[whence])
        return self.at

    def tell(self) -> int:
        return self.at

    def read(self, size: int = -1) -> bytes:
        left = max(0, self.size - self.at)
        self.file.seek(self.start + self.at)
        data = self.file.read(left if size < 0 else min(size, left))  # never more memory than there are bytes
        self.at += len(data)
        return data

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True


class Zip(Packed):
    """The reader of a zip archive."""

    format = "zip"

    def list_members(self):
        found, skipped, held = [], [], Held(self.path)
        with open(self.path, "rb") as file:
            whole = Region(file, 0, file.seek(0, 2))
            self._list(whole, "", directory(whole, self.path), (found, skipped, held))
        return sorted(found), sorted(skipped)

    def key(self) -> dict:
        return {**super().key(), "zips": code_version(__file__)}

    def _list(self, archive: Region, prefix: str, infos: list[zipfile.ZipInfo], into: tuple) -> None:
        """Notes the members of an archive, and of those inside it."""
        found, skipped, held = into
        for info, piece, why in placed(archive, infos):
            name = prefix + info.filename
            if not why and not prefix and _is_inner(info):
                try:
                    part = inside(archive, info)
                    members = directory(part, self.path)
                except (DataError, Unreadable):
                    skipped.append((name, "a zip archive that is damaged"))
                else:
                    self._list(part, f"{info.filename[:-4]}/", members, into)
            elif not is_image(name) and (why or not kind_of(head_of(archive.file.fileno(), piece))):
                self.left_out[suffix_of(name)] += 1
            else:
                held.add(name)
                (skipped if why else found).append((name, why or piece))
                if len(found) > MEMBER_LIMIT:
                    raise refuse(self.path, "zip archive", f"more than {MEMBER_LIMIT:,} members")


def placed(archive: Region, infos: list[zipfile.ZipInfo]) -> Iterator[tuple[zipfile.ZipInfo, Piece, str]]:
    """The files that are not hidden, in the order in which they lie, and why one cannot be read."""
    end = 0
    for info in sorted(infos, key=lambda info: info.header_offset):
        if info.filename.endswith("/") or is_hidden(info.filename):
            continue
        why, start = _unfit(info), archive.start + info.header_offset
        if not why and info.header_offset < end:
            why = "it lies where another member does"
        elif not why and archive.start and info.header_offset + info.compress_size > archive.size:
            why = "it lies outside of its archive"
        if info.compress_size <= BYTE_LIMIT or _is_inner(info):  # larger images are not read, wherever they lie
            end = max(end, info.header_offset + 30 + info.compress_size)
        yield info, Piece(start, info.compress_size, info.file_size, info.compress_type, info.CRC, local=True), why


def inside(archive: Region, info: zipfile.ZipInfo) -> Region:
    """A member that is not compressed. Raises: Unreadable."""
    start = data_start(archive.file.fileno(), archive.start + info.header_offset)
    return Region(archive.file, start, info.file_size)


def _is_inner(info: zipfile.ZipInfo) -> bool:
    """Whether a member is an archive whose members have places in the file."""
    return (
        info.compress_type == STORED and info.filename.lower().endswith(".zip") and info.file_size == info.compress_size
    )


def _unfit(info: zipfile.ZipInfo) -> str:
    """Why a member cannot be read, or nothing."""
    if (info.external_attr >> 16) & 0o170000 == 0o120000:
        return "a link, not followed"
    if info.flag_bits & 1:
        return "encrypted"
    return "" if info.compress_type in (STORED, DEFLATED) else "compressed by another method than deflate"


def head_of(descriptor: int, piece: Piece, size: int = HEAD) -> bytes:
    """A member's first bytes, or fewer."""
    try:
        data = os.pread(descriptor, min(piece.packed, 4 * size), data_start(descriptor, piece.start))
        if piece.method == DEFLATED:
            data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, size)
    except (Unreadable, zlib.error):
        return b""
    return data[:size]


def data_start(descriptor: int, start: int) -> int:
    """Where the bytes of the member begin whose header is there. Raises: Unreadable."""
    header = os.pread(descriptor, 30, max(0, start))
    if len(header) < 30 or header[:4] != b"PK\x03\x04":
        raise Unreadable("its header in the archive is damaged")
    return start + 30 + sum(struct.unpack("<HH", header[26:30]))


def _directory_bytes(archive: Region) -> int:
    """What an archive says its directory has, at its end; 0 if it does not say."""
    archive.seek(archive.size - (1 << 16) - 22)
    tail = archive.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or at + 16 > len(tail):
        return 0
    (told,) = struct.unpack_from("<I", tail, at + 12)
    return min(told, archive.size)


def directory(archive: Region, path: Path) -> list[zipfile.ZipInfo]:
    """The members of a zip archive. Raises: DataError if it has no directory that can be read."""
    try:
        if ENTRY * _directory_bytes(archive) > MEMORY + archive.size:
            raise Unreadable(f"too dear: its directory would take more than {MEMORY >> 20:,} MB")
        archive.seek(0)
        with zipfile.ZipFile(archive) as opened:
            infos = opened.infolist()
    except Exception as error:  # zipfile raises much, for directories that are damaged on purpose
        raise refuse(path, "zip archive", error) from None
    if len(infos) > MEMBER_LIMIT:
        raise refuse(path, "zip archive", f"{len(infos):,} members, more than {MEMBER_LIMIT:,}")
    return infos


def names_in(path: Path) -> Iterator[str]:
    """The names of a zip's members, and of those in the zips that lie in it uncompressed.   Raises: DataError."""
    with open(path, "rb") as file:
        whole = Region(file, 0, file.seek(0, 2))
        infos = directory(whole, path)
        yield from (info.filename for info in infos)
        for info, _, why in placed(whole, infos):
            if _is_inner(info) and not why:
                with suppress(DataError, Unreadable):  # the reader says so, should another have images
                    yield from (one.filename for one in directory(inside(whole, info), path))
