"""Kernels run under the workbench for the course, and its own words about them, less what a clock changes."""

import io
import os
import re
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
from rich.console import Console

from dcgan_cupy.workbench import costs, tables
from dcgan_cupy.workbench.cases import CASES, run_case
from dcgan_cupy.workbench.check_device import CheckDevice

KERNELS = Path(__file__).resolve().parent / "kernels"
CARD = "h200"
MIDDLE = {"n": 1, "h": 32, "w": 32, "ic": 64, "oc": 128}  # D2 of the seeds' network (G4 turned round), one image


def device(**options) -> CheckDevice:
    return CheckDevice("gpu", seconds=300, **options)


def lesson_kernel(file: str, symbol: str, grid, block, *arguments, chosen=None, **macros):
    """Launches a kernel of kernels/ once: its report, and what its arrays hold. An (shape, dtype) pair is an output."""
    dev = device(chosen=chosen)
    made = []
    for a in arguments:
        if isinstance(a, tuple):
            made.append(dev.empty(*a))
        else:
            made.append(dev.array(a) if isinstance(a, np.ndarray) else a)
    dev.kernel(str(KERNELS / file), symbol, **macros)(grid, block, *made)
    arrays = [dev.numpy(a) for a in made if isinstance(a, np.ndarray)]
    return dev.reports[-1], arrays


def own(name: str, rung: str = "", edit=None, seed: int = 1, known: bool = False, **shape) -> list:
    """The launches of one of our operations."""
    dev = device()
    dev.edit = edit
    return run_case(dev, CASES[name], shape, rung, known, seed)


def total(reports) -> dict:
    """Counts of several launches together."""
    sums: dict = {}
    for report in reports:
        for name, value in costs.total(report).items():
            sums[name] = sums.get(name, 0) + value
    return sums


def without(*pairs):
    """An edit that replaces text; each old text must be there in the file that it is for."""

    def edit(file, text):
        for old, new in pairs:
            assert old in text, f"{file} has no {old!r}"
            text = text.replace(old, new)
        return text

    return edit


def printed(reports, rows: str = "") -> str:
    """What the command prints of the launches. rows: a pattern; only the source lines that it matches are kept."""
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "240"
    try:
        with redirect_stdout(io.StringIO()) as out:
            tables.print_reports(reports, CARD)
    finally:
        os.environ.pop("COLUMNS") if before is None else os.environ.update(COLUMNS=before)
    return _tidy(out.getvalue(), rows)


def found(report, most: int = 1) -> str:
    """What the command prints of the findings."""
    out = io.StringIO()
    tables.print_findings(Console(file=out, width=110, highlight=False), report.findings[:most])
    return _tidy(out.getvalue(), "")


def _tidy(text: str, rows: str) -> str:
    text = re.sub(r"; watched in [\d.]+ s", "", text.replace(f"{KERNELS}/", ""))
    lines = [line.rstrip() for line in text.splitlines() if not line.startswith("occupancy:")]
    if rows:
        lines = [line for line in lines if not re.match(r" +\d+  \S", line) or re.search(rows, line)]
        following = [*lines[1:], ""]
        lines = [a for a, b in zip(lines, following) if not a.endswith((".cu", ".cuh")) or re.match(r" +\d+  \S", b)]
    text = "\n".join(lines)
    return re.sub(r"\n{3,}", "\n\n", text).strip("\n")
