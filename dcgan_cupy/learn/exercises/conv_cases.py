"""What the exercises with convolutions share: cases, and the three directions in NumPy."""

import numpy as np

from ..exercise import Case, Out

SHAPES = (  # N, H, W, IC, OC, KH, KW, stride_h, stride_w, pad_h, pad_w
    (1, 3, 4, 1, 1, 2, 2, 1, 1, 0, 0),
    (1, 5, 4, 1, 2, 3, 2, 1, 2, 1, 0),
    (2, 5, 7, 2, 3, 3, 4, 2, 1, 1, 2),
    (1, 6, 4, 3, 32, 4, 4, 2, 2, 1, 1),
)


def sizes(shape) -> dict[str, np.int32]:
    """The scalars that a convolution's kernel gets, in their order."""
    N, H, W, IC, OC, KH, KW, stride_h, stride_w, pad_h, pad_w = shape
    OH, OW = (H + 2 * pad_h - KH) // stride_h + 1, (W + 2 * pad_w - KW) // stride_w + 1
    values = {"N": N, "H": H, "W": W, "IC": IC, "OH": OH, "OW": OW, "OC": OC, "KH": KH, "KW": KW}
    values |= {"stride_h": stride_h, "stride_w": stride_w, "pad_h": pad_h, "pad_w": pad_w}
    return {name: np.int32(value) for name, value in values.items()}


def integers(rng, *shape) -> np.ndarray:
    return rng.integers(1, 10, shape).astype(np.float32)


def forward_case(rng, shape) -> Case:
    s = sizes(shape)
    x = integers(rng, *(s[k] for k in ("N", "H", "W", "IC")))
    w = integers(rng, *(s[k] for k in ("KH", "KW", "IC", "OC")))
    y = Out(tuple(int(s[k]) for k in ("N", "OH", "OW", "OC")))
    return Case({"x": x, "w": w, "y": y} | s, -(-int(np.prod(y.shape)) // 64), 64)


def input_case(rng, shape) -> Case:
    s = sizes(shape)
    dy = integers(rng, *(s[k] for k in ("N", "OH", "OW", "OC")))
    w = integers(rng, *(s[k] for k in ("KH", "KW", "IC", "OC")))
    dx = Out(tuple(int(s[k]) for k in ("N", "H", "W", "IC")))
    return Case({"dy": dy, "w": w, "dx": dx} | s, -(-int(np.prod(dx.shape)) // 64), 64)
