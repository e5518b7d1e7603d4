"""Where things that can be made again are kept (compiled kernels, zig's and CuPy's caches, images, fetched files), and
the one rule for it.

    written   only in a folder of this user that nobody else can write; made with mode 700 whatever the umask; never
              through a link of a file
    read      where folder and file belong to this user or to root, and nobody else can write them; no lock is needed

A folder may be a link of this user's or root's own, to a larger disk: nobody else can have planted it.
"""

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from .errors import UserError

try:
    import platformdirs
except ImportError:  # a GPU machine's own Python, without ours beside it: NumPy and CuPy are enough to run kernels
    platformdirs = None

ELSEWHERE = "set DCGAN_CUPY_CACHE to another place"
OTHERS = stat.S_IWGRP | stat.S_IWOTH


def cache_root() -> Path:
    """$DCGAN_CUPY_CACHE (~ is the home folder), else the user's cache folder: $XDG_CACHE_HOME/dcgan_cupy or
    ~/.cache/dcgan_cupy on Linux. It need not exist yet.

    Raises: UserError where there is no home folder.
    """
    try:
        if own := os.environ.get("DCGAN_CUPY_CACHE"):
            return Path(own).expanduser().absolute()
        if platformdirs is None:
            return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "dcgan_cupy").absolute()
        return platformdirs.user_cache_path("dcgan_cupy", appauthor=False)
    except RuntimeError as error:
        raise UserError(f"cache: need a home folder to keep files below, got none: {error} ({ELSEWHERE})") from None


def private_folder(path: Path, root: Path | None = None) -> Path:
    """A folder to write in: made, with those above it, or looked at, from the cache's root (default: cache_root())
    down.

    Raises: UserError if it cannot be made, belongs to somebody else, or can be written by others.
    """
    try:
        for folder in reversed([path, *path.parents]):
            if not folder.exists():
                _make(folder)
    except OSError as error:
        raise UserError(
            f"cache: {path}: need a folder that can be written, got: {error.strerror} ({ELSEWHERE})"
        ) from None
    if reason := why_not_read(path, root):
        raise UserError(reason)
    if (owner := path.stat().st_uid) != os.getuid():
        raise UserError(f"cache: {path}: need a folder of your own, got one of user {owner} ({ELSEWHERE})")
    return path


def _make(folder: Path) -> None:
    with suppress(FileExistsError):  # another process was faster
        folder.mkdir(mode=0o700)
        if stat.S_IMODE(folder.stat().st_mode) & 0o700 != 0o700:  # a umask that takes from the owner
            folder.chmod(0o700)


def why_not_read(path: Path, root: Path | None = None) -> str:
    """Why what lies in a folder of the cache is not to be used, in a sentence; nothing if it may be."""
    root = cache_root() if root is None else root
    levels = [path, *(above for above in path.parents if above.is_relative_to(root))] if path != root else [path]
    try:
        for folder in reversed(levels):
            for info in (folder.lstat(), folder.stat()):  # of a link, and of what it leads to
                if info.st_uid not in (os.getuid(), 0):
                    return f"cache: {folder}: need a folder of your own, got one of user {info.st_uid} ({ELSEWHERE})"
                shared = info.st_mode & OTHERS and not stat.S_ISLNK(info.st_mode)
                if shared and not (folder != path and info.st_mode & stat.S_ISVTX):  # /tmp's names stay their owners'
                    return (
                        f"cache: {folder}: need a folder that only you can write, got mode "
                        f"{stat.S_IMODE(info.st_mode):o} (chmod 700 {folder}, or {ELSEWHERE})"
                    )
            if not stat.S_ISDIR(info.st_mode):
                return f"cache: {folder}: need a folder that can be written, got: Not a directory ({ELSEWHERE})"
    except OSError as error:
        return f"cache: {path}: need a folder that can be read, got: {error.strerror} ({ELSEWHERE})"
    return ""


def open_to_read(path: Path) -> BinaryIO:
    """A kept file: a regular one of this user's or root's, that nobody else can write.   Raises: OSError."""

    def trusted(name: str, _) -> int:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        info = os.fstat(descriptor)
        if stat.S_ISREG(info.st_mode) and info.st_uid in (os.getuid(), 0) and not info.st_mode & OTHERS:
            return descriptor
        os.close(descriptor)
        raise PermissionError(errno.EPERM, "need a file that only you can write", name)

    return open(str(path), "rb", opener=trusted)


def open_to_write(path: Path) -> BinaryIO:
    """A file in a private folder, to read and write, made if it is not there. What lies there and is no file of ours,
    such as a link,
    is removed first.   Raises: OSError."""

    def own(name: str, _) -> int:
        while True:
            try:
                flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
                descriptor = os.open(name, flags, 0o600)
            except OSError as error:
                if error.errno not in (errno.ELOOP, errno.ENXIO):  # a link; a socket
                    raise
            else:
                info = os.fstat(descriptor)
                if stat.S_ISREG(info.st_mode) and info.st_uid == os.getuid() and info.st_nlink == 1:
                    if info.st_mode & (OTHERS | 0o600) != 0o600:
                        os.fchmod(descriptor, 0o600)
                    return descriptor
                os.close(descriptor)
            os.unlink(name)

    return open(str(path), "r+b", opener=own)
