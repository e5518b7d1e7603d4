"""Compiled objects in the cache: each with a checksum that is verified before its bytes are loaded.

    object.so = what the compiler made | tables | 8 bytes: their length | SHA-256 of the name and all before | MARK

Loaders do not look behind an object's end. One that is damaged in any way counts as not there: it is built again.
"""

import ctypes
import errno
import hashlib
import os
import struct
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from ...cache import ELSEWHERE, open_to_read
from ...errors import UserError, printable

MARK = b"dcgan-kept-2"
TAIL = 8 + 32 + len(MARK)
MACHINES = {"x86_64": 62, "AMD64": 62, "aarch64": 183}  # e_machine


class Kept(NamedTuple):
    """A compiled object: where it is kept, its verified bytes, and the verified tables that were kept with it."""

    path: Path
    image: bytes
    tables: bytes = b""


def read(path: Path) -> Kept | None:
    """The object kept at a path; None if there is none, or it is not what was written there."""
    try:
        with open_to_read(path) as file:
            data = file.read()
    except OSError:
        return None
    rest, tail = data[:-TAIL], data[-TAIL:]
    if len(data) <= TAIL or tail[8:] != _sum(path, rest, tail[:8]) + MARK:
        return None
    (length,) = struct.unpack("<Q", tail[:8])
    return Kept(path, rest[: len(rest) - length], rest[len(rest) - length :])


def write(temporary: Path, kept: Kept) -> None:
    """Puts an object in its place at once, and only when it is safely on the disk.   Raises: OSError, UserError."""
    data = kept.image + kept.tables
    length = struct.pack("<Q", len(kept.tables))
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
        os.fchmod(file.fileno(), 0o600)  # whatever the umask takes away
        file.write(data + length + _sum(kept.path, data, length) + MARK)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.replace(temporary, kept.path)
    except IsADirectoryError:
        raise UserError(f"cache: {kept.path}: need a file or nothing there, got a folder: remove it") from None
    folder = os.open(kept.path.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _sum(path: Path, data: bytes, length: bytes) -> bytes:
    """The name is part of it: one object in the place of another is damage, too."""
    return hashlib.sha256(path.name.encode() + b"\0" + data + length).digest()


def fault_of(image: bytes, symbol: str) -> str:
    """Why a compiler's output is no shared object for this processor that holds a symbol; nothing if it is one."""
    if not image:
        return "an empty file"
    if sys.platform != "linux":
        return ""
    if len(image) < 64 or image[:4] != b"\x7fELF":
        return "a file that is no shared object"
    kind, machine = struct.unpack_from("<HH", image, 16)
    if image[4:6] != b"\x02\x01" or kind != 3 or machine != MACHINES.get(os.uname().machine, machine):
        return "an object for another processor, or no shared one"
    start, size, count = (struct.unpack_from(form, image, at)[0] for form, at in (("<Q", 32), ("<H", 54), ("<H", 56)))
    if size != 56 or not count or start + size * count > len(image):
        return "an object cut short"
    for at in range(start, start + size * count, size):
        offset, in_file = struct.unpack_from("<Q", image, at + 8)[0], struct.unpack_from("<Q", image, at + 32)[0]
        if struct.unpack_from("<I", image, at)[0] == 1 and offset + in_file > len(image):
            return "an object cut short"
    return "" if b"\0" + symbol.encode() + b"\0" in image else f"an object without {symbol}"


def load(kept: Kept, mode: int = ctypes.DEFAULT_MODE) -> ctypes.CDLL:
    """Loads a copy of the verified bytes, which the loader takes for another library: its statics are its own.

    The loader tells libraries apart by inode, and by name: hence a new file each time, beside the object, else (a full
    disk, a mount that is only read) in the folder for temporary files.
    Raises: UserError if nowhere a copy can be written and loaded.
    """
    error = None
    for folder in dict.fromkeys((str(kept.path.parent), tempfile.gettempdir(), "/dev/shm")):
        name = None
        try:
            handle, name = tempfile.mkstemp(suffix=".so", prefix=f".{kept.path.stem}-", dir=folder)
            with open(handle, "wb") as file:
                file.write(kept.image)
            return ctypes.CDLL(name, mode=mode)
        except OSError as caught:
            error = error or caught
        finally:
            if name is not None:
                os.unlink(name)
    raise UserError(
        f"cache: {kept.path}: need a compiled kernel that can be copied and loaded, got: {printable(error)} "
        f"({ELSEWHERE}, or remove the file to have it compiled again)"
    ) from None


def need_code_to_run(folder: Path) -> None:
    """Raises: UserError if the folder's file system is mounted noexec: nothing compiled there could be loaded."""
    if hasattr(os, "ST_NOEXEC") and os.statvfs(folder).f_flag & os.ST_NOEXEC:
        raise UserError(f"cache: {folder}: need a file system that lets code run, got one mounted noexec ({ELSEWHERE})")


def writing_failed(folder: Path, error: OSError) -> UserError:
    """What to say where a compiled kernel cannot be written."""
    need = "a file system that can be written" if error.errno == errno.EROFS else "room to write a compiled kernel"
    return UserError(f"cache: {folder}: need {need}, got: {error.strerror or printable(error)} ({ELSEWHERE})")
