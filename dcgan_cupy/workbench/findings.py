"""What a watched launch leaves: findings in words, costs by line."""

import re
import signal
from dataclasses import dataclass, field

from .guards import untested
from .instrument import LOCAL_LIMIT
from .words import KINDS, Words


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
    severity: str = "error"  # error: undefined, and harmful; warning: formally undefined
    parted: tuple | None = None  # of a barrier: (file, line) of the branch at which the threads went different ways


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
    reached: dict = field(default_factory=dict)  # an array's name -> its bytes up to the last that was touched
    notes: list = field(default_factory=list)  # sentences about the launch itself
    values: list = field(default_factory=list)  # outputs compared with what was expected
    launch: dict = field(default_factory=dict)  # of a user's kernel: its sizes and arguments, and where each is from
    complete: bool = True  # the launch came to its end: else costs are those of a part
    printed: str = ""  # by the kernel
    confined: str = ""  # what held while it ran
    files: list = field(default_factory=list)  # of a user's kernel: those that its text comes from


@dataclass
class Outcome:
    """How a launch ended: the device's own sentence, what was printed, what ended its process, what confined it."""

    fault: str
    printed: str
    ended: str
    confined: str
    seconds: float


RACE, UNINITIALISED = KINDS.index("race"), KINDS.index("uninitialised")
STUCK = re.compile(r"(.*?):(\d+): kernel (.+?): (.*)", re.S)


def read_report(kernel, tables, arrays, extent, outcome: Outcome, shared_bytes) -> Report:
    """A launch's Report, from what check.cpp has written into the tables."""
    grid, block = extent
    settings, words = tables.struct, Words(kernel, tables, arrays)
    found = tables["findings"][: settings.finding_count]
    found = [f for f in found if words.makes_sense(f)]  # a kernel may have written anything there
    raced = {(site, f["space"], f["array"]) for f in found if f["kind"] == RACE for site in (f["site"], f["other"])}
    findings = [
        _finding(kernel, words, f)
        for f in found  # a read that came too early by a race is that race's, not a fault of its own
        if f["kind"] != UNINITIALISED or (f["site"], f["space"], f["array"]) not in raced
    ]
    if outcome.fault and (match := STUCK.match(outcome.fault)):
        findings.append(_stuck(kernel, words, *match.groups()))
    if stop := _stopped(kernel, words, settings, outcome, found):
        findings.append(stop)
    complete = bool(settings.finished) and not outcome.fault and not settings.timed_out
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
        if line:
            key = bytes(file).split(b"\0")[0].decode("utf-8", "backslashreplace"), int(line)
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
        outcome.seconds,
        kernel.static_shared + shared_bytes,
        [(a.name, a.shape, a.size) for a in arrays],
        _moved(tables),
        kernel.macros,
        kernel.text,
        {a.name: max(0, int(row["reached"]) - a.low) for a, row in zip(arrays, tables["arrays"])},
        notes,
        complete=complete,
        printed=outcome.printed,
        confined=outcome.confined,
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


def _finding(kernel, words, f) -> Finding:
    said = words.say(f)
    (other_file, other_line), block, thread = said["other"], tuple(map(int, f["block"])), tuple(map(int, f["thread"]))
    return Finding(
        said["kind"],
        kernel.symbol,
        said["file"],
        said["line"],
        other_line,
        other_file,
        block,
        thread,
        said["text"],
        said["place"],
        int(f["count"]),
        said["frames"],
        said["severity"],
        said.get("parted"),
    )


def _stuck(kernel, words, file, line, _, text) -> Finding:
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
    parted = words.branch(int(words.tables.struct.parted))
    return Finding(
        "barrier",
        kernel.symbol,
        file,
        int(line),
        int(other[1]) if other else None,
        file if other else None,
        numbers[3:],
        numbers[:3],
        text + words.parted(parted, file) + ": on a GPU the block hangs, or goes on with half its data",
        parted=parted,
    )


SIGNALS = {
    "SIGSEGV": "goes to address 0x{address:x}, where nothing is",
    "SIGBUS": "goes to address 0x{address:x}, where nothing is",
    "SIGILL": "comes to no instruction: past the end of a function, or by a wild jump",
    "SIGTRAP": "stops itself",
    "SIGABRT": "stops itself",
    "SIGFPE": "divides by zero",
    "SIGSYS": "asks the system for what a kernel may not have",
}


def _stopped(kernel, words, settings, outcome, found) -> Finding | None:
    """A launch that was ended where it stood: by a signal, by its limit of time, for want of stack."""
    number = int(settings.signal)
    name = signal.Signals(number).name if number in set(signal.Signals) else ""
    at = words.branch(int(settings.stopped_block)) or (kernel.file, 0)
    block = kernel.blocks[settings.stopped_block] if settings.stopped_block < len(kernel.blocks) else None
    if block and block["first"][1]:
        at = tuple(block["first"])
    thread, index = tuple(settings.stopped_thread), tuple(settings.stopped_index)
    who = f"thread {thread} of block {index}"
    if settings.timed_out or outcome.ended == "time":
        text = (
            f"the launch has not ended within {settings.seconds:g} s and was stopped: {who} was in the lines from"
            f" {at[1]} on; choose a smaller shape, or look for a loop without end, or for a wait for a block that runs"
            " later"
        )
    elif settings.deep:
        text = (
            f"{who} needs more than {LOCAL_LIMIT >> 10} KiB of local memory: a recursion too deep, or arrays too large"
        )
    elif name:
        what = SIGNALS.get(name, "is ended by " + name).format(address=settings.signal_address)
        text = f"{who} {what}, in the lines from {at[1]} on"
    elif "needs more than" in outcome.fault:
        text = outcome.fault
    elif not settings.finished and not outcome.fault and not outcome.ended:
        text = f"{who} ends the program, in the lines from {at[1]} on"
    elif outcome.ended:
        text = f"the launch was ended ({outcome.ended}), as if memory had run out"
    else:
        return None
    return Finding("stopped", kernel.symbol, at[0], at[1], None, None, index, thread, text)
