"""A run made of weights from elsewhere: settings, and a checkpoint of step 0 that holds the weights and no more.

Adam's moments and random numbers begin as in any new run; a network that was not given is drawn. All settings but those
that the weights fix are free when it is trained.
"""

import json
import os
import shutil
from dataclasses import asdict
from pathlib import Path

from ..config import Config
from ..errors import UserError
from . import checkpoint
from .files import write_whole
from .folder import SETTINGS, hold

PARTS = ("generator", "discriminator")


def look(out: Path, force: bool) -> None:
    """Raises: UserError if make() would; makes nothing."""
    where = "import: --out"
    try:
        there = out.exists() or out.is_symlink()
        if there and not (force and (out / SETTINGS).is_file() and not out.is_symlink()):
            hint = "; --force writes over a run" if (out / SETTINGS).is_file() else ""
            raise UserError(f"{where}: need a name that is free, got {out}{hint}")
        if not out.parent.is_dir() or not os.access(out.parent, os.W_OK | os.X_OK):
            raise UserError(f"{where}: need a name in a folder that exists and can be written, got {out}")
    except OSError as error:
        raise UserError(f"{where}: need a folder's name, got {str(out)[:80]}: {error.strerror}") from None


def make(out: Path, settings: dict, networks: dict, origin: dict, force: bool) -> None:
    """The run, whole or not there.   settings: those that the weights fix; networks: part -> state_dict.

    origin: part -> its file and the file's sum.
    """
    config = Config(**settings)
    facts = {"log_bytes": 0, "settings": asdict(config), "imported": {"fixed": sorted(settings), "from": origin}}
    arrays = {f"{part}.{name}": a for part, weights in networks.items() for name, a in weights.items()}
    temporary = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        (temporary / "samples").mkdir(parents=True)
        (temporary / "log.jsonl").write_bytes(b"")
        (temporary / ".lock").touch()
        used = {"imported": origin}
        write_whole(temporary / SETTINGS, (json.dumps({**asdict(config), "used": used}, indent=2) + "\n").encode())
        checkpoint.write(temporary / "checkpoints", 0, arrays, facts)
        if force and out.exists():
            with hold(out):
                shutil.rmtree(out)
        temporary.rename(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def weights_of(saved: checkpoint.Checkpoint) -> dict:
    """Part -> state_dict of a checkpoint that was imported."""
    networks = {}
    for name, values in checkpoint.some(saved, checkpoint.shapes(saved)).items():
        part, _, rest = name.partition(".")
        if part in PARTS:
            networks.setdefault(part, {})[rest] = values
    return networks


def fixed_by(saved: checkpoint.Checkpoint) -> set[str] | None:
    """The settings that imported weights fix; None: no imported checkpoint, and all are fixed."""
    facts = saved.facts.get("imported")
    names = facts.get("fixed") if isinstance(facts, dict) else None
    return {str(name) for name in names} if isinstance(names, list) else None


def origin(saved: checkpoint.Checkpoint) -> dict:
    """{"imported": files and sums} for what is used, of a checkpoint that goes back to an import; else nothing."""
    for facts, name in ((saved.facts.get("imported"), "from"), (saved.facts.get("used"), "imported")):
        if isinstance(facts, dict) and name in facts:
            return {"imported": facts[name]}
    return {}
