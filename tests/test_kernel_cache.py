"""Compiled kernels are kept: keys, folders, processes that compile or die at once."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from device_cases import CHILD, F32, FEATURES, ROOT, changed, compiler, files, fresh, objects, python, run, sentence  # noqa: F401
from helpers import assert_equal

from dcgan_cupy.cache import cache_root, private_folder
from dcgan_cupy.device import CpuDevice
from dcgan_cupy.device.host import build as building

TRIPLE = (
    '#include "factor.cuh"\nextern "C" __global__ void triple(float* x) { __syncthreads(); x[threadIdx.x] *='
    " FACTOR; }\n"
)


def test_a_hit_does_not_compile_and_any_change_misses(fresh, files, monkeypatch):
    def compiles(want, factor, text=TRIPLE, device=None, header="#define FACTOR 3\n", **macros):
        """Makes the kernel on a new device, runs it, and says whether that took a compilation."""
        before = len(fresh)
        file = files(triple_cu=text, factor_cuh=header)
        made = CpuDevice(**(device or {"threads": 1}))
        assert_equal(run(made, "triple", 1, 4, changed(np.ones(4, F32)), file=file, **macros), np.full(4, factor))
        assert len(fresh) - before == want

    for threads in (1, 2):
        CpuDevice(threads=threads)  # the pool is compiled too
    fresh.clear()
    compiles(1, 3)
    compiles(0, 3)
    compiles(0, 3, device={"threads": 2})
    compiles(1, 3, UNUSED=1)
    compiles(1, 5, header="#define FACTOR 5\n")
    compiles(1, 6, text=TRIPLE.replace("*= FACTOR", "*= 2 * FACTOR"))
    compiles(1, 3, device={"threads": 1, "ucontext": True})
    compiles(1, 3, device={"build": "debug"})
    compiles(0, 3)
    assert len([path for path in objects()[0] if "pool" not in str(path)]) == 6 and objects()[1] == []

    every = building.headers()
    for header in ("cuda_on_host.hpp", "async_copy.hpp", "launch.h"):  # a newer one of any of them
        assert (building.HERE / header).read_text() in every
    with monkeypatch.context() as patch:
        patch.setattr(building, "headers", lambda: every + "// changed")
        compiles(1, 3)
    with monkeypatch.context() as patch:  # the same folder seen from another processor
        patch.setattr(building, "processor", lambda: "another processor")
        compiles(1, 3)
    with monkeypatch.context() as patch:  # an updated compiler
        patch.setitem(building.find_compiler().__dict__, "version", building.find_compiler().version + ".1")
        compiles(1, 3)
    compiles(0, 3)


@pytest.mark.parametrize("mode", [0o770, 0o702, 0o777])
def test_a_folder_that_others_can_write_is_refused(fresh, mode):
    folder = cache_root() / "cpu"
    folder.mkdir()
    folder.chmod(mode)
    with sentence(
        rf"cache: {folder}: need a folder that only you can write, got mode {mode:o} "
        rf"\(chmod 700 {folder}, or set DCGAN_CUPY_CACHE to another place\)"
    ):
        CpuDevice(threads=1).kernel(FEATURES, "halve")
    assert fresh == []


def test_a_folder_of_somebody_else_is_refused(fresh, monkeypatch):
    monkeypatch.setattr(os, "getuid", lambda: cache_root().stat().st_uid + 1)
    with sentence(
        r"cache: .*: need a folder of your own, got one of user \d+ \(set DCGAN_CUPY_CACHE to another place\)"
    ):
        private_folder(cache_root())


def test_a_folder_that_cannot_be_made(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("DCGAN_CUPY_CACHE", str(tmp_path / "file" / "below"))
    with sentence(
        r"cache: .*file/below/cpu: need a folder that can be written, got: Not a directory \(set DCGAN_CUPY_CACHE to"
        r" .*\)"
    ):
        CpuDevice(threads=1).kernel(FEATURES, "halve")


def test_a_folder_that_cannot_be_written(fresh):
    folder = private_folder(cache_root() / "cpu")
    folder.chmod(0o500)
    if os.access(folder, os.W_OK):
        pytest.skip("this user may write everywhere")
    with sentence(r"cache: .*/cpu: need room to write a compiled kernel, got: Permission denied"):
        CpuDevice(threads=1).kernel(FEATURES, "halve")


def test_where_the_cache_lies(monkeypatch):
    monkeypatch.setenv("DCGAN_CUPY_CACHE", "/own")
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert cache_root() == Path("/own")
    monkeypatch.setenv("DCGAN_CUPY_CACHE", "")
    assert cache_root() == Path("/xdg/dcgan_cupy")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/me")
    assert cache_root() == Path("/home/me/.cache/dcgan_cupy")


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_eight_processes_compile_the_same_kernel_at_once(fresh, files):
    building.build("pool", (building.HERE / "pool.cpp").read_text(), symbol="pool_run_all")
    file = files(triple_cu=TRIPLE, factor_cuh="#define FACTOR 3\n")
    context = multiprocessing.get_context("fork")
    together, results = context.Barrier(8), context.SimpleQueue()

    def child(number):
        together.wait(60)
        got = run(CpuDevice(threads=1), "triple", 1, 3, changed(np.full(3, number, F32)), file=file)
        results.put((number, got.tolist()))

    processes = [context.Process(target=child, args=(i,), daemon=True) for i in range(8)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [p.exitcode for p in processes] == [0] * 8
    assert dict(results.get() for _ in range(8)) == {i: [3.0 * i] * 3 for i in range(8)}
    made, others = objects()
    assert [name.split("-")[0] for name in made] == ["pool", "triple"] and others == []


def test_a_build_that_is_killed_leaves_no_half_object(fresh, tmp_path, compiler):
    slow, begun = tmp_path / "slow", tmp_path / "begun"
    slow.write_text(
        '#!/bin/sh\nif [ "$1" = --version ]; then echo "slow compiler 1"; exit; fi\n'
        'for word; do [ "$before" = -o ] && out="$word"; before="$word"; done\n'
        f'printf "half an object" > "$out"; touch {begun}; sleep 60\n'
    )
    slow.chmod(0o700)
    environment = {**os.environ, "CXX": str(slow)}
    killed = subprocess.Popen(
        [sys.executable, "-c", CHILD, FEATURES, "halve"], env=environment, cwd=ROOT, start_new_session=True
    )
    waited = time.monotonic() + 60
    while not begun.exists() and time.monotonic() < waited:
        time.sleep(0.02)
    os.killpg(killed.pid, signal.SIGKILL)  # the process and its compiler
    assert killed.wait() == -signal.SIGKILL
    made, left = objects()
    assert made == [] and sorted(Path(name).suffix for name in left) == [".cpp", ".so"]

    done = python(CHILD, FEATURES, "halve")
    assert done.stdout == "halve\n", done.stderr
    assert [name.split("-")[0] for name in objects()[0]] == ["halve", "pool"]
    assert objects()[1] == left, "too young to be swept: their build might still be running"
    for name in left:
        os.utime(cache_root() / "cpu" / name, (time.time() - 3700,) * 2)
    old = cache_root() / "cpu" / objects()[0][0]
    os.utime(old, (time.time() - 10**8,) * 2)  # an old object is not rubbish
    CpuDevice(threads=1).kernel(FEATURES, "scale<4>")
    assert objects()[1] == [] and len(objects()[0]) == 3 and old.exists()
