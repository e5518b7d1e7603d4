"""Compiles kernel texts for the CPU, and keeps the results.

A compiled object is named by a hash of all that decides what is in it: text, headers, flags, compiler, processor. It
is written to a temporary name and renamed, so a reader never sees half of one, however many processes build at once
and whenever one is killed. The folder is private, and each object carries a checksum (keep.py): code is loaded from it.
"""

import errno
import hashlib
import os
import platform
import re
import shutil
import signal
import time
from functools import lru_cache
from pathlib import Path

from ...cache import cache_root, private_folder, why_not_read
from ...errors import UserError, printable
from . import keep
from .compiler import LIMIT, Compiler, TimedOut, call, find_compiler, seconds_allowed, wheel

__all__ = ["HERE", "Compiler", "build", "find_compiler", "headers", "kept", "need_cache", "processor", "wheel"]

HERE = Path(__file__).resolve().parent
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
SHORT_SEARCH = (
    "-mllvm",
    "-dse-memoryssa-walklimit=10",
    "-mllvm",
    "-dse-memoryssa-scanlimit=20",
)  # for stores that another overwrites: the same instructions, a quarter less of a tile's time to compile
CLANG_ONLY = (
    "-nostdlib++",
    "-fno-sanitize=all",
    "-Wno-gnu-zero-variadic-macro-arguments",
    *INLINE,
    *SHORT_SEARCH,
)  # g++ 13 knows the first
WIDEST = (
    ("-mprefer-vector-width=512",) if platform.machine() in ("x86_64", "AMD64") else ()
)  # where the processor has them
HELPED = re.compile(r"fp16|bf16|__half|__nv_bfloat|int128|_Float16")
"""In a text that may ask for functions of the compiler's own library. Any other finds what it needs, C's functions, in
the process that loads it; zig builds that library for 8 s of its first call, for a debug build 31 s, and looks at it in
each later one."""

BUILDS = {
    "fast": ("-O3", "-march=native", *WIDEST, "-g0", *INLINE, *SHORT_SEARCH),
    "debug": ("-O0", "-g", "-march=native", "-fno-sanitize=all"),
}


@lru_cache(maxsize=None)
def processor() -> str:
    """What -march=native depends on: the processor's name and features."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.machine() + platform.processor()
    lines = [line for line in text.splitlines() if line.startswith(("model name", "flags", "Features", "CPU part"))]
    return "\n".join([platform.machine(), *sorted(set(lines))])


@lru_cache(maxsize=None)
def headers() -> str:
    """The text of every header that a kernel's C++ text can reach here: part of each object's hash."""
    return "".join(path.read_text(encoding="utf-8") for path in sorted((*HERE.glob("*.h"), *HERE.glob("*.hpp"))))


def build(
    name: str, text: str, flags: tuple[str, ...] = (), kind: str = "fast", symbol: str = "run_blocks"
) -> keep.Kept:
    """Compiles a C++ text to a shared object that holds `symbol`, or finds it in the cache.

    Raises: UserError with the compiler's first error (file, line, message).
    """
    compiler = find_compiler()
    all_flags = (*COMMON, *BUILDS[kind], *flags)
    if not compiler.is_clang and "zig" not in compiler.found:
        all_flags = tuple(f for f in all_flags if f not in CLANG_ONLY)

    lean = "zig" in compiler.found and not HELPED.search(text)
    libraries = ("-nostdlib",) if lean else ("-lm", "-lpthread")

    def commands(stem, made):
        return [[*compiler.command, *all_flags, f"-I{HERE}", f"{stem}.cpp", "-o", made, *libraries]]

    return kept(name, kind, compiler, (text, *all_flags), {"cpp": text}, commands, symbol)


def need_cache() -> Path:
    """The folder of compiled kernels: one that may be read is enough as long as all that is asked for lies there.

    Raises: UserError if it can be neither read nor made, or if its file system lets no code run.
    """
    folder = cache_root() / "cpu"
    if not folder.is_dir() or why_not_read(folder):
        private_folder(folder)
    keep.need_code_to_run(folder)
    return folder


def kept(
    name: str,
    kind: str,
    compiler: Compiler,
    parts: tuple[str, ...],
    texts: dict[str, str],
    commands,
    symbol: str,
    between=lambda stem: b"",
) -> keep.Kept:
    """The shared object that some commands make of some texts, kept under a hash of all that decides what is in it.

    parts: what decides, beside headers, compiler and processor.   texts: suffix -> text, written before all else.
    commands(stem, made): the command lines, each asked for when those before it have run.
    symbol: what the object must hold.
    between(stem): work between the first command and the others; the tables that it returns are kept with the object.
    Raises: UserError with the compiler's first error, or if the cache cannot be written.
    """
    decides = "\0".join((*parts, headers(), compiler.version, processor()))
    key = hashlib.sha256(decides.encode() + keep.MARK).hexdigest()[:24]
    folder, stem = need_cache(), re.sub(r"\W+", "_", name)
    target = folder / f"{stem}-{kind}-{key}.so"
    if found := keep.read(target):
        return found
    private_folder(folder)
    _sweep(folder)
    temporary = folder / f".{stem}-{key}-{os.getpid()}-{time.monotonic_ns()}"
    made, tables = Path(f"{temporary}.so"), b""
    try:
        for suffix, text in texts.items():
            _write(Path(f"{temporary}.{suffix}"), text)
        for number, command in enumerate(commands(str(temporary), str(made))):
            _compile(name, compiler, command, temporary)
            if number == 0:
                tables = between(str(temporary))
        if not made.is_file():
            raise UserError(f"{name}: compile: {compiler.version} left no object")
        image = made.read_bytes()
        if fault := keep.fault_of(image, symbol):
            raise UserError(f"{name}: compile: {compiler.version}: need a shared object of it, got {fault}")
        keep.write(Path(f"{temporary}.kept"), keep.Kept(target, image, tables))
    except OSError as error:
        raise keep.writing_failed(folder, error) from None
    finally:
        for leftover in folder.glob(f"{temporary.name}*"):
            _remove(leftover)
    return keep.Kept(target, image, tables)


def _write(path: Path, text: str) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
        os.fchmod(file.fileno(), 0o600)  # whatever the umask takes away
        file.write(text.encode("utf-8", "backslashreplace"))


def _compile(name: str, compiler: Compiler, command: list[str], stem: Path) -> None:
    seconds, source = seconds_allowed(), f"{stem}.cpp"
    try:
        done = call(command, seconds, Path(f"{stem}.objects"))
    except TimedOut:
        raise UserError(
            f"{name}: compile: {compiler.version}: need an object within {seconds:g} s, got none and ended it "
            f"({LIMIT} sets the limit)"
        ) from None
    except OSError as error:
        raise UserError(f"{name}: compile: {compiler.version}: need a compiler that runs, got: {error}") from None
    if done.code < 0:
        raise UserError(f"{name}: compile: {compiler.version} was ended by {_signal(-done.code)} (out of memory?)")
    if done.code and os.strerror(errno.ENOSPC) in done.err:
        raise keep.writing_failed(stem.parent, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    if done.code:
        raise UserError(printable(first_error(name, compiler, done.err, source)))


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def first_error(name: str, compiler: Compiler, stderr: str, source: str) -> str:
    """What a compiler complains of first: file, line, message.   source: the file that `name` stands for."""
    for line in stderr.splitlines():
        match = re.match(r"(.*?):(\d+):(?:\d+:)? (?:fatal )?error: (.*)", line)
        if match:
            where = {source: f"{name}:{match[2]}", "launcher": name}.get(match[1], f"{match[1]}:{match[2]}")
            return f"{where}: compile: {match[3]}"
    tail = stderr.strip().splitlines()[-1:] or ["no message"]
    return f"{name}: compile: {compiler.version} failed: {tail[0]}"


def _sweep(folder: Path) -> None:
    """Removes temporaries of builds that were killed more than an hour ago."""
    for path in folder.glob(".*-*"):
        try:
            if time.time() - path.stat().st_mtime > 3600:
                _remove(path)
        except OSError:
            pass


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
