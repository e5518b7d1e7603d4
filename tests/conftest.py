"""What every test can ask for:

A device (each test runs on the CPU, and on a GPU or, where there is none, on its stand-in), and numbers to draw from.
"""

import contextlib
import os
import re
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the package beside these tests, installed or not

import stand_in

from dcgan_cupy.device import CpuDevice, Device, get

# Packages of the extras, and those of our own that kernels do without
OPTIONAL = {"simplejpeg", "torch", "hypothesis", "onnx", "onnxruntime", "lmdb", "matplotlib", "tensorboard", "quickjs",
            "ziglang", "platformdirs", "filelock", "safetensors", "pooch", "urllib3"}  # fmt: skip


def pytest_configure(config):
    """Tests that run side by side share the cores: one thread of PyTorch's for each."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_addoption(parser):
    parser.addoption(
        "--only-gpu", action="store_true", help="only tests of the GPU or its stand-in, the large ones too"
    )


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """The mark large: minutes on the stand-in GPU, so `make test` leaves it to `make test-gpu`."""
    if config.getoption("--only-gpu"):
        of_gpu = [item for item in items if on_gpu(item)]
        config.hook.pytest_deselected(items=[item for item in items if not on_gpu(item)])
        items[:] = of_gpu
        return
    for item in items:
        if item.get_closest_marker("large") and on_stand_in(item):
            item.add_marker(pytest.mark.long)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    """Tests that need a package which is not here are skipped: on a GPU machine's own Python the others shall run."""
    report = yield
    missing = re.search(r"No module named '(\w+)", str(report.longrepr)) if report.failed else None
    if missing and missing[1] in OPTIONAL:
        report.outcome, report.longrepr = "skipped", (str(collector.path), 0, f"Skipped: {missing[1]} is not installed")
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    """The mark any_size: kernels that serve every size, for tests of many networks' wiring.

    Each network would compile some forty kernels of its own. Fixtures are made under the mark too. A test for the GPU's
    stand-in finds it in CuPy's place all the while.
    """
    Device.specialises = not item.get_closest_marker("any_size")
    with stand_in.installed() if on_stand_in(item) else contextlib.nullcontext():
        try:
            return (yield)
        finally:
            Device.specialises = True


def on_gpu(item) -> bool:
    return on_stand_in(item) or "gpu" in words_of(item)


def words_of(item) -> list:
    """The parameters of a test that are texts."""
    return (
        [value for value in item.callspec.params.values() if isinstance(value, str)]
        if hasattr(item, "callspec")
        else []
    )


def on_stand_in(item) -> bool:
    """Whether a test asks for the GPU's stand-in, by a parameter of that name."""
    return stand_in.NAME in words_of(item)


@pytest.fixture(autouse=True)
def no_fault_left(request):
    """A fault that a launch left behind fails the test, also where nothing waited for the GPU after it."""
    yield
    if on_stand_in(request.node):
        from stand_in import cupy_stand_in

        assert not (fault := cupy_stand_in.reset()), fault


@pytest.fixture(scope="session", params=["cpu", stand_in.gpu_name()])
def device(request):
    if request.param == stand_in.NAME:
        if missing := stand_in.why_not():
            pytest.skip(missing)
        return get("gpu")
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
