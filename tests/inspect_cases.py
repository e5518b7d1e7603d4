"""What the tests of inspect share."""

import numpy as np
import pytest

from dcgan_cupy.device import RecorderDevice, source
from dcgan_cupy.workbench.check_device import CheckDevice

I32 = np.int32


@pytest.fixture(scope="module")
def dev():
    return CheckDevice(seconds=60)


def launch(dev, tmp_path, text, grid, block, *arguments, shared_bytes=0, symbol=None):
    """Runs the one kernel of a text; its Report."""
    path = tmp_path / "planted.cu"
    path.write_text(text)
    symbol = symbol or next(iter(source.signatures(text)))
    kernel = (
        CheckDevice(seconds=60)._compile(str(path), symbol, ()) if dev is None else dev._compile(str(path), symbol, ())
    )
    kernel(grid, block, *arguments, shared_bytes=shared_bytes)
    return dev.reports.pop()


class Plan(RecorderDevice):
    """Notes which kernels a case launches, and runs none."""

    def __init__(self):
        super().__init__("gpu")
        self.reports = []

    def free(self):
        """Nothing is kept."""
