"""The CPU device that watches every access of a kernel: faults and costs, one Report a launch.

    dev = CheckDevice()
    dev.kernel(file, symbol)(grid, block, …)      # as on any device
    dev.reports[-1].findings, .costs

clang instruments the text (-fsanitize=thread and a call for each basic block), instrument.py turns that into calls of
check.cpp.
"""

import ctypes
import mmap
import re
import time
from pathlib import Path

import numpy as np

from ..device import source
from ..device.base import KernelError
from ..device.host.launch import CpuDevice, CpuKernel
from ..device.turns import Turn
from ..errors import UserError
from . import check_build
from .findings import Report, read_report

HERE = Path(__file__).resolve().parent
GUARD = 16 << 20  # empty room on either side of a global array: address space only
MAX_BYTES = 2 << 30  # of all arrays together; shadows take seven times as much
FIRST_BLOCK, LAST_BLOCK = 1, (1 << 20) - 1
ROOMS = {"depth": 16, "findings": 256, "barriers": 64}
SHARED_LIMIT = 48 * 1024
KIND_NUMBERS = {"read": 0, "write": 1, "atomic": 2}
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
    + [(n, np.uint32) for n in ("write", "other_write", "shared", "size", "warp", "promised")]
    + [("address", np.uint64), ("count", np.uint64)],
    align=True,
)
ARRAY = np.dtype([(n, np.uint64) for n in ("low", "high", "cells", "written", "base", "reads", "writes")])
SITE = np.dtype([("kind", np.uint32), ("size", np.uint32)])
BLOCK = np.dtype([(n, np.uint32) for n in ("flags", "depth", "loop", "flops", "flops64")])


class _Settings(ctypes.Structure):
    """struct Settings of check.cpp."""

    _fields_ = (
        [
            (n, ctypes.c_void_p)
            for n in (
                "sites",
                "blocks",
                "arrays",
                "shared",
                "loops",
                "costs",
                "patterns",
                "branches",
                "visits",
                "findings",
                "slot_of",
            )
        ]
        + [(n, U64) for n in ("shared_low", "shared_size", "dynamic_bytes", "stack_low", "stack_size")]
        + [
            (n, U32)
            for n in (
                "site_count",
                "block_count",
                "array_count",
                "shared_count",
                "cell",
                "finding_count",
                "chosen_block",
                "chosen_warp",
            )
        ]
        + [
            ("barrier_files", U64 * ROOMS["barriers"]),
            ("barrier_lines", U64 * ROOMS["barriers"]),
            ("barrier_counts", U64 * ROOMS["barriers"]),
        ]
        + [(n, U64) for n in ("accesses", "warps", "blocks_run")]
        + [("seconds", ctypes.c_double)]
        + [(n, U32) for n in ("timed_out", "costing", "sequence", "most_blocks")]
    )


class _Room:
    """Memory of one global array, with empty room around it and its shadow."""

    def __init__(self, size: int):
        self.size = size
        self.map = mmap.mmap(-1, size + 2 * GUARD + 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        start = np.frombuffer(self.map, np.uint8).ctypes.data
        self.offset = GUARD + (-(start + GUARD)) % 256
        self.low = start + self.offset
        self.written = np.zeros(size + 16, np.uint8)
        self.cells, self.cell = None, 0

    def shadow(self, cell: int) -> np.ndarray:
        if self.cells is None or self.cell != cell:
            self.cell, self.cells = cell, np.zeros(3 * (self.size // cell + 2), np.uint64)
        return self.cells


class CheckDevice(CpuDevice):
    """Runs kernels as the CPU device does, block by block on one thread, and watches them.

    `reports` holds one Report a launch.

    tiles: whose tiles, and way into shared memory, the operations choose ("gpu": what a GPU would run).
    costs: count requests too.
    seconds: the longest a launch may take. chosen: (block, warp) whose access patterns are kept, None: the costliest.
    """

    def __init__(self, tiles: str = "gpu", costs: bool = True, seconds: float = 600, chosen=None):
        check_build.clang()
        super().__init__(build="check", reason="to watch every access", tiles=tiles)
        self.costs, self.seconds, self.chosen = costs, seconds, chosen or (None, None)
        self.reports: list[Report] = []
        self.row_block = None  # threads of a block in place of the operation's, where the kernel does not mind
        self.edit = None  # a function of (file, text) that changes a kernel's text before it is compiled
        self._rooms: dict[int, _Room] = {}
        self._sequence = FIRST_BLOCK

    def _allocate(self, shape, dtype):
        dtype = np.dtype(dtype)
        size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        if size + sum(r.size for r in self._rooms.values()) > MAX_BYTES:
            raise UserError(
                f"inspect: arrays: need at most {MAX_BYTES >> 20} MiB in all, got an array of {size >> 20} MiB on top: "
                "choose a smaller shape"
            )
        room = _Room(size)
        self._rooms[room.low] = room
        return np.frombuffer(room.map, dtype, size // dtype.itemsize, room.offset).reshape(shape)

    def scratch(self, *counts):
        """Each an array of its own, nothing in it: bounds and unwritten memory are then seen exactly."""
        return [self.empty((count,)) for count in counts]

    def array(self, values):
        made = super().array(values)
        self.mark_written(made)
        return made

    def upload(self, target, values):
        super().upload(target, values)
        self.mark_written(target)

    def mark_written(self, array) -> None:
        """The array's contents are no longer undefined."""
        room = self._room(array)
        start = self.address(array) - room.low
        room.written[start : start + array.nbytes] = 1

    def written(self, array) -> np.ndarray:
        """Which bytes of an array something has written."""
        room = self._room(array)
        start = self.address(array) - room.low
        return room.written[start : start + array.nbytes] == 1

    def reached(self, array, cell: int) -> int:
        """Elements up to the last one that a launch has touched. cell: the kernel's."""
        shadow, chunk = self._room(array).shadow(cell)[: 3 * (array.nbytes // cell)], 3 << 18
        for start in range(shadow.size // chunk * chunk, -1, -chunk):
            if (touched := np.flatnonzero(shadow[start : start + chunk])).size:
                return -(-int((start + touched[-1]) // 3 + 1) * cell // array.itemsize)
        return 0

    def free(self) -> None:
        """Forgets all arrays."""
        self._rooms.clear()

    def _room(self, array) -> _Room:
        at = self.address(array)
        for low, room in self._rooms.items():
            if low <= at <= low + room.size:
                return room
        raise UserError("device: check: need arrays made by this device, got another")

    def _compile(self, file, symbol, macros):
        text = source.load(file, macros, tiles=self.tiles)
        if self.edit:
            text = self.edit(file, text)
        return CheckKernel(self, self.signature(file, symbol, text), symbol, text, macros, file)


_watching = Turn()


class CheckKernel(CpuKernel):
    """One instrumented kernel."""

    def __init__(self, device, signature, symbol, text, macros, file):
        self.file, self.macros, self.text = file, macros, text
        self.cell = _smallest(text)
        self.members: list = []  # arrays that structs point to: (name, array)
        super().__init__(device, signature, symbol, text, macros)

    def _make(self, symbol, body, launcher):
        runtime = check_build.runtime()
        unwatched = (
            '#pragma clang attribute push(__attribute__((no_sanitize("thread", "coverage"))), apply_to = function)'
        )
        library, self.tables = check_build.build(
            symbol, f'#include "check.hpp"\n{body}\n{unwatched}{launcher}#pragma clang attribute pop\n'
        )
        self._libraries = [library]
        functions = (ctypes.c_void_p * 1)(ctypes.cast(library.run_blocks, ctypes.c_void_p).value)
        self.runtime = runtime
        self.sites, self.blocks = self.tables["sites"], self.tables["blocks"]
        if len(self.sites) > 65535:
            raise UserError(
                f"{self.file}: {symbol}: need at most 65535 accesses in the compiled text, got {len(self.sites)}:"
                " unroll less"
            )
        self.shared = self._place_shared(library)
        return functions

    def _place_shared(self, library):
        region = ctypes.addressof((ctypes.c_char * 1).in_dll(library, "check_shared"))
        known = self.tables["shared"]
        sizes = (ctypes.c_int64 * max(1, len(known))).in_dll(library, "check_sizes")
        total = sum(size for s, size in zip(known, sizes) if not s["dynamic"])
        if total > SHARED_LIMIT:
            raise UserError(
                f"{self.file}: {self.symbol}: shared: need at most {SHARED_LIMIT} bytes of __shared__ arrays in a block"
                f" (more: extern __shared__), got {total}"
            )
        self.region, self.static_shared = region, total
        dynamic = re.search(r"extern\s+__shared__\s[^;]*?(\w+)\s*\[\s*\]", source.strip_comments(self.text))
        return [
            {
                **s,
                "low": region + s["offset"],
                "size": size,
                **({"name": dynamic[1]} if s["dynamic"] and dynamic else {}),
            }
            for s, size in zip(known, sizes)
        ]

    def launch(self, grid, block, arguments, shared_bytes):
        with _watching:  # check.cpp watches one launch at a time
            self._watched_launch(grid, block, arguments, shared_bytes)

    def _watched_launch(self, grid, block, arguments, shared_bytes):
        dev = self.device
        if dev.row_block:
            grid, block = self._other_block(grid, block, dev.row_block)
        most, blocks = self._alone.prepared[0].launch.most_blocks, grid[0] * grid[1] * grid[2]
        blocks = min(blocks, most or blocks)
        if blocks > LAST_BLOCK - FIRST_BLOCK:
            raise UserError(
                f"{self.symbol}: grid: need at most {LAST_BLOCK - FIRST_BLOCK} blocks to watch, got {blocks}"
            )
        if dev._sequence + blocks > LAST_BLOCK:
            dev._sequence = FIRST_BLOCK
            for room in dev._rooms.values():
                room.cells = None
        settings, tables, arrays = self._settings(arguments, shared_bytes)
        self.runtime.check_start(ctypes.byref(settings))
        fault, start = None, time.perf_counter()
        try:
            super().launch(grid, block, arguments, shared_bytes)
        except KernelError as error:
            fault = str(error)
        seconds = time.perf_counter() - start
        dev._sequence += blocks
        dev.reports.append(read_report(self, settings, tables, arrays, (grid, block), fault, seconds, shared_bytes))

    def _other_block(self, grid, block, wanted):
        """The same threads in other blocks: for kernels that ask only for their number in the grid."""
        code = source.strip_comments(self.text)
        if (
            grid[1:] + block[1:] + tuple(wanted[1:]) != (1,) * (4 + len(wanted[1:]))
            or "__launch_bounds__" in code
            or self.signature.meets
        ):
            raise UserError(
                f"inspect: --block: need a kernel whose blocks may have any length, got {self.symbol}: its block is"
                " part of its plan"
            )
        return (-(-grid[0] * block[0] // wanted[0]), 1, 1), (wanted[0], 1, 1)

    def _settings(self, arguments, shared_bytes):
        """struct Settings for a launch, the tables that it points to, and what the arguments are:

        (name, array) by number.
        """
        dev, cell, depth = self.device, self.cell, ROOMS["depth"]
        named = [
            (p.name, a)
            for p, a in zip(self.signature.parameters, arguments, strict=True)
            if p.pointer and a is not None
        ] + [(name, a) for name, a in self.members if a is not None]
        arrays = np.zeros(max(1, len(named)), ARRAY)
        for row, (_, array) in zip(arrays, named):
            room, at = dev._room(array), dev.address(array)
            low = at - (at - room.low) % 4
            first = (low - room.low) // cell
            row["low"], row["high"], row["base"] = at, at + array.nbytes, low
            row["cells"] = room.shadow(cell).ctypes.data + 24 * first
            row["written"] = room.written.ctypes.data + low - room.low
        shared, slots = (
            np.zeros(max(1, len(self.shared)), ARRAY),
            np.full(self.tables["shared_bytes"] >> 16, 0xFFFFFFFF, np.uint32),
        )
        held = []
        for number, (row, s) in enumerate(zip(shared, self.shared)):
            size = shared_bytes if s["dynamic"] else s["size"]
            held += [np.zeros(3 * (size // cell + 2), np.uint64), np.zeros(size + 16, np.uint8)]
            row["low"], row["high"], row["base"] = s["low"], s["low"] + size, s["low"]
            row["cells"], row["written"] = held[-2].ctypes.data, held[-1].ctypes.data
            first = s["offset"] >> 16
            slots[first : first + s["slots"]] = number
        tables = {"arrays": arrays, "shared": shared, "slot_of": slots, "held": held}
        tables["sites"] = np.array([(KIND_NUMBERS[s["kind"]], s["size"]) for s in self.sites] or [(0, 1)], SITE)
        tables["blocks"] = np.array(
            [
                (
                    b["branches"] + 2 * b["header"] + 4 * b["entry"],
                    min(b["depth"], depth - 1),
                    0,
                    b["flops"],
                    b["flops64"],
                )
                for b in self.blocks
            ],
            BLOCK,
        )
        loops = np.zeros((len(self.blocks), depth), np.uint32)
        for row, b in zip(loops, self.blocks):
            inside = b["inside"][: depth - 1]
            row[: len(inside)] = inside
        tables["loops"] = loops
        tables["costs"] = np.zeros(len(tables["sites"]), COST)
        tables["patterns"] = np.zeros(len(tables["sites"]), PATTERN)
        tables["branches"] = np.zeros(len(self.blocks), COST)
        tables["visits"] = np.zeros(len(self.blocks), np.uint64)
        tables["findings"] = np.zeros(ROOMS["findings"], FINDING)
        pointers = {
            name: tables[name].ctypes.data
            for name in (
                "sites",
                "blocks",
                "arrays",
                "shared",
                "loops",
                "costs",
                "patterns",
                "branches",
                "visits",
                "findings",
                "slot_of",
            )
        }
        chosen = [0xFFFFFFFF if c is None else c for c in dev.chosen]
        settings = _Settings(
            **pointers,
            shared_low=self.region,
            shared_size=self.tables["shared_bytes"],
            dynamic_bytes=shared_bytes,
            site_count=len(self.sites),
            block_count=len(self.blocks),
            array_count=len(named),
            shared_count=len(self.shared),
            cell=cell,
            chosen_block=chosen[0],
            chosen_warp=chosen[1],
            seconds=dev.seconds,
            costing=dev.costs,
            sequence=dev._sequence,
            most_blocks=self._alone.prepared[0].launch.most_blocks,
        )
        return settings, tables, named


def _smallest(text: str) -> int:
    """Bytes of a shadow's cell:

    No larger than what the text moves at once, lest neighbours be taken for one another.
    """
    code = source.strip_comments(text)
    if re.search(r"\b(?:char|u?int8_t|bool|__nv_fp8\w*)\b\s*(?:(?:const|__restrict__)\s*)*(?:\*|\w+\s*\[)", code):
        return 1
    return 2 if re.search(r"\b(?:short|u?int16_t|__half2?|half2?|__nv_bfloat16\w*)\b", code) else 4
