"""Waits for files to change: what `learn check --watch` and `inspect --watch` share."""

import time
from collections.abc import Iterator
from pathlib import Path

EVERY = 0.2  # seconds between two looks


def changes(files: list[Path], every: float = EVERY) -> Iterator[None]:
    """Yields once, and again whenever one of the files has changed and two looks agree: an editor may be writing.

    files: read at each look, so whoever asks may change the list, as where a file includes others now. One that is
    not there counts as changed, once it has been away for two looks.
    """
    handled = last = None
    while True:
        seen = tuple(sorted((str(path), *_stamp(path)) for path in set(files)))
        if seen == last and seen != handled:
            handled = seen
            yield
        else:
            last = seen
            time.sleep(every)


def _stamp(path: Path) -> tuple[int, int]:
    """When it was written, and its size; (0, -1) where it is not there."""
    try:
        now = path.stat()
    except OSError:
        return 0, -1
    return now.st_mtime_ns, now.st_size
