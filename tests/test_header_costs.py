"""What each kernel's header says it costs, worked out and compared with what the workbench counts.

A `cost` line names each kernel of the file: `add 12*n bytes, n FLOP`, in the kernel's own integer arguments.
"""

import re

import numpy as np
import pytest

from dcgan_cupy.device import source
from dcgan_cupy.workbench.cases import CASES, SUMS, run_case
from dcgan_cupy.workbench.check_device import CheckDevice

FILES = sorted(path.relative_to(source.KERNELS).as_posix() for path in source.KERNELS.rglob("*.cu"))
BYTES, FLOP = 0.05, 0.08  # how far a count may be from the formula: a channel's few numbers, edges, a bias

UNPADDED = {"n": 2, "h": 16, "w": 16, "ic": 16, "oc": 32, "pad_h": 0, "pad_w": 0, "bias": 0}
PADDED = {**UNPADDED, "ic": 64, "oc": 64, "pad_h": 1, "pad_w": 1}  # whole tiles
GATHER, DOTS = {**UNPADDED, "ic": 3}, {**UNPADDED, "h": 4, "w": 4, "ic": 256, "oc": 1}
CONVOLUTIONS = [
    ("textbook", UNPADDED, ""),
    ("phases", UNPADDED, "conv2d_backward_input"),
    ("shared", PADDED, ""),
    ("registers", PADDED, ""),
    ("tiled", PADDED, ""),
    ("winograd", PADDED, ""),
    ("tiled", GATHER, "gather_columns"),  # what else runs there overhangs its tile
    ("tiled", DOTS, "dot_products"),
]
BY_GRID = {  # what a header names and the kernel is not told
    "transpose_weight": lambda grid, sizes: {"taps": grid[1]},
    "dot_products": lambda grid, sizes: {"N": grid[0] // sizes["OC"]},
}


def formulas(file):
    """kernel -> (bytes, FLOP), as its file's cost line has them."""
    text = (source.KERNELS / file).read_text()
    field = re.search(r"^// +cost +(.*?)\n// +(?:aliasing|lesson) ", text, flags=re.M | re.S)[1]
    line = " ".join(part.lstrip("/ ") for part in field.split("\n"))
    found = {}
    for name in source.signatures(source.load(file)):
        match = re.search(rf"(?<!\w){name} ([\w*+/(). ]+?) bytes, ([\w*+/(). ]+?) FLOP", line)
        if match:
            found[name] = match[1], match[2]
    return found


@pytest.fixture(scope="module")
def measured():
    """(file, kernel) -> (its integer arguments, bytes, FLOP) of each launch of a few cases."""
    dev, launches, wanted = CheckDevice(seconds=60), {}, []

    def watch(kernel, grid, block, arguments, run):
        run()
        report = dev.reports[-1]
        sizes = {p.name: int(v) for p, v in zip(kernel.signature.parameters, arguments) if isinstance(v, np.integer)}
        sizes |= BY_GRID.get(kernel.symbol, lambda *_: {})(grid, sizes)
        count = sizes, report.moved, report.flops + report.flops64
        if wanted[-1] in ("", kernel.symbol):
            launches.setdefault((kernel.file, kernel.symbol), []).append(count)

    with dev.watched(watch):
        for case in CASES.values():
            sums = [(rung, {}, "") for rung in (*SUMS, "tiled") if rung in case.rungs]
            shapes = CONVOLUTIONS if case.rungs and "rows" not in case.default else sums or [("", {}, "")]
            for rung, shape, only in shapes:
                wanted.append(only)
                run_case(dev, case, shape, rung)
                dev.reports.clear()
    return launches


@pytest.mark.parametrize("file", FILES)
def test_cost_line_is_what_the_workbench_counts(measured, file):
    kernels, told = source.signatures(source.load(file)), formulas(file)
    assert set(told) == set(kernels), f"cost: need `name … bytes, … FLOP` for {', '.join(set(kernels) - set(told))}"
    for name in kernels:
        assert measured.get((file, name)), f"{name}: no case launches it"
        for sizes, moved, flop in measured[file, name]:
            for what, formula, got, limit in zip(("bytes", "FLOP"), told[name], (moved, flop), (BYTES, FLOP)):
                want = eval(formula, {"__builtins__": {}}, dict(sizes))
                assert abs(got - want) <= limit * want, (
                    f"{name}: {what}: {formula} = {want:g}, counted {got} at {sizes}"
                )
