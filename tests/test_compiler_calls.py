"""Calls of a compiler: ended when too long, what they print made harmless, each failure one sentence."""

import os
import time

import pytest
from device_cases import FEATURES, compiler, fresh, objects, sentence  # noqa: F401

from dcgan_cupy.cache import cache_root
from dcgan_cupy.device import CpuDevice
from dcgan_cupy.device.host import compiler as calling
from dcgan_cupy.device.host import keep

VERSION = '[ "$1" = --version ] && { echo g++ 99; exit; }\n'


@pytest.fixture
def script(tmp_path, compiler, monkeypatch):
    """A function that makes a shell script the compiler. It has two seconds."""

    def write(text: bytes | str):
        path = tmp_path / "cxx"
        path.write_bytes(b"#!/bin/sh\n" + (text.encode() if isinstance(text, str) else text))
        path.chmod(0o700)
        compiler(path)
        monkeypatch.setenv(calling.LIMIT, "2")
        return path

    return write


def halve():
    CpuDevice(threads=1).kernel(FEATURES, "halve")


@pytest.mark.parametrize(
    "text, message",
    [
        (
            "exec sleep 60",
            "need an object within 2 s, got none and ended it (DCGAN_CUPY_COMPILE_SECONDS sets the limit)",
        ),
        ("sleep 60", "need an object within 2 s, got none and ended it (DCGAN_CUPY_COMPILE_SECONDS sets the limit)"),
        (
            "while :; do :; done",
            "need an object within 2 s, got none and ended it (DCGAN_CUPY_COMPILE_SECONDS sets the limit)",
        ),
        ("kill -9 $$", "was ended by SIGKILL (out of memory?)"),
        ("kill -SEGV $$", "was ended by SIGSEGV (out of memory?)"),
        ("cat; exit 3", "failed: no message"),
        ("echo broken >&2; exit 1", "failed: broken"),
        ("exit 0", "left no object"),
    ],
)
def test_failures(fresh, script, text, message):
    script(VERSION + text)
    start = time.monotonic()
    with sentence("^halve: compile: g\\+\\+ 99:? ") as caught:
        halve()
    assert str(caught.value).partition("g++ 99")[2].lstrip(": ") == message
    assert time.monotonic() - start < 20 and objects() == ([], [])


def test_children_are_ended_too(fresh, script, tmp_path):
    """A driver that waits for its compiler, as most do: one left behind would spin on, and hold the pipes open."""
    script(VERSION + f"(sleep 50; touch {tmp_path}/late) & echo $! > {tmp_path}/child; wait")
    with sentence("need an object within 2 s"):
        halve()
    child = int((tmp_path / "child").read_text())
    until = time.monotonic() + 10
    while time.monotonic() < until and running(child):
        time.sleep(0.05)
    assert not running(child)


def running(process: int) -> bool:
    try:
        with open(f"/proc/{process}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_child_left_behind_is_not_waited_for(script):
    path = script("sleep 50 & echo done")
    start = time.monotonic()
    assert calling.call([str(path)], 30) == (0, "done\n", "")
    assert time.monotonic() - start < 10


def test_endless_output_is_dropped(fresh, script):
    path = script(VERSION + "exec yes 'a line that never ends'")
    with pytest.raises(calling.TimedOut):
        calling.call([str(path)], 1)
    path = script(VERSION + "head -c 5000000 /dev/zero; head -c 3000000 /dev/zero >&2")
    assert [len(text) for text in calling.call([str(path)], 30)[1:]] == [1 << 20, 1 << 20]


@pytest.mark.parametrize(
    "printed, want",
    [
        (rb"x.cpp:1:1: error: \033]0;owned\007\033[31m bad", r"x.cpp:1: compile: \x1b]0;owned\x07\x1b[31m bad"),
        (rb"x.cpp:1:1: error: caf\351 \303\251", r"x.cpp:1: compile: caf\xe9 é"),
        (rb"\033[2J\200", r"halve: compile: g++ 99 failed: \x1b[2J\x80"),
        (rb"x.cpp:1:1: error: a\rb", r"x.cpp:1: compile: a"),
    ],
)
def test_output_is_made_printable(fresh, script, printed, want):
    script(VERSION.encode() + b"printf '" + printed + b"\\n' >&2; exit 1")
    with sentence("compile: ") as caught:
        halve()
    assert str(caught.value) == want


def test_a_full_disk_is_not_blamed_on_the_compiler(fresh, script):
    script(
        VERSION + "echo 'ld: final link failed: No space left on device' >&2; echo 'error: ld returned 1' >&2; exit 1"
    )
    with sentence(r"^cache: .*/cpu: need room to write a compiled kernel, got: No space left on device \(set DCGAN"):
        halve()


def test_a_version_that_is_no_utf_8(fresh, script):
    script(rb"printf 'g++ \351\033[1m\n'; exit 0")
    with sentence(r"^halve: compile: g\+\+ \\xe9\\x1b\[1m left no object$"):
        halve()


def test_a_version_that_takes_for_ever(fresh, script):
    path = script("sleep 60")
    with sentence(rf"^device: cpu: {path}: need a C\+\+ compiler, got a program that takes over 2 s for --version$"):
        halve()


def test_a_compiler_that_is_gone(fresh, script, tmp_path):
    """Found, asked for its version, and then removed: that is not the cache's fault."""
    path = script(VERSION + "exit 1")
    device = CpuDevice(threads=1)
    path.unlink()
    with sentence(r"^halve: compile: g\+\+ 99: need a compiler that runs, got: .*No such file"):
        device.kernel(FEATURES, "halve")


@pytest.mark.parametrize("bad", ["0", "-1", "soon", "nan", "inf"])
def test_a_limit_that_is_none(fresh, script, monkeypatch, bad):
    script(VERSION + "exit 1")
    monkeypatch.setenv(calling.LIMIT, bad)
    with sentence(rf"^device: cpu: DCGAN_CUPY_COMPILE_SECONDS: need a number of seconds above 0, got '{bad}'$"):
        halve()


def test_a_mount_that_lets_no_code_run(fresh, monkeypatch):
    real = os.statvfs

    class Noexec:
        f_flag = os.ST_NOEXEC

    monkeypatch.setattr(keep.os, "statvfs", lambda path: Noexec if str(path).endswith("/cpu") else real(path))
    with sentence(
        rf"^cache: {cache_root()}/cpu: need a file system that lets code run, got one mounted noexec "
        r"\(set DCGAN_CUPY_CACHE to another place\)$"
    ):
        halve()
    assert fresh == [], "refused before it is compiled"


def test_a_place_that_cannot_be_written_is_not_blamed_on_the_compiler(compiler, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    compiler(None)
    for place in (tmp_path / "file" / "x", "/proc/nope"):
        for name in ("ZIG_GLOBAL_CACHE_DIR", "ZIG_LOCAL_CACHE_DIR"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("DCGAN_CUPY_CACHE", str(place))
        calling.find_compiler.cache_clear()
        start = time.monotonic()
        with sentence(rf"^cache: {place}/\w+: need a folder that can be written, got: "):
            halve()
        assert time.monotonic() - start < 5


def test_zig_keeps_no_second_copy_of_what_is_built(compiler, monkeypatch, tmp_path):
    for name in ("ZIG_GLOBAL_CACHE_DIR", "ZIG_LOCAL_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DCGAN_CUPY_CACHE", str(tmp_path))
    compiler(None)
    calling.find_compiler.cache_clear()
    halve()
    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.suffix for path in kept if "cpu" in path.parts} == {".so"}
    assert not [path for path in kept if path.suffix == ".o"]
