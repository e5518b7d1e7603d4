"""Random kernels build under the checker, have no finding, and compute what the fast build computes."""

import datetime
import os
import random
import re
import tempfile
from pathlib import Path

import numpy as np
import pytest
from kernel_fuzz import BLOCK, Maker

from dcgan_cupy.device import CpuDevice
from dcgan_cupy.workbench.check_device import CheckDevice

MANY = int(os.environ.get("DCGAN_CUPY_FUZZ", "5000"))


def values_of(dev, path, x):
    y, z = dev.array(np.full(4 * BLOCK, -7, np.int32)), dev.array(np.zeros(BLOCK, np.uint8))
    dev._compile(str(path), "k", ())(1, BLOCK, dev.array(x), y, z, np.int32(2))
    return dev.numpy(y), dev.numpy(z)


def compare(seed: int, folder: Path) -> None:
    """Raises: AssertionError with the seed and the text."""
    text = Maker(seed).text()
    path = folder / f"fuzz{seed}.cu"
    path.write_text(text)
    x = np.random.default_rng(seed).integers(-1000, 1000, 4 * BLOCK).astype(np.int32)
    watched, fast = CheckDevice(seconds=60, alone=False), CpuDevice(threads=1)
    fast_path = (
        folder / f"fast{seed}.cu"
    )  # the fast build takes no variables of the device: there they are the image's own
    fast_path.write_text(re.sub(r"__device__ (?=int table)", "static ", text))
    got, want = values_of(watched, path, x), values_of(fast, fast_path, x)
    report = watched.reports.pop()
    assert not report.findings, f"seed {seed}: {report.findings[0].message}\n{text}"
    assert all((g == w).all() for g, w in zip(got, want)), f"seed {seed}: other values\n{text}"


def seeds_of_today(count: int) -> list[int]:
    """A rotating handful: other kernels each day, the same all day."""
    return random.Random(datetime.date.today().toordinal()).sample(range(1 << 30), count)


@pytest.mark.parametrize("seed", seeds_of_today(6))
def test_random_kernel(tmp_path, seed):
    compare(seed, tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("part", range(50))
def test_many_random_kernels(part, monkeypatch):
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setenv("DCGAN_CUPY_CACHE", folder)  # thousands of objects that nobody asks for again
        for seed in range(part * MANY // 50, (part + 1) * MANY // 50):
            compare(seed, Path(folder))
