"""The C++ compiler: which one, and how it is called: for a limited time, its output made harmless."""

import contextlib
import importlib.util
import os
import selectors
import shlex
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import NamedTuple

from ...cache import cache_root, private_folder, why_not_read
from ...errors import UserError, printable
from ..temporary import temporary_folder

NO_COMPILER = (
    "device: cpu: need a C++ compiler, found none; install one with `pip install ziglang` (no root needed), "
    "or clang++ or g++ from your system, or set CXX"
)
LIMIT = "DCGAN_CUPY_COMPILE_SECONDS"
SECONDS = 300  # the longest that one kernel may take to compile, where LIMIT does not say: the slowest of ours takes 20
VERSION_SECONDS = 60
OUTPUT = 1 << 20  # bytes kept of what a compiler prints


class Done(NamedTuple):
    """What became of a command: its exit code (negative: the signal that ended it), and what it printed."""

    code: int
    out: str
    err: str


class TimedOut(Exception):
    """A command took longer than it may; it and its children are ended."""


def seconds_allowed() -> float:
    """$DCGAN_CUPY_COMPILE_SECONDS, else SECONDS.   Raises: UserError."""
    own = os.environ.get(LIMIT, "")
    if not own:
        return SECONDS
    try:
        value = float(own)
    except ValueError:
        value = 0
    if not 0 < value < float("inf"):
        raise UserError(f"device: cpu: {LIMIT}: need a number of seconds above 0, got {own!r}")
    return value


def call(command, seconds: float, objects: Path | None = None) -> Done:
    """Runs a command. It reads nothing, what it prints beyond OUTPUT is dropped, and its children end with it.

    Raises: TimedOut, OSError.
    """
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=_environment(objects),
        process_group=0,  # so that what it started can be ended with it
        umask=0o077,
    )
    kept = {process.stdout: bytearray(), process.stderr: bytearray()}
    try:
        _collect(process, kept, time.monotonic() + seconds)
        out, err = (bytes(kept[pipe]).decode("utf-8", "backslashreplace") for pipe in (process.stdout, process.stderr))
        return Done(process.returncode, out, err)
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for pipe in (process.stdout, process.stderr):
            if pipe:
                pipe.close()


def _collect(process, kept: dict, until: float) -> None:
    """Reads both pipes to their ends and waits. A child left behind that holds a pipe open is not waited for."""
    with selectors.DefaultSelector() as selector:
        for pipe in kept:
            selector.register(pipe, selectors.EVENT_READ)
        while selector.get_map():
            if time.monotonic() > until:
                raise TimedOut
            ready = selector.select(0.1)
            if not ready and process.poll() is not None:
                break
            for key, _ in ready:
                if data := os.read(key.fd, 1 << 16):
                    kept[key.fileobj] += data[: OUTPUT - len(kept[key.fileobj])]
                else:
                    selector.unregister(key.fileobj)
    try:
        process.wait(max(0.0, until - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise TimedOut from None


@dataclass(frozen=True)
class Compiler:
    """A C++ compiler: its command, and a line that names it."""

    command: tuple[str, ...]
    found: str  # how it was found: $CXX, the ziglang wheel, PATH

    @cached_property
    def version(self) -> str:
        """The first line of --version."""
        where = f"device: cpu: {printable(shlex.join(self.command))}"
        try:
            done = call([*self.command, "--version"], min(VERSION_SECONDS, seconds_allowed()))
        except TimedOut:
            limit = min(VERSION_SECONDS, seconds_allowed())
            raise UserError(
                f"{where}: need a C++ compiler, got a program that takes over {limit:g} s for --version"
            ) from None
        except OSError as error:
            raise UserError(f"{where}: need a C++ compiler that runs, got: {error}") from None
        if done.code != 0 or not done.out.strip():
            raise UserError(f"{where}: need a C++ compiler, got a program that fails at --version")
        return printable(done.out.strip().splitlines()[0].strip())

    @property
    def is_clang(self) -> bool:
        return "clang" in self.version


ADVICE = "pip install 'dcgan-cupy[cpu]' brings clang, whose code for these kernels is about twice as fast"


def wheel() -> Compiler | None:
    """The clang of the ziglang wheel, if it is installed. Called without the Python before it, 50 ms earlier."""
    found = importlib.util.find_spec("ziglang")
    if found is None:
        return None
    zig = Path((found.submodule_search_locations or [""])[0]) / "zig"
    command = (str(zig),) if os.access(zig, os.X_OK) and zig.is_file() else (sys.executable, "-m", "ziglang")
    return Compiler((*command, "c++"), "ziglang wheel")


@lru_cache(maxsize=None)
def find_compiler() -> Compiler:
    """$CXX, else the ziglang wheel (the fastest code we measured: docs/decisions.md), else clang++, else g++."""
    if own := os.environ.get("CXX"):
        try:
            command = tuple(shlex.split(own))
        except ValueError:  # a quote that is not closed
            command = ()
        if not command:
            raise UserError(f"device: cpu: CXX: need a command, got {own!r}")
        compiler = Compiler(command, "$CXX")
        _ = compiler.version
        return compiler
    if found := wheel():
        return found
    for name in ("clang++", "g++", "c++"):
        if path := shutil.which(name):
            return Compiler((path,), "PATH")
    raise UserError(NO_COMPILER)


def _environment(objects: Path | None) -> dict[str, str]:
    """zig keeps a cache of its own: its libraries inside ours, so that there is one folder to clear, the objects of a
    build in a folder of the build's, since we keep those ourselves; or where the user says.
    """
    places = ("ZIG_GLOBAL_CACHE_DIR", "ZIG_LOCAL_CACHE_DIR")
    if all(os.environ.get(place) for place in places):
        return dict(os.environ)
    zig = str(_zig_folder(cache_root()))
    ours = dict(zip(places, (zig, str(objects or zig))))
    return {**ours, **{k: v for k, v in os.environ.items() if v or k not in places}}


@lru_cache(maxsize=None)
def _zig_folder(root: Path) -> Path:
    """zig spins, or fails, where it cannot write.

    Beside a cache that is only read it gets a folder until this process ends.
    """
    zig = root / "zig"
    try:
        if os.access(private_folder(zig), os.W_OK):
            return zig
    except UserError:
        if not (root / "cpu").is_dir() or (zig.exists() and why_not_read(zig)):
            raise
    try:
        return temporary_folder("zig")
    except OSError as error:
        raise UserError(f"device: cpu: need a folder for temporary files, got: {error.strerror} (set TMPDIR)") from None
