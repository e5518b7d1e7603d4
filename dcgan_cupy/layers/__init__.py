"""Layers: forward, backward written out by hand, parameters and their gradients.

No array library here: kernels do the work.

The contract: y = forward(x), then dx = backward(dy), once. Parameter gradients add up until zero_grads(); activation
gradients are set. Outputs lie in buffers that a layer makes at the first call of a shape and uses again at the next:
copy what must outlive the next forward or backward of the same layer.
"""

from .activations import LeakyReLU, ReLU, Sigmoid, Tanh
from .base import Layer, Sequential
from .batchnorm import BatchNorm2d
from .conditional import Labels, condition
from .convolution import Conv2d, ConvTranspose2d
from .fusion import fuse
from .initialise import initialise
from .workers import BatchNorm2dOfWorkers

__all__ = [
    "BatchNorm2d",
    "BatchNorm2dOfWorkers",
    "Conv2d",
    "ConvTranspose2d",
    "Labels",
    "Layer",
    "LeakyReLU",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Tanh",
    "condition",
    "fuse",
    "initialise",
]
