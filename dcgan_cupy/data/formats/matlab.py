"""SVHN's .mat files (MATLAB 5): X uint8 [H, W, 3, N] in Fortran order, so that each image's bytes lie together, and y
[N, 1].

file      128 bytes of header, the last two "IM" (low byte first), then elements
element   type 4 · bytes 4 · data, padded to 8; or, of up to 4 bytes, bytes 2 · type 2 (in one word) · data 4
type 15   another element, deflated; type 14 a matrix: flags, lengths, name, values, each an element
"""

import math
import struct
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ..picture import PIXEL_LIMIT
from ..reader import DataError
from .packed_files import BROKEN, INFLATED, Member, unreadable
from .pixel_blocks import Block

WHAT = "a MATLAB 5 file with images X [H, W, 3, N] of uint8, as SVHN's"
MATRIX, DEFLATED = 14, 15
TYPES = {1: "i1", 2: "u1", 3: "<i2", 4: "<u2", 5: "<i4", 6: "<u4", 7: "<f4", 9: "<f8", 12: "<i8", 13: "<u8"}
LIMIT = 1 << 33  # bytes of one matrix: SVHN's extra images have 1.6 GB
LABELS = 1 << 26  # bytes of labels
SMALL = 4096  # bytes of names and lengths


class Damaged(Exception):
    """The file is not as the format says."""


def is_mat(head: bytes) -> bool:
    """Whether a file begins as a MATLAB 5 file of a small-endian machine does."""
    return len(head) >= 128 and head.startswith(b"MATLAB 5.0") and head[126:128] == b"IM"


def blocks(members: list[Member], path: Path) -> tuple[list[Block], tuple[str, ...]]:
    """The images of each file."""
    found = []
    for member in members:
        if not is_mat(member.head()):
            continue
        try:
            with member.open() as file:
                known = {name: matrix for name, *matrix in matrices(file)}
        except (Damaged, *BROKEN) as error:
            raise unreadable(member, WHAT, error) from None
        if "X" not in known:
            continue
        start, deflated, dtype, shape = known["X"]
        if dtype != "u1" or len(shape) != 4 or shape[2] not in (1, 3) or not 0 < math.prod(shape[:3]) <= PIXEL_LIMIT:
            raise unreadable(member, WHAT, f"X is {dtype} {list(shape)}")
        attributes = {}
        if "y" in known:
            attributes["label"] = _labels(member, known["y"], shape[3])
        rows = MatlabRows(member, start, deflated, shape)
        found.append(Block(member.name, shape[3], rows, attributes, member.size * INFLATED // rows.row, row=rows.row))
    if not found:
        raise DataError(f"open_dataset: source: need {WHAT}, got {str(path)!r}")
    return found, ()


def _labels(member: Member, matrix, count: int) -> np.ndarray:
    """The labels; SVHN writes 10 for the digit 0."""
    start, deflated, dtype, shape = matrix
    if math.prod(shape) != count:
        raise unreadable(member, f"{count} labels", f"y has {math.prod(shape)}")
    if count * np.dtype(dtype).itemsize > min(member.size * INFLATED, LABELS):
        raise unreadable(member, WHAT, f"it claims {count:,} labels")
    try:
        with member.open() as file:
            data = Stream(file, start, deflated).read(count * np.dtype(dtype).itemsize)
    except (Damaged, *BROKEN) as error:
        raise unreadable(member, WHAT, error) from None
    values = np.frombuffer(data, dtype)
    if not np.isin(values, np.arange(256)).all():
        raise unreadable(member, f"{count} labels", "y holds other things than small whole numbers")
    labels = values.astype(np.int32)
    return np.where(labels == 10, 0, labels).astype(np.int32)


def matrices(file: BinaryIO):
    """(name, where its values begin, in which deflated element or -1, dtype, shape) of each matrix of numbers."""
    file.seek(0, 2)
    end, at = file.tell(), 128
    while at + 8 <= end:
        file.seek(at)
        kind, size = struct.unpack("<II", file.read(8))
        if size > end - at - 8:
            raise Damaged(f"cut short: an element of {size:,} bytes begins {end - at - 8:,} bytes before the end")
        if kind == DEFLATED:
            stream = Stream(file, 0, at + 8)
            inner, _ = struct.unpack("<II", stream.read(8))
            if inner == MATRIX:
                yield from _matrix(stream, at + 8)
        elif kind == MATRIX:
            yield from _matrix(Stream(file, at + 8, -1), -1)
        at += 8 + size if kind == DEFLATED else 8 + -(-size // 8) * 8


def _matrix(stream: "Stream", deflated: int):
    """Flags, lengths and name are read, the values only found."""
    _element(stream)
    _, lengths = _element(stream)
    shape = struct.unpack(f"<{len(lengths) // 4}i", lengths[: len(lengths) // 4 * 4])
    name = _element(stream)[1].decode("ascii", "replace")
    if any(n < 0 for n in shape) or math.prod(shape) > LIMIT:
        raise Damaged(f"{name} claims {' x '.join(map(str, shape))} values")
    word = stream.read(8)
    kind, small = struct.unpack_from("<HH", word)
    if small:  # up to 4 bytes, in this very word
        size, start = small, stream.at - 4
    else:
        kind, size = struct.unpack("<II", word)
        start = stream.at
    if kind not in TYPES:
        return
    if size != math.prod(shape) * np.dtype(TYPES[kind]).itemsize:
        raise Damaged(f"{name} has {size:,} bytes for {' x '.join(map(str, shape))} values")
    yield name, start, deflated, TYPES[kind], shape


def _element(stream: "Stream") -> tuple[int, bytes]:
    word = stream.read(8)
    kind, small = struct.unpack_from("<HH", word)
    if small:
        return kind, word[4 : 4 + min(small, 4)]
    kind, size = struct.unpack("<II", word)
    if size > SMALL:
        raise Damaged(f"a name or a list of lengths of {size:,} bytes")
    return kind, stream.read(-(-size // 8) * 8)[:size]


class Stream:
    """Bytes from `at` on: of the file itself, or of the deflated element that begins at `deflated`."""

    def __init__(self, file: BinaryIO, at: int, deflated: int):
        self.file, self.at, self.deflated = file, 0 if deflated >= 0 else at, deflated
        self._inflate, self._rest = zlib.decompressobj(), b""
        file.seek(deflated if deflated >= 0 else at)
        if deflated >= 0:
            self.skip(at)

    def skip(self, count: int) -> None:
        """Goes on without the next bytes."""
        while count > 0:
            count -= len(self.read(min(count, 1 << 20)))

    def read(self, count: int) -> bytes:
        """So many bytes. Raises: Damaged if there are fewer."""
        data = b""
        if self.deflated < 0:
            data = self.file.read(count)
        else:
            pieces = []
            missing = count
            while missing > 0:
                packed = self._rest or self.file.read(1 << 16)
                piece = self._inflate.decompress(packed, missing)
                self._rest = self._inflate.unconsumed_tail
                pieces.append(piece)
                missing -= len(piece)
                if not piece and (self._inflate.eof or not packed):
                    break
            data = b"".join(pieces)
        if len(data) < count:
            raise Damaged("the file ends before its values do")
        self.at += count
        return data


class MatlabRows:
    """Images of a matrix; a deflated one is inflated from the front, once, as long as they are asked for in order."""

    def __init__(self, member: Member, start: int, deflated: int, shape: tuple[int, ...]):
        self.member, self.start, self.deflated, self.shape = member, start, deflated, shape
        self.row = math.prod(shape[:3])
        self._file = self._stream = None
        self._next = 0

    def __call__(self, start: int, stop: int) -> np.ndarray | str:
        h, w, c, _ = self.shape
        rows, why = [], ""
        try:
            if self._stream is None or start != self._next:
                self._leave()
                self._file = self.member.opener()
                self._stream = Stream(self._file, self.start, self.deflated)
                self._stream.skip(start * self.row)
            for _ in range(start, stop):
                rows.append(self._stream.read(self.row))
            self._next = stop
        except (Damaged, *BROKEN) as error:
            why = str(error)
        if why or stop == self.shape[3]:
            self._leave()
        if not rows:
            return why
        return np.frombuffer(b"".join(rows), np.uint8).reshape(-1, c, w, h).transpose(0, 3, 2, 1)

    def _leave(self) -> None:
        if self._file is not None:
            self._file.close()
        self._file = self._stream = None
