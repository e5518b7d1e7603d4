"""The peer: the seeds' DCGAN and its training step in PyTorch, in the modes that its users know."""

import torch
from torch import nn

MODES = ("eager", "channels_last", "compile")


def _stage(*layers):
    return nn.Sequential(*layers)


def discriminator(features: int, size: int, channels: int = 3) -> nn.Module:
    """The seeds' Discriminator for any of our image sizes, without its Sigmoid: the loss takes logits, as ours does."""
    layers, c, left = [nn.Conv2d(channels, features, 4, 2, 1), nn.LeakyReLU(0.2)], features, size // 2
    while left > 4:
        layers.append(_stage(nn.Conv2d(c, 2 * c, 4, 2, 1, bias=False), nn.BatchNorm2d(2 * c), nn.LeakyReLU(0.2)))
        c, left = 2 * c, left // 2
    return nn.Sequential(*layers, nn.Conv2d(c, 1, 4, 2, 0))


def generator(features: int, size: int, z_dim: int = 100, channels: int = 3) -> nn.Module:
    """The seeds' Generator for any of our image sizes."""
    c, made = features * size // 4, 4
    layers = [_stage(nn.ConvTranspose2d(z_dim, c, 4, 1, 0, bias=False), nn.BatchNorm2d(c), nn.ReLU())]
    while made < size // 2:
        layers.append(_stage(nn.ConvTranspose2d(c, c // 2, 4, 2, 1, bias=False), nn.BatchNorm2d(c // 2), nn.ReLU()))
        c, made = c // 2, 2 * made
    return nn.Sequential(*layers, nn.ConvTranspose2d(c, channels, 4, 2, 1), nn.Tanh())


class Peer:
    """One training step of the same networks, batch and optimiser. mode: one of MODES."""

    def __init__(self, features: int, batch: int, size: int, mode: str, device: str):
        torch.manual_seed(0)
        self.device, self.batch = device, batch
        layout = torch.channels_last if mode != "eager" else torch.contiguous_format
        self.d = discriminator(features, size).to(device, memory_format=layout)
        self.g = generator(features, size).to(device, memory_format=layout)
        for net in (self.d, self.g):
            for p in net.parameters():
                if p.dim() > 1:
                    nn.init.normal_(p, 0.0, 0.02)
        rates = {"lr": 2e-4, "betas": (0.5, 0.999)}
        if device == "cuda":
            rates["fused"] = True
        self.opt_d, self.opt_g = torch.optim.Adam(self.d.parameters(), **rates), torch.optim.Adam(self.g.parameters(), **rates)
        self.real = torch.rand(batch, 3, size, size, device=device).mul_(2).sub_(1).contiguous(memory_format=layout)
        self.ones, self.zeros = torch.ones(batch, 1, 1, 1, device=device), torch.zeros(batch, 1, 1, 1, device=device)
        if mode == "compile":
            self.d, self.g = torch.compile(self.d, dynamic=False), torch.compile(self.g, dynamic=False)

    def step(self) -> None:
        """D on real and fake, Adam; a fresh D on the same fakes, back through it into G, Adam."""
        loss = nn.functional.binary_cross_entropy_with_logits
        fake = self.g(torch.rand(self.batch, 100, 1, 1, device=self.device).mul_(2).sub_(1))
        self.opt_d.zero_grad(set_to_none=True)
        (loss(self.d(self.real), self.ones) + loss(self.d(fake.detach()), self.zeros)).backward()
        self.opt_d.step()
        self.opt_g.zero_grad(set_to_none=True)
        loss(self.d(fake), self.ones).backward()        # as PyTorch's example has it: D's weight gradients come along, unused
        self.opt_g.step()
        if self.device == "cuda":
            torch.cuda.synchronize()
