"""Compiles kernel texts for the CPU, and keeps the results.

A compiled object is named by a hash of everything that decides what is in it: text, headers, flags, compiler,
processor. It is written to a temporary name and renamed, so a reader never sees half of one, however many processes
build at once and whenever one is killed. The folder is private: code is loaded from it.
"""

import hashlib
import importlib.util
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

from ...cache import cache_root, private_folder
from ...errors import UserError

HERE = Path(__file__).resolve().parent
NO_COMPILER = (
    "device: cpu: need a C++ compiler, found none; install one with `pip install ziglang` (no root needed), "
    "or clang++ or g++ from your system, or set CXX"
)
COMMON = (
    "-std=gnu++17",
    "-fPIC",
    "-shared",
    "-fvisibility=hidden",
    "-fno-exceptions",
    "-fno-rtti",
    "-nostdlib++",
    "-ffp-contract=fast",
    "-fno-math-errno",
    "-Wno-unknown-pragmas",
    "-Wno-unused",
    "-Wno-gnu-zero-variadic-macro-arguments",
)
INLINE = (
    "-mllvm",
    "-inline-threshold=100000",
)  # as nvcc does: accumulators that a call takes by reference would live in memory
CLANG_ONLY = (
    "-nostdlib++",
    "-fno-sanitize=all",
    "-Wno-gnu-zero-variadic-macro-arguments",
    *INLINE,
)  # g++ 13 knows the first
WIDEST = (
    ("-mprefer-vector-width=512",) if platform.machine() in ("x86_64", "AMD64") else ()
)  # where the processor has them
BUILDS = {
    "fast": ("-O3", "-march=native", *WIDEST, "-g0", *INLINE),
    "debug": ("-O0", "-g", "-march=native", "-fno-sanitize=all"),
}


@dataclass(frozen=True)
class Compiler:
    """A C++ compiler: its command, and a line that names it."""

    command: tuple[str, ...]
    found: str  # how it was found: $CXX, the ziglang wheel, PATH

    @cached_property
    def version(self) -> str:
        """The first line of --version."""
        try:
            out = subprocess.run(
                [*self.command, "--version"], capture_output=True, text=True, timeout=120, env=_environment()
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise UserError(
                f"device: cpu: {shlex.join(self.command)}: need a C++ compiler that runs, got: {error}"
            ) from None
        if out.returncode != 0 or not out.stdout.strip():
            raise UserError(
                f"device: cpu: {shlex.join(self.command)}: need a C++ compiler, got a program that fails at --version"
            )
        return out.stdout.splitlines()[0].strip()

    @property
    def is_clang(self) -> bool:
        return "clang" in self.version


@lru_cache(maxsize=None)
def find_compiler() -> Compiler:
    """$CXX, else the ziglang wheel (the fastest code in our measurements:

    Docs/decisions.md), else clang++, else g++.
    """
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
    if importlib.util.find_spec("ziglang"):
        return Compiler((sys.executable, "-m", "ziglang", "c++"), "ziglang wheel")
    for name in ("clang++", "g++", "c++"):
        if path := shutil.which(name):
            return Compiler((path,), "PATH")
    raise UserError(NO_COMPILER)


def _environment() -> dict[str, str]:
    """zig keeps its own cache: inside ours, so that there is one folder to clear."""
    zig = str(cache_root() / "zig")
    return {**os.environ, "ZIG_GLOBAL_CACHE_DIR": zig, "ZIG_LOCAL_CACHE_DIR": zig}


@lru_cache(maxsize=None)
def processor() -> str:
    """What -march=native depends on: the processor's name and features."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.machine() + platform.processor()
    lines = [line for line in text.splitlines() if line.startswith(("model name", "flags", "Features", "CPU part"))]
    return "\n".join([platform.machine(), *sorted(set(lines))])


@lru_cache(maxsize=None)
def headers() -> str:
    """The text of every header that a kernel's C++ text can reach here: part of each object's hash."""
    return "".join(path.read_text() for path in sorted((*HERE.glob("*.h"), *HERE.glob("*.hpp"))))


def build(name: str, text: str, flags: tuple[str, ...] = (), kind: str = "fast") -> Path:
    """Compiles a C++ text to a shared object, or finds it in the cache. Returns its path.

    Raises: UserError with the compiler's first error (file, line, message).
    """
    compiler = find_compiler()
    all_flags = (*COMMON, *BUILDS[kind], *flags)
    if not compiler.is_clang and "zig" not in compiler.found:
        all_flags = tuple(f for f in all_flags if f not in CLANG_ONLY)

    def commands(stem, made):
        return [[*compiler.command, *all_flags, f"-I{HERE}", f"{stem}.cpp", "-o", made, "-lm", "-lpthread"]]

    return kept(name, kind, compiler, (text, *all_flags), {"cpp": text}, commands)


def kept(
    name: str,
    kind: str,
    compiler: Compiler,
    parts: tuple[str, ...],
    texts: dict[str, str],
    commands,
    between=lambda stem, target: None,
) -> Path:
    """The shared object that some commands make of some texts, kept under a hash of all that decides what is in it.

    parts: what decides, beside headers, compiler and processor.   texts: suffix -> text, written before the first
    command.
    commands(stem, made): the command lines.   between(stem, target): work between the first command and the others.
    Raises: UserError with the compiler's first error, or if the cache cannot be written.
    """
    decides = "\0".join((*parts, headers(), compiler.version, processor()))
    key = hashlib.sha256(decides.encode()).hexdigest()[:24]
    folder = private_folder(cache_root() / "cpu")
    stem = re.sub(r"\W+", "_", name)
    target = folder / f"{stem}-{kind}-{key}.so"
    if target.is_file():
        return target
    _sweep(folder)
    temporary = folder / f".{stem}-{key}-{os.getpid()}-{time.monotonic_ns()}"
    made = Path(f"{temporary}.so")
    try:
        for suffix, text in texts.items():
            Path(f"{temporary}.{suffix}").write_text(text)
        for number, command in enumerate(commands(str(temporary), str(made))):
            done = subprocess.run(command, capture_output=True, text=True, env=_environment())
            if done.returncode != 0:
                raise UserError(_first_error(name, done.stderr, f"{temporary}.cpp"))
            if number == 0:
                between(temporary, target)
        if not made.is_file():
            raise UserError(f"{name}: compile: {compiler.version} left no object")
        os.replace(made, target)
    except OSError as error:
        raise UserError(f"cache: {folder}: need room to write a compiled kernel, got: {error.strerror}") from None
    finally:
        for leftover in folder.glob(f"{temporary.name}*"):
            leftover.unlink(missing_ok=True)
    return target


def _first_error(name: str, stderr: str, source: str) -> str:
    for line in stderr.splitlines():
        match = re.match(r"(.*?):(\d+):(?:\d+:)? (?:fatal )?error: (.*)", line)
        if match:
            where = {source: f"{name}:{match[2]}", "launcher": name}.get(match[1], f"{match[1]}:{match[2]}")
            return f"{where}: compile: {match[3]}"
    tail = stderr.strip().splitlines()[-1:] or ["no message"]
    return f"{name}: compile: {find_compiler().version} failed: {tail[0]}"


def _sweep(folder: Path) -> None:
    """Removes temporaries of builds that were killed more than an hour ago."""
    for path in folder.glob(".*-*"):
        try:
            if time.time() - path.stat().st_mtime > 3600:
                path.unlink()
        except OSError:
            pass
