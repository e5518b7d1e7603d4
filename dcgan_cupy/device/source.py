"""Reads kernel sources: pastes their includes, and tells what kernels a text holds, with their parameters.

Both devices compile the text that `load` returns, so a change in an included file changes the text, and no compiler
cache can miss it.
"""

import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from ..errors import UserError

PACKAGE = Path(__file__).resolve().parent.parent
KERNELS = next(p for p in (PACKAGE / "kernels", PACKAGE.parent / "kernels") if p.is_dir() or p.parent != PACKAGE)

# A kernel that mentions one of these, itself or through a function it names, needs its threads to meet.
MEETING = re.compile(
    r"__sync\w+|__shfl_\w*sync|__ballot_sync|__any_sync|__all_sync|__activemask|__match_\w+|__reduce_\w+"
)

C_TYPES = {
    "float": np.float32,
    "double": np.float64,
    "int": np.int32,
    "unsigned": np.uint32,
    "unsigned int": np.uint32,
    "long long": np.int64,
    "unsigned long long": np.uint64,
    "unsigned char": np.uint8,
    "signed char": np.int8,
    "short": np.int16,
    "unsigned short": np.uint16,
    "bool": np.bool_,
    "int32_t": np.int32,
    "uint32_t": np.uint32,
    "int64_t": np.int64,
    "uint64_t": np.uint64,
    "uint8_t": np.uint8,
    "size_t": np.uint64,
    "char": np.int8,
    "int8_t": np.int8,
    "int16_t": np.int16,
    "uint16_t": np.uint16,
    # A vector type is an array of its elements: how a kernel groups its loads is its own affair.
    "float2": np.float32,
    "float4": np.float32,
    "int4": np.int32,
    "uint4": np.uint32,
    "uchar4": np.uint8,
}


@dataclass(frozen=True)
class Parameter:
    """One parameter of a kernel. dtype is None where the type is not one of C_TYPES (a template's, say)."""

    name: str
    c_type: str
    pointer: bool
    dtype: np.dtype | None


@dataclass(frozen=True)
class Signature:
    """A kernel as its text declares it."""

    name: str
    parameters: tuple[Parameter, ...]
    template: bool
    meets: bool  # threads wait for each other: needs fibers on the CPU


def load(file: str, macros: tuple[tuple[str, object], ...] = (), absolute: bool = False, tiles: str = "gpu") -> str:
    """The text of kernels/<file> (or of a path outside it), macros defined in front and includes pasted in.

    tiles: "gpu" or "cpu", whose part of kernels/include is meant where each has a file of the same name (mover.cuh).
    `#line` keeps the numbers that compilers and debuggers print those of the files; `absolute` gives full paths.
    """
    path = KERNELS / file
    if not path.is_file():
        raise UserError(f"kernels: {file}: need a file under {KERNELS}, got none of that name")
    defines = "".join(f"#define {name} {literal(value)}\n" for name, value in macros)
    return defines + _paste(path, absolute, tiles, set())


def texts_sum() -> str:
    """A hash of all kernel files: which kernels a run used."""
    hashed = hashlib.sha256()
    for path in sorted(KERNELS.rglob("*.cu*")):
        hashed.update(path.relative_to(KERNELS).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return hashed.hexdigest()[:16]


def literal(value) -> str:
    """How a macro's value is written in C: True is 1."""
    return str(int(value)) if isinstance(value, bool) else str(value)


def _shown(path: Path, absolute: bool) -> str:
    return str(path) if absolute or not path.is_relative_to(KERNELS) else path.relative_to(KERNELS).as_posix()


def _paste(path: Path, absolute: bool, tiles: str, seen: set[Path], home: Path | None = None) -> str:
    """The file behind `#line 1`, each `#include "..."` replaced by that file's text, once.   home: the first one's."""
    seen.add(path.resolve())
    home = home or path.parent
    lines = [f'#line 1 "{_shown(path, absolute)}"']
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        match = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
        if match is None:
            lines.append(line)
            continue
        folders = (path.parent, KERNELS / "include", KERNELS / "include" / tiles)
        found = next((p.resolve() for folder in folders if (p := folder / match[1]).is_file()), None)
        if found is None:
            raise UserError(
                f'{_shown(path, absolute)}:{number}: include: need "{match[1]}" beside the file or in '
                f"{KERNELS / 'include'}, got neither"
            )
        if not any(found.is_relative_to(folder.resolve()) for folder in (home, *folders)):
            raise UserError(
                f'{_shown(path, absolute)}:{number}: include: need a file in the folder of the text, got "{match[1]}"'
            )
        if found not in seen:
            lines.append(_paste(found, absolute, tiles, seen, home))
        lines.append(f'#line {number + 1} "{_shown(path, absolute)}"')
    return "\n".join(lines) + "\n"


def strip_comments(text: str) -> str:
    """The text with comments and string contents blanked; every character keeps its line."""

    def blank(match):
        token = match[0]
        if token[0] in "\"'":
            return token[0] * 2
        return "\n" * token.count("\n") or " "

    return re.sub(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank, text, flags=re.S)


@lru_cache(maxsize=None)
def signatures(text: str) -> dict[str, Signature]:
    """The kernels that a loaded text defines, by name."""
    code = _strip_launch_bounds(strip_comments(text))
    meeting = _names_that_meet(code)
    found = {}
    for match in re.finditer(r"__global__\s+void\s+(\w+)\s*\(", code):
        end = _closing(code, match.end() - 1)
        parameters = tuple(_parameter(p) for p in _split(code[match.end() : end]) if p.strip() not in ("", "void"))
        template = re.search(r"template\s*<[^{};]*>\s*(?:static\s+|inline\s+)*$", code[: match.start()])
        found[match[1]] = Signature(match[1], parameters, template is not None, match[1] in meeting)
    return found


def _strip_launch_bounds(code: str) -> str:
    """They stand before `void` or behind it, and hold parentheses of their own."""
    while match := re.search(r"__launch_bounds__\s*\(", code):
        code = code[: match.start()] + code[_closing(code, match.end() - 1) + 1 :]
    return code


def _closing(code: str, opening: int) -> int:
    pairs = {"(": ")", "{": "}"}
    left, right, depth = code[opening], pairs[code[opening]], 0
    for i in range(opening, len(code)):
        depth += (code[i] == left) - (code[i] == right)
        if depth == 0:
            return i
    return len(code)


def _split(text: str) -> list[str]:
    parts, depth, start = [], 0, 0
    for i, c in enumerate(text):
        depth += (c in "(<[") - (c in ")>]")
        if c == "," and depth == 0:
            parts.append(text[start:i])
            start = i + 1
    return [*parts, text[start:]]


def _parameter(text: str) -> Parameter:
    text = re.sub(r"\b(const|volatile|__restrict__|restrict|__grid_constant__)\b", " ", text)
    text = re.sub(r"\[[^]]*\]", "*", text)  # float x[] is float* x
    pointer = "*" in text
    words = text.replace("*", " ").split()
    c_type = " ".join(words[:-1])
    dtype = C_TYPES.get(c_type)
    return Parameter(words[-1], c_type, pointer, None if dtype is None else np.dtype(dtype))


def _names_that_meet(code: str) -> set[str]:
    """Functions and macros whose text leads to a barrier or a warp collective. Errs on the side of yes."""
    bodies: dict[str, str] = {}
    for match in re.finditer(r"^[ \t]*#[ \t]*define[ \t]+(\w+)((?:[^\n\\]|\\\n|\\.)*)", code, flags=re.M):
        bodies[match[1]] = bodies.get(match[1], "") + match[2]
    for match in re.finditer(r"(\w+)\s*\(", code):
        end = _closing(code, match.end() - 1)
        rest = re.match(r"\)\s*(?:const\s*|noexcept\s*)*(?:->[^;{}()]*)?\{", code[end:])
        if rest and match[1] not in ("if", "constexpr", "for", "while", "switch"):
            opening = end + rest.end() - 1
            bodies[match[1]] = bodies.get(match[1], "") + code[opening : _closing(code, opening)]
    meeting = {name for name, body in bodies.items() if MEETING.search(body)}
    words = {name: set(re.findall(r"\w+", body)) for name, body in bodies.items()}
    while True:
        more = {name for name in bodies if name not in meeting and words[name] & meeting}
        if not more:
            return meeting
        meeting |= more
