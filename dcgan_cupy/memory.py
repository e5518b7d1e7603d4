"""Where the gradients between layers lie: in arrays of the layers' own, or in two that all layers of a line share.

A place is a function of (layer, dy, shape) that gives the array for the layer's dx. Each layer has one (`place`).
"""

import math
import threading


def own(layer, dy, shape):
    """An array of the layer's own, the same one each time the shape comes again: what every layer begins with."""
    return layer.output("dx", shape, dy)


def over_dy(layer, dy, shape):
    """dy itself, where nobody reads it afterwards and the layer's kernels do not mind."""
    return dy


class _OfThread(threading.local):
    """Each thread has two arrays of its own: its gradients are never another's."""

    def __init__(self):
        self.arrays, self.turn = [None, None], 0


class Turns:
    """A place: two arrays of a device that take turns, grown when they must be.

    Each dx is read by the layer before and then forgotten: it is gone at this thread's second next call.
    """

    def __init__(self, device):
        self.device, self._mine = device, _OfThread()

    def __call__(self, layer, dy, shape):
        mine, count = self._mine, math.prod(shape)
        turn = mine.turn
        if mine.arrays[turn] is None or mine.arrays[turn].size < count:
            mine.arrays[turn] = self.device.empty((count,))
        mine.turn = 1 - turn
        return mine.arrays[turn][:count].reshape(shape)

    def rewind(self) -> None:
        """The first of the two is next: so that work which is repeated asks each for the same sizes every time."""
        self._mine.turn = 0


def share_gradients(layer, turns: Turns, first: bool = False) -> None:
    """Lets the gradients inside `layer`, whose layers must be in one line, take turns; networks may share `turns`.

    Batch norms inside write dx over dy, where that is another layer's and not the caller's. The first layer's dx, which
    callers see, keeps an array of its own unless `first`. Call it after fuse.
    """
    parts = layer.parts()
    for i, part in enumerate(parts):
        if part.may_overwrite_dy and 0 < i < len(parts) - 1:
            part.place = over_dy
        else:
            part.place = turns if i > 0 or first else own
