"""Fused layers: one kernel does the work of two. Plain layers know nothing of it."""

from ..choices import FUSED
from .activations import Activation, LeakyReLU, ReLU
from .base import Layer, Sequential
from .batchnorm import BatchNorm2d
from .convolution import Convolution


class NormActivation(Layer):
    """A batch norm and the ReLU or LeakyReLU behind it: two passes over memory fewer, forward and backward."""

    def __init__(self, norm: BatchNorm2d, activation: ReLU | LeakyReLU):
        super().__init__(norm.device)
        self.norm, self.activation = norm, activation

    def parts(self):
        """Only the batch norm writes a dx."""
        return [self.norm]

    def forward(self, x, training=True):
        """[..., num_features] -> the same shape"""
        return self.norm.forward(x, training, self.activation.slope)

    def backward(self, dy, param_grads=True, input_grad=True):
        """[..., num_features] -> the same shape"""
        return self.norm.backward(dy, param_grads, input_grad)


class ConvActivation(Layer):
    """A convolution, either one, and the activation behind it: one pass fewer, forward.   Saves: the activation's y."""

    def __init__(self, convolution: Convolution, activation: Activation):
        super().__init__(convolution.device)
        self.convolution, self.activation = convolution, activation

    def parts(self):
        """Both write a dx."""
        return [self.convolution, self.activation]

    def forward(self, x, training=True):
        """As the convolution's."""
        self._saved = self.convolution.forward(x, training, self.activation.epilogue)
        return self._saved

    def backward(self, dy, param_grads=True, input_grad=True):
        """As the convolution's."""
        dx = self.activation.gradient(self._take_saved(), dy)
        return self.convolution.backward(dx, param_grads, input_grad)


def fuse(layer: Layer) -> None:
    """Replaces, in every Sequential inside `layer`, pairs of layers by fused ones, for the rungs FUSED.

    Names and parameters stay: children() are still the plain layers. Results are the same but for rounding. A Sigmoid
    stays where it is: the loss wants the logits before it.
    """
    if not isinstance(layer, Sequential):
        return
    for child in layer.layers:
        fuse(child)
    fused, rest = [], list(layer.layers)
    while rest:
        joined = _joined(*rest[:2]) if len(rest) > 1 else None
        fused.append(joined or rest[0])
        del rest[: 2 if joined else 1]
    layer.layers = fused


def _joined(first: Layer, second: Layer) -> Layer | None:
    """The two as one, or None."""
    if getattr(first, "rung", None) not in FUSED:
        return None
    if isinstance(first, BatchNorm2d) and isinstance(second, ReLU | LeakyReLU):
        return NormActivation(first, second)
    if isinstance(first, Convolution) and isinstance(second, Activation) and second.epilogue:
        return ConvActivation(first, second)
    return None
