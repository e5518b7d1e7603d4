"""What a container leaves of the machine, and numbers for people."""

import os

import pytest

from dcgan_cupy import machine


@pytest.fixture
def group(tmp_path, monkeypatch):
    """group(cgroup of this process, {file: text}): a system as those files tell it, eight cores."""

    def make(own, files):
        monkeypatch.setattr(machine, "CGROUP", tmp_path)
        monkeypatch.setattr(machine, "OWN", tmp_path / "own")
        (tmp_path / "own").write_text(own)
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)

    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    return make


@pytest.mark.parametrize(
    "own, files, want",
    [
        ("0::/\n", {}, 8),
        ("0::/\n", {"cpu.max": "max 100000\n"}, 8),
        ("0::/\n", {"cpu.max": "200000 100000\n"}, 2),
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 2),
        ("0::/\n", {"cpu.max": "5000 100000\n"}, 1),
        ("0::/\n", {"cpu.max": "1600000 100000\n"}, 8),
        ("0::/\n", {"cpu.max": "nonsense"}, 8),
        ("0::/\n", {"cpu.max": "1 0"}, 8),
        ("0::/a/b\n", {"a/cpu.max": "300000 100000", "a/b/cpu.max": "max 100000"}, 3),
        ("0::/a/b\n", {"a/cpu.max": "300000 100000", "a/b/cpu.max": "100000 50000"}, 2),
        ("0::/../../x\n", {"x/cpu.max": "300000 100000"}, 3),
        ("3:cpu:/\n", {"cpu/cpu.cfs_quota_us": "400000", "cpu/cpu.cfs_period_us": "100000"}, 4),
        ("3:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 8),
    ],
)
def test_cores_obey_the_cgroup(group, own, files, want):
    group(own, files)
    assert machine.cores() == want


def test_memory_obeys_every_group(group):
    group("0::/a\n", {"memory.max": "max", "memory.current": "5", "a/memory.max": "1000", "a/memory.current": "400"})
    assert machine.free_memory() == 600


def test_numbers_for_people():
    assert [machine.counted(n, "file") for n in (0, 1, 2000)] == ["0 files", "1 file", "2,000 files"]
