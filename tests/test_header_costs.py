"""What each kernel's header says it costs, worked out and compared with what the workbench counts.

A `cost` line names each kernel of the file: `add 12*n bytes, n FLOP`, in the kernel's own integer arguments.
"""

import re
from functools import lru_cache

import numpy as np
import pytest
from inspect_cases import Plan

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


@lru_cache
def told(file):
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


RUNS = [
    (name, rung, shape, only)
    for name, case in CASES.items()
    for rung, shape, only in (
        CONVOLUTIONS
        if case.rungs and "rows" not in case.default
        else [(rung, {}, "") for rung in (*SUMS, "tiled") if rung in case.rungs] or [("", {}, "")]
    )
]


@pytest.mark.parametrize("operation, rung, shape, only", RUNS, ids=lambda v: None if isinstance(v, dict) else v)
def test_cost_line_is_what_the_workbench_counts(operation, rung, shape, only):
    dev, counts = CheckDevice(seconds=60), []

    def watch(kernel, grid, block, arguments, run):
        run()
        report = dev.reports[-1]
        sizes = {p.name: int(v) for p, v in zip(kernel.signature.parameters, arguments) if isinstance(v, np.integer)}
        sizes |= BY_GRID.get(kernel.symbol, lambda *_: {})(grid, sizes)
        counts.append((kernel, sizes, report.moved, report.flops + report.flops64))

    with dev.watched(watch):
        run_case(dev, CASES[operation], shape, rung)
    counts = [count for count in counts if only in ("", count[0].symbol)]
    assert counts or only
    for kernel, sizes, moved, flop in counts:
        for what, formula, got, limit in zip(
            ("bytes", "FLOP"), told(kernel.file)[kernel.symbol], (moved, flop), (BYTES, FLOP)
        ):
            want = eval(formula, {"__builtins__": {}}, dict(sizes))
            assert abs(got - want) <= limit * want, (
                f"{kernel.symbol}: {what}: {formula} = {want:g}, counted {got} at {sizes}"
            )


def test_every_kernel_has_its_cost_and_a_run_above():
    launched = set()
    for operation, rung, shape, only in RUNS:
        plan = Plan()
        run_case(plan, CASES[operation], shape, rung)
        launched |= {(file, symbol) for file, symbol, _ in plan.kernels if only in ("", symbol)}
    for file in FILES:
        kernels = set(source.signatures(source.load(file)))
        assert set(told(file)) == kernels, f"{file}: cost: need `name … bytes, … FLOP` for {kernels - set(told(file))}"
        assert {(file, name) for name in kernels} <= launched, f"{file}: a kernel that no run launches"
