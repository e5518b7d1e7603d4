"""Timing: interleaved samples, medians with p10 and p90; what the machine could do; who measured what.

And compiling within a time.
"""

import datetime
import json
import platform
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch

import dcgan_cupy

from .peer import captured


class LeftOut(Exception):
    """A row that is not measured. Its text is why."""


def compiled(dev, kernels, end: float) -> None:
    """Compiles the kernels of a row, as many at once as cores, until the time (monotonic) is over.

    What was compiled by then is kept, for other rows and for the next run.   Raises: LeftOut where some are missing.
    """

    def progress(done: int, total: int) -> None:
        if done < total and time.monotonic() > end:
            raise LeftOut(f"{done} of its {total} kernels were ready in time; they are kept, so the next run has them")

    if time.monotonic() > end:
        raise LeftOut("no time left")
    dev.prepare(kernels, progress)


def sample(works: dict, rounds: int, deadline: float) -> dict[str, list[float]]:
    """Seconds of each work, one sample of each in turn.

    `rounds` times or until the deadline (monotonic), three rounds at least.
    """
    times = {name: [] for name in works}
    for done in range(rounds):
        if done >= 3 and time.monotonic() > deadline:
            break
        for name, work in works.items():
            times[name].append(work())
    return times


def summary(seconds: list[float]) -> dict:
    """Median, p10, p90 in milliseconds."""
    p10, median, p90 = np.percentile(seconds, [10, 50, 90]) * 1e3
    return {
        "ms": round(float(median), 4),
        "p10": round(float(p10), 4),
        "p90": round(float(p90), 4),
        "samples": len(seconds),
    }


def torch_seconds(work, device: str) -> float:
    """Seconds of a piece of PyTorch."""
    if device == "cuda":
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        work()
        end.record()
        end.synchronize()
        return start.elapsed_time(end) / 1000
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


LAUNCHES = 20
"""Of a graph that times a small layer on a GPU: Python would be slower than the kernel that it launches."""


def ours_timed(dev, work):
    """A function that takes the time of our work(): seconds."""
    if dev.kind != "gpu":
        return lambda: dev.elapsed(work)
    work()
    graph = dev.capture(lambda: [work() for _ in range(LAUNCHES)])
    return lambda: dev.elapsed(graph.launch) / LAUNCHES


def torch_timed(work, device: str):
    """The same of PyTorch's work()."""
    if device != "cuda":
        return lambda: torch_seconds(work, device)
    graph = captured(lambda: [work() for _ in range(LAUNCHES)])
    return lambda: torch_seconds(graph.replay, device) / LAUNCHES


def roofline(device: str) -> dict:
    """The machine's own limits, by its best library: a large copy, and a large float32 matrix product (TF32 off)."""
    n, size = (4096, 2**28) if device == "cuda" else (1536, 2**25)
    a, b, c = (torch.rand(n, n, device=device) for _ in range(3))
    x, y = torch.rand(size, device=device), torch.empty(size, device=device)
    gemm, copy = [], []
    for _ in range(7):
        gemm.append(torch_seconds(lambda: torch.mm(a, b, out=c), device))
        copy.append(torch_seconds(lambda: y.copy_(x), device))
    return {
        "gflops": round(2 * n**3 / np.median(gemm[1:]) / 1e9, 1),
        "gb_per_s": round(8 * size / np.median(copy[1:]) / 1e9, 1),
    }


FAR_BELOW = 0.7  # of the limits measured before: repeated runs of a quiet machine differ by less than 15 %


def busy(limits: dict, dev, folders) -> str:
    """That other work seems to be on the machine, in a sentence: its limits are far below the last ones on record.

    folders: of results. Only those of the same processor with as many threads count, and none that was busy itself.
    """
    last = {}
    for path in (path for folder in folders for path in Path(folder).glob("*.json")):
        try:
            head = json.loads(path.read_text(encoding="utf-8"))["header"]
            if _machine(head["device"]) == _machine(dev.description) and head["roofline"] and not head.get("busy"):
                last = max(last, head, key=lambda head: head.get("date", ""))
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
            continue  # another's file: nothing to compare with
    low = [
        f"{limits[key]:g} {unit} where {last['date']} had {last['roofline'][key]:g}"
        for key, unit in (("gflops", "GFLOP/s"), ("gb_per_s", "GB/s"))
        if last and limits[key] < FAR_BELOW * last["roofline"][key]
    ]
    return (
        f"the machine is busy: its measured limit is {' and '.join(low)}; take no figure from this run" if low else ""
    )


def _machine(description: str) -> str:
    """The part of a device's description that is not the compiler's."""
    return ",".join(description.split(",")[:3]) if description.startswith("CPU") else description.split(",")[0]


def header(dev) -> dict:
    """Device, versions, precision, commit."""

    def git(*words):
        done = subprocess.run(["git", *words], capture_output=True, text=True, cwd=Path(__file__).parent)
        return done.stdout.strip() if done.returncode == 0 else ""

    return {
        "device": dev.description,
        "runs": "on the GPU" if dev.kind == "gpu" else "CUDA kernels emulated on the CPU",
        "kind": dev.kind,
        "date": datetime.date.today().isoformat(),
        "precision": "float32, TF32 off",
        "commit": (
            (git("rev-parse", "--short", "HEAD") or "none") + ("+changes" if git("status", "--porcelain") else "")
        ),
        "dcgan_cupy": dcgan_cupy.__version__,
        "python": sys.version.split()[0],
        "numpy": np.__version__,
        "torch": torch.__version__,
        "torch_threads": torch.get_num_threads(),
        "system": platform.platform(),
    }
