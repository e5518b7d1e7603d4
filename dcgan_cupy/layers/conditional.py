"""Conditional layers: a label's one-hot maps join what a convolution takes. Plain layers know nothing of it.

The textbook's rungs join maps and channels in memory; the rungs FUSED add what the maps would.
"""

import threading

from .. import ops
from ..choices import FUSED
from ..errors import UserError
from .base import Layer, Sequential, need_image
from .convolution import Convolution, ConvTranspose2d
from .fusion import ConvActivation


class Labels(threading.local):
    """The classes of the images at hand: values int32 [N] on the device, each in [0, count). Each thread has its own.

    Arguments: count how many classes there are.
    """

    values = None

    def __init__(self, count: int):
        self.count = count

    def of(self, where: str, x):
        """The values, for images x [N, ...].   Raises: UserError where none are given, or not one an image."""
        if self.values is None or self.values.shape != x.shape[:1]:
            got = "none" if self.values is None else self.values.shape
            raise UserError(f"{where}: labels: need {x.shape[:1]} for the images (network.given), got {got}")
        return self.values


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
        values = self.labels.of("JoinLabel.forward", x)
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
    """A convolution that takes the label's maps beside its input: joined in memory, as the formula says."""

    def __init__(self, inner: Convolution, labels: Labels):
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


class LabelSumConvolution(Layer):
    """The same, fused with its activation or not, without a map: the convolution runs on x alone.

    The sum of the label's weights that reach a pixel is added behind it. So it has the channels that tiles suit.

    Shapes: x, dx [N, H, W, C]; y, dy as the convolution's, which has C + count input channels.
    Saves: x, y where an activation follows, the labels, and the weights of x.   Raises: as JoinLabel.
    """

    def __init__(self, inner: Convolution | ConvActivation, labels: Labels):
        super().__init__(inner.device)
        self.inner, self.labels = inner, labels
        self.convolution = inner.convolution if isinstance(inner, ConvActivation) else inner
        self.activation = inner.activation if isinstance(inner, ConvActivation) else None
        self.transposed = isinstance(self.convolution, ConvTranspose2d)
        self.channels = self.convolution.in_channels - labels.count

    def parts(self):
        """Those of the convolution and its activation."""
        return self.inner.parts()

    def forward(self, x, training=True):
        """[N, H, W, C] -> as the convolution's"""
        own, dev = self.convolution, self.device
        need_image("LabelSumConvolution.forward", x, self.channels)
        labels, weight, y = self.labels.of("LabelSumConvolution.forward", x), self._narrow("weight"), own.result(x)
        ops.concat_label_backward(dev, self._rows(own.params["weight"]), self._rows(weight))
        own.run(x, weight, y)
        epilogue = self.activation.epilogue if self.activation and self.activation.epilogue else ops.NONE
        ops.label_maps_forward(dev, own.params["weight"], labels, y, *self._relation(x.shape), epilogue)
        self._saved = x, y, labels
        return y

    def backward(self, dy, param_grads=True, input_grad=True):
        """As the convolution's -> [N, H, W, C]: the maps have no gradient."""
        own, dev = self.convolution, self.device
        x, y, labels = self._take_saved()
        if self.activation:
            dy = self.activation.gradient(y, dy)
        if param_grads:
            dw, whole = self._narrow("dw"), own.grads["weight"]
            ops.fill(dev, dw, 0.0)
            own.weight_gradient(x, dy, dw)
            ops.concat_label_add(dev, self._rows(dw), self._rows(whole))
            ops.label_maps_backward(dev, dy, labels, whole, *self._relation(x.shape))
            own.bias_gradient(dy)
        return own.input_gradient(dy, self._narrow("weight"), x.shape) if input_grad else None

    def _relation(self, shape: tuple) -> tuple:
        """classes, size, stride, padding, transposed: how the maps lead to y."""
        own = self.convolution
        return self.labels.count, shape[1:3], own.stride, own.padding, self.transposed

    def _narrow(self, name: str):
        """An array for weights of x alone."""
        kh, kw, *channels = self.convolution.params["weight"].shape
        channels[1 if self.transposed else 0] = self.channels
        return self._buffer(name, (kh, kw, *channels))

    def _rows(self, weight):
        """Weights [KH, KW, rows, run]: those of x lie first in each run, those of the maps behind them."""
        kh, kw, a, b = weight.shape
        return weight if self.transposed else weight.reshape(kh, kw, 1, a * b)


def condition(layer: Layer, labels: Labels) -> None:
    """Lets every convolution in a Sequential inside `layer` take the maps. Call it after fuse.

    Names and parameters stay: children() are still the plain layers, made for as many input channels more.
    """
    if not isinstance(layer, Sequential):
        return
    for child in layer.layers:
        condition(child, labels)
    layer.layers = [_labelled(part, labels) for part in layer.layers]


def _labelled(part: Layer, labels: Labels) -> Layer:
    if isinstance(part, ConvActivation) or (isinstance(part, Convolution) and part.rung in FUSED):
        return LabelSumConvolution(part, labels)
    return LabelledConvolution(part, labels) if isinstance(part, Convolution) else part
