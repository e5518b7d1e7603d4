"""What every test can ask for:

A device (each test runs on the CPU, and on a GPU where there is one), and numbers to draw from.
"""

import os
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the package beside these tests, installed or not

from dcgan_cupy.device import CpuDevice, Device, get, gpu


def pytest_configure(config):
    """Tests that run side by side share the cores: one thread of PyTorch's for each."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    """The mark any_size: kernels that serve every size, for tests of many networks' wiring.

    Each network would compile some forty kernels of its own. Fixtures are made under the mark too.
    """
    Device.specialises = not item.get_closest_marker("any_size")
    try:
        return (yield)
    finally:
        Device.specialises = True


@pytest.fixture(scope="session", params=["cpu", "gpu"])
def device(request):
    if request.param == "gpu" and (missing := gpu.why_not()):
        pytest.skip(f"no GPU: {missing}")
    return CpuDevice(tiles="gpu") if request.param == "gpu tiles" else get(request.param)


@pytest.fixture
def rng(request):
    """A generator of its own for each test, the same in every run and on every device."""
    return np.random.default_rng(zlib.crc32(request.node.originalname.encode()))


@pytest.fixture
def poison(device, monkeypatch):
    """Whatever is allocated on the device starts as NaN, so that nothing comes to depend on what it did not write."""
    allocate = device._allocate

    def poisoned(shape, dtype):
        made = allocate(shape, dtype)
        made.view("uint8").fill(0xFF)
        return made

    monkeypatch.setattr(device, "_allocate", poisoned)
