"""The page of --html: one file, no script, nothing fetched.

The source with its costs, access patterns as pictures, the roofline.
"""

import re
from html import escape
from math import log10
from pathlib import Path

from . import costs
from .cards import CARDS
from .tables import extent, launch_lines, printable_lines, short, source_lines, summary

LAUNCH_US = 3  # of any kernel, on a GPU
STYLE = Path(__file__).with_name("page.css").read_text(encoding="utf-8")


def render(reports, gpu: str) -> str:
    """All launches as one HTML text."""
    body = "\n".join(_launch(r, gpu) for r in reports)
    title = f"{reports[0].kernel}: kernel workbench"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport"'
        ' content="width=device-width">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>\n{body}\n</body></html>\n"
    )


def _launch(r, gpu: str) -> str:
    sums, at = costs.total(r), costs.on_card(r, gpu)
    arrays = ", ".join(f"{name}[{', '.join(map(str, shape))}]" for name, shape, _ in r.arrays)
    launch = f"; a launch costs more, some {LAUNCH_US} us" if at["roofline_us"] < LAUNCH_US else ""
    size = f"{extent(r.grid)} blocks of {extent(r.block)} threads"
    coalescing = f"{sums['ideal_sectors'] / sums['sectors']:.0%}" if sums["sectors"] else "–"
    cards = [
        (
            f'<b class="{"bad" if r.findings else "good"}">{len(r.findings) or "none"}</b>',
            "finding" + "s" * (len(r.findings) != 1),
        ),
        (f"<b>{coalescing}</b>", f"of {short(sums['sectors'])} sectors needed"),
        (
            f"<b>{short(sums['bank_conflicts'])}</b>",
            f"extra passes in {short(sums['shared_requests'])} shared requests",
        ),
        (f"<b>{sums['lanes_per_request']:.1f}</b>", "of 32 lanes take part in a request"),
        (f"<b>{sums['intensity']:.2f}</b>", "FLOP a byte"),
        (f"<b>{_time(at['roofline_us'])}</b>", f"roofline, {escape(at['card'])}, {at['bound']} bound{launch}"),
    ]
    parts = [
        (
            f'<section class="launch"><h1>{escape(r.kernel)}</h1><p class="where"><span'
            f' class="mono">{escape(r.file)}</span> · {size}<br><span class="mono">{escape(arrays)}</span></p><div'
            ' class="cards">'
        ),
        *(f'<div class="card">{value}<span>{what}</span></div>' for value, what in cards),
        "</div>",
    ]
    parts += [f'<p class="said">{escape(s)}</p>' for s in launch_lines(r) + r.notes]
    for v in r.values:
        parts.append(f'<p class="said{" wrong" if v.wrong else ""}">{escape(v.sentence())}</p>')
        parts += [f"<pre>{escape(chr(10).join(v.where))}</pre>"] if v.where else []
    if r.printed:
        parts += ["<h2>Printed by the kernel</h2>", f"<pre>{escape(printable_lines(r.printed))}</pre>"]
    if not r.complete:
        parts.append("<p>The launch did not come to its end: its costs are those of the part that ran.</p>")
    if r.findings:
        parts += ["<h2>Findings</h2>", *(_finding(f) for f in r.findings)]
    parts += ["<h2>Source</h2>", _source(r)]
    pictures = _pictures(r)
    if pictures:
        parts += [
            "<h2>Access patterns</h2>",
            (
                '<p class="legend">The costliest request of each place: 32 lanes above; below, the 32-byte sectors of'
                " global memory that they touch, or the banks of shared memory with the passes each needs. Grey: nobody"
                " asked for it.</p>"
            ),
            f'<div class="pictures">{"".join(pictures)}</div>',
        ]
    parts += [
        "<h2>Roofline</h2>",
        f'<figure class="roof">{_roofline(r, gpu)}</figure>',
        f"<ul>{''.join(f'<li>{escape(s)}</li>' for s in summary(r, gpu))}</ul></section>",
    ]
    return "\n".join(parts)


def _finding(f) -> str:
    times = f" · {f.count} times" if f.count > 1 else ""
    calls = "".join(f"<br><small>called at {escape(c[0])}:{c[1]}, in {escape(c[2])}</small>" for c in f.frames[1:])
    mild = " (warning)" if f.severity == "warning" else ""
    return (
        f'<div class="finding"><h3>{f.kind}{mild} <small class="mono">{escape(f.file)}:{f.line}{times}</small></h3>'
        f"<p>{escape(f.message)}.</p>{calls}</div>"
    )


def _source(r) -> str:
    rows = costs.lines(r)
    files = sorted({file for file, _ in rows} | {f.file for f in r.findings} | {r.file}, key=lambda f: (f != r.file, f))
    weights = {at: row["sectors"] + row["shared_requests"] + row["bank_conflicts"] for at, row in rows.items()}
    most = max([1, *weights.values()])
    head = "".join(
        f'<th title="{hint}">{name}</th>'
        for name, hint in (
            ("requests", "of warps to global memory"),
            ("sectors", "of 32 bytes that they touch"),
            ("ideal", "sectors that the bytes asked for would fill"),
            ("shared", "requests of warps to shared memory"),
            ("conflicts", "extra passes, lanes that want other words of one bank"),
            ("lanes", "that take part, on average"),
            ("diverge", "branches at which a warp parted"),
            ("FLOP", ""),
        )
    )
    out = [
        '<p class="legend">Heat: the share of all sectors and shared-memory passes that a line asks for.</p><div'
        f' class="scroll"><table><tr><th></th><th class="code">line</th>{head}</tr>'
    ]
    for file in files:
        lines = source_lines(file)
        used = {line for at, line in rows if at == file} | {f.line for f in r.findings if f.file == file}
        if not used or not lines:
            continue
        out.append(f'<tr class="file"><td colspan="10" class="mono">{escape(file)}</td></tr>')
        first = max(1, min(used) - 4)
        shown = {n for u in used for n in range(u - 4, u + 5)} | set(
            range(first, max(used) + 1) if len(lines) < 160 and file == r.file else ()
        )
        before = None
        for n in sorted(v for v in shown if 1 <= v <= len(lines)):
            if before is not None and n > before + 1:
                out.append('<tr class="gap"><td colspan="10">⋮</td></tr>')
            before = n
            out.append(_line(n, lines[n - 1], rows.get((file, n)), weights.get((file, n), 0) / most))
            faults = [f for f in r.findings if f.file == file and n in (f.line, f.other_line)]
            if faults:
                out[-1] = out[-1].replace("<tr", '<tr class="fault"', 1)
                kinds = ", ".join(
                    sorted(
                        {
                            f.kind + (f" (with line {f.other_line if n == f.line else f.line})" if f.other_line else "")
                            for f in faults
                        }
                    )
                )
                out.append(f'<tr class="note"><td colspan="10">▲ {escape(kinds)}</td></tr>')
    return "\n".join(out) + "</table></div>"


def _line(number: int, text: str, row, heat: float) -> str:
    code, slashes, comment = text.partition("//")
    shown = escape(code) + (f"<i>{escape(slashes + comment)}</i>" if slashes else "")
    shown = re.sub(r"\b(__\w+__|__syncthreads|__syncwarp|__shfl\w+)\b", r"<b>\1</b>", shown)
    style = f' style="background:rgba(var(--heat),{0.06 + 0.5 * heat:.2f})"' if heat > 0 else ""
    if row is None:
        return f'<tr><td class="n">{number}</td><td class="code">{shown}</td>' + "<td></td>" * 8 + "</tr>"
    requests = row["requests"] + row["shared_requests"]
    waste = ' class="bad"' if row["sectors"] > 1.01 * row["ideal_sectors"] else ""
    conflicts = ' class="bad"' if row["bank_conflicts"] else ""
    cells = (
        f"<td>{_n(row['requests'])}</td><td{waste}>{_n(row['sectors'])}</td><td>{_n(row['ideal_sectors'])}</td>"
        f"<td>{_n(row['shared_requests'])}</td><td{conflicts}>{_n(row['bank_conflicts'])}</td>"
        f"<td>{round(row['lanes'] / requests, 1) if requests else ''}</td>"
        f"<td>{_n(row['divergent'])}</td><td>{_n(row['flops'])}</td>"
    )
    return f'<tr><td class="n">{number}</td><td class="code"{style}>{shown}</td>{cells}</tr>'


def _n(n: int) -> str:
    return short(n) if n else ""


def _pictures(r) -> list[str]:
    """The costliest places first: those that waste most, then those that ask most; one for each line and kind."""
    seen, made = set(), []
    for a in sorted(r.accesses, key=lambda a: (-(a.sectors - a.ideal + a.extra), -a.requests)):
        if a.pattern and (a.file, a.line, a.kind, a.shared) not in seen and len(made) < 8:
            seen.add((a.file, a.line, a.kind, a.shared))
            made.append(_picture(a))
    return made


def _picture(a) -> str:
    p = a.pattern
    lanes = p["lanes"]
    svg = _banks(lanes, p["size"]) if a.shared else _sectors(lanes, p["size"])
    active = sum(at is not None for at in lanes)
    verb = {"read": "read", "write": "written", "atomic": "changed by atomics"}[a.kind]
    text = source_lines(a.file)
    code = text[a.line - 1].strip()[:90] if 0 < a.line <= len(text) else ""
    return (
        f'<figure>{svg}<figcaption><b class="mono">{escape(p["array"] or "outside")}</b> {verb}, {p["size"]} bytes a'
        f" lane, {active} lanes; block {p['block']}, warp {p['warp']} · <span"
        f' class="mono">{escape(a.file)}:{a.line}</span><br><span'
        f' class="mono">{escape(code)}</span></figcaption></figure>'
    )


def _lanes_row(lanes, width, y) -> list[str]:
    step = width / 32
    out = []
    for lane, at in enumerate(lanes):
        colour = "var(--blue)" if at is not None else "var(--line)"
        out.append(
            f'<rect x="{lane * step + 1:.1f}" y="{y}" width="{step - 2:.1f}" height="14" rx="2" fill="{colour}"/>'
        )
    out.append(f'<text x="0" y="{y - 5}">lane 0</text><text x="{width}" y="{y - 5}" text-anchor="end">31</text>')
    return out


def _sectors(lanes, size: int) -> str:
    """Lanes above, sectors below in the order of their addresses; a gap between two stands for what lies between."""
    width, step = 640, 640 / 32
    asked = {}
    for at in lanes:
        if at is not None:
            for s in range(at // 32, (at + size - 1) // 32 + 1):
                asked.setdefault(s, set()).update(range(max(at, 32 * s) - 32 * s, min(at + size, 32 * s + 32) - 32 * s))
    order = sorted(asked)
    gaps = [i for i in range(1, len(order)) if order[i] != order[i - 1] + 1]
    box = min(60.0, (width - 4 * len(gaps)) / max(1, len(order)))
    place, x = {}, 0.0
    for i, s in enumerate(order):
        x += 4 if i in gaps else 0
        place[s] = x
        x += box
    left = (width - x) / 2
    out = _lanes_row(lanes, width, 20)
    for lane, at in enumerate(lanes):
        if at is not None:
            s = at // 32
            end = (
                left + place[s] + (at % 32 + size / 2) / 32 * box if at % 32 + size <= 32 else left + place[s] + box / 2
            )
            out.append(
                f'<path d="M{lane * step + step / 2:.1f} 34 C{lane * step + step / 2:.1f} 76 {end:.1f} 72 {end:.1f}'
                ' 114" fill="none" stroke="var(--blue)" stroke-opacity=".45"/>'
            )
    for s in order:
        out.append(
            f'<rect x="{left + place[s]:.1f}" y="114" width="{box - 1.5:.1f}" height="20" rx="2" fill="var(--line)"/>'
        )
        for b in sorted(asked[s]):
            out.append(
                f'<rect x="{left + place[s] + b / 32 * (box - 1.5):.1f}" y="114" width="{(box - 1.5) / 32 + 0.15:.2f}"'
                ' height="20" fill="var(--blue)"/>'
            )
    used = sum(map(len, asked.values()))
    share = used / (32 * len(order)) if order else 0
    out.append(
        f'<text x="0" y="152">{len(order)} sectors, {32 * len(order)} bytes moved, {used} asked for'
        f" ({share:.0%})</text>"
    )
    if order:
        out.append(f'<text x="{width}" y="152" text-anchor="end">bytes {32 * order[0]} to {32 * order[-1] + 31}</text>')
    return f'<svg viewBox="0 -4 {width} 164" role="img">{"".join(out)}</svg>'


def _banks(lanes, size: int) -> str:
    """Lanes above, banks below: each word that a bank must serve is one more box under it."""
    width, step = 640, 640 / 32
    group = 8 if size == 16 else 16 if size == 8 else 32
    part = max(
        range(0, 32, group), key=lambda f: max([0, *_load(lanes[f : f + group], size).values()])
    )  # its worst part
    words = {}
    for at in lanes[part : part + group]:
        if at is not None:
            for w in range(at // 4, (at + size - 1) // 4 + 1):
                words.setdefault(w % 32, [])
                if w not in words[w % 32]:
                    words[w % 32].append(w)
    most = max([1, *map(len, words.values())])
    out = _lanes_row([at if part <= i < part + group else None for i, at in enumerate(lanes)], width, 20)
    for lane in range(part, part + group):
        if lanes[lane] is not None:
            end = (lanes[lane] // 4 % 32 + size / 8) * step if size >= 4 else (lanes[lane] // 4 % 32 + 0.5) * step
            out.append(
                f'<path d="M{lane * step + step / 2:.1f} 34 C{lane * step + step / 2:.1f} 70 {end:.1f} 66 {end:.1f}'
                ' 100" fill="none" stroke="var(--violet)" stroke-opacity=".45"/>'
            )
    height = min(14.0, 110 / most)
    for bank in range(32):
        count = len(words.get(bank, ()))
        if not count:
            out.append(
                f'<rect x="{bank * step + 1:.1f}" y="100" width="{step - 2:.1f}" height="{height - 1:.1f}" rx="2"'
                ' fill="var(--line)"/>'
            )
        for i in range(count):
            colour = "var(--violet)" if i == 0 else "var(--bad)"
            out.append(
                f'<rect x="{bank * step + 1:.1f}" y="{100 + i * height:.1f}" width="{step - 2:.1f}"'
                f' height="{max(1.5, height - 1):.1f}" rx="{min(2, height / 4):.1f}" fill="{colour}"/>'
            )
    bottom = 100 + most * height + 16
    which = (
        ""
        if group == 32
        else f"; lanes {part} to {part + group - 1}, since {size} bytes a lane go in {32 // group} parts"
    )
    out.append(f'<text x="0" y="{bottom:.0f}">banks 0 to 31: {most} pass{"es" if most > 1 else ""}{which}</text>')
    return f'<svg viewBox="0 -4 {width} {bottom + 8:.0f}" role="img">{"".join(out)}</svg>'


def _load(lanes, size: int) -> dict:
    words = {w for at in lanes if at is not None for w in range(at // 4, (at + size - 1) // 4 + 1)}
    load = {}
    for w in words:
        load[w % 32] = load.get(w % 32, 0) + 1
    return load


def _roofline(r, gpu: str) -> str:
    """FLOP/s against FLOP a byte, both by tens: the roof, and the launch below its place on it."""
    card, sums = CARDS[gpu], costs.total(r)
    width, height, left, bottom = 700, 300, 56, 40
    low_x, high_x, high_y = -2.0, 3.0, log10(card.tflops * 1e3) + 0.4
    low_y = high_y - 4.6

    def x(v):
        return left + (min(max(log10(v), low_x), high_x) - low_x) / (high_x - low_x) * (width - left - 12)

    def y(v):
        return height - bottom - (min(max(log10(v), low_y), high_y) - low_y) / (high_y - low_y) * (height - bottom - 14)

    out = []
    for power in range(int(low_x), int(high_x) + 1):
        out.append(
            f'<line x1="{x(10**power):.0f}" x2="{x(10**power):.0f}" y1="14" y2="{height - bottom}"'
            f' stroke="var(--line)"/><text x="{x(10**power):.0f}" y="{height - bottom + 16}"'
            f' text-anchor="middle">{10.0**power:g}</text>'
        )
    for power in range(int(low_y) + 1, int(high_y) + 1):
        name = f"{10**power / 1000:g} T" if power >= 3 else f"{10**power:g} G"
        out.append(
            f'<line x1="{left}" x2="{width - 12}" y1="{y(10**power):.0f}" y2="{y(10**power):.0f}"'
            f' stroke="var(--line)"/><text x="{left - 8}" y="{y(10**power) + 4:.0f}" text-anchor="end">{name}</text>'
        )
    ridge = card.tflops * 1e3 / card.gbs
    out.append(
        f'<path d="M{x(10**low_x):.1f} {y(10**low_x * card.gbs):.1f} L{x(ridge):.1f} {y(card.tflops * 1e3):.1f} '
        f'L{x(10**high_x):.1f} {y(card.tflops * 1e3):.1f}" fill="none" stroke="var(--ink)" stroke-width="2"/>'
    )
    if sums["intensity"] > 0:
        actual = sums["flops"] / (32 * sums["sectors"]) if sums["sectors"] else sums["intensity"]
        for value, colour, what, dy in (
            (actual, "var(--bad)", "every sector from memory", 24),
            (sums["intensity"], "var(--blue)", "each array once", -14),
        ):
            roof = min(card.tflops * 1e3, value * card.gbs)
            anchor = "end" if x(value) > width * 0.62 else "start"
            out.append(
                f'<circle cx="{x(value):.1f}" cy="{y(roof):.1f}" r="6" fill="{colour}"/>'
                f'<text x="{x(value) + (-10 if anchor == "end" else 10):.1f}" '
                f'y="{y(roof) + dy:.1f}" text-anchor="{anchor}" style="fill:{colour}">{what}: {value:.2f}</text>'
            )
    out.append(
        f'<text x="{width - 12}" y="{height - 6}" text-anchor="end">FLOP a byte</text><text x="{width - 14}" y="10"'
        f' text-anchor="end">{escape(card.name)}: {card.tflops:g} TFLOP/s</text><text x="{left + 8}"'
        f' y="{y(10**low_x * card.gbs * 1.6) - 26:.0f}">{card.gbs:g} GB/s</text><text x="{left}" y="10">FLOP/s</text>'
    )
    return f'<svg viewBox="0 0 {width} {height}" role="img">{"".join(out)}</svg>'


def _time(us: float) -> str:
    return f"{us / 1e3:.3g} ms" if us >= 1e3 else f"{us:.3g} µs"
