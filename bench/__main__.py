"""python -m bench [--out DIR] [--minutes M] [--device auto|cpu|gpu]: kernels and training steps beside PyTorch.

The most important rows come first, and the file is written anew after each: stop it at any time. Its tables as Markdown:
python -m bench.report FILE.
"""

import argparse
import json
import os
import re
import sys
import time
from pathlib import Path

from dcgan_cupy import device
from dcgan_cupy.errors import UserError

from . import kernels, steps
from .measure import header, roofline


def main(arguments=None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description="kernels and training steps beside PyTorch")
    parser.add_argument("--out", default=str(Path(__file__).parent / "results"), help="folder of the results (default: bench/results)")
    parser.add_argument("--minutes", type=float, default=15, help="time to stay within (default: 15)")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "gpu"))
    given = parser.parse_args(arguments)
    try:
        dev = device.get(given.device)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    steps.threads(getattr(dev, "threads", os.cpu_count()))
    begun = time.monotonic()
    end = begun + 60 * given.minutes
    result = {"header": header(dev), "steps": [], "kernels": [], "growth": []}
    name = re.sub(r"\W+", "-", dev.description.split(",")[1 if dev.kind == "cpu" else 0].lower()).strip("-")
    path = Path(given.out) / f"{name}-{result['header']['date']}.json"
    path.parent.mkdir(parents=True, exist_ok=True)

    def save():
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json.dumps(result, indent=1) + "\n")
        os.replace(temporary, path)

    def left(share):
        return time.monotonic() + max(0.0, end - time.monotonic()) * share

    def add(section, row, line):
        result[section].append(row)
        save()
        print(line, flush=True)

    print(", ".join(f"{k} {v}" for k, v in result["header"].items()))
    result["header"]["roofline"] = limits = roofline("cuda" if dev.kind == "gpu" else "cpu")
    print(f"roofline: {limits['gflops']} GFLOP/s (matrix product), {limits['gb_per_s']} GB/s (copy)")
    print("\nstep (features, batch, size): images/s, ratio to the best PyTorch mode")
    for i, size in enumerate(steps.SIZES):
        if i and time.monotonic() > end - 60 * given.minutes * 0.3:
            break
        row = steps.compare(dev, *size, rounds=15, deadline=left(0.2))
        add("steps", row, f"  {size}: {row['images_per_s']}  ratio {row['ratio']} ({row['best_peer']})")
    print("\nlayer pass: tiled ms, PyTorch ms, ratio, GFLOP/s, % of roofline")
    failed = []
    for features, batch, size in ((16, 64, 32), (64, 128 if dev.kind == "gpu" else 16, 64)):
        if time.monotonic() < end:
            textbook = features == 16 or dev.kind == "gpu"       # at full width it would take a CPU minutes
            failed += kernels.measure(dev, features, batch, size, limits, 9, lambda: left(0.01), textbook, lambda row: add(
                "kernels", row, f"  {row['layer']} {row['pass']:<16} {row['tiled']['ms']:9.3f} {row['torch']['ms']:9.3f}  "
                                f"{row['ratio']:.2f}  {row['gflops']:7.1f}  {row['percent_of_roofline']:.0f} %"))
    print("\ngrowth")
    steps.growth(dev, 5, end, lambda row: add(
        "growth", row, f"  {row['along']}: {row['features'], row['batch'], row['size']} {row['dcgan_cupy']['ms']:.1f} ms, "
                       f"channels_last {row['channels_last']['ms']:.1f} ms"))
    print(f"\n{path}: {time.monotonic() - begun:.0f} s")
    for row in failed:
        print(f"check failed: {row['layer']} {row['pass']}: errors {row['errors']}, need less than 1e-5", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
