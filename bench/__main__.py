"""python -m bench [--out DIR] [--minutes M] [--device auto|cpu|gpu]: kernels and training steps beside PyTorch.

The most important rows come first, and the file is written anew after each: stop it at any time. Compiling counts: a
row whose kernels are not ready in time is left out, and said to be. Tables and pictures: python -m bench.report FILE.
"""

import argparse
import json
import os
import re
import sys
import time
from pathlib import Path

from dcgan_cupy import device
from dcgan_cupy.device import KernelError
from dcgan_cupy.errors import UserError

from . import kernels, steps
from .measure import LeftOut, busy, header, roofline
from .report import left_out

RESULTS = Path(__file__).parent / "results"
KERNEL_SIZES = {"cpu": ((16, 64, 32), (64, 16, 64)), "gpu": ((16, 64, 32), (64, 128, 64))}
"""Features, batch, image size of the kernel tables: the CPU's default run, and the seeds' network."""


class Results:
    """The file of a run, from its first row on, and whole after every row."""

    def __init__(self, folder: Path, dev):
        self.values = {"header": header(dev), "steps": [], "kernels": [], "growth": [], "left_out": []}
        described = dev.description.split(",")[1 if dev.kind == "cpu" else 0]
        name = re.sub(r"\W+", "-", described.lower()).strip("-")
        self.path = folder / f"{name}-{self.values['header']['date']}.json"

    @property
    def measured(self) -> int:
        """Number of rows."""
        return sum(len(self.values[section]) for section in ("steps", "kernels", "growth"))

    def need_to_write(self) -> None:
        """Raises: UserError where the file could not be written: known before hours of measuring."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}")
            temporary.write_text("")
            temporary.unlink()
        except OSError as error:
            raise UserError(
                f"bench: --out: need a folder that can be written, got {self.path.parent}: {error.strerror}"
            ) from None

    def save(self) -> None:
        temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        temporary.write_text(json.dumps(self.values, indent=1) + "\n")
        os.replace(temporary, self.path)

    def add(self, section: str, row, line: str) -> None:
        self.values[section].append(row)
        self.save()
        print(line, flush=True)

    def leave_out(self, what: str, why: str) -> None:
        """A row that is not there, and the reason."""
        for entry in self.values["left_out"]:
            if (entry["what"], entry["why"]) == (what, why):
                entry["rows"] += 1
                break
        else:
            self.values["left_out"].append({"what": what, "why": why, "rows": 1})
        if self.measured:
            self.save()


SHORT, LONG = 5, 12  # minutes from which there is time for the textbook rung, and for it at full width on a CPU


def run(dev, results: Results, minutes: float) -> None:
    """Steps get half of the time, kernels a third, growth what is left; the first step up to all but a fifth.

    On a machine that has no kernel yet, nearly all of two minutes goes into compiling that one row's.
    """
    begun = time.monotonic()
    end = begun + 60 * minutes
    head = results.values["header"]
    limits = head["roofline"] = roofline("cuda" if dev.kind == "gpu" else "cpu")
    print(f"roofline: {limits['gflops']} GFLOP/s (PyTorch's matrix product), {limits['gb_per_s']} GB/s (copy)")
    if found := busy(limits, dev, {RESULTS, results.path.parent}):
        head["busy"] = found
        print(f"warning: {found}", flush=True)

    print("\nstep (features, batch, size): images/s, ratio to the best PyTorch mode")
    steps_end = begun + 30 * minutes
    for i, size in enumerate(steps.SIZES):
        share = 0.5 if len(steps.SIZES) - i > 1 else 1.0  # the last is the largest
        now = time.monotonic()
        budget = compiling = (steps_end - now) * share
        if i == 0:
            compiling, budget = (end - now) * 0.8, max(budget, (end - now) * 0.1)
        try:
            row = steps.compare(dev, *size, rounds=15, budget=budget, compile_budget=compiling)
            results.add("steps", row, f"  {size}: {row['images_per_s']}  ratio {row['ratio']} ({row['best_peer']})")
        except LeftOut as why:
            results.leave_out(f"step {size}", str(why))

    print("\nlayer and pass: ms of the best rung, ms of PyTorch, ratio, GFLOP/s, GB/s, % of roofline")
    for size, share in zip(KERNEL_SIZES[dev.kind], (0.3, 0.6)):
        textbook = minutes >= (SHORT if size[0] < 64 or dev.kind == "gpu" else LONG)
        kernels.measure(
            dev,
            *size,
            limits,
            9,
            time.monotonic() + (end - time.monotonic()) * share,
            textbook,
            lambda row: results.add(
                "kernels",
                row,
                f"  {row['features']:3} {row['layer']} {row['pass']:<16} {row['best']:<9}{row[row['best']]['ms']:9.3f} "
                f"{row['torch']['ms']:9.3f}  {row['ratio']:.2f}  {row['gflops']:7.1f} {row['gb_per_s']:7.1f}  "
                f"{row['percent_of_roofline']:.0f} %",
            ),
            lambda why, features=size[0]: results.leave_out(f"layers of {features} features", why),
        )

    print("\ngrowth: ms a step, PyTorch channels_last")
    steps.growth(
        dev,
        5,
        end,
        lambda row: results.add(
            "growth",
            row,
            f"  {row['along']}: {row['features'], row['batch'], row['size']} {row[steps.OURS]['ms']:.1f}  "
            f"{row['channels_last']['ms']:.1f}",
        ),
        lambda point, why: results.leave_out(f"growth along {point[0]} {point[1:]}", why),
    )


def main(arguments=None) -> int:
    """Exit codes: 0 done, 1 a check or a kernel failed or nothing was measured, 2 wrong use, 130 interrupted.

    What was measured is kept in each case.
    """
    parser = argparse.ArgumentParser(prog="python -m bench", description="kernels and training steps beside PyTorch")
    parser.add_argument("--out", default=str(RESULTS), help="folder of the results (default: bench/results)")
    parser.add_argument("--minutes", type=float, default=15, help="time to stay within (default: 15)")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "gpu"))
    given = parser.parse_args(arguments)
    try:
        if not given.minutes > 0:
            raise UserError(f"bench: --minutes: need more than 0, got {given.minutes:g}")
        dev = device.get(given.device)
        steps.threads(getattr(dev, "threads", os.cpu_count()))
        results = Results(Path(given.out), dev)
        results.need_to_write()
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    print(", ".join(f"{k} {v}" for k, v in results.values["header"].items()))
    begun = time.monotonic()
    try:
        run(dev, results, given.minutes)
    except KernelError as error:  # a GPU that a kernel broke runs nothing more
        print(f"bench: kernel error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    finally:
        print(f"\n{results.path if results.measured else 'no file'}: {time.monotonic() - begun:.0f} s")
    for line in left_out(results.values):
        print(line)
    if not results.measured:
        why = results.values["left_out"][0]["why"]
        print(f"bench: --minutes: need more than {given.minutes:g} to measure anything: {why}", file=sys.stderr)
        return 1
    failed = [
        f"{row['layer']} {row['pass']}: errors {row['errors']}, need less than {kernels.LIMIT}"
        for row in results.values["kernels"]
        if row["failed"]
    ]
    failed += [
        f"step {row['features'], row['batch'], row['size']}: need finite losses"
        for row in results.values["steps"]
        if not row["finite"]
    ]
    for line in failed:
        print(f"check failed: {line}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
