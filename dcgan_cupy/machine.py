"""What this process may use of the machine: a container or taskset can give it less than the machine has."""

import math
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
OWN = Path("/proc/self/cgroup")  # says which group below CGROUP this process is in


def cores() -> int:
    """The cores this process may keep busy: those it may run on, and no more than its cgroup's share of time, rounded
    up."""
    most = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for folder in _groups():
        for quota, period in (("cpu.max", None), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):  # version 2, 1
            with suppress(OSError, ValueError, ZeroDivisionError):  # no such file, or no limit ("max", -1)
                text = (
                    (folder / quota).read_text(encoding="utf-8")
                    + " "
                    + ((folder / period).read_text(encoding="utf-8") if period else "")
                )
                time, whole = map(int, text.split())
                if time > 0:
                    most = min(most, math.ceil(time / whole))
    return max(1, most)


def free_memory() -> int:
    """Bytes that can still be taken without pushing anything out: of the machine, and of the container's share."""
    found = [_machine()]
    for folder in _groups():
        with suppress(OSError, ValueError):  # no container, or one without a limit ("max")
            limit, used = (int((folder / f"memory.{name}").read_text(encoding="utf-8")) for name in ("max", "current"))
            found.append(max(0, limit - used))
    return min(found)


def _groups() -> Iterator[Path]:
    """The folders of this process's cgroup and of those around it: the limits of all hold."""
    group = ""
    with suppress(OSError):
        group = next((line[3:] for line in OWN.read_text(encoding="utf-8").splitlines() if line.startswith("0::")), "")
    parts = [part for part in group.split("/") if part not in ("", "..")]
    for depth in range(len(parts) + 1):
        yield CGROUP.joinpath(*parts[:depth])


def _machine() -> int:
    try:
        for line in Path("/proc/meminfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


def in_bytes(count: int) -> str:
    """Bytes for people: 1.2 GB."""
    for unit, power in (("GB", 9), ("MB", 6), ("kB", 3)):
        if count >= 10**power:
            return f"{count / 10**power:.3g} {unit}"
    return f"{count} bytes"


def counted(count: int, name: str) -> str:
    """A number of things for people: 1 image, 2,000 images."""
    return f"{count:,} {name}{'s' * (count != 1)}"
