"""The folder of a run:

settings.json       every setting, as resolved, and what it ran on
log.jsonl           one line a step: step, epoch, loss_d, loss_g, d_real, d_fake, d_fake_after (no times: two runs with
                    one seed write the same bytes)
timing.json         images per second and seconds of training
samples/            real.png, and a grid of G's images from the same latent vectors: 000000.png (untrained), 000100.png …
generator.npz       weights under the names of the seeds' nn.Module (and so does discriminator.npz)
"""

import contextlib
import json
import math
import os
import re
from dataclasses import asdict
from pathlib import Path

from ..errors import UserError
from .pictures import grid
from .weights import save_weights


class RunFolder:
    """Writes one run. Raises: UserError if the folder already holds a run or cannot be written."""

    def __init__(self, config, device):
        where = "train: --out"
        try:
            self.path = Path(config.out) if config.out else self._next_free(config)
            if (self.path / "settings.json").exists():
                raise UserError(
                    f"{where}: need a folder without a run in it, got {self.path} (give another, or move that one away)"
                )
            (self.path / "samples").mkdir(parents=True, exist_ok=True)
            settings = {**asdict(config), "ran_on": device.description}
            (self.path / "settings.json").write_text(json.dumps(settings, indent=2) + "\n")
            self._log = open(self.path / "log.jsonl", "w", buffering=1)  # noqa: SIM115 - lives as long as the run
        except OSError as error:
            raise UserError(
                f"{where}: need a folder that can be written, got {error.filename or config.out}: {error.strerror}"
            ) from None

    @staticmethod
    def _next_free(config) -> Path:
        """runs/<data>-<size>px-001, 002 …; made at once, so that two runs never share one."""
        stem = (
            re.sub(r"[^\w.-]+", "-", Path(config.data).resolve().name if os.sep in config.data else config.data).strip(
                "-."
            )
            or "data"
        )
        for number in range(1, 100000):
            path = Path("runs") / f"{stem}-{config.image_size}px-{number:03d}"
            with contextlib.suppress(FileExistsError):
                path.mkdir(parents=True)
                return path
        raise UserError("train: --out: need a free name under runs/, got 99999 runs there already")

    def log(self, **values) -> None:
        """One line of log.jsonl; null stands for what is no finite number (JSON has none)."""
        values = {name: value if math.isfinite(value) else None for name, value in values.items()}
        self._log.write(json.dumps(values, allow_nan=False) + "\n")

    def sample(self, name: str, images) -> Path:
        """A grid of uint8 images [n, h, w, c] as samples/<name>.png."""
        path = self.path / "samples" / f"{name}.png"
        temporary = path.with_name(f".{path.name}")
        grid(images).save(temporary, format="PNG")
        os.replace(temporary, path)
        return path

    def weights(self, trainer) -> None:
        """generator.npz and discriminator.npz as they are now."""
        save_weights(self.path / "generator.npz", trainer.g.state_dict())
        save_weights(self.path / "discriminator.npz", trainer.d.state_dict())

    def timing(self, **values) -> None:
        """timing.json."""
        (self.path / "timing.json").write_text(json.dumps(values, indent=2) + "\n")

    def close(self) -> None:
        """Ends the log."""
        self._log.close()
