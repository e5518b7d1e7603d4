"""The peer: the seeds' DCGAN and its training step in PyTorch, in the modes that its users know."""

from itertools import pairwise
from math import log2

import torch
from torch import nn

MODES = ("eager", "channels_last", "compile")


def modes(device: str) -> tuple[str, ...]:
    """The ways to run PyTorch on a device; a GPU has one more: the step captured once as a CUDA graph."""
    return (*MODES, "graph") if device == "cuda" else MODES


class Discriminator(nn.Module):
    """The seeds' class. At 64 pixels it is theirs; 2^k pixels have k - 3 blocks."""

    def __init__(self, channels_img, features_d, image_size=64):
        super().__init__()
        sizes = [features_d * 2**i for i in range(blocks(image_size) + 1)]
        self.disc = nn.Sequential(
            nn.Conv2d(channels_img, features_d, kernel_size=4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            *(self._block(a, b, 4, 2, 1) for a, b in pairwise(sizes)),
            nn.Conv2d(sizes[-1], 1, kernel_size=4, stride=2, padding=0),
            nn.Sigmoid(),
        )

    def _block(self, in_channels, out_channels, kernel_size, stride, padding):
        return nn.Sequential(
            nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.LeakyReLU(0.2),
        )

    def forward(self, x):
        return self.disc(x)


class Generator(nn.Module):
    """The seeds' class, likewise."""

    def __init__(self, z_dim, channels_img, features_g, image_size=64):
        super().__init__()
        sizes = [features_g * 2 ** (i + 1) for i in reversed(range(blocks(image_size) + 1))]
        self.gen = nn.Sequential(
            self._block(z_dim, sizes[0], 4, 1, 0),
            *(self._block(a, b, 4, 2, 1) for a, b in pairwise(sizes)),
            nn.ConvTranspose2d(sizes[-1], channels_img, kernel_size=4, stride=2, padding=1),
            nn.Tanh(),
        )

    def _block(self, in_channels, out_channels, kernel_size, stride, padding):
        return nn.Sequential(
            nn.ConvTranspose2d(in_channels, out_channels, kernel_size, stride, padding, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(),
        )

    def forward(self, x):
        return self.gen(x)


def blocks(image_size: int) -> int:
    """Blocks of either network between its first and its last layer."""
    return int(log2(image_size)) - 3


class Peer:
    """One training step of the same networks, batch and optimiser. mode: one of modes(device)."""

    def __init__(self, features: int, batch: int, size: int, mode: str, device: str):
        torch.manual_seed(0)
        self.device, self.batch = device, batch
        layout = torch.channels_last if mode != "eager" else torch.contiguous_format
        self.d = (
            Discriminator(3, features, size).disc[:-1].to(device, memory_format=layout)
        )  # without Sigmoid: see step
        self.g = Generator(100, 3, features, size).to(device, memory_format=layout)
        for net in (self.d, self.g):
            for p in net.parameters():
                if p.dim() > 1:
                    nn.init.normal_(p, 0.0, 0.02)
        rates = {"lr": 2e-4, "betas": (0.5, 0.999)}
        if device == "cuda":
            rates.update(fused=True, capturable=mode == "graph")
        self.opt_d, self.opt_g = (
            torch.optim.Adam(self.d.parameters(), **rates),
            torch.optim.Adam(self.g.parameters(), **rates),
        )
        self.real = torch.rand(batch, 3, size, size, device=device).mul_(2).sub_(1).contiguous(memory_format=layout)
        self.ones, self.zeros = torch.ones(batch, 1, 1, 1, device=device), torch.zeros(batch, 1, 1, 1, device=device)
        if mode == "compile":
            self.d, self.g = torch.compile(self.d, dynamic=False), torch.compile(self.g, dynamic=False)

        self.graph = None
        if mode == "graph":
            side = torch.cuda.Stream()
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):  # everything is allocated before the capture, on a stream of its own
                for _ in range(3):
                    self._step()
            torch.cuda.current_stream().wait_stream(side)
            self.graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self.graph):
                self._step()

    def step(self) -> None:
        """One step, to its end."""
        if self.graph is None:
            self._step()
        else:
            self.graph.replay()
        if self.device == "cuda":
            torch.cuda.synchronize()

    def _step(self) -> None:
        """D on real and fake, Adam; a fresh D on the same fakes, back through it into G, Adam.

        The loss takes logits, as ours does.
        """
        loss = nn.functional.binary_cross_entropy_with_logits
        fake = self.g(torch.rand(self.batch, 100, 1, 1, device=self.device).mul_(2).sub_(1))
        self.opt_d.zero_grad(set_to_none=True)
        (loss(self.d(self.real), self.ones) + loss(self.d(fake.detach()), self.zeros)).backward()
        self.opt_d.step()
        self.opt_g.zero_grad(set_to_none=True)
        loss(self.d(fake), self.ones).backward()  # as PyTorch's example has it: D's weight gradients come along, unused
        self.opt_g.step()
