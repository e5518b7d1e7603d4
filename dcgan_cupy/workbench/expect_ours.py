"""Our own operations against their float64 definitions in dcgan_cupy/reference: `inspect` compares values, too."""

from collections.abc import Callable
from contextlib import contextmanager
from unittest import mock

import numpy as np

from .. import ops, reference
from . import expect_training
from .expect import Values, compare

F32 = np.float32
# Of an operation's own arguments as NumPy arrays and numbers: what each output should hold.
REFERENCES: dict[str, Callable] = {
    "fill": lambda a: {"x": np.full_like(a["x"], a["value"])},
    "add": lambda a: {"y": a["y"].astype(np.float64) + a["x"]},
    "relu_forward": lambda a: {"y": reference.relu_forward(a["x"])},
    "relu_backward": lambda a: {"dx": reference.relu_backward(a["dy"], a["y"])},
    "leaky_relu_forward": lambda a: {"y": reference.leaky_relu_forward(a["x"], F32(a["slope"]))},
    "leaky_relu_backward": lambda a: {"dx": reference.leaky_relu_backward(a["dy"], a["y"], F32(a["slope"]))},
    "tanh_forward": lambda a: {"y": reference.tanh_forward(a["x"])},
    "tanh_backward": lambda a: {"dx": reference.tanh_backward(a["dy"], a["y"])},
    "sigmoid_forward": lambda a: {"y": reference.sigmoid_forward(a["x"])},
    "sigmoid_backward": lambda a: {"dx": reference.sigmoid_backward(a["dy"], a["y"])},
    "images_to_uint8": lambda a: {"y": reference.images_to_uint8(a["x"])},
    "flip_kernel": lambda a: {"flipped": reference.flip_kernel(a["w"])},
    "concat_label_forward": lambda a: {
        "y": reference.concat_label_forward(a["x"], a["label"], a["y"].shape[3] - a["x"].shape[3])
    },
    "concat_label_backward": lambda a: {
        "dx": reference.concat_label_backward(a["dy"], a["dy"].shape[3] - a["dx"].shape[3])
    },
    "average_step": lambda a: {"average": reference.average(a["average"], a["param"], 1 - float(F32(a["rate"])))},
    "philox_words": lambda a: {"out": reference.philox4x32_10(a["counters"], a["keys"])},
    "conv2d_forward": lambda a: {
        "y": _activated(a, reference.conv2d_forward(a["x"], a["w"], a.get("bias"), a["stride"], a["padding"]))
    },
    "conv2d_backward_input": lambda a: {"dx": _activated(a, _backward_input(a))},
    "conv2d_backward_weight": lambda a: {
        "dw": a["dw"] + reference.conv2d_backward_weight(a["x"], a["dy"], a["dw"].shape[:2], a["stride"], a["padding"])
    },
    "conv2d_backward_bias": lambda a: {"db": a["db"] + a["dy"].astype(np.float64).sum(axis=0)},
    "label_maps_forward": lambda a: {
        "y": _activated(
            a, reference.label_maps_forward(a["w"], a["label"], a["y"], *(a[n] for n in expect_training.RELATION))
        )
    },
    **expect_training.TRAINING,
    "zero_insert": lambda a: {"z": reference.zero_insert(a["x"], a["kernel"], a["stride"], a["padding"])},
}


def _backward_input(a):
    made = reference.conv2d_backward_input(a["dy"], a["w"], a["dx"].shape[1:3], a["stride"], a["padding"])
    return made if a.get("bias") is None else made + a["bias"]


def _activated(a, y):
    epilogue = a.get("activation")
    kind = getattr(epilogue, "activation", "identity") if epilogue is not None else "identity"
    slope = F32(getattr(epilogue, "slope", 0.0))
    return {
        "identity": lambda: y,
        "relu": lambda: reference.relu_forward(y),
        "leaky_relu": lambda: reference.leaky_relu_forward(y, float(slope)),
        "tanh": lambda: reference.tanh_forward(y),
        "sigmoid": lambda: reference.sigmoid_forward(y),
    }[kind]()


@contextmanager
def compared(dev, name: str, tolerance: float | None = None):
    """While inside, calls of the operation are compared with its definition: Values, a list that grows."""
    found: list[Values] = []
    rule = REFERENCES.get(name)
    original = getattr(ops, name, None)
    if rule is None or original is None:
        yield found
        return
    names = original.__code__.co_varnames[: original.__code__.co_argcount]

    def watched(*values, **named):
        given = {**dict(zip(names, values)), **named}
        before = {k: dev.numpy(v) if dev.is_array(v) else v for k, v in given.items()}
        result = original(*values, **named)
        for output, want in rule(before).items():
            if given[output] is None:  # an output that was not asked for
                continue
            got = dev.numpy(given[output])
            if isinstance(want, tuple):  # what of the output, and what that should be
                part, want = want
                got = part(got).astype(got.dtype)
            found.append(compare(output, got, want, tolerance))
        return result

    with mock.patch.object(ops, name, watched):
        yield found
