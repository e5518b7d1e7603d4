"""Which compiler is taken, and what becomes of one that fails."""

import os
import re
import shutil
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from device_cases import CHILD, F32, FEATURES, KERNELS, compiler, cpu, fresh, line_of, objects, python, sentence  # noqa: F401

from dcgan_cupy import device as devices
from dcgan_cupy.cache import cache_root
from dcgan_cupy.device import CpuDevice, KernelError, source
from dcgan_cupy.device.host import build as building


def test_nothing_is_left_behind(fresh, tmp_path):
    """Not in the cache, and no copies of the objects in the folder for temporary files."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    for _ in range(2):
        done = python(CHILD.replace("threads=1", "threads=3"), FEATURES, "block_sum", TMPDIR=temporary)
        assert done.stdout == "block_sum\n", done.stderr
        assert os.listdir(temporary) == []
        assert objects()[1] == []


def test_a_failed_build_leaves_nothing(fresh):
    with sentence("compile"):
        CpuDevice(threads=1).kernel(str(KERNELS / "does_not_compile.cu"), "no_semicolon")
    assert objects() == ([], [])


@pytest.mark.parametrize(
    "command, message",
    [
        ("/nowhere/c++", r"device: cpu: /nowhere/c\+\+: need a C\+\+ compiler that runs, got: .*No such file"),
        (
            "no-such-compiler -O2",
            r"device: cpu: no-such-compiler -O2: need a C\+\+ compiler that runs, got: .*No such file",
        ),
        ("FOLDER", r"device: cpu: /.*: need a C\+\+ compiler that runs, got: .*Permission denied"),
        ("FOLDER/text", r"device: cpu: /.*: need a C\+\+ compiler that runs, got: .*Permission denied"),
        ("FOLDER/silent", r"device: cpu: /.*: need a C\+\+ compiler, got a program that fails at --version"),
        ("FOLDER/failing", r"device: cpu: /.*: need a C\+\+ compiler, got a program that fails at --version"),
        ("FOLDER/polite", r"halve: compile: polite 1\.0 left no object"),
        (f"{sys.executable} -I", r"halve: compile: Python .* failed: "),
        ('c++ "-O2', r"device: cpu: CXX: need a command, got 'c\+\+ \"-O2'"),
        (" ", r"device: cpu: CXX: need a command, got ' '"),
    ],
)
def test_a_compiler_that_is_none(fresh, compiler, tmp_path, command, message):
    (tmp_path / "text").write_text("not a program")
    for name, script in {
        "silent": "exit 0",
        "failing": "echo failing 1.0; exit 1",
        "polite": "echo polite 1.0; exit 0",
    }.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o700)
    compiler(command.replace("FOLDER", str(tmp_path)))
    with sentence(f"^{message}"):
        CpuDevice(threads=1).kernel(FEATURES, "halve")
    assert objects() == ([], [])


def test_no_compiler_at_all(compiler, monkeypatch):
    compiler(None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with sentence(
        r"device: cpu: need a C\+\+ compiler, found none; install one with `pip install ziglang` .*, or set CXX"
    ):
        devices.get("cpu")


@pytest.mark.parametrize(
    "found, version, told", [("PATH", "g++ 12", True), ("PATH", "clang version 22", False), ("$CXX", "g++ 12", False)]
)
def test_a_slower_compiler_says_what_the_wheel_would_bring(cpu, monkeypatch, found, version, told):
    monkeypatch.setattr(cpu, "compiler", SimpleNamespace(found=found, version=version, is_clang="clang" in version))
    assert cpu.advice.startswith("pip install 'dcgan-cupy[cpu]' brings clang") == told and bool(cpu.advice) == told


def test_order_of_compilers(compiler, monkeypatch):
    compiler(None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for present, want in [({"g++", "c++", "clang++"}, "clang++"), ({"g++", "c++"}, "g++"), ({"c++"}, "c++")]:
        monkeypatch.setattr(shutil, "which", lambda name, present=present: f"/bin/{name}" if name in present else None)
        building.find_compiler.cache_clear()
        assert building.find_compiler() == building.Compiler((f"/bin/{want}",), "PATH")


@pytest.mark.parametrize("name", ["g++", "clang++"])
def test_compilers_of_the_system(name):
    if not shutil.which(name):
        pytest.skip(f"no {name} on PATH")
    code = """
import sys, numpy as np
from dcgan_cupy.device import CpuDevice, KernelError
file = sys.argv[1]
for options in ({"threads": 2}, {"build": "debug"}):
    dev = CpuDevice(**options)
    x, y, sums = dev.array(np.arange(1024, dtype=np.float32) % 11), dev.zeros(1024), dev.zeros(4)
    dev.kernel(file, "block_sum_shuffles")(4, 256, x, sums, np.int32(1024))
    assert sums.tolist() == x.reshape(4, 256).sum(1).tolist()
    dev.kernel(file, "scale<4>")(4, 256, x, y, np.int32(1000))
    assert (y[:1000] == 4 * x[:1000]).all() and not y[1000:].any()
    try:
        dev.kernel(file, "leaves_early")(1, 8, x)
        raise SystemExit("no error")
    except KernelError as error:
        print(error)
print(dev.description)
"""
    done = python(code, FEATURES, CXX=name)
    assert done.returncode == 0, done.stderr
    where = f"{FEATURES}:{line_of(FEATURES, 'leaves_early', '__syncthreads')}"
    assert done.stdout.count(f"{where}: kernel leaves_early: __syncthreads() waits for every thread") == 2
    assert done.stdout.strip().endswith("($CXX)")


def test_a_debug_build_knows_the_lines_of_the_file(fresh):
    kernel = CpuDevice(build="debug").kernel(FEATURES, "block_sum")
    data = (cache_root() / "cpu" / objects()[0][0]).read_bytes()
    assert FEATURES.encode() in data and b".debug_line" in data
    with pytest.raises(KernelError, match=f"^{re.escape(FEATURES)}:"):
        kernel.device.kernel(FEATURES, "leaves_early")(1, 8, np.zeros(8, F32))


def test_features_are_cuda():
    """The kernels of these tests compile for a GPU, too: the CPU is not more lenient. Needs NVRTC, but no GPU."""
    compiling = pytest.importorskip("cupy.cuda.compiler", exc_type=ImportError)
    core = pytest.importorskip("cupy._core.core", exc_type=ImportError)
    text = source.load(FEATURES)
    names = tuple(n for n, s in source.signatures(text).items() if not s.template)
    try:
        program = compiling._NVRTCProgram(text, "features.cu", method="cubin")
        options = (*core.assemble_cupy_compiler_options(("-std=c++17",)), "-arch=sm_90")
    except RuntimeError as error:  # NVRTC's library is missing
        pytest.skip(str(error))
    binary = program.compile(options, None)[0]
    assert all(name.encode() in binary for name in names)
