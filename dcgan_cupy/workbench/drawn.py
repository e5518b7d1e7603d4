"""What cases run on: numbers drawn onto the device."""

import numpy as np

F32 = np.float32


def normal(dev, rng, *shape):
    """N(0, 1)."""
    return dev.array(rng.standard_normal(shape).astype(F32))


def channel(dev, rng, c, count):
    """So many arrays [c] of numbers from 0.5 on, as variances and gains are."""
    return [dev.array(np.abs(rng.standard_normal(c)).astype(F32) + 0.5) for _ in range(count)]
