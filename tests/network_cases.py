"""What the tests of networks share."""

import numpy as np
import pytest
from helpers import normal

from bench.peer import Discriminator as TorchDiscriminator
from bench.peer import Generator as TorchGenerator
from dcgan_cupy.networks import Discriminator, Generator
from dcgan_cupy.random import Random

# A network is up to six layers of float32 sums, each with an error of a few roundings of 6e-8 that the next batch norm
# carries
# on: 5e-7 seen. A gradient passes all of them twice, and in front of a batch norm much of it cancels: 3e-6 seen. A
# wrong
# layer, layout or statistic is off by order 1.
OUTPUT_RTOL, GRADIENT_RTOL = 5e-6, 2e-5


Z_DIM = 5


def both(which, device, size, channels, features=2, rung="direct", seed=1):
    """The network and its PyTorch twin (float64, its own first weights)."""
    random = Random(device, seed)
    if which == "discriminator":
        return (Discriminator(channels, features, size, device=device, kernels=rung, random=random),
                TorchDiscriminator(channels, features, size).double())  # fmt: skip
    return (Generator(Z_DIM, channels, features, size, device=device, kernels=rung, random=random),
            TorchGenerator(Z_DIM, channels, features, size).double())  # fmt: skip


def an_input(which, rng, size, channels, n=3):
    return normal(rng, (n, 1, 1, Z_DIM)) if which == "generator" else np.tanh(normal(rng, (n, size, size, channels)))


every_network = pytest.mark.parametrize("which", ["discriminator", "generator"])
