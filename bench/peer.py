"""The peer: the seeds' DCGAN and its training step in PyTorch, in the modes that its users know."""

from itertools import pairwise
from math import log2

import torch
from torch import nn

MODES = ("eager", "channels_last", "compile")
REDUCED = (
    "tf32",
    "bf16",
)  # a GPU's other precisions: convolutions in TF32 (PyTorch's default), or autocast to bfloat16


def modes(device: str) -> tuple[str, ...]:
    """The ways to run PyTorch on a device, float32 unless a precision stands before: "tf32 channels_last".

    A GPU has one more: the step captured once as a CUDA graph.
    """
    if device != "cuda":
        return MODES
    ways = (*MODES, "graph")
    return (*ways, *(f"{precision} {way}" for precision in REDUCED for way in ways if way != "eager"))


def precision_of(mode: str) -> str:
    """fp32, tf32 or bf16."""
    return mode.partition(" ")[0] if " " in mode else "fp32"


def use_tf32(allowed: bool) -> None:
    """Whether convolutions and matrix products of float32 may round their inputs to TF32, from now on."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = allowed


def captured(work):
    """A CUDA graph of work(), which has run before on a stream of its own, so that everything is allocated."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            work()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    return graph


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
        self.device, self.batch, self.precision = device, batch, precision_of(mode)
        mode = mode.rpartition(" ")[2]
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
            use_tf32(self.precision == "tf32")
            self.graph = captured(self._step)

    def step(self) -> None:
        """One step, to its end."""
        use_tf32(self.precision == "tf32")
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
        with self._cast():
            fake = self.g(torch.rand(self.batch, 100, 1, 1, device=self.device).mul_(2).sub_(1))
            of_d = loss(self.d(self.real), self.ones) + loss(self.d(fake.detach()), self.zeros)
        self.opt_d.zero_grad(set_to_none=True)
        of_d.backward()
        self.opt_d.step()
        with self._cast():
            of_g = loss(self.d(fake), self.ones)
        self.opt_g.zero_grad(set_to_none=True)
        of_g.backward()  # as PyTorch's example has it: D's weight gradients come along, unused
        self.opt_g.step()

    def _cast(self):
        """Forward passes in bfloat16, as PyTorch's users write it; it does nothing in the other precisions."""
        return torch.autocast(self.device, torch.bfloat16, enabled=self.precision == "bf16", cache_enabled=False)
