"""Which run goes on, from which checkpoint, with which settings."""

import hashlib
from dataclasses import fields
from pathlib import Path

from ..config import Config, flag
from ..device import RecorderDevice
from ..errors import UserError
from ..trainer import Trainer
from . import checkpoint
from .folder import SETTINGS, settings_of
from .imported import fixed_by, weights_of
from .shapes import MAKE, need_networks

FREE = {
    "steps",
    "epochs",
    "sample_every",
    "checkpoint_every",
    "keep",
    "keep_every",
    "device",
    "out",
    "dry_run",
    "tensorboard",
    "worker_timeout",
}
"""Settings that may differ when a run goes on: they change no number of a step that both runs have."""


def find(resume: str, out: str | None, say) -> checkpoint.Checkpoint | None:
    """The checkpoint that `--resume` names; None: a fresh start (auto, and none there).

    Say(sentence): of what was passed over.

    resume: "auto" (the newest good one of --out), a run's folder, or a checkpoint's folder or one of its files.
    Raises: UserError.
    """
    if resume == "auto":
        if out is None:
            raise UserError("train: --resume: need --out beside auto, the folder of the run, got none")
        return checkpoint.newest(Path(out) / "checkpoints", say)
    path = Path(resume)
    if path.is_file() and path.name in (checkpoint.STATE, checkpoint.FACTS, checkpoint.MANIFEST):
        path = path.parent
    if (path / checkpoint.MANIFEST).exists() or checkpoint.NAME.fullmatch(path.name):
        return checkpoint.look(path)
    if not path.is_dir():
        raise UserError(f"train: --resume: need a run's folder, a checkpoint or auto, got {resume!r} (no such folder)")
    if found := checkpoint.newest(path / "checkpoints", say):
        return found
    raise UserError(f"train: --resume: need a run with a whole checkpoint, got {resume!r}, which has none")


def settings(saved: checkpoint.Checkpoint, given: dict) -> Config:
    """The settings of the run that goes on: the checkpoint's, with those given that may differ.   Raises: UserError."""
    there = saved.facts.get("settings")
    defaults = {f.name: f.default for f in fields(Config)}
    names = set(defaults)
    if not isinstance(there, dict) or not set(there) <= names:
        raise UserError(f"checkpoint: {saved.path}: settings: need those of this version, got others")
    there = {**defaults, **there}
    fixed = fixed_by(saved)
    allowed = FREE if fixed is None else names - fixed - {"generator", "discriminator"}
    if fixed is None and there["lr_decay"]:
        allowed = FREE - {"steps", "epochs", "dry_run"}  # the learning rate falls over just so many
    differ = [
        f"{flag(name)} {value} (there: {str(there[name])[:80]})"
        for name, value in given.items()
        if name not in allowed and value != there[name]
    ]
    if differ:
        raise UserError(f"train: --resume: need the settings of {saved.path}, got {', '.join(differ)}")
    free = {name: value for name, value in given.items() if name in allowed}
    if "epochs" in free:
        free.setdefault("steps", None)
    try:
        config = Config(**{**there, "out": None, **free})  # where it lies, not where it says
    except UserError as error:
        raise UserError(f"checkpoint: {saved.path}: settings: {error}") from None
    if config.steps is not None and config.steps < saved.step:
        raise UserError(
            f"train: --steps: need at least the {saved.step} that {saved.path} has done, got {config.steps}"
        )
    return config


def log_length(saved: checkpoint.Checkpoint) -> int:
    """Bytes of the log that a checkpoint's run had written.   Raises: UserError if it does not say, or has fewer."""
    length = saved.facts.get("log_bytes")
    if type(length) is not int or length < 0:
        raise UserError(f"checkpoint: {saved.path}: log_bytes: need a length, got {repr(length)[:40]}")
    log = run_of(saved) / "log.jsonl"
    if log.is_symlink():  # it will be cut, and added to
        raise UserError(f"train: --resume: need a plain file, got a link: {log}")
    if length and (not log.is_file() or log.stat().st_size < length):
        need = f"{length} bytes" if length < 1 << 60 else "2^60 bytes and more"
        raise UserError(f"train: --resume: {log}: need the {need} that the checkpoint knows of, got fewer")
    return length


def read(saved: checkpoint.Checkpoint, config: Config, kind: str) -> dict:
    """Its arrays, or of an import part -> state_dict, of just the names, types and shapes of these settings.

    Nothing is allocated by what a checkpoint says of itself: it is compared with its arrays' sizes first.
    kind: "cpu" or "gpu".   Raises: Damaged.
    """
    try:
        if fixed_by(saved) is None:
            return checkpoint.arrays(saved, Trainer(config, RecorderDevice(kind)).shapes())
        parts = {name.partition(".")[0] for name in checkpoint.shapes(saved)} & set(MAKE)
        need_networks(saved, config, sorted(parts))
        return weights_of(saved)
    except (MemoryError, OverflowError):
        raise checkpoint.Damaged(
            f"checkpoint: {saved.path}: settings: need those of its arrays, got a network larger than the memory"
        ) from None


def restore(trainer: Trainer, batches, saved: checkpoint.Checkpoint, state: dict) -> None:
    """Sets trainer and data to a checkpoint's step.   state: what read() gave."""
    if fixed_by(saved) is not None:
        trainer.begin_with(state)
        return
    trainer.load_state(state)
    batches.position = saved.step


def run_of(saved: checkpoint.Checkpoint) -> Path:
    """The folder of the run that a checkpoint belongs to.   Raises: UserError if it lies in none."""
    run = saved.path.resolve().parent.parent
    if not (run / SETTINGS).is_file():
        raise UserError(f"train: --resume: need a checkpoint inside its run, or --out for a new one, got {saved.path}")
    return run


def refuse_going_back(saved: checkpoint.Checkpoint) -> None:
    """Raises: UserError if its run has a newer one that is whole, which going on from this one would write over."""
    newest = checkpoint.newest(saved.path.resolve().parent)
    if newest and newest.step > saved.step:
        raise UserError(
            f"train: --resume: need the newest checkpoint of its run ({newest.path.name}), got {saved.path.name}; "
            "give --out for a new run that goes on from here"
        )


def images_sum(images, labels=None) -> str:
    """A hash of the number of images and of some of them, evenly spread: a run goes on with the same ones only.

    labels: all of them, of a conditional run.
    """
    hashed = hashlib.blake2b(repr((images.shape, str(images.dtype))).encode(), digest_size=16)
    for i in range(64):
        hashed.update(images[i * (len(images) - 1) // 63].tobytes())
    if labels is not None:
        hashed.update(labels.tobytes())
    return hashed.hexdigest()


def used_settings(path: str) -> dict:
    """The settings in a file that --config names: a run's settings.json.   Raises: UserError."""
    values = settings_of(Path(path), "train: --config")
    values.pop("used", None)
    names = {f.name for f in fields(Config)}
    unknown = sorted(set(values) - names)
    if unknown:
        raise UserError(
            f"train: --config: need settings that train knows, got {', '.join(map(repr, unknown[:3]))} in {path}"
        )
    return {name: value for name, value in values.items() if name != "out" and value is not None}
