"""Layers joined where one kernel can do the work of two."""

from itertools import pairwise

from ..choices import FUSED
from .activations import LeakyReLU, ReLU
from .base import Layer
from .batchnorm import BatchNorm2d
from .convolution import Convolution


def fuse(layer: Layer) -> None:
    """The one place where layers are joined, in every Sequential inside `layer`, for the rungs FUSED.

    A BatchNorm2d takes over the ReLU or LeakyReLU behind it, forward and backward: two passes over memory fewer. A
    convolution takes over the forward pass of an activation behind it: one pass fewer (not a Sigmoid's: the loss wants
    the logits before it). Results are the same but for rounding.
    """
    for _, part in layer.walk():
        inside = [child for _, child in part.children()]
        for first, second in pairwise(inside):
            if getattr(first, "rung", None) not in FUSED:
                continue
            if isinstance(first, BatchNorm2d) and isinstance(second, ReLU | LeakyReLU):
                first.slope, second.absorbed = second.slope, "both"
            elif isinstance(first, Convolution) and getattr(second, "epilogue", None):
                first.activation, second.absorbed = second.epilogue, "forward"


def share_gradients(layer: Layer, first: bool = False) -> None:
    """Saves memory inside `layer`, whose layers must be in one line:

    Each dx is read by the layer before and then forgotten.

    They lie in two arrays of the device that take turns (Device.gradient), shared by all its networks; batch norms
    inside write dx over dy, where that is another layer's and not the caller's. The first layer's dx, which callers
    see, keeps an array of its own unless `first`. Call it after fuse.
    """
    line = [part for _, part in layer.walk() if not part.children()]
    for i, part in enumerate(line):
        from_inside = any(
            getattr(later, "absorbed", "") != "both" for later in line[i + 1 :]
        )  # an absorbed one passes its dy on
        part.shares_gradient = i > 0 or first
        part.overwrites_dy = i > 0 and isinstance(part, BatchNorm2d) and from_inside
