"""inspect --watch: what became better or worse since the last run."""

from dataclasses import dataclass, field

from . import costs
from .cards import CARDS, roofline
from .tables import extent, short, source_lines

# Of a launch's total: what is compared, and its name. More is worse.
COMPARED = {
    "sectors": "sectors",
    "shared_requests": "requests to shared memory",
    "bank_conflicts": "extra passes for bank conflicts",
    "divergent": "times that a warp parted",
    "flops": "FLOP",
}


@dataclass
class Seen:
    """One launch, as the next run is held against it. findings: (kind, the line's text, array) -> line."""

    launch: tuple
    complete: bool
    findings: dict = field(default_factory=dict)
    counts: dict = field(default_factory=dict)
    wrong: dict = field(default_factory=dict)  # an output -> its wrong elements
    microseconds: float = 0.0  # by the roofline
    seconds: float = 0.0  # watched


def seen(report, gpu: str) -> Seen:
    """What a run showed. The file may have changed when the next one asks, so lines are kept as text."""
    made = Seen((extent(report.grid), extent(report.block), *map(str, report.arrays)), report.complete)
    for f in report.findings:
        lines = source_lines(f.file)
        text = lines[f.line - 1].strip() if 0 < f.line <= len(lines) else ""
        made.findings[f.kind, text, f.array.partition("[")[0]] = f.line
    sums = costs.total(report)
    made.counts = {name: int(sums[name]) for name in COMPARED}
    made.wrong = {v.array: v.wrong for v in report.values}
    bounds = roofline(CARDS[gpu], sums["compulsory_bytes"], sums["sectors"], report.flops, report.flops64)
    made.microseconds, made.seconds = bounds["roofline_us"], report.seconds
    return made


def against(before: Seen, now: Seen) -> list[tuple[str, str]]:
    """(better, worse or other; sentence) for all that changed."""
    said = []
    for key, line in _only(before.findings, now.findings).items():
        gone = "is gone" if now.complete else "was not reached: the launch did not come so far"
        said.append(("better" if now.complete else "other", f"{key[0]} at line {line} {gone}"))
    said += [("worse", f"{key[0]} at line {line} is new") for key, line in _only(now.findings, before.findings).items()]
    if before.complete != now.complete:
        ways = ("better", "comes to its end") if now.complete else ("worse", "does not come to its end")
        said.append((ways[0], f"the launch {ways[1]} now"))
    for array, wrong in now.wrong.items():
        if (was := before.wrong.get(array)) is not None and was != wrong:
            said.append(("better" if wrong < was else "worse", f"wrong elements of {array}: {was} -> {wrong}"))
    if before.launch != now.launch:
        return [*said, ("other", "the launch is another one (grid, block or arrays): its counts are not compared")]
    if not (before.complete and now.complete):
        return said
    for name, what in COMPARED.items():
        a, b = before.counts[name], now.counts[name]
        if a != b:
            said.append(("better" if b < a else "worse", f"{what}: {short(a)} -> {short(b)}{_percent(a, b)}"))
    a, b = before.microseconds, now.microseconds
    if abs(b - a) > 0.005 * a:
        said.append(("better" if b < a else "worse", f"roofline: {a:.3g} -> {b:.3g} us{_percent(a, b)}"))
    said.append(("other", f"time, watched: {before.seconds:.2f} -> {now.seconds:.2f} s"))
    return said


def _only(findings: dict, others: dict) -> dict:
    """Those that the others lack; one whose line alone has changed is the same."""
    rest = [(kind, array) for kind, text, array in others if (kind, text, array) not in findings]
    made = {}
    for key, line in findings.items():
        if key in others:
            continue
        if (key[0], key[2]) in rest:
            rest.remove((key[0], key[2]))
        else:
            made[key] = line
    return made


def _percent(a: float, b: float) -> str:
    return f" ({(b - a) / a:+.0%})" if a else ""


class History:
    """The last run of each kernel."""

    def __init__(self, gpu: str):
        self.gpu = gpu
        self.last: dict[str, list[Seen]] = {}

    def changed(self, reports) -> list[dict]:
        """What changed since the last run, as --json prints it; from now on this run is the last."""
        now: dict[str, list[Seen]] = {}
        for r in reports:
            now.setdefault(r.kernel, []).append(seen(r, self.gpu))
        made = [
            {"kernel": kernel, "change": way, "sentence": sentence}
            for kernel, runs in now.items()
            for before, run in zip(self.last.get(kernel, []), runs)
            for way, sentence in against(before, run)
        ]
        self.last.update(now)
        return made
