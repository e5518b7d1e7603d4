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
LARGE = 1 << 36  # bytes: more is no state.safetensors; a sum of holes would take hours
MANY = 4096  # arrays: each is looked up among all
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
    _need(
        path,
        manifest.get("format") == FORMAT,
        MANIFEST,
        f"format {FORMAT}",
        f"format {repr(manifest.get('format'))[:40]}",
    )
    files = manifest.get("files")
    _need(
        path, isinstance(files, dict) and set(files) == {STATE, FACTS}, MANIFEST, f"{STATE} and {FACTS}", "other files"
    )
    for name in (FACTS, STATE):
        entry = files[name]
        size, stated = _size(path, name), entry.get("bytes") if isinstance(entry, dict) else None
        _need(path, type(stated) is int and size == stated <= LARGE, name, f"{repr(stated)[:40]} bytes", f"{size}")
        try:
            with open(path / name, "rb") as file:
                actual = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise _damaged(path, name, "a file that can be read", error.strerror) from None
        _need(path, actual == entry.get("sha256"), name, "the SHA-256 of the manifest", "another: it was changed")
    facts = _json(path, FACTS)
    _need(path, facts.get("format") == FORMAT, FACTS, f"format {FORMAT}", f"format {repr(facts.get('format'))[:40]}")
    step = facts.get("step")
    _need(path, type(step) is int and 0 <= step < 2**31, FACTS, "a step", repr(step)[:40])
    here = int(path.name) if NAME.fullmatch(path.name) else step
    _need(path, here == step, FACTS, f"step {here}, as its folder says", f"step {step}")
    return Checkpoint(path, step, facts)


def arrays(checkpoint: Checkpoint, want: dict[str, tuple[str, tuple]]) -> dict[str, np.ndarray]:
    """The arrays of a checkpoint.   want: name -> (dtype, shape) of each.

    Raises: Damaged unless it holds just these, sound; nothing is read before names, types and shapes are checked.
    """
    need_shapes(checkpoint, want)
    return some(checkpoint, want)


def shapes(checkpoint: Checkpoint) -> dict[str, tuple[str, tuple]]:
    """Name -> (dtype, shape) of its arrays, none of which is read.   Raises: Damaged."""
    with _opened(checkpoint) as file:
        names = list(file.keys())
        _need(checkpoint.path, len(names) <= MANY, STATE, f"at most {MANY} arrays", f"{len(names)}")
        parts = {name: file.get_slice(name) for name in names}
        return {n: (DTYPES.get(p.get_dtype(), p.get_dtype()), tuple(p.get_shape())) for n, p in parts.items()}


def need_shapes(checkpoint: Checkpoint, want: dict[str, tuple[str, tuple]], of=lambda name: True) -> None:
    """Raises: Damaged unless its arrays, or those whose name `of` takes, are these.   want: name -> (dtype, shape)."""
    path, there = checkpoint.path, {name: value for name, value in shapes(checkpoint).items() if of(name)}
    missing, unknown = sorted(set(want) - set(there)), sorted(set(there) - set(want))
    if missing or unknown:
        what = f"{len(missing)} missing and {len(unknown)} unknown (first: {(missing or unknown)[0][:80]!r})"
        raise _damaged(path, STATE, "the arrays of this network", what)
    for name, (dtype, shape) in want.items():
        got = there[name]
        _need(path, got == (dtype, shape), f"{STATE}: {name}", f"{dtype} {shape}", f"{got[0]} {str(got[1])[:80]}")


def some(checkpoint: Checkpoint, names) -> dict[str, np.ndarray]:
    """A part of the arrays, by name.   Raises: Damaged, also for numbers that no run writes."""
    with _opened(checkpoint) as file:
        values = {name: file.get_tensor(name) for name in names}
    for name, value in values.items():
        _need(
            checkpoint.path, value.dtype.kind in "fiu" and np.isfinite(value).all(), f"{STATE}: {name[:80]}",
            "finite numbers", "some that are none",
        )  # fmt: skip
        if name.endswith("running_var") or ".adam.v." in name:
            _need(checkpoint.path, not (value < 0).any(), f"{STATE}: {name[:80]}", "no number below 0", "some")
    return values


@contextlib.contextmanager
def _opened(checkpoint: Checkpoint):
    try:
        with safe_open(checkpoint.path / STATE, framework="numpy") as file:
            yield file
    except UserError:
        raise
    except (SafetensorError, OSError, ValueError, TypeError) as error:
        raise _damaged(checkpoint.path, STATE, "a safetensors file", str(error).split("\n")[0][:120]) from None


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
        raise _damaged(path, name, "JSON", str(error).split("\n")[0][:120]) from None
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
