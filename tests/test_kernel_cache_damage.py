"""Kernel cache, damaged: what was not written there is never loaded, it is compiled again."""

import json
import os
import random
import struct
from pathlib import Path

import numpy as np
import pytest
from device_cases import CHILD, F32, FEATURES, I32, compiler, fresh, objects, python, sentence  # noqa: F401
from helpers import assert_equal

from dcgan_cupy.cache import cache_root
from dcgan_cupy.device import CpuDevice
from dcgan_cupy.device.host import build as building
from dcgan_cupy.device.host import keep


def scaled(device):
    out = device.zeros(64)
    device.kernel(FEATURES, "scale<4>")(1, 64, device.array(np.arange(64, dtype=F32)), out, I32(64))
    return out


def kernel_object() -> Path:
    return next((cache_root() / "cpu").glob("scale*.so"))


def test_every_flipped_bit_and_every_length_is_seen(tmp_path):
    path = tmp_path / "a.so"
    keep.write(tmp_path / "new", keep.Kept(path, b"\x7fELF" + bytes(range(40)), b"tables"))
    assert keep.read(path) == (path, b"\x7fELF" + bytes(range(40)), b"tables")
    good, other = path.read_bytes(), tmp_path / "b.so"
    damaged = [good[:n] for n in range(len(good))] + [good + b"\0", good + good, b"\0" * len(good)]
    for bit in range(8 * len(good)):
        changed = bytearray(good)
        changed[bit // 8] ^= 1 << bit % 8
        damaged.append(bytes(changed))
    for data in damaged:
        path.write_bytes(data)
        assert keep.read(path) is None
    other.write_bytes(good)
    assert keep.read(other) is None, "an object under another's name"
    path.unlink()
    path.symlink_to(other)
    assert keep.read(path) is None and keep.read(tmp_path / "nothing") is None and keep.read(tmp_path) is None


def test_what_is_written_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    done = []
    real = {name: getattr(os, name) for name in ("fsync", "replace")}
    for name in real:
        monkeypatch.setattr(os, name, lambda *a, name=name: (done.append(name), real[name](*a))[1])
    keep.write(tmp_path / "new", keep.Kept(tmp_path / "a.so", b"image"))
    assert done == ["fsync", "replace", "fsync"], "the file, its name, the folder"
    assert os.listdir(tmp_path) == ["a.so"]


def test_the_bytes_loaded_are_those_verified(fresh, monkeypatch):
    """A file that changes after it was read makes no difference: no worker's image is read from it again."""
    assert_equal(scaled(CpuDevice(threads=1)), 4 * np.arange(64, dtype=F32))
    real = keep.read

    def read_then_damaged(path):
        found = real(path)
        if found is not None and path.name.startswith("scale"):
            path.write_bytes(b"\0" * path.stat().st_size)
        return found

    monkeypatch.setattr(keep, "read", read_then_damaged)
    assert_equal(scaled(CpuDevice(threads=3)), 4 * np.arange(64, dtype=F32))
    assert not kernel_object().read_bytes().strip(b"\0")


def test_a_folder_in_the_place_of_an_object(fresh):
    scaled(CpuDevice(threads=1))
    path = kernel_object()
    path.unlink()
    path.mkdir()
    with sentence(rf"^cache: {path}: need a file or nothing there, got a folder: remove it$"):
        scaled(CpuDevice(threads=1))


def test_links_in_the_place_of_an_object(fresh, tmp_path):
    """One that leads nowhere, and one that leads to another file of ours: replaced, and the file stays as it is."""
    scaled(CpuDevice(threads=1))
    path, victim = kernel_object(), tmp_path / "victim"
    victim.write_text("mine")
    for target in (tmp_path / "nowhere", victim):
        path.unlink()
        path.symlink_to(target)
        assert_equal(scaled(CpuDevice(threads=1)), 4 * np.arange(64, dtype=F32))
        assert not path.is_symlink() and victim.read_text() == "mine"


FUZZ = """
import random, sys, numpy as np
from pathlib import Path
from dcgan_cupy.cache import cache_root
from dcgan_cupy.device import CpuDevice
from dcgan_cupy.device.host import build
file, count, seed, r = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), random.Random(int(sys.argv[3]))
x = np.arange(64, dtype=np.float32)
def use():
    dev = CpuDevice(threads=1)
    out = dev.zeros(64)
    dev.kernel(file, "scale<4>")(1, 64, x, out, np.int32(64))
    return out
calls, real = [], build.call
build.call = lambda *a: (calls.append(a), real(*a))[1]
use()
folder = cache_root() / "cpu"
(path,), (pool,) = folder.glob("scale*.so"), folder.glob("pool*.so")
good, other = path.read_bytes(), pool.read_bytes()
def flip(data):
    for _ in range(r.choice((1, 1, 1, 2, 30))):
        data[r.randrange(len(data))] ^= 1 << r.randrange(8)
def cut(data): del data[r.randrange(len(data)):]
def longer(data): data += r.randbytes(r.randrange(1, 5000))
def zeros(data):
    at = r.randrange(len(data)); data[at : at + 512] = bytes(len(data[at : at + 512]))
def noise(data):
    at = r.randrange(len(data)); data[at : at + 64] = r.randbytes(len(data[at : at + 64]))
def another(data): data[:] = other
def moved(data):
    at = r.randrange(len(data)); data[:] = data[at:] + data[:at]
def tail(data): data[-60:] = r.randbytes(60)
wrong = missed = 0
for _ in range(count):
    data = bytearray(good)
    r.choice((flip, flip, flip, cut, longer, zeros, noise, another, moved, tail))(data)
    path.write_bytes(data)
    before = len(calls)
    wrong += not np.array_equal(use(), 4 * x)
    missed += (len(calls) > before) != (bytes(data) != good)
    assert path.read_bytes() == good
print(f"{count} mutations, {wrong} wrong, {missed} not built again")
"""


@pytest.fixture
def copying(fresh, tmp_path):
    """A compiler that copies what another has made, so that thousands of builds take no time."""
    scaled(CpuDevice(threads=1))
    building.build("pool", (building.HERE / "pool.cpp").read_text(), symbol="pool_run_all")
    for path in (cache_root() / "cpu").glob("*.so"):
        (tmp_path / path.name.partition("-")[0]).write_bytes(keep.read(path).image)
        path.unlink()
    script = tmp_path / "copying"
    script.write_text(
        '#!/bin/sh\n[ "$1" = --version ] && { echo copying 1; exit; }\n'
        'for word; do [ "$before" = -o ] && out="$word"; before="$word"; done\n'
        f'case "$*" in *.pool-*) cp {tmp_path}/pool "$out";; *) cp {tmp_path}/scale_4_ "$out";; esac\n'
    )
    script.chmod(0o700)
    return str(script)


def mutations(copying, count, seed):
    done = python(FUZZ, FEATURES, count, seed, CXX=copying, timeout=1200)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout == f"{count} mutations, 0 wrong, 0 not built again\n"


def test_mutated_objects(copying):
    mutations(copying, 40, 1)


@pytest.mark.long
def test_two_thousand_mutated_objects(copying):
    mutations(copying, 2000, random.randrange(1 << 30))


CHECKED = """
import sys, numpy as np
from dcgan_cupy.workbench.check_device import CheckDevice
dev = CheckDevice()
x, y = dev.array(np.ones(64, np.float32)), dev.empty((64,))
dev.kernel(sys.argv[1], "scale<4>")(1, 32, x, y, np.int32(64))
report = dev.reports[-1]
print(report.findings, report.accesses, report.flop_lines, report.warps, dev.numpy(y).sum())
"""


def test_tables_of_the_check_build(fresh):
    """A digit altered in the tables kept with an instrumented object would blame another line."""
    first = python(CHECKED, FEATURES)
    assert first.returncode == 0, first.stderr[-2000:]
    path = kernel_object()
    good, kept = path.read_bytes(), keep.read(path)
    assert json.loads(kept.tables)["sites"] and len(good) == len(kept.image) + len(kept.tables) + keep.TAIL
    at = len(kept.image) + kept.tables.index(b'"line": ') + 8
    length = struct.pack("<Q", len(kept.tables) - 1)
    for data in (
        good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :],
        kept.image + good[-keep.TAIL :],
        good[: -keep.TAIL] + length + good[8 - keep.TAIL :],
    ):
        path.write_bytes(data)
        again = python(CHECKED, FEATURES)
        assert (again.stdout, again.stderr) == (first.stdout, first.stderr)
        assert keep.read(path) is not None and path.read_bytes() != data


@pytest.mark.parametrize(
    "made, want",
    [
        (lambda good: b"", "an empty file"),
        (lambda good: b"#!/bin/sh\n" * 50, "a file that is no shared object"),
        (lambda good: good[:40], "a file that is no shared object"),
        (lambda good: good[:100], "an object cut short"),
        (lambda good: good[: len(good) // 2], "an object cut short"),
        (lambda good: good[:16] + b"\x01" + good[17:], "an object for another processor, or no shared one"),
        (lambda good: good[:18] + b"\x28" + good[19:], "an object for another processor, or no shared one"),
        (lambda good: good.replace(b"run_blocks", b"run_clocks"), "an object without run_blocks"),
    ],
)
def test_what_a_compiler_leaves_is_looked_at(copying, compiler, tmp_path, made, want):
    CpuDevice(threads=1)
    good = (tmp_path / "scale_4_").read_bytes()
    (tmp_path / "scale_4_").write_bytes(made(good))
    compiler(copying)
    with sentence(rf"^scale<4>: compile: copying 1: need a shared object of it, got {want}$"):
        scaled(CpuDevice(threads=1))
    assert objects() == ([], [])
    (tmp_path / "scale_4_").write_bytes(good)
    assert_equal(scaled(CpuDevice(threads=1)), 4 * np.arange(64, dtype=F32))
