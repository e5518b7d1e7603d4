"""Weights in a file: a .npz of arrays under the names of the seeds' nn.Module."""

import os
import zipfile
from pathlib import Path

import numpy as np

from ..errors import UserError


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

    Raises: UserError if there is no such file or it is not a .npz of plain arrays.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except OSError as error:
        raise UserError(f"{what}: need a .npz of weights, got {path}: {error.strerror or 'not a file of arrays'}") from None
    except (ValueError, zipfile.BadZipFile, AttributeError, EOFError, MemoryError, KeyError) as error:
        raise UserError(f"{what}: need a .npz of weights, got {path}: {str(error).splitlines()[0] if str(error) else 'damaged'}") from None
