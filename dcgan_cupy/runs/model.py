"""Networks out of a run, a checkpoint or a file of weights; images drawn with the generator."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from .. import ops
from ..choices import RUNGS
from ..config import Config
from ..errors import UserError
from ..networks import generator
from ..random import Random
from ..sizes import sides
from . import checkpoint
from .shapes import described, need_networks
from .weights import load_weights

AVERAGED = "generator_ema"
PARTS = ("generator", "discriminator", AVERAGED)

BATCH = 64  # images of one forward pass
ROWS = 1024  # latent vectors drawn at a time: so many numbers are a multiple of four, which is how they are counted
STREAM = 4  # of random numbers: trainer.STREAMS has those below


@dataclass(frozen=True)
class Found:
    """The networks of a run, a checkpoint or a file, and the settings they were trained with."""

    config: Config
    networks: dict[str, dict]  # of generator, discriminator, generator_ema those that are there: state_dicts
    source: str  # for people: where the weights are from
    classes: tuple[str, ...] = ()  # names of a conditional network's, where they are known


@dataclass(frozen=True)
class Model:
    """What draws images: a generator's weights and the settings they were trained with."""

    config: Config
    weights: dict
    source: str  # for people: where the weights are from
    classes: tuple[str, ...] = ()  # names of a conditional network's, where they are known


def load(where: str, source: str, which: str | None = None) -> Model:
    """The generator of a run's folder (its newest good checkpoint), a checkpoint, or a file of weights.

    where: for messages.   which: "last", or "ema" for the averaged weights (None: these where there are any).
    Raises: UserError, Damaged.
    """
    found = read(where, source)
    names = {"last": ["generator"], "ema": ["generator_ema"], None: ["generator_ema", "generator"]}[which]
    name = next((name for name in names if name in found.networks), None)
    if name is None and which == "ema":
        raise UserError(f"{where}: need a run with averaged weights (train --ema), got {found.source}")
    if name is None:
        raise UserError(f"{where}: need the weights of a generator, got those of {', '.join(found.networks)}: {source}")
    shown = f"{found.source} (averaged weights)" if name == "generator_ema" else found.source
    return Model(found.config, found.networks[name], shown, found.classes)


def read(where: str, source: str) -> Found:
    """All networks of a run's folder (its newest good checkpoint), a checkpoint, or a file of weights.

    where: for messages.   Raises: UserError, Damaged.
    """
    path = Path(source)
    try:
        there = path.exists()
    except OSError as error:
        raise UserError(
            f"{where}: need a run, a checkpoint or a file of weights, got {source[:80]!r} ({error.strerror})"
        ) from None
    if path.is_dir() or path.name in (checkpoint.STATE, checkpoint.FACTS, checkpoint.MANIFEST):
        return _of_checkpoint(where, path if path.is_dir() else path.parent)
    if not there:
        raise UserError(f"{where}: need a run, a checkpoint or a file of weights, got {source!r} (no such file)")
    weights = load_weights(source, where)
    network = described(where, weights, source)
    return Found(network.config, {network.part: weights}, source)


def _of_checkpoint(where: str, path: Path) -> Found:
    if (path / checkpoint.MANIFEST).exists() or checkpoint.NAME.fullmatch(path.name):
        saved = checkpoint.look(path)
    else:
        saved = checkpoint.newest(path / "checkpoints")
    if saved is None:
        raise UserError(f"{where}: need a run with a whole checkpoint, got {str(path)!r}, which has none")
    there = saved.facts.get("settings")
    if not isinstance(there, dict) or not set(there) <= {f.name for f in fields(Config)}:
        raise UserError(f"{where}: {saved.path}: settings: need those of this version, got others")
    try:
        config = Config(**there)
    except UserError as error:
        raise UserError(f"{where}: {saved.path}: settings: {error}") from None
    networks = {}
    names = [name for name in checkpoint.shapes(saved) if ".adam." not in name and name.partition(".")[0] in PARTS]
    try:
        need_networks(saved, config, sorted({name.partition(".")[0] for name in names}))
    except (MemoryError, OverflowError):
        raise UserError(f"{where}: {saved.path}: settings: need those of its arrays, got others") from None
    for name, values in checkpoint.some(saved, names).items():
        part, _, rest = name.partition(".")
        networks.setdefault(part, {})[rest] = values
    if AVERAGED in networks:  # its running statistics are G's
        networks[AVERAGED] = networks["generator"] | networks[AVERAGED]
    used = saved.facts.get("used")
    names = used.get("classes", ()) if isinstance(used, dict) else ()
    good = isinstance(names, list) and len(names) == config.n_classes and all(isinstance(n, str) for n in names)
    parts = {part: networks[part] for part in PARTS if part in networks}
    return Found(config, parts, str(saved.path), tuple(names) if good else ())


class Sampler:
    """Draws images with a model, always in evaluation mode:

    An image depends on its own z alone, whatever is drawn beside it.
    """

    def __init__(self, model: Model, device, batch: int = BATCH):
        c = model.config
        self.config, self.device, self.batch = c, device, batch
        rung = c.kernels if c.kernels in RUNGS else None  # a file that a checkpoint names is not run
        self.g = generator(c, device, kernels=rung)
        self.g.load_state_dict(model.weights)
        self.z = device.zeros((batch, 1, 1, c.z_dim))
        self.labels = device.zeros((batch,), "int32") if c.n_classes else None
        self.pixels = device.empty((batch, *sides(c.image_size), c.channels), "uint8")

    def images(self, z, labels=None):
        """uint8 [n, H, W, C] of float32 [n, z_dim], and of a conditional network int32 [n], their classes."""
        n = len(z)
        if self.labels is not None:
            self.device.upload(self.labels[:n], labels)
        self.device.upload(self.z[:n], z.reshape(n, 1, 1, -1))
        ops.images_to_uint8(self.device, self.g.given(self.labels).forward(self.z, training=False), self.pixels)
        return self.device.numpy(self.pixels)[:n]


def latents(model: Model, device, count: int, seed: int, truncation: float | None = None) -> Iterator[np.ndarray]:
    """float32 [n, z_dim], piece by piece; vector number i is the same whatever `count` is.

    truncation: the largest number there may be: the interval is narrowed (uniform), or larger ones are drawn anew
    (normal).
    """
    z_dim, uniform = model.config.z_dim, model.config.prior == "uniform"
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
