"""A launch's costs by source line and in total: the rows of every view."""

from contextlib import suppress

from ..device import gpu
from ..errors import UserError
from .cards import CARDS, occupancy, roofline

COUNTS = (
    "requests",
    "lanes",
    "bytes",
    "sectors",
    "ideal_sectors",
    "shared_requests",
    "bank_conflicts",
    "atomics",
    "flops",
    "barriers",
    "branches",
    "divergent",
)


def lines(report) -> dict:
    """(file, line) -> counts."""
    rows = {}

    def row(file, line):
        return rows.setdefault((file, line), dict.fromkeys(COUNTS, 0))

    for a in report.accesses:
        r = row(a.file, a.line)
        r["shared_requests" if a.shared else "requests"] += a.requests
        r["lanes"] += a.lanes
        r["bytes"] += a.bytes
        r["sectors"] += a.sectors
        r["ideal_sectors"] += a.ideal
        r["bank_conflicts"] += a.extra
        r["atomics"] += a.requests if a.kind == "atomic" else 0
    for (file, line), n in report.flop_lines.items():
        if line and n:
            row(file, line)["flops"] += n
    for (file, line), n in report.barriers.items():
        row(file, line)["barriers"] += n
    for (file, line), (executions, splits, _) in report.branches.items():
        if line:
            row(file, line)["branches"] += executions
            row(file, line)["divergent"] += splits
    return rows


def total(report) -> dict:
    """The sums, and what follows from them."""
    sums = dict.fromkeys(COUNTS, 0)
    for r in lines(report).values():
        for name in COUNTS:
            sums[name] += r[name]
    sums["flops"] = report.flops + report.flops64
    requests = sum(a.requests for a in report.accesses)
    sums["lanes_per_request"] = sum(a.lanes for a in report.accesses) / requests if requests else 0.0
    sums["compulsory_bytes"] = compulsory(report)
    sums["shared_memory"] = report.shared_bytes
    sums["intensity"] = sums["flops"] / sums["compulsory_bytes"] if sums["compulsory_bytes"] else 0.0
    return sums


def compulsory(report) -> int:
    """Bytes that must cross the memory bus: each array that is read once, each that is written once."""
    return report.moved


def on_card(report, name: str) -> dict:
    """The roofline on a card, with occupancy where NVRTC can tell the registers."""
    card = CARDS[name]
    sums = total(report)
    made = roofline(card, sums["compulsory_bytes"], sums["sectors"], report.flops, report.flops64)
    threads = report.block[0] * report.block[1] * report.block[2]
    with suppress(UserError):  # no NVRTC here, or a text that it refuses: occupancy is then left out
        registers = gpu.resources(report.text, report.kernel, max(75, card.architecture)).registers
        made |= occupancy(card, threads, registers, report.shared_bytes)
    blocks = report.grid[0] * report.grid[1] * report.grid[2]
    made["blocks_of_grid"], made["processors"] = blocks, card.processors
    return made
