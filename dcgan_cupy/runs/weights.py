"""Weights in a file: a .npz of arrays under the names of the seeds' nn.Module."""

import os
import zipfile
import zlib
from pathlib import Path

import numpy as np

from ..errors import UserError

MOST_SHRUNK = (
    100  # times that a file may grow when it is read: weights hardly shrink, a file made to fill the memory does
)


def save_weights(path: Path, state: dict) -> None:
    """Writes a state_dict so that a reader finds either the old file or the new one, whole."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with open(temporary, "wb") as file:
        np.savez(file, **state)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def load_weights(path: str, what: str) -> dict:
    """Reads a state_dict. what: the argument it came by, for the message.

    Raises: UserError if there is no such file or it is not a .npz of plain numbers.
    """

    def refused(reason):
        return UserError(f"{what}: need a .npz of weights, got {path}: {reason}")

    try:
        size = os.stat(path).st_size
        if not os.path.isfile(path) or not zipfile.is_zipfile(path):
            raise refused("not a whole .npz file")
        with zipfile.ZipFile(path) as archive:
            if sum(member.file_size for member in archive.infolist()) > MOST_SHRUNK * size:
                raise refused("far larger inside than a file of weights can be")
        with np.load(path, allow_pickle=False) as file:
            values = {name: file[name] for name in file.files}
    except UserError:
        raise
    except OSError as error:
        raise refused(error.strerror or "it cannot be read") from None
    except (ValueError, KeyError, EOFError, MemoryError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise refused(str(error).split("\n")[0] or "damaged") from None
    for name, value in values.items():
        if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiu":
            raise refused(f"{name} is no array of numbers")
    return values
