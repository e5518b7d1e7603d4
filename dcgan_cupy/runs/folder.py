"""The folder of a run:

settings.json       every setting, as resolved, and under "used" what it ran on: --config reads it back
log.jsonl           one line a step: step, epoch, loss_d, loss_g, d_real, d_fake, d_fake_after (no times: two runs with
                    one seed write the same bytes)
timing.json         images per second and seconds of training
samples/            real.png, and a grid of G's images from the same latent vectors: 000000.png (untrained), 000100.png
                    …
checkpoints/        000100/ …: all that the next step depends on (checkpoint.py)
generator.npz       weights under the names of the seeds' nn.Module, or of PyTorch's example (--network example); and
                    discriminator.npz, generator_ema.npz (--ema)
loss.png            the curves of the log
tensorboard/        with --tensorboard: the same curves, and samples
.lock               held by the process that trains
"""

import contextlib
import errno
import fcntl
import json
import os
import re
from dataclasses import asdict
from pathlib import Path

from ..errors import UserError
from .checkpoint import MANIFEST
from .files import write_whole
from .log import Log
from .pictures import PNG, grid
from .weights import save_weights

SETTINGS = "settings.json"


class RunFolder:
    """A run's folder, held for this process alone until close().

    Make one with claim() or reopen(); start() then writes the first files.
    """

    def __init__(self, path: Path, lock: int, made: list[Path]):
        self.path, self._lock, self._made = path, lock, made
        self.checkpoints = path / "checkpoints"
        self._log: Log | None = None

    @staticmethod
    def look(out: str | None, restart: bool = False) -> None:
        """Raises: UserError if claim() would; makes nothing."""
        if out is None:
            return
        path = Path(out)
        with _writable(out):
            taken = (path / SETTINGS).exists()
            inside = (path / MANIFEST).exists()
            there = next((p for p in (path, *path.parents) if p.exists()), Path("."))
        if taken and not restart:
            raise UserError(
                f"train: --out: need a folder without a run in it, got {path} "
                "(give another, move that one away, or go on with it: --resume auto)"
            )
        if inside:
            raise UserError(f"train: --out: need a folder for a run, got a checkpoint: {path}")
        if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
            reason = "not a folder" if not there.is_dir() else "it cannot be written"
            raise UserError(f"train: --out: need a folder that can be written, got {out}: {there}: {reason}")

    @classmethod
    def claim(cls, out: str | None, data: str, size: str, restart: bool = False) -> "RunFolder":
        """A folder for a new run: `out`, or the next free runs/<data>-<size>px-<number>.

        restart: a run may lie there, and is begun anew.
        Raises: UserError if it holds a run already, another process has it, or it cannot be written.
        """
        cls.look(out, restart)
        with _writable(out):
            made: list[Path] = []
            path = _made(Path(out), made) if out else _next_free(data, size, made)
            folder = cls(path, _lock(path, made), made)
            if (path / SETTINGS).exists() and not restart:  # since it was looked at
                folder.close()
                cls.look(out)
            _made(path / "samples", made)
            return folder

    @classmethod
    def reopen(cls, path: Path) -> "RunFolder":
        """The folder of a run that goes on.   Raises: UserError if another process has it, or it cannot be written."""
        with _writable(path):
            made: list[Path] = []
            folder = cls(path, _lock(path, made), made)
            _made(path / "samples", made)
            return folder

    def sweep(self) -> None:
        """Removes what writes left that were killed: `.<file>.<process>`, and pictures not yet renamed.

        The lock is ours, so nobody is still writing them.
        """
        for leftover in (*self.path.glob(".*.*"), *(self.path / "samples").glob(".*.png")):
            name = leftover.name
            ours = name.rpartition(".")[2].isdecimal() or leftover.parent.name == "samples"
            if ours and leftover.is_file() and not leftover.is_symlink():
                leftover.unlink(missing_ok=True)

    def start(self, config, used: dict, log_length: int = 0) -> None:
        """Writes settings.json and opens the log, cut to the part that is kept."""
        with _writable(self.path):
            settings = {**asdict(config), "used": used}
            write_whole(self.path / SETTINGS, (json.dumps(settings, indent=2) + "\n").encode())
            path = self.path / "log.jsonl"
            if path.is_symlink():  # it is cut, and added to
                raise UserError(f"train: --out: need a plain file, got a link: {path}")
            self._log = Log(path, log_length)

    def take_log(self, run: Path, length: int) -> None:
        """The first part of another run's log, whose checkpoint this run goes on from."""
        with _writable(self.path), open(run / "log.jsonl", "rb") as file:
            write_whole(self.path / "log.jsonl", file.read(length))

    def log(self, **values) -> None:
        """One line of log.jsonl.   Raises: OSError; no line is lost (log.py)."""
        self._log.write(**values)

    def sync_log(self) -> int:
        """Puts the log on the disk; its length in bytes."""
        return self._log.sync()

    def sample(self, name: str, images, columns: int | None = None) -> Path:
        """A grid of uint8 images [n, h, w, c] as samples/<name>.png."""
        path = self.path / "samples" / f"{name}.png"
        temporary = path.with_name(f".{path.name}")
        try:
            grid(images, columns).save(temporary, **PNG)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        return path

    def weights(self, networks: dict) -> None:
        """generator.npz, discriminator.npz, and generator_ema.npz where there is one: name -> state_dict."""
        for name, state in networks.items():
            save_weights(self.path / f"{name}.npz", state)

    def timing(self, **values) -> None:
        """timing.json."""
        write_whole(self.path / "timing.json", (json.dumps(values, indent=2) + "\n").encode())

    def close(self) -> None:
        """Ends the log and lets go of the folder; what was made for a run that never began goes away again."""
        if self._log is not None:
            self._log.close()
        else:
            for path in reversed(self._made):
                with contextlib.suppress(OSError):
                    path.rmdir() if path.is_dir() else path.unlink()
        os.close(self._lock)


@contextlib.contextmanager
def hold(path: Path):
    """Holds a run's folder for a while.   Raises: UserError if another process has it."""
    handle = _lock(path, [])
    try:
        yield
    finally:
        os.close(handle)


def settings_of(path: Path, where: str) -> dict:
    """What a run's settings.json holds.   where: for the message.   Raises: UserError."""
    try:
        if path.stat().st_size > 1 << 20:
            raise ValueError("more than a MiB")
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error).split("\n")[0]
        raise UserError(f"{where}: need the settings.json of a run, got {path}: {reason}") from None
    if not isinstance(values, dict):
        raise UserError(f"{where}: need the settings.json of a run, got {path}: no JSON object")
    return values


def _next_free(data: str, size: str, made: list[Path]) -> Path:
    """runs/<data>-<size>px-001, 002 …; made at once, so that two runs never share one."""
    stem = re.sub(r"[^\w.-]+", "-", Path(data).resolve().name if os.sep in data else data).strip("-.") or "data"
    _made(Path("runs"), made)
    for number in range(1, 100000):
        path = Path("runs") / f"{stem}-{size}px-{number:03d}"
        with contextlib.suppress(FileExistsError):
            path.mkdir()
            made.append(path)
            return path
    raise UserError("train: --out: need a free name under runs/, got 99999 runs there already")


def _made(path: Path, made: list[Path]) -> Path:
    """The folder, made where it is not there; `made` gets what was."""
    for folder in reversed([p for p in (path, *path.parents) if not p.exists()]):
        with contextlib.suppress(FileExistsError):
            folder.mkdir()
            made.append(folder)
    return path


def _lock(path: Path, made: list[Path]) -> int:
    """Takes the run for this process, until the handle is closed or the process ends, however it does."""
    file = path / ".lock"
    if not file.exists():
        made.append(file)
    handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            os.close(handle)
            raise UserError(f"train: --out: need a folder that no other run is writing, got {path}") from None
    return handle  # a file system without locks: the folder is taken as it is


@contextlib.contextmanager
def _writable(out):
    try:
        yield
    except OSError as error:
        raise UserError(
            f"train: --out: need a folder that can be written, got {error.filename or out}: {error.strerror}"
        ) from None
