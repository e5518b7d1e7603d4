"""A kernel of the user's: compiled behind CUDA's words; what has no meaning here is one sentence with its line."""

import ctypes
import re
from dataclasses import dataclass, field

import numpy as np

from ..device import source
from ..errors import UserError
from .check_device import CheckKernel

UNWATCHED = '#pragma clang attribute push(__attribute__((no_sanitize("thread", "coverage"))), apply_to = function)\n'
WORDS = (
    ("cuda_half.hpp", re.compile(r"\b(?:__)?half2?\b|\b(?:__)?nv_bfloat16")),
    ("cuda_random.hpp", re.compile(r"\bcurand")),
    ("cuda_complex.hpp", re.compile(r"^(?!.*\b(?:struct|class)\s+cuComplex\b).*\bcu(?:fft)?\w*Complex\b", re.S)),
    ("cuda_std.hpp", re.compile(r"\bstd\b")),
    ("cuda_groups.hpp", re.compile(r"\bcooperative_groups\b")),
)
ARRAYS = "arrays, read through const pointers and __ldg"
UNSUPPORTED = (
    (r"\b__?asm(?:__)?\b|\basm\b", "CUDA C++", "inline PTX, which a CPU does not understand"),
    (
        r"\btex[123]D\w*\s*[<(]|\bsurf[123]D\w*\s*[<(]|\bcudaTextureObject_t\b|\bcudaSurfaceObject_t\b|\btexture\s*<",
        ARRAYS,
        "textures or surfaces",
    ),
    (r"\bnvcuda\b|\bwmma::", "ordinary arithmetic", "tensor-core fragments (wmma)"),
    (
        r"\bcuda::(?:barrier|pipeline|memcpy_async|atomic\w*|semaphore|latch)\b|\b__mbarrier_|\bcuda::(?:ptx|experimental)\b",
        "__pipeline_memcpy_async and its kin, __syncthreads() and the atomic functions",
        "libcu++'s barriers, pipelines or atomics",
    ),
    (r"\b__cluster_dims__|\bcluster_group\b|\bthis_cluster\b", "blocks that stand alone", "thread block clusters"),
    (r"<<<", "a kernel that launches no other: launch each from the host", "a launch by <<<…>>> in a kernel"),
    (
        r"\b(?:malloc|free)\s*\(|\bnew\s+\w+\s*[\[(]|\bdelete\b(?!\s*;)",
        "arrays that are passed as arguments",
        "memory allocated in a kernel",
    ),
    (r"\b(?:cub|thrust|cutlass|cute)::", "code of one's own, or of headers beside the file", "a library's device code"),
    (r"\b__nv_fp8\w*|\b__nv_fp4\w*|\b__nv_fp6\w*", "float, half or bfloat16", "8-bit floats"),
)


@dataclass
class Wanted:
    """What the command line asks for. grid, block: sizes or None; given: --arg texts; macros: --macro texts."""

    file: str
    symbol: str = ""
    grid: str | None = None
    block: str | None = None
    given: list = field(default_factory=list)
    macros: list = field(default_factory=list)
    shared_bytes: int | None = None
    seed: int = 1
    launch: bool = False
    expect: str | None = None


class UserKernel(CheckKernel):
    """A stranger's kernel: compiled behind the words of CUDA that ours do without."""

    def __init__(self, device, signature, symbol, text, macros, file, checks: str):
        self.checks = checks
        super().__init__(device, signature, symbol, text, macros, file)

    def _make(self, symbol, body, launcher):
        headers = [name for name, pattern in WORDS if pattern.search(body)]
        body = re.sub(r"^[ \t]*#[ \t]*include[ \t]*<[^>\n]*>", "", body, flags=re.M)
        first = "".join(f'#include "{name}"\n' for name in ("cuda_words.hpp", *headers))
        if "__pipeline_" in body:
            first += '#include "async_copy.hpp"\n'
        return super()._make(symbol, f"{UNWATCHED}{first}#pragma clang attribute pop\n{body}\n{self.checks}", launcher)

    def function(self, parameter: str) -> np.uint64:
        """Where the function lies in the image that a parameter points to."""
        return np.uint64(ctypes.c_void_p.in_dll(self._libraries[0], f"check_function_{parameter}").value or 0)

    def watch_at_most(self, blocks: int) -> None:
        """Runs no more blocks than this of a launch, the first and the last ones. 0: all."""
        self.most_blocks = blocks


def check_supported(text: str) -> None:
    """Raises: UserError with the line of the first CUDA feature in an extracted text that has no meaning here."""
    code = source.strip_comments(re.sub(r'(?m)^#line \d+ ".*"$', lambda m: " " * len(m[0]), text))
    found = [(m.start(), need, got) for pattern, need, got in UNSUPPORTED for m in re.finditer(pattern, code)]
    if not found:
        return
    at, need, got = min(found)
    file, line = "", 0
    for number, row in enumerate(text.splitlines()):
        if match := re.match(r'#line (\d+) "(.*)"', row):
            file, line = match[2], int(match[1]) - 1
        else:
            line += 1
        if number == code.count("\n", 0, at):
            break
    raise UserError(f"{file}:{line}: unsupported: need {need}, got {got}")


def parse_size(what: str, text: str) -> tuple[int, ...]:
    """4 or 4,2 or 4,2,1 as a tuple."""
    try:
        sizes = tuple(int(v) for v in text.replace("x", ",").split(","))
    except ValueError:
        sizes = ()
    if not 1 <= len(sizes) <= 3 or min(sizes) < 1:
        raise UserError(f"inspect: --{what}: need one to three whole numbers such as 4 or 4,2, got {text!r}")
    return sizes


def parse_macros(texts) -> tuple[tuple[str, str], ...]:
    """NAME=VALUE as pairs."""
    defines = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not re.fullmatch(r"[A-Za-z_]\w*(?:\([\w., ]*\))?", name):
            raise UserError(f"inspect: --macro: need NAME=VALUE, got {text!r}")
        defines[name] = value if equals else "1"
    return tuple(defines.items())
