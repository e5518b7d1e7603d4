"""The log of a run: log.jsonl, one line a step, the same bytes for one seed."""

import json
import math
import os
from pathlib import Path


class Log:
    """Lines that are on their way to a file.

    A disk that is full loses none: they wait, and are tried again with the next one.
    """

    def __init__(self, path: Path, length: int = 0):
        """length: bytes of an earlier part that are kept; what comes after them is cut off."""
        self._file = open(path, "ab", buffering=0)  # noqa: SIM115 - lives as long as the run
        self.length = length  # bytes that are in the file
        self._waiting = b""
        self._file.truncate(length)

    def write(self, **values) -> None:
        """One line; null stands for what is no finite number (JSON has none).

        Raises: OSError; the line is kept all the same.
        """
        values = {name: value if math.isfinite(value) else None for name, value in values.items()}
        self._waiting += json.dumps(values, allow_nan=False).encode() + b"\n"
        self._send()

    def sync(self) -> int:
        """Puts all lines on the disk. Returns the length in bytes.   Raises: OSError."""
        self._send()
        os.fsync(self._file.fileno())
        return self.length

    def _send(self) -> None:
        while self._waiting:
            sent = self._file.write(self._waiting)  # as much as there is room for
            self.length += sent
            self._waiting = self._waiting[sent:]

    def close(self) -> None:
        """Ends the log."""
        self._file.close()
