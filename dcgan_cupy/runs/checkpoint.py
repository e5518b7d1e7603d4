"""Checkpoints: all that a run's next step depends on, in folders that are whole or not there.

    RUN/checkpoints/000100/state.safetensors    arrays: both networks, running statistics, Adam's moments, random
    counters
                           state.json           format, step, settings, what they ran on, the log's length
                           manifest.json        size and SHA-256 of the other two

A checkpoint is written under another name, to the disk, and renamed: a run that is killed at any moment leaves the
earlier ones. Nothing in one is executed, and no array is read before the files' sizes and sums, and its name, type and
shape, are as they must be.
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from ..errors import UserError
from .files import sync_folder

FORMAT = 1
STATE, FACTS, MANIFEST = "state.safetensors", "state.json", "manifest.json"
SMALL = 1 << 20  # bytes: more is no state.json and no manifest
DTYPES = {"F32": "float32", "F64": "float64", "I64": "int64", "U64": "uint64"}
NAME = re.compile(r"[0-9]{6,12}")


@dataclass(frozen=True)
class Checkpoint:
    """One that is whole. facts: what its state.json holds."""

    path: Path
    step: int
    facts: dict


class Damaged(UserError):
    """A checkpoint that cannot be used; the message names it and says why."""


def write(folder: Path, step: int, arrays: dict[str, np.ndarray], facts: dict) -> Path:
    """Writes RUN/checkpoints/<step>. Returns its path.

    Raises: OSError; then nothing is left of it, and no other is changed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{step:06d}"
    temporary, old = folder / f".{target.name}.{os.getpid()}", folder / f".{target.name}.old"
    contents = {
        STATE: save({name: np.asarray(a, order="C") for name, a in arrays.items()}),
        FACTS: (json.dumps({"format": FORMAT, "step": step, **facts}, indent=2, allow_nan=False) + "\n").encode(),
    }
    sums = {name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in contents.items()}
    contents[MANIFEST] = (json.dumps({"format": FORMAT, "files": sums}, indent=2) + "\n").encode()
    try:
        temporary.mkdir()
        for name, data in contents.items():
            with open(temporary / name, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        sync_folder(temporary)
        if target.exists():  # a run that went back and came here again
            target.rename(old)
        temporary.rename(target)
        sync_folder(folder)
    finally:
        for leftover in (temporary, old):
            shutil.rmtree(leftover, ignore_errors=True)
    return target


def sweep(folder: Path) -> None:
    """Removes what killed runs left half-written. Call it only while the run is yours."""
    for leftover in folder.glob(".*"):
        original = folder / leftover.name.split(".")[1]
        if leftover.name.endswith(".old") and not original.exists():
            with contextlib.suppress(OSError):
                leftover.rename(original)  # killed between the two renames
        else:
            shutil.rmtree(leftover, ignore_errors=True)


def found(folder: Path) -> list[Path]:
    """The checkpoints of a run, the newest first, whole or not."""
    try:
        paths = [path for path in folder.iterdir() if NAME.fullmatch(path.name) and path.is_dir()]
    except OSError:
        return []
    return sorted(paths, key=lambda path: int(path.name), reverse=True)


def prune(folder: Path, keep: int, keep_every: int | None) -> None:
    """Removes all but the last `keep` and those of every `keep_every`-th step."""
    for path in found(folder)[keep:]:
        if not keep_every or int(path.name) % keep_every:
            doomed = path.with_name(f".{path.name}.removed")
            with contextlib.suppress(OSError):
                path.rename(doomed)  # never half a checkpoint under a checkpoint's name
                shutil.rmtree(doomed, ignore_errors=True)


def look(path: Path) -> Checkpoint:
    """Reads what a checkpoint says of itself, after checking sizes and sums of its files.   Raises: Damaged."""
    manifest = _json(path, MANIFEST)
    _need(path, manifest.get("format") == FORMAT, MANIFEST, f"format {FORMAT}", f"format {manifest.get('format')!r}")
    files = manifest.get("files")
    _need(
        path, isinstance(files, dict) and set(files) == {STATE, FACTS}, MANIFEST, f"{STATE} and {FACTS}", "other files"
    )
    for name in (FACTS, STATE):
        entry = files[name]
        size, stated = _size(path, name), entry.get("bytes") if isinstance(entry, dict) else None
        _need(path, type(stated) is int and size == stated, name, f"{stated!r} bytes", f"{size}")
        try:
            with open(path / name, "rb") as file:
                actual = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise _damaged(path, name, "a file that can be read", error.strerror) from None
        _need(path, actual == entry.get("sha256"), name, "the SHA-256 of the manifest", "another: it was changed")
    facts = _json(path, FACTS)
    _need(path, facts.get("format") == FORMAT, FACTS, f"format {FORMAT}", f"format {facts.get('format')!r}")
    step = facts.get("step")
    _need(path, type(step) is int and 0 <= step < 2**31, FACTS, "a step", repr(step)[:40])
    return Checkpoint(path, step, facts)


def arrays(checkpoint: Checkpoint, want: dict[str, tuple[str, tuple]]) -> dict[str, np.ndarray]:
    """The arrays of a checkpoint.   want: name -> (dtype, shape) of each.

    Raises: Damaged unless it holds just these; nothing is read before names, types and shapes are checked.
    """
    path = checkpoint.path
    try:
        with safe_open(path / STATE, framework="numpy") as file:
            names = set(file.keys())
            missing, unknown = sorted(set(want) - names), sorted(names - set(want))
            if missing or unknown:
                what = f"{len(missing)} missing and {len(unknown)} unknown (first: {(missing or unknown)[0][:80]!r})"
                raise _damaged(path, STATE, "the arrays of this network", what)
            for name, (dtype, shape) in want.items():
                part = file.get_slice(name)
                got = DTYPES.get(part.get_dtype(), part.get_dtype()), tuple(part.get_shape())
                _need(path, got == (dtype, shape), f"{STATE}: {name}", f"{dtype} {shape}", f"{got[0]} {got[1]}")
            return {name: file.get_tensor(name) for name in want}
    except (SafetensorError, OSError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        raise _damaged(path, STATE, "a safetensors file", str(error).split("\n")[0]) from None


def names(checkpoint: Checkpoint) -> list[str]:
    """The names of its arrays.   Raises: Damaged."""
    try:
        with safe_open(checkpoint.path / STATE, framework="numpy") as file:
            return list(file.keys())
    except (SafetensorError, OSError, ValueError) as error:
        raise _damaged(checkpoint.path, STATE, "a safetensors file", str(error).split("\n")[0]) from None


def some(checkpoint: Checkpoint, names: list[str]) -> dict[str, np.ndarray]:
    """A part of the arrays, by name.   Raises: Damaged."""
    try:
        with safe_open(checkpoint.path / STATE, framework="numpy") as file:
            return {name: file.get_tensor(name) for name in names}
    except (SafetensorError, OSError, ValueError, TypeError) as error:
        raise _damaged(checkpoint.path, STATE, "a safetensors file", str(error).split("\n")[0]) from None


def newest(folder: Path, say=lambda text: None) -> Checkpoint | None:
    """The newest checkpoint that is whole; say(sentence) about each newer one that is not."""
    for path in found(folder):
        try:
            return look(path)
        except Damaged as error:
            say(f"{error}; taking the one before it")
    return None


def _json(path: Path, name: str) -> dict:
    size = _size(path, name)
    _need(path, size <= SMALL, name, f"at most {SMALL} bytes", f"{size}")
    try:
        value = json.loads((path / name).read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise _damaged(path, name, "JSON", str(error).split("\n")[0]) from None
    _need(path, isinstance(value, dict), name, "a JSON object", type(value).__name__)
    return value


def _size(path: Path, name: str) -> int:
    try:
        info = os.lstat(path / name)
    except OSError as error:
        raise _damaged(path, name, "a file", error.strerror) from None
    _need(path, os.path.isfile(path / name) and not os.path.islink(path / name), name, "a plain file", "something else")
    return info.st_size


def _need(path: Path, ok: bool, where: str, need: str, got: str) -> None:
    if not ok:
        raise _damaged(path, where, need, got)


def _damaged(path: Path, where: str, need: str, got) -> Damaged:
    return Damaged(f"checkpoint: {path}: {where}: need {need}, got {got}")
