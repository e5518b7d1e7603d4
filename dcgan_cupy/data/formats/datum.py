"""Caffe's Datum, as DIGITS and Caffe write it into an LMDB: a protobuf message whose field 4 is the image.

    field     1 channels · 2 height · 3 width · 4 the bytes · 5 label · 6 floats, which are not read · 7 whether 4 is an
              image file
    key       field number times 8 plus its kind: 0 a number of 7 bits a byte, low ones first; 1, 5 of 8 and 4 bytes; 2
              length and bytes

Bytes that are no image file are planes [C, H, W] in OpenCV's order: blue, green, red.
"""

from ..picture import HEAD, PIXEL_LIMIT, kind_of
from .archive import Piece

FIELDS = 32  # of one message: it has seven, and floats are refused


class NoDatum(Exception):
    """Bytes that are not such a message."""


def _number(data, at: int, end: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= end:
            break
        value |= (data[at] & 127) << shift
        at += 1
        if data[at - 1] < 128:
            return value & (1 << 64) - 1, at
    raise NoDatum


def fields(data, start: int, end: int) -> dict[int, int | tuple[int, int]]:
    """Numbers, and (start, size) of bytes, by the field's number. Raises: NoDatum."""
    found, at = {}, start
    for _ in range(FIELDS):
        if at == end:
            return found
        key, at = _number(data, at, end)
        field, kind = key >> 3, key & 7
        if kind == 0:
            found[field], at = _number(data, at, end)
        elif kind == 2:
            size, at = _number(data, at, end)
            found[field] = at, size
            at += size
        else:
            raise NoDatum
        if at > end or not 1 <= field <= 7:
            raise NoDatum
    raise NoDatum


def is_datum(data: bytes) -> bool:
    """Whether a value is such a message, and no image file."""
    if kind_of(data[:HEAD]):
        return False
    try:
        found = fields(data, 0, len(data))
    except NoDatum:
        return False
    return isinstance(found.get(4), tuple) and all(isinstance(found.get(field, 0), int) for field in (1, 2, 3, 5, 7))


def piece_of(data, piece: Piece) -> tuple[Piece, int]:
    """(where a message's image lies, its label or -1). What is no such message stays what it was, and cannot be
    decoded."""
    end = min(piece.start + piece.size, len(data))
    try:
        found = fields(data, piece.start, end)
        start, size = found[4]
        c, h, w, label, encoded = (found.get(field, 0) for field in (1, 2, 3, 5, 7))
        planes = None if encoded or c * h * w != size or c not in (1, 3) or size > 3 * PIXEL_LIMIT else (c, h, w)
        return Piece(start, size, size, planes=planes), label if label < 2**31 else -1
    except (NoDatum, KeyError, TypeError, ValueError):
        return piece, -1
