"""What every layer has, and layers in a line."""

import copy
import threading

from .. import memory, ops
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

    may_overwrite_dy = False  # its kernels can write dx over dy

    def __init__(self, device):
        self.device = device
        self.params, self.grads, self.buffers = {}, {}, {}
        self._mine = _OfThread()
        self.place = memory.own  # where dx goes

    def forward(self, x, training: bool = True):
        """y of x. training=False uses running statistics and changes nothing that lasts."""
        raise NotImplementedError

    def backward(self, dy, param_grads: bool = True, input_grad: bool = True):
        """dx of dy, for the last forward, once. Adds to grads where param_grads; returns None where not input_grad."""
        raise NotImplementedError

    def children(self):
        """(name, layer) of the layers inside."""
        return ()

    def parts(self) -> list["Layer"]:
        """The layers inside that write a dx, in the order of the forward pass; itself where there are none inside."""
        return [self]

    def like(self) -> "Layer":
        """Another layer of the same settings, for a layer without parameters."""
        other = copy.copy(self)
        other._mine = _OfThread()
        return other

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

    def output(self, name: str, shape: tuple, source):
        """A float32 buffer to write while `source` is read: another one where that is what the buffer holds.

        So layer(layer(x)) is right: the second call's input is the first one's output.
        """
        made = self._buffer(name, shape)
        return self._buffer(name + " again", shape) if self.device.overlap(made, source) else made

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
        self._children = [(str(i), layer) for i, layer in enumerate(layers)]
        self.layers = [self._once(number, layer) for number, layer in enumerate(layers)]
        """What runs: the children, or what fuse puts in the place of two."""

    def _once(self, number: int, layer: Layer) -> Layer:
        """A layer keeps what one backward needs: at a second place in the line its like must stand in."""
        first = next(i for i, (_, other) in enumerate(self._children) if other is layer)
        if first == number:
            return layer
        if any(part.params for _, part in layer.walk()):
            name = type(layer).__name__
            raise UserError(
                f"Sequential: layers: need each layer with parameters once, got {name} at {first}, {number}"
            )
        return layer.like()

    def children(self):
        """(number, layer), in order."""
        return self._children

    def parts(self):
        """Those of all that runs."""
        return [part for layer in self.layers for part in layer.parts()]

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
