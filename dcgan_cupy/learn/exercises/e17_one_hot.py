"""17: a label as one-hot maps behind the channels."""

import numpy as np

from ..exercise import Case, Mistake, Out, exercise
from ..goals import sectors


def reference(x, label, K):
    N, H, W, _ = x.shape
    maps = np.zeros((N, H, W, K), np.float32)
    maps[:] = (label[:, None] == np.arange(K))[:, None, None, :]
    return {"y": np.concatenate([x, maps], axis=3)}


def cases(rng):
    def case(N, H, W, C, K):
        x = rng.integers(2, 10, (N, H, W, C)).astype(np.float32)
        y, label = Out((N, H, W, C + K)), ((np.arange(N) + 2) % K).astype(np.int32)
        sizes = {"N": N, "H": H, "W": W, "C": C, "K": K}
        scalars = {name: np.int32(size) for name, size in sizes.items()}
        return Case({"x": x, "label": label, "y": y} | scalars, -(-N * H * W * (C + K) // 64), 64)

    return [case(1, 2, 3, 2, 3), case(3, 3, 5, 3, 4), case(2, 4, 5, 24, 8)]


def all_behind(x, label, K):
    """The maps behind the whole picture, not behind each pixel."""
    right = reference(x, label, K)["y"]
    N, C = len(x), x.shape[3]
    parts = [right[..., :C].reshape(N, -1), right[..., C:].reshape(N, -1)]
    return {"y": np.concatenate(parts, axis=1).reshape(right.shape)}


def one_further(x, label, K):
    return reference(x, label - 1, K)


def label_itself(x, label, K):
    y = reference(x, label, K)["y"]
    y[..., x.shape[3] :] *= label[:, None, None, None]
    return {"y": y}


EXERCISE = exercise(
    __file__,
    "channels innermost",
    "07-convolution",
    "concat_label",
    reference,
    cases,
    goals=(sectors(1.2),),
    mistakes=(
        Mistake("the maps stand behind the whole picture; they belong behind each pixel's channels", all_behind),
        Mistake("the map before the one that the label names is set", one_further),
        Mistake("the map holds the label's number; it is to hold 1", label_itself),
    ),
    hints=(
        "y has C + K channels: c is i % (C + K). What does i / (C + K) count?",
        "It counts pixels through all pictures, so x's element is pixel * C + c, and n is pixel / (H * W).",
        "y[i] = c < C ? x[pixel * C + c] : label[n] == c - C ? 1.0f : 0.0f;",
    ),
)
