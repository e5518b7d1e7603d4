"""Runs programs: the C++ machine, compiled once and kept, and what it says of a kernel that went wrong."""

import ctypes
from bisect import bisect_right
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from dcgan_cupy.device.host import keep
from dcgan_cupy.device.host.build import build
from dcgan_cupy.device.turns import Turn

from .ptx import NotKnown
from .records import RECORD, Program

HERE = Path(__file__).resolve().parent
TEXTS = ("machine.hpp", "groups.hpp", "memory.hpp", "matrices.hpp", "instructions.hpp", "block.hpp")
FLAGS = ("-ffp-contract=off", "-fno-strict-aliasing", "-Wno-everything")  # PTX says itself where it fuses
MOST_STEPS = 1 << 30  # instructions of one warp


class Fault(Exception):
    """What a kernel did wrong, where, and which thread."""


class _Fault(ctypes.Structure):
    _fields_ = (
        ("place", ctypes.c_int32), ("thread", ctypes.c_int32), ("block", ctypes.c_uint64), ("address", ctypes.c_uint64),
        ("message", ctypes.c_char * 240),
    )  # fmt: skip


class _Launch(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("code", "constants", "specials", "regions", "shared_regions")),
        *((name, ctypes.c_uint32) for name in (
            "constant_count", "special_count", "region_count", "shared_region_count", "slots", "shared_bytes",
            "local_bytes", "reversed", "apart", "dynamic_bytes")),
        ("grid", ctypes.c_uint32 * 3), ("block", ctypes.c_uint32 * 3), ("most_steps", ctypes.c_uint64),
        ("fault", _Fault),
    )  # fmt: skip


CONSTANT = np.dtype([("bits", "<u8"), ("slot", "<u4"), ("wide", "<u4")])
REGION = np.dtype([("first", "<u8"), ("last", "<u8"), ("writable", "<u8")])


@lru_cache(maxsize=None)
def library() -> ctypes.CDLL:
    text = "".join(f'#line 1 "{name}"\n{(HERE / name).read_text()}\n' for name in TEXTS)
    loaded = keep.load(build("stand_in_machine", text, FLAGS, symbol="run_launch"))
    loaded.instruction_name.restype = ctypes.c_char_p
    loaded.instruction_handler.restype = ctypes.c_void_p
    assert loaded.instruction_bytes() == RECORD.itemsize and loaded.launch_bytes() == ctypes.sizeof(_Launch)
    return loaded


@lru_cache(maxsize=None)
def handlers() -> dict[str, int]:
    """Name of an instruction -> its function."""
    known = library()
    return {known.instruction_name(n).decode(): known.instruction_handler(n) for n in range(known.instruction_count())}


@dataclass
class Order:
    """How a launch is run: all orders that CUDA allows must give the same bits."""

    reversed: bool = False  # the last block, warp and lane first
    apart: bool = False  # each lane runs alone from barrier to barrier


class Ready:
    """A program with its handlers, and the module's variables in memory."""

    def __init__(self, program: Program, variables: dict[str, np.ndarray]):
        self.program = program
        self.records = program.records.copy()
        known = handlers()
        if unknown := sorted({name for name in program.names if name not in known}):
            raise NotKnown(f"{program.name}: {', '.join(unknown)} (instructions.hpp has a line for each that is known)")
        self.records["run"] = [known[name] for name in program.names]
        raw = np.zeros(self.records.nbytes + 64, np.uint8)
        start = -raw.ctypes.data % 64
        self.code = raw[start : start + self.records.nbytes]
        self.code[:] = self.records.view(np.uint8).ravel()
        fixed = [(bits, slot, wide) for bits, slot, wide in program.constants]
        fixed += [((variables[name].ctypes.data + added), slot, 1) for name, added, slot in program.symbols]
        self.constants = np.zeros(len(fixed) + len(program.parameters), CONSTANT)
        for n, (bits, slot, wide) in enumerate(fixed):
            self.constants[n] = (bits % (1 << 64), slot, wide)
        self.fixed = len(fixed)
        self.specials = np.array(program.specials or [(0, 0)], "<u4")
        self.variables = [
            (v.ctypes.data, v.nbytes, name, name not in _constant(program)) for name, v in variables.items()
        ]
        self.turn = Turn()

    def run(self, grid, block, parameters: bytes, arrays, dynamic: int, order: Order) -> None:
        """One launch. arrays: (first address, bytes, name, writable) of all that it may touch.   Raises: Fault."""
        p = self.program
        with self.turn:
            for n, (offset, width, is_signed, slot, wide) in enumerate(p.parameters, self.fixed):
                value = int.from_bytes(parameters[offset : offset + width], "little", signed=is_signed)
                self.constants[n] = (value % (1 << 64), slot, wide)
            constants = self.constants.copy()
        shared = [(at, at + (size or dynamic), 1) for _, at, size in p.shared if size or dynamic]
        shared = np.array(sorted(shared) or [(0, 0, 0)], REGION)
        known = sorted(
            {(first, first + size, int(writable)) for first, size, _, writable in [*arrays, *self.variables] if size}
        )
        regions = _disjoint(known)
        launch = _Launch(
            code=self.code.ctypes.data, constants=constants.ctypes.data, specials=self.specials.ctypes.data,
            regions=regions.ctypes.data, shared_regions=shared.ctypes.data, constant_count=len(constants),
            special_count=len(p.specials), region_count=len(regions) * bool(known),
            shared_region_count=len(shared) * bool(p.shared and shared[0]["last"]),
            slots=p.slots, shared_bytes=p.shared_bytes + -(-dynamic // 16) * 16, local_bytes=p.local_bytes,
            reversed=order.reversed, apart=order.apart, dynamic_bytes=dynamic, most_steps=MOST_STEPS,
        )  # fmt: skip
        launch.grid[:], launch.block[:] = grid, block
        if library().run_launch(ctypes.byref(launch)):
            raise Fault(self.said(launch, grid, block, [*arrays, *self.variables]))

    def said(self, launch, grid, block, arrays) -> str:
        """One sentence."""
        f = launch.fault
        t, b = f.thread, f.block
        thread = (t % block[0], t // block[0] % block[1], t // block[0] // block[1])
        index = (b % grid[0], b // grid[0] % grid[1], b // grid[0] // grid[1])
        message = f.message.decode()
        if "outside of every array" in message and arrays:
            message += f" ({_nearest(f.address, arrays)})"
        where = self.program.texts[f.place] if 0 <= f.place < len(self.program.texts) else "?"
        return f"{self.program.name}: thread {thread} of block {index} {message}: {where}"


def _constant(program: Program) -> set[str]:
    return {v.name for v in program.variables if v.space == "const"}


def _disjoint(known) -> np.ndarray:
    """Regions that overlap or are one inside the other as one: parts of an array may be given beside all of it."""
    joined: list[list[int]] = []
    for first, last, writable in known:
        if joined and first < joined[-1][1]:
            joined[-1][1] = max(joined[-1][1], last)
            joined[-1][2] |= writable
        else:
            joined.append([first, last, writable])
    return np.array([tuple(j) for j in joined] or [(0, 0, 0)], REGION)


def _nearest(address: int, arrays) -> str:
    """Where an address lies: so many bytes before or behind an array."""
    ordered = sorted(arrays)
    at = bisect_right(ordered, (address, 1 << 63)) - 1
    found = []
    if at >= 0:
        first, size, name, _ = ordered[at]
        found.append((address - first - size, f"{address - first - size} bytes behind the end of {name}"))
    if at + 1 < len(ordered):
        first, _, name, _ = ordered[at + 1]
        found.append((first - address, f"{first - address} bytes before {name}"))
    return min(found)[1]
