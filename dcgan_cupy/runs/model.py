"""A generator out of a run, a checkpoint or a file of weights."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from .. import ops
from ..config import Config
from ..errors import UserError
from ..networks import Generator
from ..random import Random
from . import checkpoint
from .weights import load_weights

BATCH = 64  # images of one forward pass
ROWS = 1024  # latent vectors drawn at a time: so many numbers are a multiple of four, which is how they are counted
STREAM = 4  # of random numbers: trainer.STREAMS has those below


@dataclass(frozen=True)
class Model:
    """What draws images: a generator's weights and the settings they were trained with."""

    config: Config
    weights: dict
    source: str  # for people: where the weights are from


def load(where: str, source: str) -> Model:
    """The model of a run's folder (its newest good checkpoint), a checkpoint, or a file of weights.

    where: for messages.   Raises: UserError, Damaged.
    """
    path = Path(source)
    if path.is_dir() or path.name in (checkpoint.STATE, checkpoint.FACTS, checkpoint.MANIFEST):
        return _of_checkpoint(where, path if path.is_dir() else path.parent)
    if not path.exists():
        raise UserError(f"{where}: need a run, a checkpoint or a file of weights, got {source!r} (no such file)")
    weights = load_weights(source, where)
    return Model(_config_of(where, weights, source), weights, source)


def _of_checkpoint(where: str, path: Path) -> Model:
    if (path / checkpoint.MANIFEST).exists() or checkpoint.NAME.fullmatch(path.name):
        saved = checkpoint.look(path)
    else:
        saved = checkpoint.newest(path / "checkpoints")
    if saved is None:
        raise UserError(f"{where}: need a run with a whole checkpoint, got {str(path)!r}, which has none")
    there = saved.facts.get("settings")
    if not isinstance(there, dict) or not set(there) <= {f.name for f in fields(Config)}:
        raise UserError(f"{where}: {saved.path}: settings: need those of this version, got others")
    prefix = "generator."
    names = [name for name in checkpoint.names(saved) if name.startswith(prefix) and ".adam." not in name]
    arrays = checkpoint.some(saved, names)
    return Model(Config(**there), {name.removeprefix(prefix): a for name, a in arrays.items()}, str(saved.path))


def _config_of(where: str, weights: dict, source: str) -> Config:
    """The settings that the shapes of a generator's weights tell."""
    try:
        first, last = weights["gen.0.0.weight"].shape, [v for k, v in weights.items() if v.ndim == 4][-1].shape
        stages = sum(v.ndim == 4 for v in weights.values()) - 1
    except (KeyError, IndexError):
        raise UserError(f"{where}: need the weights of a generator (gen.0.0.weight …), got {source}") from None
    size, channels = 4 * 2**stages, last[1]
    return Config(image_size=size, channels=channels, z_dim=first[0], features_g=first[1] * 4 // size, device="cpu")


class Sampler:
    """Draws images with a model, always in evaluation mode:

    An image depends on its own z alone, whatever is drawn beside it.
    """

    def __init__(self, model: Model, device, batch: int = BATCH):
        c = model.config
        self.config, self.device, self.batch = c, device, batch
        self.g = Generator(c.z_dim, c.channels, c.features_g, c.image_size, device=device, kernels=c.kernels)
        self.g.load_state_dict(model.weights)
        self.z = device.zeros((batch, 1, 1, c.z_dim))
        self.pixels = device.empty((batch, c.image_size, c.image_size, c.channels), "uint8")

    def images(self, z):
        """uint8 [n, H, W, C] of float32 [n, z_dim]."""
        n = len(z)
        self.device.upload(self.z[:n], z.reshape(n, 1, 1, -1))
        ops.images_to_uint8(self.device, self.g.forward(self.z, training=False), self.pixels)
        return self.device.numpy(self.pixels)[:n]


def latents(model: Model, device, count: int, seed: int, truncation: float | None = None) -> Iterator[np.ndarray]:
    """float32 [n, z_dim], piece by piece; vector number i is the same whatever `count` is.

    truncation: the largest number there may be: the interval is narrowed (uniform), or larger ones are drawn anew
    (normal).
    """
    z_dim, uniform = model.config.z_dim, model.config.z == "uniform"
    made = device.empty((ROWS, z_dim))

    def piece(first: int, attempt: int) -> np.ndarray:
        random = Random(device, seed, STREAM + attempt)
        device.upload(random.state, np.array([seed, STREAM + attempt, first * z_dim // 4], np.uint64))
        if uniform:
            random.uniform(made, -(truncation or 1.0), truncation or 1.0)
        else:
            random.normal(made)
        return device.numpy(made)

    for first in range(0, count, ROWS):
        z, attempt = piece(first, 0), 1
        while not uniform and truncation and (beyond := np.abs(z) > truncation).any():
            z[beyond] = piece(first, attempt)[beyond]
            attempt += 1
        yield z[: count - first]


def read_latents(where: str, path: str, z_dim: int) -> np.ndarray:
    """float32 [n, z_dim] of a .npy file.   Raises: UserError."""
    try:
        z = np.load(path, allow_pickle=False, mmap_mode="r")
    except (OSError, ValueError, EOFError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "no whole .npy file of numbers"
        raise UserError(f"{where}: need a .npy of latent vectors [n, {z_dim}], got {path}: {reason}") from None
    good = isinstance(z, np.ndarray) and z.dtype.kind in "fiu" and z.ndim >= 2 and len(z)
    if not good or z.size // len(z) != z_dim:
        shape = getattr(z, "shape", "several arrays")
        raise UserError(
            f"{where}: need latent vectors [n, {z_dim}], got {path} with {shape} of {getattr(z, 'dtype', '?')}"
        )
    z = np.array(z, np.float32).reshape(len(z), z_dim)
    if not np.isfinite(z).all():
        raise UserError(f"{where}: need finite numbers, got some in {path} that are none")
    return z
