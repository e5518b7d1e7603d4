"""What a watched launch and check.cpp hand to one another: struct Settings and the tables that it points to."""

import ctypes

import numpy as np

from .child import Shared

DEPTH, FINDINGS, BARRIERS = 16, 256, 64
SHARED_ROOT, NO_ROOT = 0x80000000, 0xFFFFFFFF
KIND_NUMBERS = {"read": 0, "write": 1, "atomic": 2, "divide": 3}
U32, U64 = ctypes.c_uint32, ctypes.c_uint64
COST = np.dtype(
    [
        (n, np.uint64)
        for n in ("requests", "lanes", "bytes", "sectors", "ideal", "passes", "extra", "shared", "splits", "executions")
    ]
)
PATTERN = np.dtype(
    [("address", np.uint64, 32), ("mask", np.uint32), ("block", np.uint32), ("warp", np.uint32), ("cost", np.uint32)]
)
FINDING = np.dtype(
    [(n, np.uint32) for n in ("kind", "site", "other", "array")]
    + [(n, np.uint32, 3) for n in ("block", "thread", "other_block", "other_thread")]
    + [(n, np.uint32) for n in ("write", "other_write", "space", "size", "warp", "promised", "parted", "same")]
    + [("address", np.uint64), ("count", np.uint64)],
    align=True,
)
ARRAY = np.dtype(
    [(n, np.uint64) for n in ("low", "high", "cells", "written", "base", "reads", "writes", "reached")]
    + [(n, np.uint32) for n in ("shift", "read_only")]
)
SITE = np.dtype([(n, np.uint32) for n in ("kind", "size", "align", "root")])
BLOCK = np.dtype([(n, np.uint32) for n in ("flags", "depth", "loop", "flops", "flops64")])
CELL = 4  # bytes of an array that a cell of its shadow stands for, unless the kernel goes by smaller pieces
WORDS = 4  # 8-byte words of a cell
POINTED = (
    *("sites", "blocks", "arrays", "shared", "loops", "costs", "patterns", "branches", "visits", "findings", "slot_of"),
)


class Settings(ctypes.Structure):
    """struct Settings of check.cpp."""

    _fields_ = (
        [(n, ctypes.c_void_p) for n in POINTED]
        + [(n, U64) for n in ("shared_low", "shared_size", "globals_low", "globals_size", "dynamic_bytes")]
        + [
            (n, U32)
            for n in (
                *("site_count", "block_count", "array_count", "shared_count", "finding_count"),
                *("chosen_block", "chosen_warp", "timed_out"),
            )
        ]
        + [
            ("barrier_lines", U64 * BARRIERS),
            ("barrier_counts", U64 * BARRIERS),
            ("barrier_files", ctypes.c_char * 256 * BARRIERS),
        ]
        + [(n, U64) for n in ("accesses", "warps", "blocks_run")]
        + [("seconds", ctypes.c_double)]
        + [(n, U32) for n in ("costing", "sequence", "finished", "signal", "stopped_block")]
        + [("stopped_thread", U32 * 3), ("stopped_index", U32 * 3)]
        + [(n, U32) for n in ("deep", "parted", "most_blocks")]
        + [("signal_address", U64)]
    )


def shadow(size: int) -> np.ndarray:
    """Cells of an array of so many bytes."""
    return np.zeros(WORDS * (size // CELL + 2), np.uint64)


def fill_array(row, low: int, size: int, base: int, cells: int, written: int, read_only: bool = False) -> None:
    """A row of ARRAY: cells and written belong to the address `base`."""
    row["low"], row["high"], row["base"], row["cells"], row["written"] = low, low + size, base, cells, written
    row["shift"], row["read_only"] = 2, read_only


class LaunchTables:
    """The tables of one launch of a kernel, in memory that a fork shares."""

    def __init__(self, kernel_tables: dict, arrays: int, shared: int):
        sites, blocks = kernel_tables["sites"], kernel_tables["blocks"]
        count, depth = max(1, len(sites)), DEPTH
        rows = {
            "arrays": (max(1, arrays), ARRAY),
            "shared": (max(1, shared), ARRAY),
            "slot_of": (kernel_tables["shared_bytes"] >> 16, np.dtype(np.uint32)),
            "sites": (count, SITE),
            "blocks": (max(1, len(blocks)), BLOCK),
            "loops": (max(1, len(blocks)) * depth, np.dtype(np.uint32)),
            "costs": (count, COST),
            "patterns": (count, PATTERN),
            "branches": (max(1, len(blocks)), COST),
            "visits": (max(1, len(blocks)), np.dtype(np.uint64)),
            "findings": (FINDINGS, FINDING),
        }
        room = sum(n * d.itemsize + 64 for n, d in rows.values()) + ctypes.sizeof(Settings) + 8192
        self.memory = Shared(room)
        self.at = {name: self.memory.table(n, d) for name, (n, d) in rows.items()}
        self.at["slot_of"][:] = 0xFFFFFFFF
        self.at["sites"][: len(sites)] = [(KIND_NUMBERS[s["kind"]], s["size"], s["align"], NO_ROOT) for s in sites]
        self.at["blocks"][: len(blocks)] = [
            (b["branches"] + 2 * b["header"] + 4 * b["entry"], min(b["depth"], depth - 1), 0, b["flops"], b["flops64"])
            for b in blocks
        ]
        loops = self.at["loops"].reshape(-1, depth)
        for row, b in zip(loops, blocks):
            inside = b["inside"][: depth - 1]
            row[: len(inside)] = inside
        self.held: list = []
        self.settings = self.memory.table(ctypes.sizeof(Settings), np.uint8)
        self.struct = Settings.from_buffer(self.settings)
        for name in POINTED:
            setattr(self.struct, name, self.at[name].ctypes.data)
        self.struct.parted = self.struct.stopped_block = 0xFFFFFFFF

    def __getitem__(self, name: str) -> np.ndarray:
        return self.at[name]

    def root_sites(self, sites: list, numbers: dict) -> None:
        """Tells each site which array it goes by.   numbers: (kind of root, name or number) -> row of `arrays`."""
        for row, site in zip(self.at["sites"], sites):
            kind, which = site["root"] or (None, None)
            if kind == "shared":
                row["root"] = SHARED_ROOT | which
            elif kind == "local":
                row["root"] = which
            elif (kind, which) in numbers:
                row["root"] = numbers[kind, which]
