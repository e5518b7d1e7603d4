"""What the tests of trainer share."""

import conditional_twins
import foreign_networks
import numpy as np
import pytest
import sized_networks
import torch
from torch import nn

from bench.peer import Discriminator, Generator
from dcgan_cupy.config import Config
from dcgan_cupy.layers import LeakyReLU, ReLU
from dcgan_cupy.sizes import sides
from dcgan_cupy.trainer import Trainer


def config(**settings) -> Config:
    """A small run: 16 px, unless told otherwise.

    One number of features in most tests: each further one has kernels to compile.
    """
    return Config(**{"image_size": 16, "features_g": 8, "features_d": 8, "batch_size": 4, **settings})


def images(rng, cfg: Config) -> np.ndarray:
    """A batch of float32 images in [-1, 1], [n, h, w, c]."""
    return rng.uniform(-1, 1, (cfg.batch_size, *sides(cfg.image_size), cfg.channels)).astype(np.float32)


def latents(rng, cfg: Config) -> np.ndarray:
    """Latent vectors from [-1, 1], [n, 1, 1, z_dim]."""
    return rng.uniform(-1, 1, (cfg.batch_size, 1, 1, cfg.z_dim)).astype(np.float32)


@pytest.fixture(autouse=True)
def one_thread():
    """PyTorch's threads and ours, each waiting for the other's cores, take longer than one of each."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def classes(rng, cfg: Config) -> dict:
    """The trainer's labels of a batch, real and fake, int32; none for an unconditional run."""
    if cfg.n_classes is None:
        return {}
    return {name: rng.integers(0, cfg.n_classes, cfg.batch_size, np.int32) for name in ("labels", "fake_labels")}


def nchw(x: np.ndarray) -> torch.Tensor:
    """[n, h, w, c] -> [n, c, h, w], float64."""
    return torch.from_numpy(x.transpose(0, 3, 1, 2).astype(np.float64))


class Judge:
    """The same game in PyTorch, from the trainer's present weights, in float64 (or dtype)."""

    def __init__(self, trainer: Trainer, dtype=torch.float64):
        cfg = trainer.config
        self.trainer, self.minimax, self.dtype = trainer, cfg.loss == "minimax", dtype
        d, g = (cfg.channels, cfg.features_d), (cfg.z_dim, cfg.channels, cfg.features_g)
        if cfg.image_size in sized_networks.SIZES:
            make_g, make_d = sized_networks.CLASSES[cfg.network]
            shape = sized_networks.SIZES[cfg.image_size]
            self.d, self.g = make_d(*d, *shape), make_g(*g, *shape)
        elif cfg.network == "example":
            assert cfg.image_size == 64
            self.d, self.g = foreign_networks.Rows(*d), foreign_networks.ExampleGenerator(*g)
        elif cfg.n_classes:
            self.d = conditional_twins.Discriminator(*d, cfg.image_size, cfg.n_classes)
            self.g = conditional_twins.Generator(*g, cfg.image_size, cfg.n_classes)
        else:
            self.d, self.g = Discriminator(*d, cfg.image_size), Generator(*g, cfg.image_size)
        self.d.to(dtype), self.g.to(dtype)
        for ours, theirs in ((trainer.d, self.d), (trainer.g, self.g)):
            theirs.load_state_dict({name: torch.from_numpy(a) for name, a in ours.state_dict().items()}, strict=True)
        self.sides = [*follow(trainer.d, self.d), *follow(trainer.g, self.g)]
        self.adam_d, self.adam_g = (
            torch.optim.Adam(net.parameters(), lr=lr or cfg.lr, betas=(cfg.beta1, cfg.beta2))
            for net, lr in ((self.d, cfg.lr_d), (self.g, cfg.lr_g))
        )
        steps = cfg.steps if cfg.lr_decay else None
        self.rates = [
            torch.optim.lr_scheduler.LambdaLR(adam, lambda t: 1 - t / steps if steps else 1.0)
            for adam in (self.adam_d, self.adam_g)
        ]

    def step(self, real, z, labels=None, fake_labels=None) -> tuple:
        """The five numbers of trainer.Step, after the trainer's own step."""
        label, fake_label = (() if a is None else (torch.from_numpy(a),) for a in (labels, fake_labels))
        bce, real = nn.BCELoss(), nchw(real).to(self.dtype)
        one, zero = (torch.full((len(real), 1, 1, 1), value, dtype=self.dtype) for value in (1.0, 0.0))
        self.adam_d.zero_grad()
        fake = self.g(nchw(z).to(self.dtype), *fake_label)
        d_real, d_fake = self.d(real, *label), self.d(fake.detach(), *fake_label)
        loss_d = bce(d_real, one) + bce(d_fake, zero)
        loss_d.backward()
        self.grads_d = gradients(self.d)
        settle(self.d, self.trainer.d)
        self.adam_d.step()

        self.adam_g.zero_grad()
        d_fake_after = self.d(fake, *fake_label)
        loss_g = -bce(d_fake_after, zero) if self.minimax else bce(d_fake_after, one)
        loss_g.backward()
        self.grads_g = gradients(self.g)
        settle(self.g, self.trainer.g)
        self.adam_g.step()
        for rate in self.rates:
            rate.step()
        assert not any(side.ours for side in self.sides)
        return tuple(value.mean().item() for value in (loss_d, loss_g, d_real, d_fake, d_fake_after))


NEAR = 1e-4
"""Below this share of the root mean square (of a channel, of a gradient) a number is rounding:

Float32 leaves errors of up to 4e-5.
"""


class Side(nn.Module):
    """y = x where x > 0, else slope * x; where x is but rounding, the trainer decides which."""

    def __init__(self, slope: float):
        super().__init__()
        self.slope, self.ours, self.near, self.all = slope, [], 0, 0

    def forward(self, x):
        rms = x.detach().square().mean((0, 2, 3), keepdim=True).sqrt()
        near = x.detach().abs() <= NEAR * rms
        self.near, self.all = self.near + int(near.sum()), self.all + x.numel()
        return torch.where(torch.where(near, self.ours.pop(0), x > 0), x, self.slope * x)


def follow(ours, theirs: nn.Module) -> list[Side]:
    """A Side in place of each rectifier of the judge, told of every sign of the trainer's."""
    runs = [layer for _, part in ours.walk() for layer in getattr(part, "layers", ())]
    runs = [layer if hasattr(layer, "activation") else getattr(layer, "inner", layer) for layer in runs]
    runs = {getattr(layer, "activation", layer): layer for layer in runs}  # an activation, or the fused layer it is in
    layers = {path: runs[layer] for path, layer in ours.walk() if isinstance(layer, ReLU | LeakyReLU)}
    sides = []
    for path, module in list(theirs.named_modules()):
        if isinstance(module, nn.ReLU | nn.LeakyReLU):
            side, layer = Side(getattr(module, "negative_slope", 0.0)), layers.pop(path)
            parent, _, name = path.rpartition(".")
            setattr(theirs.get_submodule(parent), name, side)
            layer.forward = told(layer, side)
            sides.append(side)
    assert not layers
    return sides


def settle(theirs: nn.Module, ours) -> None:
    """The trainer's gradient in place of the judge's own where both are but rounding."""
    mine = trainer_gradients(ours)
    for name, p in theirs.named_parameters():
        limit, other = NEAR * p.grad.square().mean().sqrt(), torch.from_numpy(mine[name]).to(p.dtype)
        p.grad = torch.where((p.grad.abs() <= limit) & (other.abs() <= limit), other, p.grad)


def told(layer, side: Side):
    forward = layer.forward

    def watched(x, training=True):
        y = forward(x, training)
        side.ours.append(torch.from_numpy(layer.device.numpy(y).transpose(0, 3, 1, 2) > 0))
        return y

    return watched


def gradients(module: nn.Module) -> dict:
    return {name: p.grad.numpy().copy() for name, p in module.named_parameters()}


def trainer_gradients(net) -> dict:
    return {
        f"{path}.{name}": net.device.numpy(grad).transpose((3, 2, 0, 1) if grad.ndim == 4 else (0,))
        for path, layer in net.walk()
        for name, grad in layer.grads.items()
    }
