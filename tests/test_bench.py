"""The bench's own arithmetic, its files and its command; how much of a GPU the kernels leave free."""

import pytest

from bench import occupancy
from dcgan_cupy.device import gpu
from dcgan_cupy.errors import UserError


@pytest.mark.parametrize("arch, registers, shared, threads, want", [
    (80, 32, 0, 256, 1.0), (80, 128, 0, 256, 0.25), (80, 129, 0, 256, 0.125), (80, 255, 0, 32, 0.125), (86, 64, 0, 256, 2 / 3),
    (80, 32, 48 * 1024, 256, 3 / 8), (90, 32, 75 * 1024, 256, 3 / 8), (120, 32, 99 * 1024, 256, 1 / 6), (86, 16, 0, 32, 1 / 3),
    (80, 16, 0, 1, 0.5),
])  # fmt: skip
def test_occupancy_known_answers(arch, registers, shared, threads, want):
    """By hand from the tables of the CUDA C++ Programming Guide."""
    assert occupancy.occupancy(arch, registers, shared, threads) == pytest.approx(want)


def test_kernels_leave_room(monkeypatch):
    """Every kernel of the seeds' step: nothing in local memory, a block fits, and what moves memory has warps to hide it behind."""
    monkeypatch.setattr(occupancy, "ARCHITECTURES", {arch: occupancy.ARCHITECTURES[arch] for arch in (86, 90)})
    try:
        gpu.resources('extern "C" __global__ void nothing() {}', "nothing", 90)
    except UserError as error:
        pytest.skip(str(error))
    rows = occupancy.rows()
    assert len(rows) > 100 and {row.symbol for row in rows} >= {"conv2d_forward", "adam_step", "bce_with_logits"}
    assert [row for row in rows if row.stack or row.spills] == []
    # a matrix product keeps its tile in registers and hides latency by itself: one block of 8 warps will do
    floor = {"conv2d_forward": 0.12, "conv2d_backward_input": 0.12, "conv2d_backward_weight": 0.12}
    assert [row for row in rows if row.occupancy < floor.get(row.symbol, 0.33)] == []
    assert "| `adam_step` |" in occupancy.markdown(rows)
