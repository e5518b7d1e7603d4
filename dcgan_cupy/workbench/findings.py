"""What a watched launch leaves: findings in words, costs by line."""

import ctypes
import re
from dataclasses import dataclass, field

import numpy as np

from .guards import untested


@dataclass
class Finding:
    """A fault. Threads and blocks are (x, y, z); frames lead from the line to the kernel's."""

    kind: str
    kernel: str
    file: str
    line: int
    other_line: int | None
    other_file: str | None
    block: tuple
    thread: tuple | None
    message: str
    array: str = ""
    count: int = 1
    frames: list = field(default_factory=list)


@dataclass
class Access:
    """What one place in the source cost: a site of the compiler's, all its executions together."""

    file: str
    line: int
    frames: list
    kind: str  # read, write or atomic
    shared: bool
    size: int
    requests: int
    lanes: int
    bytes: int
    sectors: int
    ideal: int
    passes: int
    extra: int
    pattern: dict | None


@dataclass
class Report:
    """One launch: what was wrong, what it cost."""

    kernel: str
    file: str
    grid: tuple
    block: tuple
    findings: list
    accesses: list
    branches: dict  # (file, line) -> executions by a warp, of which it split, lanes taking part
    barriers: dict  # (file, line) -> times that a block passed it
    flops: int
    flops64: int
    flop_lines: dict
    warps: int
    events: int  # accesses and branches of single threads
    seconds: float
    shared_bytes: int
    arrays: list  # (name, shape, bytes)
    moved: int  # bytes of the arrays that are read, and of those that are written: the least to be moved
    macros: tuple = ()
    text: str = ""
    notes: list = field(default_factory=list)  # sentences about the launch itself
    values: list = field(default_factory=list)  # outputs compared with what was expected
    launch: dict = field(default_factory=dict)  # of a user's kernel: its sizes and arguments, and where each is from


KINDS = ("out-of-bounds", "misaligned", "uninitialised", "race")
LESSONS = {
    "out-of-bounds": "the memory there belongs to something else; on a GPU this stops the program or, worse, does not",
    "misaligned": (
        "a GPU moves {size} bytes at once only from an address that is a multiple of {size}, and stops otherwise"
    ),
    "uninitialised": "what is read is whatever lay there before",
}
STUCK = re.compile(r"(.*?):(\d+): kernel (.+?): (.*)", re.S)


def read_report(kernel, settings, tables, arrays, extent, fault, seconds, shared_bytes) -> Report:
    """A launch's Report, from what check.cpp has written into the tables."""
    grid, block = extent
    words = _Words(kernel, tables, arrays)
    found = tables["findings"][: settings.finding_count]
    raced = {
        (site, f["shared"], f["array"]) for f in found if KINDS[f["kind"]] == "race" for site in (f["site"], f["other"])
    }
    findings = [
        words.finding(f)
        for f in found  # a read that came too early by a race is that race's, not a fault of its own
        if KINDS[f["kind"]] != "uninitialised" or (f["site"], f["shared"], f["array"]) not in raced
    ]
    if settings.timed_out:
        raise TimeoutError(
            f"{kernel.file}: {kernel.symbol}: need a launch of at most {settings.seconds:g} s, got a longer one: "
            "choose a smaller shape, or look for a loop without end"
        )
    if fault and (match := STUCK.match(fault)):
        findings.append(_stuck(kernel, *match.groups()))
    findings = _merged(findings)
    accesses, patterns = [], tables["patterns"]
    for number, (site, cost) in enumerate(zip(kernel.sites, tables["costs"])):
        if cost["requests"]:
            file, line, _ = site["frames"][0]
            accesses.append(
                Access(
                    file,
                    line,
                    site["frames"],
                    site["kind"],
                    bool(cost["shared"]),
                    site["size"],
                    *(int(cost[n]) for n in ("requests", "lanes", "bytes", "sectors", "ideal", "passes", "extra")),
                    words.pattern(patterns[number], site),
                )
            )
    branches, lines = {}, {}
    for b, cost in zip(kernel.blocks, tables["branches"]):
        if cost["executions"]:
            row = branches.setdefault(tuple(b["line"]), [0, 0, 0])
            for i, n in enumerate(("executions", "splits", "lanes")):
                row[i] += int(cost[n])
    flops = flops64 = 0
    for b, visits in zip(kernel.blocks, tables["visits"]):
        flops += int(visits) * b["flops"]
        flops64 += int(visits) * b["flops64"]
        for file, line, number in b["flop_lines"]:
            lines[file, line] = lines.get((file, line), 0) + int(visits) * number
    notes = untested(kernel, tables["branches"])
    barriers = {}
    for file, line, n in zip(settings.barrier_files, settings.barrier_lines, settings.barrier_counts):
        if line:  # the text of __FILE__ may lie in the image twice
            key = ctypes.string_at(file).decode(), int(line)
            barriers[key] = barriers.get(key, 0) + int(n)
    return Report(
        kernel.symbol,
        kernel.file,
        grid,
        block,
        findings,
        accesses,
        branches,
        barriers,
        flops,
        flops64,
        lines,
        int(settings.warps),
        int(settings.accesses),
        seconds,
        kernel.static_shared + shared_bytes,
        [(name, a.shape, a.nbytes) for name, a in arrays],
        _moved(tables),
        kernel.macros,
        kernel.text,
        notes,
    )


def _merged(findings) -> list:
    """One finding for each pair of lines: an unrolled loop has many places, and a race two sides."""
    made = {}
    for f in findings:
        sides = frozenset(((f.file, f.line), (f.other_file, f.other_line))) if f.other_line else (f.file, f.line)
        first = made.setdefault((f.kind, sides, f.array.partition("[")[0]), f)
        if first is not f:
            first.count += f.count
    return list(made.values())


def _moved(tables) -> int:
    """check.cpp marks what a launch touches: bytes read, each once, and bytes written, each once."""
    return int(tables["arrays"]["reads"].sum() + tables["arrays"]["writes"].sum())


def _stuck(kernel, file, line, _, text) -> Finding:
    """A barrier or a warp collective that somebody does not reach, from the device's own sentence."""
    thread = re.search(r"thread \((\d+), (\d+), (\d+)\) of block \((\d+), (\d+), (\d+)\)", text)
    numbers = tuple(map(int, thread.groups())) if thread else (0,) * 6
    other = re.search(r"line (\d+)", text)
    if match := re.match(r"thread .*?: (assertion: .*)", text):
        return Finding(
            "assert",
            kernel.symbol,
            file,
            int(line),
            None,
            None,
            numbers[3:],
            numbers[:3],
            f"thread {numbers[:3]} of block {numbers[3:]}: {match[1].removeprefix('assertion: ')}",
        )
    return Finding(
        "barrier",
        kernel.symbol,
        file,
        int(line),
        int(other[1]) if other else None,
        file if other else None,
        numbers[3:],
        numbers[:3],
        text + ": on a GPU the block hangs, or goes on with half its data",
    )


class _Words:
    """Turns numbers into names."""

    def __init__(self, kernel, tables, arrays):
        self.kernel, self.tables, self.arrays = kernel, tables, arrays

    def array(self, number: int, shared: bool):
        """An array's name, shape, bytes of an element, first address and size."""
        if shared:
            s, row = self.kernel.shared[number], self.tables["shared"][number]
            size = int(row["high"] - row["low"])
            dims = [size // 4] if s["dynamic"] else s["dims"]
            count = int(np.prod(dims, dtype=np.int64)) if dims else 1
            return s["name"], dims, 4 if s["dynamic"] else s["item"] or size // max(1, count), int(row["low"]), size
        name, a = self.arrays[number]
        return name, list(a.shape), a.itemsize, int(self.tables["arrays"][number]["low"]), a.nbytes

    def place(self, number: int, shared: bool, address: int) -> str:
        """x[1, 0, 5], or how far outside: x[1024], 4 bytes past its end."""
        name, dims, item, low, size = self.array(number, shared)
        at = address - low
        if 0 <= at < size and len(dims) > 1:
            index = np.unravel_index(at // item, dims)
            return f"{name}[{', '.join(str(int(i)) for i in index)}]"
        return f"{name}[{at // item}]" if dims else name

    def finding(self, f) -> Finding:
        kernel, kind = self.kernel, KINDS[f["kind"]]
        site, other = kernel.sites[f["site"]], kernel.sites[f["other"]]
        file, line, _ = site["frames"][0]
        address, shared, size = int(f["address"]), bool(f["shared"]), int(f["size"])
        block, thread = tuple(map(int, f["block"])), tuple(map(int, f["thread"]))
        verb = {"read": "reads", "write": "writes", "atomic": "atomically changes"}[site["kind"]]
        who = f"thread {thread} of block {block}"
        where = "shared" if shared else "global"
        if not shared and not self.arrays:
            name, place = "", f"address 0x{address:x}"
        else:
            name, place = self.array(f["array"], shared)[0], self.place(f["array"], shared, address)
        other_line = other_file = None
        if kind == "out-of-bounds":
            text = f"{who} {verb} {self._astray(f, name, place, address, shared, size)}: {LESSONS[kind]}"
        elif kind == "misaligned":
            off = f"an address {address % size} bytes off a multiple of {size}"
            text = f"{who} {verb} {size} bytes at {place}, {off}: {LESSONS[kind].format(size=size)}"
        elif kind == "uninitialised":
            why = (
                "cp.async was asked to fill it, but its wait has not come yet"
                if f["promised"] == 2
                else "no thread of the block has written it"
                if shared
                else "nothing has written it"
            )
            text = f"{who} {verb} {place} in {where} memory, but {why}: {LESSONS[kind]}"
        else:
            other_file, other_line, _ = other["frames"][0]
            before = "writes" if f["other_write"] else "reads"
            before = "atomically changes" if other["kind"] == "atomic" else before
            ob, ot = tuple(map(int, f["other_block"])), tuple(map(int, f["other_thread"]))
            if ob == block:
                between = ("no __syncwarp() or collective" if f["warp"] else "no __syncthreads()") + " between them"
                by = f"thread {ot} of the same block"
            else:
                between, by = (
                    "blocks run in any order, and only atomics are safe between them",
                    f"thread {ot} of block {ob}",
                )
            at = f"line {other_line}" + (f" of {other_file}" if other_file != file else "")
            text = (
                f"{who} {verb} {place} in {where} memory, and {by} {before} it at {at}, with {between}: which comes"
                " first is chance"
            )
            if ob != block:
                text = text.replace(", with blocks", "; blocks").replace(": which", ", so which")
        return Finding(
            kind,
            kernel.symbol,
            file,
            line,
            other_line,
            other_file,
            block,
            thread,
            text,
            place,
            int(f["count"]),
            site["frames"],
        )

    def _astray(self, f, name, place, address, shared, size):
        if not name:
            return f"{size} bytes at {place}, but the launch has no array"
        _, dims, item, low, total = self.array(f["array"], shared)
        if not shared and address < 1 << 20:
            return f"{size} bytes through a null pointer (offset {address})"
        count = total // item
        past = (
            f"{low - address} bytes before its start"
            if address < low
            else f"{address - low - total} bytes past its end"
        )
        if low <= address < low + total:
            past = "the last bytes of it past its end"
        shape = f"{count} elements" + (f", {dims}" if len(dims) > 1 else "")
        return f"{place}, {past} ({'__shared__ ' if shared else ''}{name} has {shape})"

    def pattern(self, p, site):
        """The request kept for a site:

        Block, warp, and where each lane goes, as (array, byte offset), None where it takes no part.
        """
        if not p["mask"]:
            return None
        shared = self.tables["shared"] if self.kernel.shared else []
        lanes, names = [], []
        for lane in range(32):
            if not int(p["mask"]) >> lane & 1:
                lanes.append(None)
                continue
            a = int(p["address"][lane])
            found = None
            for number, row in enumerate(shared):
                if int(row["low"]) <= a < int(row["high"]):
                    found = (self.kernel.shared[number]["name"], a - int(row["low"]))
            for number, (name, _) in enumerate(self.arrays):
                row = self.tables["arrays"][number]
                if int(row["low"]) <= a < int(row["high"]):
                    found = (name, a - int(row["low"]))
            lanes.append(found and found[1])
            if found and found[0] not in names:
                names.append(found[0])
        return {
            "block": int(p["block"]),
            "warp": int(p["warp"]),
            "array": ", ".join(names),
            "size": site["size"],
            "lanes": lanes,
        }
