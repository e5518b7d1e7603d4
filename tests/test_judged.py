"""The workbench judges what strangers write: right kind, severity and line, and nothing beside."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from judged import JUDGED
from judged_more import ORDER, SPACES
from judged_order import ORDERED
from judged_words import WORDS

from dcgan_cupy.workbench import child, command
from dcgan_cupy.workbench.check_device import CheckDevice
from dcgan_cupy.workbench.user_kernel import Wanted

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def dev():
    return CheckDevice(seconds=30)


def run(dev, tmp_path, text, grid, block, given):
    path = tmp_path / "k.cu"
    path.write_text(text)
    np.save(tmp_path / "zeros.npy", np.zeros(1, np.int32))
    given = [f"{n}={f'@{tmp_path}/zeros.npy' if v == 'zeros' else v}" for n, v in given.items()]
    sizes = [",".join(map(str, v)) if isinstance(v, tuple) else str(v) for v in (grid, block)]
    command.run_user_kernels(dev, Wanted(str(path), "k", *sizes, given))
    dev.free()
    return dev.reports.pop()


@pytest.mark.parametrize("case", [*JUDGED, *ORDERED, *SPACES, *ORDER, *WORDS], ids=lambda c: c.name.replace(" ", "-"))
def test_judged(dev, tmp_path, case):
    dev.seconds = 2 if "within 2 s" in case.says else 30
    report = run(dev, tmp_path, case.text, case.grid, case.block, case.arguments)
    told = [f"{f.kind} {f.severity} {f.line}/{f.other_line}: {f.message}" for f in report.findings]
    assert len(report.findings) == len(case.expected), told
    left = list(report.findings)
    for kind, severity, line in case.expected:
        fits = [f for f in left if f.kind == kind and f.severity == severity and line in (f.line, f.other_line, None)]
        assert fits, told
        left.remove(fits[0])
    assert report.complete == case.complete, told
    assert any(case.says in f.message for f in report.findings) or not case.says, told


def inspect(path, *arguments, **more):
    return subprocess.run(
        [sys.executable, "-m", "dcgan_cupy.inspect", f"{path}:k", "--grid", "1", "--block", "32", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        **more,
    )


def test_json_is_one_document_whatever_the_kernel_prints(tmp_path):
    (tmp_path / "k.cu").write_text(
        '#include <stdio.h>\nextern "C" __global__ void k(float* y) {'
        ' if (threadIdx.x == 0) printf("{ %d\\n", 7);\n    y[40 + threadIdx.x] = 1.0f; }'
    )
    done = inspect(tmp_path / "k.cu", "--arg", "y=f32[64]", "--json")
    found = json.loads(done.stdout)
    assert done.returncode == 1 and found["complete"] is True
    assert found["costs"][0]["printed"] == "{ 7\n"
    assert {"kind", "severity", "file", "line", "other_line", "array", "block", "thread", "message"} <= found[
        "findings"
    ][0].keys()
    assert found["launch"]["grid"] == {"value": [1, 1, 1], "from": "given"}


def test_exit_codes_and_fail_on(tmp_path):
    path = tmp_path / "k.cu"
    path.write_text('extern "C" __global__ void k(int* y) { *y = 1; }')
    arguments = [f"{path}:k", "--grid", "1", "--block", "32", "--arg", "y=i32[1]"]
    assert command.main(arguments) == 0
    assert command.main([*arguments, "--fail-on", "warning"]) == 1
    path.write_text('extern "C" __global__ void k(int* y) { *y = 1; y[1 << 29] = 1; }')
    assert command.main(arguments) == 3


def test_a_reader_that_goes_away_gets_no_error_and_the_page_is_there(tmp_path):
    path, page = tmp_path / "k.cu", tmp_path / "page.html"
    path.write_text('extern "C" __global__ void k(float* y) { y[threadIdx.x] = 1.0f; }')
    arguments = f"{path}:k --grid 1 --block 32 --arg y=f32[32] --html {page}"
    done = subprocess.run(
        f"{sys.executable} -m dcgan_cupy.inspect {arguments} | head -c 1; exit ${{PIPESTATUS[0]}}",
        shell=True,
        executable="/bin/bash",
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0 and not done.stderr and "<svg" in page.read_text()


@pytest.mark.parametrize(
    "line, message",
    [
        ('system("true");', "host's system()"),
        ("exit(0);", "host's exit()"),
        ("abort();", "host's abort()"),
        ("y[0] = helper(y[0]);", "helper: need its body in the file"),
        ('#include "/etc/hostname"\n', "need a file in the folder of the text"),
        ("#include </etc/hostname>\n", "need CUDA's"),
        ("#include FILE\n", "need CUDA's"),
        ("%:include FILE\n", "need CUDA's"),
        ('#inc\\\nlude "/etc/hostname"\n', "need CUDA's"),
        ("/**/ # /**/ include FILE\n", "need CUDA's"),
    ],
)
def test_what_a_kernel_may_not_have_is_one_sentence(tmp_path, capsys, line, message):
    path = tmp_path / "k.cu"
    path.write_text(f'__device__ float helper(float);\nextern "C" __global__ void k(float* y) {{\n{line}\n}}\n')
    assert command.main([f"{path}:k", "--grid", "1", "--block", "1", "--arg", "y=f32[1]"]) == 2
    err = capsys.readouterr().err.strip()
    assert "\n" not in err and message in err and ":3: " in err, err


def test_symbols_are_given_and_refused(tmp_path, capsys):
    path = tmp_path / "k.cu"
    path.write_text(
        '__constant__ float scale[32];\nextern "C" __global__ void k(float* y) { y[threadIdx.x] = scale[threadIdx.x]; }'
    )
    np.save(tmp_path / "s.npy", np.arange(32, dtype=np.float32))
    dev = CheckDevice()
    dev.symbols = {"scale": np.arange(32, dtype=np.float32)}
    y = dev.empty((32,))
    dev._compile(str(path), "k", ())(1, 32, y)
    assert (dev.numpy(y) == np.arange(32)).all() and not dev.reports[-1].findings
    arguments = [f"{path}:k", "--grid", "1", "--block", "32", "--arg", "y=f32[32]:empty"]
    assert command.main([*arguments, "--symbol", f"scale=@{tmp_path}/s.npy"]) == 0
    assert command.main([*arguments, "--symbol", "scale=0.5"]) == 0
    assert command.main([*arguments, "--symbol", "scale=f32[32]:empty"]) == 1
    assert "uninitialised" in capsys.readouterr().out
    assert command.main([*arguments, "--symbol", "scale=f32[64]"]) == 2
    assert command.main([*arguments, "--symbol", "other=f32[64]"]) == 2
    assert "need a __device__ or __constant__ variable" in capsys.readouterr().err


def test_atomics_on_one_word_take_turns(dev, tmp_path):
    text = 'extern "C" __global__ void k(int* y) {\n    atomicAdd(y, 1);\n    atomicAdd(y + 1 + threadIdx.x, 1);\n}'
    report = run(dev, tmp_path, text, 1, 32, {"y": "i32[64]"})
    assert {a.line: a.extra for a in report.accesses} == {2: 31, 3: 0}


def test_the_child_may_neither_open_nor_connect_nor_write(tmp_path):
    def work():
        import os
        import socket

        for what in (
            lambda: os.open("/etc/passwd", os.O_RDONLY),
            lambda: os.open(tmp_path / "x", os.O_WRONLY | os.O_CREAT),
            socket.socket,
        ):
            try:
                what()
                os.write(1, b"could\n")
            except OSError:
                os.write(1, b"could not\n")

    printed, ended, held = child.run(work, 20)
    assert "limits" in held and not ended
    if "filter" in held:
        assert printed.split("\n")[:3] == ["could not"] * 3, printed


def test_a_large_array_of_bytes_is_watched(dev, tmp_path):
    """A cell a byte takes 32 times the array: the child's limit leaves room for them."""
    text = "__global__ void k(unsigned char* y, int n) { y[n - 1 - threadIdx.x] = 1; y[n - threadIdx.x] = 1; }"
    report = run(dev, tmp_path, text, 1, 32, {"y": "u8[100000000]:empty", "n": "100000000"})
    assert {f.kind for f in report.findings} == {"out-of-bounds", "race"} and report.complete


def test_the_same_value_is_known_when_lists_are_full(dev, tmp_path):
    """A full list lets other threads run: never between an access's check and the access itself."""
    text = "__global__ void k(int* y, int n) {\n    for (int i = 0; i < n; i++) y[i] = i;\n}"
    report = run(dev, tmp_path, text, 1, 64, {"y": "i32[5000]", "n": "5000"})
    assert [(f.kind, f.severity) for f in report.findings] == [("race", "warning")]
    text = "__global__ void k(double* y, float4* z) {\n    *y = 2.0;\n    *z = make_float4(1, 2, 3, 4);\n}"
    report = run(dev, tmp_path, text, 1, 64, {"y": "f64[1]", "z": "f32[4]"})
    assert [(f.kind, f.severity, f.count) for f in report.findings] == [("race", "warning", 63)] * 2
