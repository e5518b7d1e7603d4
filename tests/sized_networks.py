"""Both networks in PyTorch at sizes that neither original has; what a size takes is written out, not computed."""

from itertools import pairwise

from torch import nn

SIZES = {  # image size -> k stages of stride 2, and the kernel of the layer at the small end
    12: (2, (3, 3)),
    28: (2, (7, 7)),
    "48x80": (4, (3, 5)),
    96: (4, (6, 6)),
    224: (5, (7, 7)),
    256: (6, (4, 4)),
}


class SeedsDiscriminator(nn.Module):
    """The seeds' class with k - 1 blocks and a last kernel of its own."""

    def __init__(self, channels_img, features_d, k, kernel):
        super().__init__()
        widths = [features_d * 2**i for i in range(k)]
        blocks = (
            nn.Sequential(nn.Conv2d(a, b, 4, 2, 1, bias=False), nn.BatchNorm2d(b), nn.LeakyReLU(0.2))
            for a, b in pairwise(widths)
        )
        first = nn.Conv2d(channels_img, features_d, 4, 2, 1), nn.LeakyReLU(0.2)
        self.disc = nn.Sequential(*first, *blocks, nn.Conv2d(widths[-1], 1, kernel, 2, 0), nn.Sigmoid())

    def forward(self, x):
        return self.disc(x)


class SeedsGenerator(nn.Module):
    """The seeds' class likewise, with a first kernel of its own."""

    def __init__(self, z_dim, channels_img, features_g, k, kernel):
        super().__init__()
        widths = [features_g * 2**i for i in range(k, 0, -1)]
        layers = [(z_dim, widths[0], kernel, 1, 0), *((a, b, 4, 2, 1) for a, b in pairwise(widths))]
        blocks = (
            nn.Sequential(nn.ConvTranspose2d(*sizes, bias=False), nn.BatchNorm2d(sizes[1]), nn.ReLU())
            for sizes in layers
        )
        self.gen = nn.Sequential(*blocks, nn.ConvTranspose2d(widths[-1], channels_img, 4, 2, 1), nn.Tanh())

    def forward(self, x):
        return self.gen(x)


class ExampleDiscriminator(nn.Module):
    """The example's likewise; its output as the seeds' D has it."""

    def __init__(self, nc, ndf, k, kernel):
        super().__init__()
        layers = [nn.Conv2d(nc, ndf, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, inplace=True)]
        for a, b in pairwise(ndf * 2**i for i in range(k)):
            layers += [nn.Conv2d(a, b, 4, 2, 1, bias=False), nn.BatchNorm2d(b), nn.LeakyReLU(0.2, inplace=True)]
        self.main = nn.Sequential(*layers, nn.Conv2d(ndf * 2 ** (k - 1), 1, kernel, 1, 0, bias=False), nn.Sigmoid())

    def forward(self, input):
        return self.main(input)


class ExampleGenerator(nn.Module):
    """The example's likewise."""

    def __init__(self, nz, nc, ngf, k, kernel):
        super().__init__()
        widths = [ngf * 2**i for i in range(k - 1, -1, -1)]
        layers = [nn.ConvTranspose2d(nz, widths[0], kernel, 1, 0, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU(True)]
        for a, b in pairwise(widths):
            layers += [nn.ConvTranspose2d(a, b, 4, 2, 1, bias=False), nn.BatchNorm2d(b), nn.ReLU(True)]
        self.main = nn.Sequential(*layers, nn.ConvTranspose2d(ngf, nc, 4, 2, 1, bias=False), nn.Tanh())

    def forward(self, input):
        return self.main(input)


CLASSES = {"seeds": (SeedsGenerator, SeedsDiscriminator), "example": (ExampleGenerator, ExampleDiscriminator)}
