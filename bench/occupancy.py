"""python -m bench.occupancy [--kernels RUNG] [--out FILE]: what every kernel of a training step takes of a GPU.

With no GPU.

The kernels are those of the seeds' step (features 64, batch 128, 64 pixels) with the tiles that a GPU gets, compiled by
NVRTC for each architecture. Occupancy is the share of a multiprocessor's warps that can be there at once: by registers,
shared memory and block size.
"""

import argparse
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from dcgan_cupy.config import Config
from dcgan_cupy.device import gpu, source
from dcgan_cupy.errors import UserError
from dcgan_cupy.machine import cores
from dcgan_cupy.preflight import plan

from .report import table


class Multiprocessor(NamedTuple):
    """What one multiprocessor holds.

    Source: CUDA C++ Programming Guide, "Technical Specifications per Compute Capability".
    """

    warps: int
    blocks: int
    shared: int  # bytes
    registers: int = 65536


ARCHITECTURES = {
    80: Multiprocessor(64, 32, 164 * 1024),
    86: Multiprocessor(48, 16, 100 * 1024),
    90: Multiprocessor(64, 32, 228 * 1024),
    120: Multiprocessor(48, 24, 100 * 1024),
}
RESERVED = 1024  # bytes of shared memory that the system keeps for itself in each block


class Row(NamedTuple):
    """One kernel on one architecture. shared: static and dynamic, bytes; occupancy: 0 to 1."""

    symbol: str
    shape: str
    threads: int
    arch: int
    registers: int
    shared: int
    stack: int
    spills: int
    occupancy: float


def occupancy(arch: int, registers: int, shared: int, threads: int) -> float:
    """Registers are given to a warp 256 at a time and to four warps at once, shared memory 128 bytes at a time."""
    sm, warps = ARCHITECTURES[arch], -(-threads // 32)
    by_registers = sm.registers // (-(-registers * 32 // 256) * 256) // 4 * 4 // warps
    by_shared = sm.shared // (-(-shared // 128) * 128 + RESERVED)
    return min(by_registers, by_shared, sm.blocks, sm.warps // warps) * warps / sm.warps


def rows(kernels: str | None = None) -> list[Row]:
    """Every kernel of the seeds' step with its largest block. kernels: the rung (None: a GPU's default).

    Raises: UserError without NVRTC.
    """
    config = Config(image_size=64, features_g=64, features_d=64, batch_size=128, steps=1, kernels=kernels).resolved(
        "gpu"
    )
    asked = [
        (file, symbol, macros, arch, launches)
        for (file, symbol, macros), launches in plan(config, "gpu").kernels.items()
        for arch in ARCHITECTURES
    ]
    with ThreadPoolExecutor(cores()) as pool:  # NVRTC works outside the interpreter's lock
        return list(pool.map(lambda one: _row(*one), asked))


def _row(file, symbol, macros, arch, launches) -> Row:
    found = gpu.resources(source.load(file, macros), symbol, arch)
    threads = max(x * y * z for _, (x, y, z), _ in launches)
    shared = found.shared + max(dynamic for *_, dynamic in launches)
    known = dict(re.findall(r"(\w+) = (\d+)", dict(macros).get("KNOWN", "")))
    shape = (
        f"C {known['C']}"
        if "C" in known
        else (
            f"{known['IC']}→{known['OC']}, {known['H']} px"
            if "H" in known
            else f"{known['IC']}→{known['OC']}"
            if known
            else ""
        )
    )
    return Row(
        symbol,
        shape,
        threads,
        arch,
        found.registers,
        shared,
        found.stack,
        found.spills,
        occupancy(arch, found.registers, shared, threads),
    )


def markdown(found: list[Row]) -> str:
    """One line a kernel; registers, shared memory and occupancy of each architecture."""
    lines = {}
    for row in found:
        marks = f" **{row.stack} B stack, {row.spills} B spilled**" if row.stack or row.spills else ""
        cell = f"{row.registers} · {row.shared / 1024:.4g} · {row.occupancy:.0%}{marks}"
        lines.setdefault((row.symbol, row.shape, row.threads), []).append(cell)
    head = [f"sm_{arch}: registers · KiB shared · occupancy" for arch in ARCHITECTURES]
    return table(
        ["kernel", "shape", "threads", *head],
        [[f"`{symbol}`", shape, threads, *cells] for (symbol, shape, threads), cells in lines.items()],
    )


def main(arguments=None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.occupancy", description="what every kernel takes of a GPU, with no GPU"
    )
    parser.add_argument("--kernels", help="rung of the convolutions (default: a GPU's)")
    parser.add_argument("--out", help="write the table to this file too")
    given = parser.parse_args(arguments)
    try:
        text = markdown(rows(given.kernels))
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    print(text)
    if given.out:
        Path(given.out).write_text(text + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
