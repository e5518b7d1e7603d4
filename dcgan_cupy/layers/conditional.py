"""Conditional layers: a label's one-hot maps join what a convolution takes. Plain layers know nothing of it."""

import threading

from .. import ops
from ..errors import UserError
from .base import Layer, Sequential
from .convolution import Convolution
from .fusion import ConvActivation


class Labels(threading.local):
    """The classes of the images at hand: values int32 [N] on the device, each in [0, count). Each thread has its own.

    Arguments: count how many classes there are.
    """

    values = None

    def __init__(self, count: int):
        self.count = count


class JoinLabel(Layer):
    """y = x, and behind its channels one map a class: 1 in that of the image's label, 0 in the others.

    Shapes: x, dx [N, H, W, C]; y, dy [N, H, W, C + count].   Saves: the shape of x.
    Raises: UserError where no labels are given, or not one an image.
    Source: the paper's MNIST code (conv_cond_concat); Mirza & Osindero 2014.
    """

    def __init__(self, labels: Labels, *, device):
        super().__init__(device)
        self.labels = labels

    def forward(self, x, training=True):
        """[N, H, W, C] -> [N, H, W, C + count]"""
        values = self.labels.values
        if values is None or values.shape != x.shape[:1]:
            got = "none" if values is None else values.shape
            raise UserError(f"JoinLabel.forward: labels: need {x.shape[:1]} for the images (network.given), got {got}")
        y = self.output("y", (*x.shape[:3], x.shape[3] + self.labels.count), x)
        ops.concat_label_forward(self.device, x, values, y)
        self._saved = x.shape
        return y

    def backward(self, dy, param_grads=True, input_grad=True):
        """[N, H, W, C + count] -> [N, H, W, C]: the maps have no gradient."""
        shape = self._take_saved()
        if not input_grad:
            return None
        dx = self.place(self, dy, shape)
        ops.concat_label_backward(self.device, dy, dx)
        return dx


class LabelledConvolution(Layer):
    """A convolution, fused with its activation or not, that takes the label's maps beside its input."""

    def __init__(self, inner: Convolution | ConvActivation, labels: Labels):
        super().__init__(inner.device)
        self.join, self.inner = JoinLabel(labels, device=inner.device), inner

    def parts(self):
        """All write a dx."""
        return [self.join, *self.inner.parts()]

    def forward(self, x, training=True):
        """[N, H, W, C] -> as the convolution's, which has C + count input channels."""
        return self.inner.forward(self.join.forward(x, training), training)

    def backward(self, dy, param_grads=True, input_grad=True):
        """As the convolution's -> [N, H, W, C]"""
        return self.join.backward(self.inner.backward(dy, param_grads, input_grad), input_grad=input_grad)


def condition(layer: Layer, labels: Labels) -> None:
    """Lets every convolution in a Sequential inside `layer` take the maps. Call it after fuse.

    Names and parameters stay: children() are still the plain layers, made for as many input channels more.
    """
    if not isinstance(layer, Sequential):
        return
    for child in layer.layers:
        condition(child, labels)
    layer.layers = [
        LabelledConvolution(part, labels) if isinstance(part, Convolution | ConvActivation) else part
        for part in layer.layers
    ]
