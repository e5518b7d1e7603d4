"""What names and shapes of weights tell: whose network they are, which of its two, and every size of it."""

import re
from dataclasses import dataclass
from itertools import pairwise

from ..config import PRIORS, Config
from ..device import RecorderDevice
from ..errors import UserError
from ..networks import discriminator, generator
from ..sizes import Stages, need_size, shown, stages
from . import checkpoint

MAKE = {"generator": generator, "discriminator": discriminator}
KNOWN = "the seeds' names (gen.…, disc.…) or those of PyTorch's example (main.…)"
OWNERS = {"seeds": "the seeds' network", "example": "PyTorch's example"}


@dataclass(frozen=True)
class Described:
    """One network. network: "seeds" or "example"; part: "generator" or "discriminator"; config: with its sizes."""

    network: str
    part: str
    sizes: dict  # of the settings that its shapes fix

    @property
    def config(self) -> Config:
        """The settings that build it."""
        conditional = "n_classes" in self.sizes
        return Config(network=self.network, z=PRIORS[self.network], device="cpu", conditional=conditional, **self.sizes)

    def build(self, device):
        """The network itself."""
        return MAKE[self.part](self.config, device)


def owner(weights: dict) -> tuple[str, str] | None:
    """(network, part) by the names alone; None: neither's."""
    first = {str(name).partition(".")[0] for name in weights}
    if first == {"gen"}:
        return "seeds", "generator"
    if first == {"disc"}:
        return "seeds", "discriminator"
    if first == {"main"}:  # where G has its first batch norm, D has a LeakyReLU
        return "example", "generator" if "main.1.running_mean" in weights else "discriminator"
    return None


def described(where: str, weights: dict, source: str) -> Described:
    """What network these weights fill, just so.   Raises: UserError."""
    found = owner(weights)
    if found is None:
        names = ", ".join(repr(str(name)[:40]) for name in list(weights)[:2]) or "none at all"
        raise UserError(f"{where}: need {KNOWN}, got {names} in {source}")
    network, part = found
    kernels = [weights[name] for name in sorted(weights, key=_place) if weights[name].ndim == 4]
    if not 3 <= len(kernels) <= 16:
        raise UserError(f"{where}: need the convolutions of a {part}, got {len(kernels)} of them in {source}")
    g, k = part == "generator", len(kernels) - 1
    first, last = kernels[0].shape, kernels[-1].shape
    small = first[2:] if g else last[2:]  # m_h, m_w: the kernel at z, or at D's answer
    made = tuple(m << k for m in small)
    size = need_size(f"{where}: {source}, whose {k + 1} convolutions make {shown(made)} px", made)
    if stages(size) != Stages(k, small):
        other = stages(size)
        raise UserError(
            f"{where}: need {other.count + 1} convolutions, one with kernel {shown(other.kernel)}, for images of"
            f" {shown(size)} px, got {k + 1} with {shown(small)} in {source}"
        )
    classes = _classes(kernels, part)
    sizes = {"image_size": size, "channels": last[1] if g else first[1] - classes}
    if sizes["channels"] not in (1, 3):
        raise UserError(f"{where}: need images of 1 or 3 channels, got {sizes['channels']} in {source}")
    if g:
        sizes |= {"z_dim": first[0] - classes, "features_g": first[1] >> (k if network == "seeds" else k - 1)}
        chain = [sizes["z_dim"], *(first[1] >> i for i in range(k)), sizes["channels"]]
    else:
        sizes["features_d"] = first[0]
        chain = [sizes["channels"], *(first[0] << i for i in range(k)), 1]
    for value in (sizes.get("z_dim", 1), sizes.get("features_g", 1), sizes.get("features_d", 1)):
        if not 1 <= value < 1 << 16:
            raise UserError(f"{where}: need widths from 1 to {(1 << 16) - 1}, got {value} in {source}")
    for i, kernel in enumerate(kernels):  # before a network of these sizes is built, which a lie would make enormous
        taken = chain[i] + classes
        want = (taken, chain[i + 1]) if g else (chain[i + 1], taken)
        want += small if i == (0 if g else k) else (4, 4)
        if kernel.shape != want:
            raise UserError(f"{where}: need shape {want} for convolution {i + 1} of {source}, got {kernel.shape}")
    sizes |= {"n_classes": classes} if classes else {}
    sizes = {name: value if name == "image_size" else int(value) for name, value in sizes.items()}
    result = Described(network, part, sizes)
    fits(where, result, weights, source)
    return result


def _classes(kernels: list, part: str) -> int:
    """Of a conditional network: what every convolution takes more than the one before gives; 0: of none."""
    takes, gives = (0, 1) if part == "generator" else (1, 0)
    more = {int(b.shape[takes]) - int(a.shape[gives]) for a, b in pairwise(kernels)}
    classes = more.pop() if len(more) == 1 else 0
    return classes if 2 <= classes < min(1 << 16, kernels[0].shape[takes]) else 0


def fits(where: str, network: Described, weights: dict, source: str) -> None:
    """Raises: UserError unless the weights have just the names and shapes of this network."""
    try:
        network.build(RecorderDevice("cpu")).load_state_dict(weights)
    except UserError as error:
        raise UserError(f"{where}: {source}: {error}") from None


def renamed(where: str, network: Described, weights: dict, to: str, source: str) -> dict:
    """The same weights under the names of `to`, in the order of its nn.Module.

    The seeds' network takes the example's weights, its biases 0 (where its widths can: G's ngf even). The example's
    has no place for biases.
    Raises: UserError.
    """
    if to == "example" and network.network != "example":
        raise UserError(
            f"{where}: need a network without biases for the names of PyTorch's example (train --network example), got"
            f" the seeds' in {source}"
        )
    target = network
    if to != network.network:
        sizes = dict(network.sizes)
        if sizes.get("features_g", 0) % 2:
            raise UserError(
                f"{where}: need an even number of features for the seeds' names, whose G has widths of 2 * features_g,"
                f" got {sizes['features_g']} in {source}"
            )
        sizes |= {"features_g": sizes["features_g"] // 2} if "features_g" in sizes else {}
        target = Described(to, network.part, sizes)
    empty, result = target.build(RecorderDevice("cpu")).state_dict(), {}
    ordered = iter(sorted(weights, key=_place))
    order = {stem: list(names) for stem, names in _by_layer(empty).items()}
    values = {stem: list(names) for stem, names in _by_layer({name: weights[name] for name in ordered}).items()}
    for (stem, names), there in zip(order.items(), values, strict=True):
        for name in names:
            result[f"{stem}.{name}"] = weights.get(f"{there}.{name}", empty[f"{stem}.{name}"])
    return result


def _by_layer(names) -> dict:
    """Layer -> its names, in order."""
    layers = {}
    for name in names:
        stem, _, last = name.rpartition(".")
        layers.setdefault(stem, []).append(last)
    return layers


def _place(name: str) -> list[int]:
    """Where a layer stands: main.12 after main.3."""
    return [int(part) for part in str(name).split(".") if re.fullmatch("[0-9]{1,6}", part)]


def need_networks(saved: checkpoint.Checkpoint, config: Config, parts: list[str]) -> None:
    """Raises: Damaged unless a checkpoint's arrays of these parts are just those of these settings.   Makes no array.

    parts: of generator, discriminator, generator_ema, which has G's parameters alone.
    """
    dev, want = RecorderDevice("cpu"), {}
    for part in parts:
        network = MAKE[part.removesuffix("_ema")](config, dev)
        found = network.shapes(network.param if part.endswith("_ema") else None)
        want |= {f"{part}.{name}": value for name, value in found.items()}
    checkpoint.need_shapes(saved, want, lambda name: name.partition(".")[0] in parts and ".adam." not in name)
