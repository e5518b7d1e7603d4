"""What the tests of reference share."""

import numpy as np
import pytest


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch")


def signal(rng, *shape):
    return rng.standard_normal(shape)


def leaf(torch, a):
    return torch.tensor(np.array(a), dtype=torch.float64, requires_grad=True)
