"""The terminal's view of a report, and the same as data."""

import re

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..device import source
from ..errors import printable
from . import costs
from .cards import CARDS
from .user_source import decoded

COLOURS = {
    "out-of-bounds": "red",
    "misaligned": "red",
    "uninitialised": "yellow",
    "race": "magenta",
    "barrier": "cyan",
    "read-only": "red",
    "division": "yellow",
    "stopped": "red",
    "assert": "red",
}


def finding_data(f) -> dict:
    """A finding as --json prints it."""
    return {
        "kind": f.kind,
        "severity": f.severity,
        "kernel": f.kernel,
        "file": f.file,
        "line": f.line,
        "other_file": f.other_file,
        "other_line": f.other_line,
        "parted_at": {"file": f.parted[0], "line": f.parted[1]} if f.parted else None,
        "block": list(f.block),
        "thread": list(f.thread) if f.thread else None,
        "array": f.array,
        "count": f.count,
        "message": f.message,
        "calls": [{"file": c[0], "line": c[1], "function": c[2]} for c in f.frames],
    }


def data(reports, gpu: str) -> dict:
    """All reports as --json prints them."""
    launches = []
    for r in reports:
        rows = [{"file": file, "line": line, **row} for (file, line), row in sorted(costs.lines(r).items())]
        launches.append(
            {
                "kernel": r.kernel,
                "file": r.file,
                "grid": list(r.grid),
                "block": list(r.block),
                "lines": rows,
                "total": costs.total(r),
                "roofline": costs.on_card(r, gpu),
                "seconds": r.seconds,
                "complete": r.complete,
                "launch": launch_data(r),
                "notes": r.notes,
                "printed": r.printed,
                "confined": r.confined,
            }
        )
    return {
        "findings": [finding_data(f) for r in reports for f in r.findings],
        "complete": all(r.complete for r in reports),
        "launch": launch_data(reports[0]) if reports else None,
        "values": [{"kernel": r.kernel, **v.data()} for r in reports for v in r.values],
        "costs": launches,
    }


def launch_data(r) -> dict:
    """Grid, block and arguments of a launch, each with where it comes from: given, read (in host code), proposed."""
    return r.launch or {
        "grid": {"value": list(r.grid), "from": "given"},
        "block": {"value": list(r.block), "from": "given"},
        "arguments": {},
    }


def short(n: float) -> str:
    """1234567 as 1.23M."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e4)):
        if n >= size:
            return f"{n / (1e3 if unit == 'k' else size):.3g}{unit}"
    return f"{n:g}" if isinstance(n, int) or float(n).is_integer() else f"{n:.2f}"


def source_lines(file: str) -> list[str]:
    """A kernel file's lines; nothing where it cannot be read."""
    path = source.KERNELS / file
    return decoded(path).splitlines() if path.is_file() else []


def _console() -> Console:
    console = Console(highlight=False)
    if not console.is_terminal or console.width < 110:
        console.width = max(console.width, 130)  # a table that is cut says nothing
    return console


def print_reports(reports, gpu: str) -> None:
    console = _console()
    for r in reports:
        console.print(
            Text.assemble((r.kernel, "bold"), f"   {r.file}   grid {extent(r.grid)}, block {extent(r.block)}", style="")
        )
        arrays = ", ".join(f"{name}{list(shape)}" for name, shape, _ in r.arrays)
        console.print(Text(f"{arrays}; watched in {r.seconds:.2f} s", style="dim"))
        for sentence in launch_lines(r) + r.notes:
            console.print(Text(sentence, style="dim"))
        if r.printed:
            console.print(Text("printed by the kernel:", style="dim"))
            console.print(Text(printable_lines(r.printed)))
        if r.findings:
            print_findings(console, r.findings)
        else:
            console.print(
                "[green]no finding[/]: every access in bounds, aligned, written before it is read, and ordered"
            )
        if not r.complete:
            console.print("[red]the launch did not come to its end: its costs are those of the part that ran[/]")
        for v in r.values:
            console.print(Text(v.sentence(), style="red" if v.wrong else "green"))
            for row in v.where:
                console.print(Text(f"    {row}"))
        _print_costs(console, r, gpu)
        console.print()


def print_changes(changed) -> None:
    """What became better or worse since the last run; nothing at the first."""
    if changed is None:
        return
    console = _console()
    console.print(Text("against the last run:" + ("" if changed else " all as it was"), style="bold"))
    styles = {"better": "green", "worse": "red", "other": "dim"}
    for c in changed:
        way = c["change"] if c["change"] != "other" else ""
        console.print(Text(f"  {way:6s}  {c['kernel']}: {c['sentence']}", style=styles[c["change"]]))


def printable_lines(text: str) -> str:
    """What a kernel printed, without what would move the terminal's cursor or change its colours."""
    return "\n".join(printable(line) for line in text.rstrip("\n").split("\n"))


def launch_lines(r) -> list[str]:
    """What of a user's launch was not given: each size and argument with where it comes from."""
    if not r.launch:
        return []
    parts = {"read": [], "proposed": [], "default": []}
    for what in ("grid", "block", "shared_bytes", "template"):
        told = r.launch.get(what, {"from": ""})
        if told["from"] in parts and told["value"] != [0]:
            value = ",".join(map(str, told["value"]))
            parts[told["from"]].append(
                f"{what} {re.sub('(,1){1,2}$', '', value) if what in ('grid', 'block') else value}"
            )
    for name, value in r.launch["arguments"].items():
        if value["from"] in parts:
            parts[value["from"]].append(f"{name}={value['value']}")
    at = r.launch.get("read_from")
    heads = {"read": f"read from line {at['line']}" if at else "read", "proposed": "proposed", "default": "by default"}
    return [f"{heads[k]}: {', '.join(v)}" for k, v in parts.items() if v]


def print_findings(console, findings) -> None:
    for f in findings:
        lines = source_lines(f.file)
        head = Text.assemble(
            (f.kind, f"bold {COLOURS[f.kind]}"),
            ("  warning" if f.severity == "warning" else "", "dim"),
            f"  {f.file}:{f.line}",
            (f"   {f.count} times" if f.count > 1 else "", "dim"),
        )
        console.print(head)
        if 0 < f.line <= len(lines):
            console.print(Text(f"  {f.line:5d} | {lines[f.line - 1].strip()}", style="bold"))
        for file, line in dict.fromkeys([(f.other_file, f.other_line), f.parted or (None, None)]):
            other = source_lines(file) if line and line != f.line else []
            if 0 < (line or 0) <= len(other):
                console.print(Text(f"  {line:5d} | {other[line - 1].strip()}", style="bold"))
        console.print(Text(f"  {f.message}."))
        for file, line, function in f.frames[1:]:
            console.print(Text(f"  called at {file}:{line}, in {function}", style="dim"))


def _print_costs(console, r, gpu: str) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("line", justify="right", no_wrap=True)
    table.add_column("source", no_wrap=True, width=54)
    for name in ("requests", "sectors", "ideal", "shared", "conflicts", "lanes", "diverge", "FLOP"):
        table.add_column(name, justify="right", no_wrap=True)
    rows, last = costs.lines(r), None
    for (file, line), row in sorted(rows.items(), key=lambda item: (item[0][0] != r.file, item[0])):
        if not any(row[n] for n in ("requests", "shared_requests", "divergent", "flops")):
            continue
        if last != file:
            last = file
            if file != r.file:
                table.add_row("", Text(file, style="dim"))
        lines = source_lines(file)
        text = lines[line - 1].strip() if 0 < line <= len(lines) else ""
        requests = row["requests"] + row["shared_requests"]
        waste, conflicts = row["sectors"] > row["ideal_sectors"] * 1.01, row["bank_conflicts"]
        table.add_row(
            str(line),
            Text(text, overflow="ellipsis"),
            _number(row["requests"]),
            Text(_number(row["sectors"]), style="red" if waste else ""),
            _number(row["ideal_sectors"]),
            _number(row["shared_requests"]),
            Text(_number(conflicts), style="red" if conflicts else ""),
            f"{row['lanes'] / requests:.1f}" if requests else "",
            _number(row["divergent"]),
            _number(row["flops"]),
        )
    sums = costs.total(r)
    table.add_section()
    table.add_row(
        "",
        Text("total", style="bold"),
        *(
            Text(_number(v), style="bold")
            for v in (
                sums["requests"],
                sums["sectors"],
                sums["ideal_sectors"],
                sums["shared_requests"],
                sums["bank_conflicts"],
            )
        ),
        f"{sums['lanes_per_request']:.1f}",
        _number(sums["divergent"]),
        Text(_number(sums["flops"]), style="bold"),
    )
    console.print(table)
    for sentence in summary(r, gpu):
        console.print(Text(sentence))


def summary(r, gpu: str) -> list[str]:
    """What the numbers say, in sentences."""
    sums, card, at = costs.total(r), CARDS[gpu], costs.on_card(r, gpu)
    said = []
    if sums["sectors"]:
        said.append(
            f"coalescing: {short(sums['sectors'])} sectors of 32 bytes, {sums['ideal_sectors'] / sums['sectors']:.0%}"
            " of them needed"
        )
    if sums["shared_requests"]:
        ways = 1 + sums["bank_conflicts"] / sums["shared_requests"]
        said.append(
            f"shared memory: {sums['shared_memory']} bytes a block, {short(sums['bank_conflicts'])} extra passes for"
            f" bank conflicts ({ways:.2f} passes a request in place of 1)"
            if sums["bank_conflicts"]
            else f"shared memory: {sums['shared_memory']} bytes a block, no bank conflict"
        )
    said.append(
        f"moves {short(sums['compulsory_bytes'])} bytes at least (each array once), computes {short(sums['flops'])}"
        f" FLOP: {sums['intensity']:.2f} FLOP a byte; {card.name} balances at {at['ridge']:.0f}"
    )
    said.append(
        f"roofline on {card.name}: {_time(at['roofline_us'])}, {at['bound']} bound (memory {_time(at['memory_us'])}, "
        f"arithmetic {_time(at['arithmetic_us'])}; if no cache helped, memory {_time(at['uncached_us'])})"
    )
    if "occupancy" in at:
        said.append(
            f"occupancy: {at['registers']} registers a thread (NVRTC), {at['blocks']} blocks a multiprocessor, limited"
            f" by {at['limit']}: {at['occupancy']:.0%}; the grid has {at['blocks_of_grid']} blocks for"
            f" {at['processors']} multiprocessors"
        )
    else:
        said.append("occupancy: not told: the registers of a thread are NVRTC's to count, which comes with CuPy")
    return said


def _time(us: float) -> str:
    return f"{us / 1e3:.3g} ms" if us >= 1e3 else f"{us:.3g} us"


def _number(n) -> str:
    return short(n) if n else ""


def extent(sizes) -> str:
    """(4, 2, 1) as 4 x 2."""
    last = max([1, *(i + 1 for i, v in enumerate(sizes) if v > 1)])
    return " x ".join(str(v) for v in sizes[:last])


def print_sweep(findings, launches: int, kernels) -> None:
    console = _console()
    for name, shape, f in findings:
        console.print(Text(f"{name} {shape}", style="dim"))
        print_findings(console, [f])
    verdict = "[green]no finding[/]" if not findings else f"[red]{len(findings)} findings[/]"
    console.print(f"{len(kernels)} kernels, {launches} launches: {verdict}")
