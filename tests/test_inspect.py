"""The command inspect."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from inspect_cases import (
    I32,
    dev,  # noqa: F401
    launch,
)

from dcgan_cupy.errors import UserError
from dcgan_cupy.workbench import command

ROOT = Path(__file__).resolve().parent.parent


COPY = """extern "C" __global__ void copy(const float* x, float* y, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] = x[i];
}
"""


def inspect(*arguments):
    done = subprocess.run(
        [sys.executable, "-m", "dcgan_cupy.inspect", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.returncode, done.stdout, done.stderr


def test_command_on_a_file_of_the_users(tmp_path):
    path, page = tmp_path / "my.cu", tmp_path / "page.html"
    path.write_text(COPY)
    arguments = (
        f"{path}:copy",
        "--grid",
        4,
        "--block",
        256,
        "--arg",
        "x=f32[1000]",
        "--arg",
        "y=f32[1000]:empty",
        "--arg",
        "n=1000",
    )
    code, out, err = inspect(*arguments, "--html", page)
    assert code == 0 and "no finding" in out and not err, err
    text = page.read_text()
    assert "copy" in text and "<svg" in text and "http" not in text.replace("http://www.w3.org", "")
    code, out, _ = inspect(*arguments[:-1], "n=1024", "--json")
    found = json.loads(out)
    assert code == 1
    first = found["findings"][0]
    assert (
        first["kind"] == "out-of-bounds"
        and first["line"] == 3
        and first["block"] == [3, 0, 0]
        and first["thread"] == [232, 0, 0]
    )
    assert {"file", "other_line", "message"} <= first.keys()
    assert {"requests", "sectors", "ideal_sectors", "bank_conflicts"} <= found["costs"][0]["total"].keys()


def test_command_on_our_own(capsys):
    assert command.main(["conv2d_forward", "--rung", "textbook", "--shape", "n=1,h=6,w=5,ic=2,oc=3"]) == 0
    out = capsys.readouterr().out
    assert "no finding" in out and "roofline on H200" in out and "x_pixel[ic]" in out
    assert command.main(["relu_forward", "--shape", "n=100", "--block", "64", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["costs"][0]["grid"] == [4, 1, 1]
    assert command.main(["transpose_weight", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["costs"][0]["kernel"] == "transpose_weight"


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["nothing_of_ours"], "inspect: kernel: need file.cu:kernel or one of ours"),
        (["conv2d_forward", "--rung", "fastest"], "inspect: --rung: need one of textbook"),
        (["relu_forward", "--rung", "tiled"], "inspect: --rung: need a convolution"),
        (["batchnorm_statistics", "--rung", "tiled"], "inspect: --rung: need one of textbook, shared, registers for"),
        (["relu_forward", "--shape", "m=3"], "inspect: --shape: need n for relu_forward, got m"),
        (["relu_forward", "--shape", "three"], "inspect: --shape: need sizes such as"),
        (["relu_forward", "--gpu", "h300"], "inspect: --gpu: need one of"),
        (["conv2d_forward", "--block", "64"], "inspect: --block: need a kernel whose blocks may have any length"),
        (["relu_forward", "--warp", "one"], "inspect: --warp: need BLOCK:WARP"),
        (["relu_forward", "--arg", "n=3"], "inspect: --arg, --grid, --macro"),
        (["missing.cu:copy", "--grid", "1", "--block", "1"], "inspect: missing.cu: need a .cu file"),
        (["FILE:copy", "--grid", "0", "--block", "32"], "inspect: --grid: need one to three whole numbers"),
        (["FILE:other", "--grid", "1", "--block", "32"], "kernel: need one of copy, got 'other'"),
        (["FILE:copy", "--arg", "x=f32[8]:sevens"], "inspect: --arg: x: need one of random, empty"),
        (["FILE:copy", "--arg", "x=f32[8]:identity"], "inspect: --arg: x: need two sizes"),
        (["FILE:copy", "--expect", "y"], "inspect: --expect: need y=@y.npy"),
        (["FILE:copy", "--expect", "no.py:f"], "inspect: --expect: need a Python file"),
        (["relu_forward", "--launch"], "--launch: need file.cu:kernel"),
        (
            ["FILE:copy", "--grid", "1", "--block", "32", "--arg", "z=3"],
            "inspect: --arg: need name=value with one of x, y, n",
        ),
        (["FILE:copy", "--grid", "1", "--block", "32", "--arg", "x=f32"], "inspect: --arg: x: need an array such as"),
        (
            ["FILE:copy", "--grid", "1", "--block", "32", "--arg", "x=i32[5]"],
            "inspect: --arg: x: need an array of float32",
        ),
        (["FILE:copy", "--grid", "1", "--block", "32", "--arg", "x=@no.npy"], "inspect: --arg: x: need a .npy file"),
        (
            ["FILE:copy", "--grid", "1", "--block", "32", "--arg", "x=null", "--arg", "y=null", "--arg", "n=x"],
            "inspect: --arg: n: need a number",
        ),
    ],
)
def test_wrong_use_is_one_sentence(tmp_path, capsys, arguments, message):
    import re

    path = tmp_path / "my.cu"
    path.write_text(COPY)
    assert command.main([a.replace("FILE", str(path)) for a in arguments]) == 2
    err = capsys.readouterr().err.strip()
    assert "\n" not in err and re.search(message, err), err


@pytest.mark.parametrize(
    "line, got",
    [
        ('asm volatile("bar.sync 0;");', "inline PTX"),
        ("copy<<<1, 32>>>(x, y, n);", "<<<"),
        ("float v = tex1Dfetch<float>(t, 0);", "textures"),
        ("float* p = new float[3];", "memory allocated"),
        ("cuda::barrier<cuda::thread_scope_block> b;", "libcu++"),
        ("cub::ThreadLoad(x);", "a library's device code"),
    ],
)
def test_unsupported_features_name_their_line(tmp_path, capsys, line, got):
    path = tmp_path / "my.cu"
    path.write_text(COPY.replace("    if (i", f"    {line}\n    if (i"))
    assert command.main([f"{path}:copy", "--grid", "1", "--block", "32"]) == 2
    err = capsys.readouterr().err
    assert f"{path}:3: unsupported: need " in err and got in err


def test_a_loop_without_end_is_stopped(tmp_path, capsys):
    path = tmp_path / "my.cu"
    path.write_text('extern "C" __global__ void spin(volatile int* x) { while (x[0] == 0) {} }')
    assert command.main(
        [f"{path}:spin", "--grid", "1", "--block", "1", "--arg", "x=i32[1]", "--seconds", "0.3", "--seed", "9"]
    ) in (0, 3)
    np.save(tmp_path / "zero.npy", np.zeros(1, np.int32))
    assert (
        command.main(
            [f"{path}:spin", "--grid", "1", "--block", "1", "--arg", f"x=@{tmp_path}/zero.npy", "--seconds", "0.3"]
        )
        == 3
    )
    assert "the launch has not ended within 0.3 s" in capsys.readouterr().out.replace("\n", " ")


def test_many_short_blocks_are_stopped_too(tmp_path, capsys):
    path = tmp_path / "my.cu"
    path.write_text(COPY)
    arguments = [
        "--grid",
        "60000",
        "--block",
        "64",
        "--arg",
        "x=f32[4000000]",
        "--arg",
        "y=f32[4000000]:empty",
        "--arg",
        "n=3840000",
    ]
    assert command.main([f"{path}:copy", *arguments, "--seconds", "0.02"]) == 3
    out = capsys.readouterr().out
    assert "the launch has not ended within 0.02 s" in out and "its costs are those of the part that ran" in out


def test_a_wild_index_into_shared_memory(dev, tmp_path):
    text = """extern "C" __global__ void wild(float* y, int far) {
    __shared__ float tile[32];
    tile[threadIdx.x] = 0.0f;
    tile[threadIdx.x + far] = 1.0f;
    y[threadIdx.x] = tile[threadIdx.x];
}"""
    report = launch(dev, tmp_path, text, 1, 32, dev.empty((32,)), I32(200000))
    assert [(f.kind, f.line) for f in report.findings] == [("out-of-bounds", 4)]


def test_a_wide_access_half_past_the_end_names_its_array(dev, tmp_path):
    text = """extern "C" __global__ void wide(const float* x, float* y) {
    float4 v = *(const float4*)(x + 4);
    y[0] = v.x;
}"""
    report = launch(dev, tmp_path, text, 1, 1, dev.array(np.ones(6, np.float32)), dev.empty((1,)))
    assert [(f.kind, f.line) for f in report.findings] == [("out-of-bounds", 2)]
    assert "reads x[4], the last bytes of it past its end (x has 6 elements)" in report.findings[0].message


def test_a_compile_error_names_the_line(tmp_path, capsys):
    path = tmp_path / "my.cu"
    path.write_text(COPY.replace("if (i < n)", "if (i < m)"))
    assert (
        command.main(
            [
                f"{path}:copy",
                "--grid",
                "1",
                "--block",
                "32",
                "--arg",
                "x=f32[32]",
                "--arg",
                "y=f32[32]",
                "--arg",
                "n=32",
            ]
        )
        == 2
    )
    err = capsys.readouterr().err
    assert f"{path}:3: compile:" in err and "'m'" in err


def test_no_clang_is_one_sentence(monkeypatch):
    from dcgan_cupy.device.host import build
    from dcgan_cupy.workbench import check_build as check

    monkeypatch.setattr(check.building, "find_compiler", lambda: build.Compiler(("g++",), "PATH"))
    monkeypatch.setitem(sys.modules, "ziglang", None)
    monkeypatch.setattr(check.shutil, "which", lambda name: None)
    check.clang.cache_clear()
    try:
        with pytest.raises(UserError, match="device: check: need clang"):
            check.clang()
    finally:
        check.clang.cache_clear()


def test_the_command_gives_back_what_ctrl_c_did():
    """Called from a program, it leaves the program's own handler as it was, after an error too."""
    before = signal.getsignal(signal.SIGINT)
    assert command.main(["no_such_kernel"]) == 2
    assert signal.getsignal(signal.SIGINT) is before
