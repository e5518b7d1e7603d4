"""How weights are drawn before training."""

from .. import ops
from ..random import Random
from .base import Layer


def initialise(layer: Layer, random: Random, std: float = 0.02, bn_gain_mean: float = 1.0) -> None:
    """Draws all weights inside a layer from N(0, std), batch-norm gains from N(bn_gain_mean, std); biases are 0.

    Source: Radford et al. 2015, section 4 (std 0.02); gains: the paper's code draws N(1, .02), the second seed N(0,
    .02).
    """
    for _, part in layer.walk():
        for name, array in part.params.items():
            if name == "bias":
                ops.fill(part.device, array, 0.0)
            else:
                random.normal(array, bn_gain_mean if "running_mean" in part.buffers else 0.0, std)
