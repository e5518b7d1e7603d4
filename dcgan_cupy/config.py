"""Every setting of a training run: its default, its meaning, its source. The command's flags are made from this."""

import math
import os
from dataclasses import dataclass, field, fields, replace
from typing import Any

from .choices import DECAYS, DEVICES, FORMATS, LATENTS, LOSSES, NETWORKS, ON_BAD, RUNGS, SPLITS
from .errors import UserError
from .sizes import need_size

DEVICE_DEFAULTS = {
    "cpu": {"image_size": 32, "features_g": 16, "features_d": 16, "batch_size": 64, "steps": 1000},
    "gpu": {"image_size": 64, "features_g": 64, "features_d": 64, "batch_size": 128, "steps": 5000},
}
"""What a run without flags does: minutes of work on either device."""


PRIORS = {"seeds": "uniform", "example": "normal"}
"""The prior of z that a network was made for."""

SIZE, COUNT = 2**16, 2**31  # bounds of sizes and of counts: beyond them only arithmetic would break


def setting(default, help, least=None, below=None, choices=None, aliases=(), form=None):
    """A field with what the command needs to know about it.

    least, below: the range [least, below).   form: (where, value) -> the one form in which a value is held, for a field
    of several types; it refuses others.
    """
    facts = {"help": help, "least": least, "below": below, "choices": choices, "aliases": aliases, "form": form}
    return field(default=default, metadata=facts)


def need_rung(where: str, value: Any) -> str:
    """One of RUNGS, or the full path of a Python file; whether there is one, shows when it is loaded."""
    if value in RUNGS:
        return value
    if not isinstance(value, str) or not value.endswith(".py") or "\0" in value:
        raise UserError(
            f"{where}: need one of {', '.join(RUNGS)}, or a file such as my_rung.py, got {repr(value)[:80]}"
        )
    return os.path.abspath(value)


@dataclass(frozen=True)
class Config:
    """A training run. None means: decided by the device (DEVICE_DEFAULTS) or by another setting."""

    data: str = setting(
        "faces",
        "dataset: faces, mnist, fashion-mnist, cifar10, svhn, or a path: a folder of images, a zip, tar, …",
        aliases=("--dataroot",),
    )
    format: str | None = setting(None, "what the data are (default: what their content shows)", choices=FORMATS)
    split: str = setting("train", "which images, where the data tell them apart", choices=SPLITS)
    classes: str | None = setting(None, "only these classes or LSUN categories, with commas between them")
    conditional: bool = setting(False, "draw by class: the label goes into every layer (data with labels)")
    n_classes: int | None = setting(
        None, "classes of --conditional (default: those of the data)", least=2, below=SIZE, aliases=("--n_classes",)
    )
    crop: int | None = setting(
        None,
        "short side of what is cut from the middle of each image first, px: a square for square images (default: as"
        " large as it gets)",
        least=1,
        below=SIZE,
    )
    on_bad: str | None = setting(
        None,
        "images that cannot be read: skip them, or fail (default: skip one in a hundred, fail on more)",
        choices=ON_BAD,
    )
    image_size: int | str | None = setting(
        None,
        "height and width of the images, px: 64, or height x width: 48x80; sides of m * 2^k, m from 3 to 7, one k",
        aliases=("--imageSize",),
        form=need_size,
    )
    channels: int = setting(3, "colours of the images: 1 (grey) or 3", choices=(1, 3), aliases=("--nc",))
    flip: bool = setting(False, "mirror images at random")
    batch_size: int | None = setting(
        None, "images in a step (paper: 128)", least=2, below=SIZE, aliases=("--batchSize",)
    )
    z_dim: int = setting(100, "length of the latent vector (paper: 100)", least=1, below=SIZE, aliases=("--nz",))
    z: str | None = setting(
        None,
        "latent prior: uniform in [-1, 1] (paper), or normal (default: uniform; normal with --network example)",
        choices=LATENTS,
    )
    network: str = setting(
        "seeds", "the seeds' G and D, or those of PyTorch's examples/dcgan (no biases, half the channels)",
        choices=NETWORKS,
    )  # fmt: skip
    features_g: int | None = setting(
        None,
        "channels of G before its last layer: twice this, or this with --network example (seeds: 64)",
        least=1,
        below=SIZE,
        aliases=("--ngf",),
    )
    features_d: int | None = setting(
        None, "channels after D's first layer (seeds: 64)", least=1, below=SIZE, aliases=("--ndf",)
    )
    steps: int | None = setting(None, "training steps", least=1, below=COUNT)
    epochs: int | None = setting(
        None, "passes over the data, instead of steps", least=1, below=COUNT, aliases=("--niter",)
    )
    lr: float = setting(2e-4, "Adam's learning rate (paper: 0.0002)", least=0.0)
    lr_g: float | None = setting(None, "that of G; goes before --lr", least=0.0)
    lr_d: float | None = setting(None, "that of D; goes before --lr", least=0.0)
    lr_decay: str | None = setting(
        None,
        "linear: step t of n takes 1 - (t - 1) / n of the learning rate, so that it falls to 0 over the run's steps"
        " (default: it stays)",
        choices=DECAYS,
    )
    beta1: float = setting(0.5, "Adam's beta1 (paper: 0.5)", least=0.0, below=1.0)
    beta2: float = setting(0.999, "Adam's beta2 (paper: 0.999)", least=0.0, below=1.0)
    ema: float | None = setting(
        None,
        "keep a moving average of G's weights beside them, with this decay a step: 0.999 remembers about 1,000 steps"
        " (default: none)",
        least=0.0,
        below=1.0,
    )
    loss: str = setting("non-saturating", "G's loss: -log D(G(z)), or the minimax log(1 - D(G(z)))", choices=LOSSES)
    bn_gain: float = setting(
        1.0, "mean of the initial batch-norm gains: 1 (paper's code) or 0 (second seed)", choices=(0.0, 1.0)
    )
    seed: int = setting(
        0, "seed of weights, latent vectors, data order and faces", least=0, below=2**63, aliases=("--manualSeed",)
    )
    device: str = setting("auto", "where kernels run: auto, cpu or gpu", choices=DEVICES)
    kernels: str | None = setting(
        None,
        f"rung of the convolution kernels: {', '.join(RUNGS)}, or a file of your own, my_rung.py (default: the fastest"
        " for the device)",
        form=need_rung,
    )
    out: str | None = setting(
        None, "folder of the run (default: the next free runs/<data>-<size>px-<number>)", aliases=("--outf",)
    )
    sample_every: int | None = setting(
        None, "steps between sample grids (default: a tenth of the run)", least=1, below=COUNT
    )
    checkpoint_every: int | None = setting(
        None, "steps between checkpoints (default: a tenth of the run)", least=1, below=COUNT
    )
    keep: int = setting(3, "checkpoints that are kept, the last ones", least=1, below=COUNT)
    keep_every: int | None = setting(
        None, "keep the checkpoint of every such step as well (default: none)", least=1, below=COUNT
    )
    generator: str | None = setting(
        None, "start from these weights of G (.npz, .safetensors, .pth, .onnx)", aliases=("--netG",)
    )
    discriminator: str | None = setting(
        None, "start from these weights of D (.npz, .safetensors, .pth, .onnx)", aliases=("--netD",)
    )
    tensorboard: bool = setting(False, "write curves and samples for TensorBoard to the run's tensorboard/ as well")
    no_sync_bn: bool = setting(
        False, "with several workers: batch norm of each worker's own images (default: of the whole batch)"
    )
    worker_timeout: float = setting(
        30.0, "with several workers: seconds that one may take to answer before the run ends", least=0.1
    )
    dry_run: bool = setting(False, "two steps only, to see that everything works", aliases=("--dry_run",))

    def __post_init__(self):
        for f in fields(self):
            object.__setattr__(self, f.name, checked(f, getattr(self, f.name)))
        for name in ("lr", "lr_g", "lr_d"):
            if getattr(self, name) == 0:
                raise UserError(f"train: {flag(name)}: need more than 0, got 0")
        if self.steps is not None and self.epochs is not None:
            raise UserError(f"train: --steps: need either steps or epochs, got both ({self.steps} and {self.epochs})")

        if self.n_classes is not None and not self.conditional:
            raise UserError(f"train: --n-classes: need --conditional beside it, got {self.n_classes} alone")

    @property
    def prior(self) -> str:
        """The latent prior: --z, or the network's own."""
        return self.z or PRIORS[self.network]

    def resolved(self, kind: str) -> "Config":
        """The same with every None that the device decides filled in. kind: "cpu" or "gpu"."""
        defaults = DEVICE_DEFAULTS[kind]
        new: dict[str, Any] = {name: value for name, value in defaults.items() if getattr(self, name) is None}
        new["z"] = self.prior
        if self.epochs is not None:
            new.pop("steps", None)
        if self.dry_run:
            new.update(steps=2, epochs=None)
        return replace(self, **new)


def flag(name: str) -> str:
    """The command-line spelling of a setting."""
    return "--" + name.replace("_", "-")


def checked(f, value: Any) -> Any:
    """The value, in the form in which it is held.   Raises: UserError unless it suits the field."""
    if value is None and f.default is None:
        return None
    meta, where = f.metadata, f"train: {flag(f.name)}"
    if meta["form"]:
        return meta["form"](where, value)
    given = value
    kind = type_of(f)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not kind or (isinstance(value, float) and not math.isfinite(value)):
        raise UserError(f"{where}: need {NAMES[kind]}, got {repr(value)[:80]}")
    if meta["choices"] and value not in meta["choices"]:
        raise UserError(
            f"{where}: need one of {', '.join(f'{c:g}' if kind is float else str(c) for c in meta['choices'])}, got"
            f" {repr(value)[:80]}"
        )
    least, below = meta["least"], meta["below"]
    inside = (least is None or value >= least) and (below is None or value < below)
    if not inside:
        limits = [f"at least {least}" if least is not None else "", f"less than {below}" if below is not None else ""]
        raise UserError(f"{where}: need {NAMES[kind]}, {' and '.join(filter(None, limits))}, got {repr(value)[:80]}")
    return given


NAMES = {int: "a whole number", float: "a finite number", str: "a text", bool: "yes or no"}


def type_of(f) -> type:
    """int, float, str or bool; str where a text is put into a form."""
    return str if f.metadata["form"] else next(t for t in (bool, int, float, str) if f.type in (t, t | None))
