"""python -m bench.report FILE: the tables of a result file, as Markdown for the README."""

import json
import sys
from pathlib import Path

NAMES = {"dcgan_cupy": "this project", "eager": "PyTorch eager", "channels_last": "channels_last", "compile": "torch.compile"}


def table(head: list[str], rows: list[list]) -> str:
    """A Markdown table."""
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in (head, ["---"] * len(head), *rows))


def report(result: dict) -> str:
    """Header line, the steps, the layers."""
    head = result["header"]
    limits = head["roofline"]
    modes = [name for name in NAMES if any(name in row["images_per_s"] for row in result["steps"])]
    steps = [[row["features"], row["batch"], row["size"], *(row["images_per_s"].get(m, "") for m in modes), row["ratio"]]
             for row in result["steps"]]
    layers = [[row["features"], row["layer"], row["pass"], row.get("textbook", {}).get("ms", ""), row["tiled"]["ms"], row["torch"]["ms"],
               row["ratio"], row["gflops"], row["percent_of_roofline"]] for row in result["kernels"]]
    return "\n\n".join([
        f"{head['device']}; {head['date']}, commit {head['commit']}, torch {head['torch']}, {head['precision']}; "
        f"measured limits {limits['gflops']} GFLOP/s and {limits['gb_per_s']} GB/s.",
        table(["features", "batch", "size", *(f"{NAMES[m]}, images/s" for m in modes), "ratio to the best"], steps),
        table(["features", "layer", "pass", "textbook ms", "tiled ms", "PyTorch ms", "ratio", "GFLOP/s", "% of roofline"], layers)])


def main() -> int:
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_file():
        print("bench.report: FILE: need a result file (bench/results/*.json)", file=sys.stderr)
        return 2
    print(report(json.loads(Path(sys.argv[1]).read_text())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
