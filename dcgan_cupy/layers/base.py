"""What every layer has, and layers in a line."""

import threading

from .. import ops
from ..errors import UserError

KEPT_SHAPES = (
    4  # buffers of this many shapes are kept for each purpose, so that a sample between steps costs no allocation
)


class _OfThread(threading.local):
    """What a layer holds for each thread that calls it: outputs and what backward needs are never another's."""

    def __init__(self):
        self.saved, self.made = None, {}


class Layer:
    """What every layer has: params, grads and buffers by name, forward and backward.

    Several threads may call one layer: each has its own outputs and its own backward; gradients add up over them all.
    """

    def __init__(self, device):
        self.device = device
        self.params, self.grads, self.buffers = {}, {}, {}
        self._mine = _OfThread()
        self.shares_gradient = self.overwrites_dy = False  # share_gradients

    def forward(self, x, training: bool = True):
        """y of x. training=False uses running statistics and changes nothing that lasts."""
        raise NotImplementedError

    def backward(self, dy, param_grads: bool = True, input_grad: bool = True):
        """dx of dy, for the last forward, once. Adds to grads where param_grads; returns None where not input_grad."""
        raise NotImplementedError

    def children(self):
        """(name, layer) of the layers inside."""
        return ()

    def walk(self, prefix: str = ""):
        """(dotted name, layer) of this layer and all inside it, in order."""
        yield prefix, self
        for name, child in self.children():
            yield from child.walk(f"{prefix}.{name}" if prefix else name)

    def zero_grads(self) -> None:
        """Sets all parameter gradients to 0."""
        for _, layer in self.walk():
            for grad in layer.grads.values():
                ops.fill(self.device, grad, 0.0)

    def state(self):
        """(name, array, axes) of all that a checkpoint holds.

        `axes` permutes to PyTorch's layout (None: none needed).
        """
        return [(name, a, None) for name, a in (*self.params.items(), *self.buffers.items())]

    def _buffer(self, name: str, shape: tuple, dtype: str = "float32"):
        """An array of this layer for one purpose; the same one each time the shape comes again."""
        made = self._mine.made.setdefault(name, {})
        if (shape, dtype) not in made:
            if len(made) == KEPT_SHAPES:
                del made[next(iter(made))]
            made[shape, dtype] = self.device.empty(shape, dtype)
        return made[shape, dtype]

    def _gradient(self, shape: tuple):
        """Where dx goes: an array of the layer's own, or as share_gradients has it."""
        return self.device.gradient(shape) if self.shares_gradient else self._buffer("dx", shape)

    def _add_param(self, name: str, shape: tuple) -> None:
        self.params[name] = self.device.empty(shape)
        self.grads[name] = self.device.zeros(shape)

    @property
    def _saved(self):
        return self._mine.saved

    @_saved.setter
    def _saved(self, values):
        self._mine.saved = values

    def _take_saved(self):
        saved, self._saved = self._saved, None
        if saved is None:
            raise RuntimeError(f"{type(self).__name__}.backward: need one forward before each backward, got none")
        return saved


class Sequential(Layer):
    """Layers one after the other; children are named 0, 1, 2 …"""

    def __init__(self, *layers, device):
        super().__init__(device)
        self.layers = list(layers)

    def children(self):
        """(number, layer), in order."""
        return [(str(i), layer) for i, layer in enumerate(self.layers)]

    def forward(self, x, training=True):
        """The last layer's output."""
        for layer in self.layers:
            x = layer.forward(x, training)
        return x

    def backward(self, dy, param_grads=True, input_grad=True):
        """The first layer's input gradient, or None where not input_grad."""
        for i, layer in reversed(list(enumerate(self.layers))):
            dy = layer.backward(dy, param_grads, input_grad or i > 0)
        return dy


def need_sizes(where: str, **values) -> None:
    for name, value in values.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise UserError(f"{where}: {name}: need a whole number of at least 1, got {value!r}")


def need_image(where: str, x, channels: int) -> None:
    if len(x.shape) != 4 or x.shape[3] != channels or 0 in x.shape:
        raise UserError(f"{where}: x: need [n, h, w, {channels}] without an empty axis, got {tuple(x.shape)}")
