"""python -m bench.report FILE [--readme FILE] [--performance FILE] [--images DIR]: tables and pictures of a result.

Prints the tables as Markdown. With --readme or --performance they replace what stands there between the two marks (with
both, the README gets the steps only); with --images the plots are drawn.
"""

import argparse
import json
import os
import sys
import textwrap
from pathlib import Path

from dcgan_cupy.errors import UserError, printable

NAMES = {
    "dcgan_cupy": "this project",
    "eager": "PyTorch eager",
    "channels_last": "PyTorch channels_last",
    "compile": "torch.compile",
    "graph": "CUDA graph",
}
RUNGS = ("textbook", "tiled", "winograd", "tensorcore")
BEGIN, END = "<!-- bench: begin (python -m bench.report) -->", "<!-- bench: end -->"
WHOLE: dict = {"break_long_words": False, "break_on_hyphens": False}
COLOURS = {"dcgan_cupy": "#c2410c", "channels_last": "#1d4ed8"}


def table(head: list[str], rows: list[list]) -> str:
    """A Markdown table."""
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in (head, ["---"] * len(head), *rows))


def steps_table(result: dict) -> str:
    """Images a second: median, and p10 to p90 behind it."""
    modes = [name for name in NAMES if any(name in row for row in result["steps"])]

    def cell(row, mode):
        if mode not in row:
            return "–"
        p10, median, p90 = (1000 * row["batch"] / row[mode][key] for key in ("p90", "ms", "p10"))
        return f"{median:.0f} ({p10:.0f}–{p90:.0f})"

    reduced = [p for p in ("tf32", "bf16") if any(p in row.get("ratios", {}) for row in result["steps"])]
    return "Images a second, median (p10–p90):\n\n" + table(
        [
            *("features", "batch", "size", *(NAMES[mode] for mode in modes), "ratio to the best"),
            *(f"to PyTorch's best in {precision}" for precision in reduced),
        ],
        [
            [
                row["features"],
                row["batch"],
                row["size"],
                *(cell(row, mode) for mode in modes),
                f"**{row['ratio']:.2f}**",
                *(f"{row['ratios'][p]:.2f}" if p in row.get("ratios", {}) else "–" for p in reduced),
            ]
            for row in result["steps"]
        ],
    )


FLOP = (
    "GFLOP/s and the roofline count the direct form's multiplications and additions; Winograd does 9 of 16, so 100 % is"
    " not its limit."
)


def kernels_table(result: dict) -> str:
    """Medians of each rung; GFLOP/s, GB/s and ratio are those of the fastest."""
    rungs = [rung for rung in RUNGS if any(rung in row for row in result["kernels"])]
    head = [
        "features",
        "layer",
        "pass",
        *(f"{rung} ms" for rung in rungs),
        "PyTorch ms",
        "ratio",
        "GFLOP/s",
        "GB/s",
        "% of roofline",
    ]
    return table(
        head,
        [
            [
                row["features"],
                row["layer"],
                row["pass"],
                *(f"{row[r]['ms']:.3g}" if r in row else "–" for r in rungs),
                f"{row['torch']['ms']:.3g}",
                f"{row['ratio']:.2f}",
                row["gflops"],
                row["gb_per_s"],
                row["percent_of_roofline"],
            ]
            for row in result["kernels"]
        ],
    )


def left_out(result: dict) -> list[str]:
    """What was not measured: one line for each reason."""
    groups = {}
    for entry in result["left_out"]:
        rows = f" ({entry['rows']} rows)" if entry["rows"] > 1 else ""
        groups.setdefault(entry["why"], []).append(entry["what"] + rows)
    return [f"Not measured, {why}: {', '.join(what)}." for why, what in groups.items()]


def report(result: dict, images: str | None = None, layers: bool = True) -> str:
    """Who measured what, the steps, the layers, what was left out.

    images: path of the plot to show.   layers: with the long table of each layer and pass.
    """
    head = result["header"]
    limits = head.get("roofline")
    parts = [
        f"{head['device']}: {head['runs']}. {head['date']}, commit {head['commit']}, torch {head['torch']},"
        f" {head['precision']}"
        + (f"; measured limits {limits['gflops']} GFLOP/s and {limits['gb_per_s']} GB/s." if limits else ".")
    ]
    parts += [f"**Warning: {head['busy']}.**"] if head.get("busy") else []
    parts += [steps_table(result)] if result["steps"] else []
    parts += (
        [f"![time of a step as batch, features and image size grow]({images})"] if images and result["growth"] else []
    )
    parts += [kernels_table(result), FLOP] if layers and result["kernels"] else []
    parts += left_out(result)
    prose = [not part.startswith(("Images", "|", "!")) for part in parts]
    return "\n\n".join(textwrap.fill(part, 120, **WHOLE) if words else part for part, words in zip(parts, prose))


def plot(result: dict, path: Path) -> None:
    """Milliseconds a step over batch, features and image size, both axes logarithmic.

    Needs matplotlib (the bench extra).
    """
    try:
        import matplotlib
    except ImportError:
        raise UserError("bench.report: --images: need matplotlib (pip install 'dcgan_cupy[bench]'), got none") from None

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 3, figsize=(10.5, 3.2), sharey=True, layout="constrained")
    for axis, what in zip(axes, ("batch", "features", "size")):
        rows = sorted((row for row in result["growth"] if row["along"] == what), key=lambda row: row[what])
        for name, colour in COLOURS.items():
            values = [[row[what], row[name]["ms"], row[name]["p10"], row[name]["p90"]] for row in rows]
            if values:
                x, median, low, high = zip(*values)
                axis.plot(x, median, "o-", color=colour, label=NAMES[name])
                axis.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)
        axis.set_xscale("log", base=2)
        axis.set_yscale("log")
        axis.set_xticks([row[what] for row in rows], [str(row[what]) for row in rows])
        axis.minorticks_off()
        axis.set_xlabel({"size": "image size, px"}.get(what, what))
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("ms a step")
    axes[0].legend(frameon=False)
    figure.suptitle(f"{result['header']['device'].split(',')[0]}, {result['header']['runs']}", fontsize=9)
    temporary = path.with_name(f".{path.name}")
    figure.savefig(temporary, format="png", dpi=120)
    pyplot.close(figure)
    os.replace(temporary, path)


ABOVE_0 = "a number above 0"  # in a form, as int, float and str are: times are divided by, and drawn on logarithms
TIMES = {"ms": ABOVE_0, "p10": ABOVE_0, "p90": ABOVE_0}
WHERE = {"features": ABOVE_0, "batch": ABOVE_0, "size": ABOVE_0}
FORM = {
    "header": dict.fromkeys(("device", "runs", "kind", "date", "commit", "torch", "precision"), str),
    "steps": [{**WHERE, "ratio": float}],
    "kernels": [
        {
            "features": int,
            "layer": str,
            "pass": str,
            "torch": TIMES,
            **dict.fromkeys(("ratio", "gflops", "gb_per_s", "percent_of_roofline"), float),
        }
    ],
    "growth": [{"along": str, **WHERE, **dict.fromkeys(COLOURS, TIMES)}],
    "left_out": [{"what": str, "why": str, "rows": float}],
}
OPTIONAL = {
    "header": {"roofline": {"gflops": float, "gb_per_s": float}, "busy": str},
    "steps": dict.fromkeys(NAMES, TIMES),
    "kernels": dict.fromkeys(RUNGS, TIMES),
}


def fault_of(value, form, where: str = "") -> str:
    """What a result file has not, or has as something else; nothing where it has the form."""
    if isinstance(form, list):
        if not isinstance(value, list):
            return f"{where}: need a list"
        return next(filter(None, (fault_of(row, form[0], f"{where}[{i}]") for i, row in enumerate(value))), "")
    if isinstance(form, dict):
        if not isinstance(value, dict):
            return f"{where or 'all of it'}: need an object"
        parts = [(key, part) for key, part in form.items()]
        parts += [(key, part) for key, part in OPTIONAL.get(where.split("[")[0], {}).items() if key in value]
        found = (
            fault_of(value[key], part, f"{where}.{key}".strip(".")) if key in value else f"{where}: need {key!r}"
            for key, part in parts
        )
        return next(filter(None, found), "").removeprefix(": ")
    if form is str:
        return "" if isinstance(value, str) else f"{where}: need a text"
    number = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < float("inf")
    if form is ABOVE_0:
        return "" if number and value > 0 else f"{where}: need {ABOVE_0}"
    return "" if number else f"{where}: need a number"


def load(path: str) -> dict:
    """A result file. Raises: UserError, in one sentence, with what is wrong with any other."""
    try:
        if not Path(path).is_file():
            raise OSError("there is no such regular file")
        result = json.loads(Path(path).read_text(encoding="utf-8"))
        fault = fault_of(result, FORM)
    except (OSError, ValueError, RecursionError) as error:
        fault = str(getattr(error, "strerror", None) or error)
    if fault:
        raise UserError(f"bench.report: file: need a result file (bench/results/*.json), got {path}: {fault}")
    return result


def rewrite(readme: Path, text: str) -> None:
    """Puts the text between the two marks. Raises: UserError where they are not there, once each and in order."""
    try:
        old = readme.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise UserError(f"bench.report: --readme: need a text file, got {readme}: {error}") from None
    before, begin, rest = old.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end) or BEGIN in rest or END in before + after:
        raise UserError(f"bench.report: --readme: need the lines {BEGIN} and {END} once each, got {readme} without")
    temporary = readme.with_name(f".{readme.name}")
    temporary.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")
    os.replace(temporary, readme)


def main(arguments=None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.report", description="tables and pictures of a result file")
    parser.add_argument("file", help="a result file (bench/results/*.json)")
    parser.add_argument("--readme", help="put the tables between the two marks of this file")
    parser.add_argument("--performance", help="put them between the marks of this file, and of --readme the steps only")
    parser.add_argument("--images", help="draw the plots into this folder")
    given = parser.parse_args(arguments)
    try:
        result = load(given.file)
        picture = None
        if given.images and result["growth"]:
            picture = Path(given.images) / f"growth-{result['header']['kind']}.png"
            picture.parent.mkdir(parents=True, exist_ok=True)
            plot(result, picture)
        for path, layers in ((given.readme, not given.performance), (given.performance, True)):
            if path:
                shown = os.path.relpath(picture, Path(path).parent) if picture else None
                rewrite(Path(path), report(result, shown, layers))
        print(report(result, os.path.relpath(picture) if picture else None))
    except (UserError, OSError) as error:
        print(printable(error), file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
