"""Conditional G and D as nn.Modules: every convolution takes the label's one-hot maps behind its channels.

The seeds' modules with more input channels, as the paper's MNIST code joins labels (conv_cond_concat): what our weights
load into with strict=True.
"""

import torch
from torch import nn

from bench import peer


class Conditional(nn.Module):
    """A module of plain layers, run with a label beside the input."""

    def __init__(self, plain: nn.Module, classes: int):
        super().__init__()
        (self.name, layers), self.classes = next(plain.named_children()), classes
        self.add_module(self.name, widened(layers, classes))

    def forward(self, x, label):
        one_hot = nn.functional.one_hot(label.long(), self.classes).to(x.dtype)[:, :, None, None]
        return run(getattr(self, self.name), x, one_hot)


class Discriminator(Conditional):
    """(image [n, c, h, w], label [n]) -> probability"""

    def __init__(self, channels_img, features_d, image_size, classes):
        super().__init__(peer.Discriminator(channels_img, features_d, image_size), classes)


class Generator(Conditional):
    """(z [n, z_dim, 1, 1], label [n]) -> image"""

    def __init__(self, z_dim, channels_img, features_g, image_size, classes):
        super().__init__(peer.Generator(z_dim, channels_img, features_g, image_size), classes)


def run(layers, x, one_hot):
    for layer in layers:
        if isinstance(layer, nn.Sequential):
            x = run(layer, x, one_hot)
            continue
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            x = torch.cat([x, one_hot.expand(-1, -1, *x.shape[2:])], 1)
        x = layer(x)
    return x


def widened(layers, classes: int) -> nn.Sequential:
    """The same layers, each convolution with `classes` more input channels."""
    made = []
    for layer in layers:
        if isinstance(layer, nn.Sequential):
            layer = widened(layer, classes)
        elif isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            sizes = layer.kernel_size, layer.stride, layer.padding
            layer = type(layer)(layer.in_channels + classes, layer.out_channels, *sizes, bias=layer.bias is not None)
        made.append(layer)
    return nn.Sequential(*made)
