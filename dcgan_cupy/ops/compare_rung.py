"""An own rung against the textbook's kernels, before anything trains with it."""

from pathlib import Path

import numpy as np

from ..errors import UserError
from . import conv2d
from .own_rung import FUNCTIONS, function

FENCE = np.full(64, 1e9, np.float32)  # around a result

SHAPES = [  # n, h, w, ic, oc, kh, kw, stride, padding: tails in every axis, a layer of the seeds', thin ends, one pixel
    (2, 9, 6, 3, 5, 4, 3, (2, 1), (1, 0)),
    (3, 8, 10, 16, 33, 4, 4, (2, 2), (1, 1)),
    (2, 4, 4, 40, 1, 4, 4, (2, 2), (0, 0)),
    (3, 4, 4, 20, 17, 4, 4, (1, 1), (0, 0)),
]


def compare(dev, rung: str) -> None:
    """Every function of the rung against the textbook's kernels, `==` on small integers, over SHAPES.

    Raises: UserError with the first number that differs.
    """
    for seed, (n, h, w, ic, oc, kh, kw, stride, padding) in enumerate(SHAPES):
        rng = np.random.default_rng(seed)
        oh, ow = ((a + 2 * p - k) // s + 1 for a, k, s, p in zip((h, w), (kh, kw), stride, padding))
        shapes = {"x": (n, h, w, ic), "w": (kh, kw, ic, oc), "dy": (n, oh, ow, oc), "b": (oc,), "bi": (ic,)}
        host = {name: rng.integers(-3, 4, shape).astype(np.float32) for name, shape in shapes.items()}
        given = {name: dev.array(values) for name, values in host.items()}
        tried = {
            "conv2d_forward": ("y", (given["x"], given["w"], given["b"]), np.full(shapes["dy"], np.nan, np.float32)),
            "conv2d_backward_input": (
                "dx",
                (given["dy"], given["w"], given["bi"]),
                np.full(shapes["x"], np.nan, np.float32),
            ),
            "conv2d_backward_weight": ("dw", (given["x"], given["dy"]), host["w"]),
        }
        for name in FUNCTIONS:
            if function(rung, name) is None:
                continue
            result, inputs, before = tried[name]
            fenced = dev.array(np.concatenate([FENCE, before.ravel(), FENCE]))
            got = fenced[FENCE.size : FENCE.size + before.size].reshape(before.shape)
            want = dev.array(before)
            getattr(conv2d, name)(dev, *inputs, got, stride, padding, rung)
            getattr(conv2d, name)(dev, *inputs, want, stride, padding, "textbook")
            everything = dev.numpy(fenced)
            if not ((everything[: FENCE.size] == FENCE) & (everything[-FENCE.size :] == FENCE)).all():
                raise UserError(
                    f"--kernels: {Path(rung).name}: {name}: need writes to {result} alone, got one before or behind it"
                    f" with x {shapes['x']}, w {shapes['w']}, stride {stride}, padding {padding}"
                )
            got, want = dev.numpy(got), dev.numpy(want)
            wrong = ~(got == want)
            if wrong.any():
                at = tuple(int(i) for i in np.unravel_index(int(np.argmax(wrong)), wrong.shape))
                raise UserError(
                    f"--kernels: {Path(rung).name}: {name}: need the textbook's numbers, got {result}{list(at)} ="
                    f" {got[at]:g} for {want[at]:g} ({int(wrong.sum())} of {wrong.size} differ) with x {shapes['x']},"
                    f" w {shapes['w']}, stride {stride}, padding {padding}"
                )
