"""The CPU device that watches every access of a kernel: faults and costs, one Report a launch.

    dev = CheckDevice()
    dev.kernel(file, symbol)(grid, block, …)      # as on any device
    dev.reports[-1].findings, .accesses

clang instruments the text (-fsanitize=thread and a call for each basic block), instrument.py turns that into calls of
check.cpp.
"""

import ctypes
import mmap
import re
import time

import numpy as np

from ..device import source
from ..device.host.launch import MAX_SHARED, STATE, CpuDevice, CpuKernel
from ..device.turns import Turn
from ..errors import UserError
from . import check_build, child
from .child import Shared
from .findings import Outcome, Report, read_report
from .includes import need_own_includes
from .launch_tables import CELL, WORDS, LaunchTables, fill_array, shadow
from .words import Place

GUARD = 16 << 20  # empty room on either side of a global array: address space only
MAX_BYTES = 2 << 30  # of all arrays together; shadows take nine times as much
FIRST_BLOCK, LAST_BLOCK = 1, (1 << 20) - 1
SHARED_LIMIT = 48 * 1024
MOST_CELLS = 16 << 30  # bytes of address space for the cells of byte arrays
TYPES = {"float": "f4", "double": "f8", "half": "f2", "i8": "i1", "i16": "i2", "i32": "i4", "i64": "i8"}


class _Room:
    """Memory of one global array, with empty room around it and its shadow."""

    def __init__(self, size: int):
        self.size = size
        self.map = mmap.mmap(-1, size + 2 * GUARD + 4096, flags=mmap.MAP_SHARED | mmap.MAP_ANONYMOUS)
        start = np.frombuffer(self.map, np.uint8).ctypes.data
        self.offset = GUARD + (-(start + GUARD)) % 256
        self.low = start + self.offset
        self.written = Shared(size + 128).table(size + 16, np.uint8)
        self.cells: np.ndarray | None = None

    def shadow(self) -> np.ndarray:
        if self.cells is None:
            self.cells = shadow(self.size)
        return self.cells


class CheckDevice(CpuDevice):
    """Runs kernels as the CPU device does, block by block on one thread, and watches them.

    `reports` holds one Report a launch.

    tiles: whose tiles, and way into shared memory, the operations choose ("gpu": what a GPU would run).
    costs: count requests too.
    seconds: the longest a launch may take. chosen: (block, warp) whose access patterns are kept, None: the costliest.
    alone: each launch in a process of its own, confined, so that nothing that a kernel does ends this one.
    """

    def __init__(self, tiles: str = "gpu", costs: bool = True, seconds: float = 600, chosen=None, alone: bool = True):
        check_build.clang()
        super().__init__(build="check", reason="to watch every access", tiles=tiles)
        self.costs, self.seconds, self.chosen, self.alone = costs, seconds, chosen or (None, None), alone
        self.symbols: dict[
            str, np.ndarray | None
        ] = {}  # values of __device__ and __constant__ variables; None: unwritten
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
        self.members: list = []  # arrays that structs point to: (name, array)
        self.made_up: set[str] = set()  # arguments whose values nobody gave
        self.inside: set[str] = set()  # arguments whose pointers may go into the middle of an array
        self.most_blocks = 0  # of a launch: all, or so many, half of them the last ones
        super().__init__(device, signature, symbol, text, macros)

    def _make(self, symbol, body, launcher):
        need_own_includes(self.file, self.text)
        runtime = check_build.runtime()
        unwatched = (
            '#pragma clang attribute push(__attribute__((no_sanitize("thread", "coverage"))), apply_to = function)'
        )
        body = STATE.sub(lambda m: m[0].replace("__device__", "__device__ __attribute__((used))", 1), body)
        library, self.tables = check_build.build(
            symbol, f'#include "check.hpp"\n{body}\n{unwatched}{launcher}#pragma clang attribute pop\n'
        )
        self._libraries = [library]
        functions = (ctypes.c_void_p * 1)(ctypes.cast(library.run_blocks, ctypes.c_void_p).value)
        runtime.check_prepare()
        self.runtime = runtime
        self.sites, self.blocks, self.variables = (self.tables[n] for n in ("sites", "blocks", "variables"))
        if len(self.sites) > 65534:
            raise UserError(
                f"{self.file}: {symbol}: need at most 65534 accesses in the compiled text, got {len(self.sites)}:"
                " unroll less"
            )
        self.shared = self._place_shared(library)
        self.globals_low = ctypes.addressof((ctypes.c_char * 1).in_dll(library, "check_globals"))
        self.initial = (ctypes.c_void_p * max(1, len(self.variables))).in_dll(library, "check_initial")
        return functions

    def _place_shared(self, library):
        region, known = ctypes.addressof((ctypes.c_char * 1).in_dll(library, "check_shared")), self.tables["shared"]
        total = sum(s["size"] for s in known if not s["dynamic"])
        if total > SHARED_LIMIT:
            raise UserError(
                f"{self.file}: {self.symbol}: shared: need at most {SHARED_LIMIT} bytes of __shared__ arrays in a block"
                f" (more: extern __shared__), got {total}"
            )
        self.region, self.static_shared = region, total
        dynamic = re.search(r"extern\s+__shared__\s[^;]*?(\w+)\s*\[\s*\]", source.strip_comments(self.text))
        named = {"name": dynamic[1]} if dynamic else {}
        return [{**s, "low": region + s["offset"], **(named if s["dynamic"] else {})} for s in known]

    def launch(self, grid, block, arguments, shared_bytes):
        with _watching:  # check.cpp watches one launch at a time
            self._watched_launch(grid, block, arguments, shared_bytes)

    def _watched_launch(self, grid, block, arguments, shared_bytes):
        dev = self.device
        if dev.row_block:
            grid, block = self._other_block(grid, block, dev.row_block)
        blocks = grid[0] * grid[1] * grid[2]
        blocks = min(blocks, self.most_blocks or blocks)
        if blocks > LAST_BLOCK - FIRST_BLOCK:
            raise UserError(
                f"{self.symbol}: grid: need at most {LAST_BLOCK - FIRST_BLOCK} blocks to watch, got {blocks}"
            )
        if dev._sequence + blocks > LAST_BLOCK:
            dev._sequence = FIRST_BLOCK
            for room in dev._rooms.values():
                room.cells = None
        tables, arrays = self._tables(arguments, shared_bytes)
        outcome = self._run(grid, block, arguments, shared_bytes, tables)
        dev._sequence += blocks
        dev.reports.append(read_report(self, tables, arrays, (grid, block), outcome, shared_bytes))

    def _run(self, grid, block, arguments, shared_bytes, tables) -> Outcome:
        if shared_bytes > MAX_SHARED:
            raise UserError(f"{self.symbol}: shared_bytes: need at most {MAX_SHARED}, got {shared_bytes}")
        prepared = self.prepared(grid, block, arguments)
        prepared.launch.most_blocks = self.most_blocks
        launch = tables.memory.copy(np.frombuffer(prepared.launch, np.uint8))
        settings, functions, alone = tables.settings.ctypes.data, self.functions, self.device.alone
        rows = tables["arrays"]  # one that is touched by bytes gets a cell for each
        room = min(8 * WORDS * int((rows["high"] - rows["low"]).sum()), MOST_CELLS)
        run, at, start = self.runtime.check_run, launch.ctypes.data, time.perf_counter()

        def work():
            run(ctypes.c_void_p(settings), ctypes.c_void_p(functions[0]), ctypes.c_void_p(at), int(alone))

        printed, ended, held = child.run(work, self.device.seconds, room) if alone else (work(), "", "")
        made = type(prepared.launch).from_buffer(launch)
        fault = made.message.decode("utf-8", "backslashreplace") if made.failed else ""
        return Outcome(fault, printed or "", ended, held or "", time.perf_counter() - start)

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

    def _tables(self, arguments, shared_bytes):
        """The tables of a launch, and what stands behind each row of its arrays."""
        dev = self.device
        named = [
            (p.name, a)
            for p, a in zip(self.signature.parameters, arguments, strict=True)
            if p.pointer and a is not None
        ] + [(name, a) for name, a in self.members if a is not None]
        tables = LaunchTables(self.tables, len(named) + len(self.variables), len(self.shared))
        arrays, numbers = [], {}
        for row, (name, array) in zip(tables["arrays"], named):
            room, at = dev._room(array), dev.address(array)
            low = at - (at - room.low) % CELL
            cells = room.shadow().ctypes.data + 8 * WORDS * ((low - room.low) // CELL)
            fill_array(row, at, array.nbytes, low, cells, room.written.ctypes.data + low - room.low)
            numbers["argument", name] = len(arrays)
            arrays.append(Place(name, list(array.shape), array.itemsize, at, array.nbytes))
        for number, v in enumerate(self.variables):
            numbers["variable", number] = len(arrays)
            arrays.append(self._place_variable(tables, len(arrays), number, v))
        for number, (row, s) in enumerate(zip(tables["shared"], self.shared)):
            size = shared_bytes if s["dynamic"] else s["size"]
            tables.held += [shadow(size), np.zeros(size + 16, np.uint8)]
            fill_array(row, s["low"], size, s["low"], tables.held[-2].ctypes.data, tables.held[-1].ctypes.data)
            first = s["offset"] >> 16
            tables["slot_of"][first : first + s["slots"]] = number
        tables.root_sites(self.sites, numbers)
        unknown = set(dev.symbols) - {v["name"] for v in self.variables}
        if unknown:
            there = ", ".join(v["name"] for v in self.variables) or "none in this text"
            raise UserError(
                f"inspect: --symbol: need a __device__ or __constant__ variable that the kernel uses ({there}), got"
                f" {sorted(unknown)[0]}"
            )
        made = tables.struct
        made.shared_low, made.shared_size, made.dynamic_bytes = self.region, self.tables["shared_bytes"], shared_bytes
        made.globals_low, made.globals_size = self.globals_low, self.tables["variable_bytes"]
        made.site_count, made.block_count = len(self.sites), len(self.blocks)
        made.array_count, made.shared_count = len(arrays), len(self.shared)
        made.chosen_block, made.chosen_warp = (0xFFFFFFFF if c is None else c for c in dev.chosen)
        made.seconds, made.costing, made.sequence = dev.seconds, dev.costs, dev._sequence
        made.most_blocks = self.most_blocks
        return tables, arrays

    def _place_variable(self, tables, row, number, v) -> Place:
        """Gives a variable of the device the value that it begins the launch with."""
        low, size = self.globals_low + v["offset"], v["size"]
        ctypes.memset(low, 0, size)
        if self.initial[number]:
            ctypes.memmove(low, self.initial[number], size)
        written = np.ones(size + 16, np.uint8)
        if v["name"] in self.device.symbols:
            values = self.device.symbols[v["name"]]
            plain = TYPES.get(re.sub(r".* x |\]+", "", v["type"]))
            if values is not None and values.ndim == 0 and plain:
                values = np.full(size // np.dtype(plain).itemsize, values).astype(plain)
            if values is None:
                written[:] = 0
            elif values.nbytes > size:
                raise UserError(
                    f"inspect: --symbol: {v['name']}: need at most {size} bytes, got {values.nbytes} of {values.dtype}"
                )
            else:
                values = np.ascontiguousarray(values)
                ctypes.memmove(low, values.ctypes.data, values.nbytes)
        tables.held += [shadow(size), written]
        cells = tables.held[-2].ctypes.data
        fill_array(tables["arrays"][row], low, size, low, cells, written.ctypes.data, v["constant"])
        word = "__constant__" if v["constant"] else "__device__"
        return Place(v["name"], v["dims"], v["item"] or size, low, size, word)
