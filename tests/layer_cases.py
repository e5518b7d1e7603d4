"""What the tests of layers share."""

import numpy as np
import pytest
from helpers import normal

torch = pytest.importorskip("torch")
nn = torch.nn


# Float32 sums of at most some hundred terms against float64, errors relative to the norm of the whole array: a random
# walk
# of roundings of 6e-8 each. A wrong index, a missing factor or a gradient that was set instead of added is off by order
# 1.
RTOL = 2e-6


def to_torch(values):
    """[n, h, w, c] to a float64 leaf (n, c, h, w); other ranks as they are."""
    values = values.transpose(0, 3, 1, 2) if values.ndim == 4 else values
    return torch.tensor(np.ascontiguousarray(values), dtype=torch.float64, requires_grad=True)


def from_torch(tensor):
    values = tensor.detach().numpy()
    return values.transpose(0, 2, 3, 1) if values.ndim == 4 else values


def weight_to_torch(values):
    """[kh, kw, a, b] to (b, a, kh, kw): Conv2d has a = in, ConvTranspose2d a = out."""
    return values.transpose(3, 2, 0, 1) if values.ndim == 4 else values


def set_random_parameters(device, rng, layer, module):
    """The same random parameters in both; the layer's gradients start at 0."""
    for name, array in layer.params.items():
        values = normal(rng, array.shape)
        device.upload(array, values)
        with torch.no_grad():
            getattr(module, name).copy_(torch.tensor(weight_to_torch(values).copy()))
    layer.zero_grads()


def output_shape(device, layer, x):
    return layer.forward(device.array(x)).shape
