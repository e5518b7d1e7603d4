"""Folders that last as long as this process, for other programs' caches where ours cannot be written."""

import atexit
import os
import shutil
import tempfile
from functools import lru_cache
from pathlib import Path


@lru_cache(maxsize=None)
def temporary_folder(name: str) -> Path:
    """One of this process and its forked children, removed when it ends.   Raises: OSError."""
    made = tempfile.mkdtemp(prefix=f"dcgan-cupy-{name}-")
    atexit.register(_remove, made, os.getpid())
    return Path(made)


def _remove(folder: str, owner: int) -> None:
    if os.getpid() == owner:  # a forked child leaves it to its parent
        shutil.rmtree(folder, ignore_errors=True)
