"""Where things that can be made again are kept: compiled kernels, drawn and decoded images."""

import os
import stat
from pathlib import Path

from .errors import UserError


def cache_root() -> Path:
    """$DCGAN_CUPY_CACHE, else $XDG_CACHE_HOME/dcgan_cupy, else ~/.cache/dcgan_cupy. It need not exist yet."""
    if own := os.environ.get("DCGAN_CUPY_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dcgan_cupy"


def private_folder(path: Path) -> Path:
    """Makes a folder that only this user can write, or refuses one that others can: code is loaded from it.

    Raises: UserError if it cannot be made, belongs to somebody else, or can be written by group or others.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        info = path.stat()
    except OSError as error:
        raise UserError(
            f"cache: {path}: need a folder that can be written, got: {error.strerror} "
            "(set DCGAN_CUPY_CACHE to another place)"
        ) from None
    if info.st_uid != os.getuid():
        raise UserError(
            f"cache: {path}: need a folder of your own, got one of user {info.st_uid} "
            "(set DCGAN_CUPY_CACHE to another place)"
        )
    if info.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise UserError(
            f"cache: {path}: need a folder that only you can write, got mode {stat.S_IMODE(info.st_mode):o} "
            f"(chmod 700 {path}, or set DCGAN_CUPY_CACHE to another place)"
        )
    return path
