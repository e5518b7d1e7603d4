"""A stranger's .cu file, as it lies there: read, preprocessed, and cut down to what one of its kernels reaches.

clang's preprocessor runs on the file and on what it includes from its own folder; the system's headers are left out, for
cuda_on_host.hpp and cuda_words.hpp stand in their place. Of the declarations those stay that the kernel reaches by name
and that a GPU could run: host code, other kernels and `main` are never compiled.
"""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..device import source
from ..errors import UserError
from .check_build import clang
from .items import TAGS, Item, items
from .tokens import Token, closing, closing_angle, split, tokens, written

PREDEFINED = {
    "__CUDACC__": "1",
    "__NVCC__": "1",
    "__CUDA_ARCH__": "900",
    "__CUDACC_VER_MAJOR__": "12",
    "__CUDACC_VER_MINOR__": "4",
    "CUDART_VERSION": "12040",
    "CUDA_VERSION": "12040",
    "CUB_VERSION": "200400",
}
SEARCHED = ("", "include", "inc", "common", "Common", "../include", "../common", "../inc", "../Common", "..")
SYSTEM = re.compile(r"^[ \t]*#[ \t]*(?:include|import|include_next)[ \t]*<([^>\n]+)>.*$", re.M)
# Scalar words of CUDA beside source.C_TYPES.
MORE_TYPES = {
    "long": np.int64,
    "unsigned long": np.uint64,
    "uint": np.uint32,
    "ushort": np.uint16,
    "uchar": np.uint8,
    "ulong": np.uint64,
    "ptrdiff_t": np.int64,
    "clock_t": np.int64,
    "intptr_t": np.int64,
    "uintptr_t": np.uint64,
    "half": np.float16,
    "__half": np.float16,
    "__half2": np.float16,
    "half2": np.float16,
    "__nv_bfloat16": np.uint16,
    "nv_bfloat16": np.uint16,
    "__nv_bfloat162": np.uint16,
    "nv_bfloat162": np.uint16,
}
VECTORS = {
    **{f"{n}{k}": t for n, t in (("float", np.float32), ("int", np.int32), ("uint", np.uint32)) for k in "1234"},
    **{f"{n}{k}": t for n, t in (("double", np.float64), ("longlong", np.int64), ("long", np.int64)) for k in "1234"},
    **{f"{n}{k}": t for n, t in (("uchar", np.uint8), ("char", np.int8), ("short", np.int16)) for k in "1234"},
    **{f"{n}{k}": t for n, t in (("ushort", np.uint16), ("ulonglong", np.uint64), ("ulong", np.uint64)) for k in "1234"},
}
# Headers that NVRTC needs to count registers, and the words that ask for them.
HEADERS = {
    "cuda_fp16.h": r"(?:__)?half2?$",
    "cuda_bf16.h": r"(?:__)?nv_bfloat16",
    "cooperative_groups.h": r"cooperative_groups$",
    "cuda_pipeline.h": r"__pipeline_",
}
IGNORED = {"const", "volatile", "__restrict__", "__restrict", "restrict", "__grid_constant__", "struct", "enum", "class"}
IGNORED |= {"register", "typename", "std", "::", "union", "signed", "static"}


@dataclass(frozen=True)
class Argument:
    """A kernel's parameter. stars: how many pointers deep; dtype: of a number or of what it points to, None: a struct."""

    name: str
    c_type: str
    stars: int
    dtype: np.dtype | None
    lanes: int = 1  # 4 of float4
    constant: bool = False
    default: str = ""
    template: bool = False  # its type is a parameter of the template
    reference: bool = False


class UserFile:
    """A file's declarations. kernels: by qualified name, in their order."""

    def __init__(self, file: str, macros: tuple[tuple[str, str], ...] = ()):
        path = Path(file)
        if not path.is_file():
            raise UserError(f"inspect: {file}: need a .cu file, got none of that name")
        self.file, self.path, self.macros = file, path.resolve(), macros
        self.left_out: list[str] = []
        self.text = self._preprocessed()
        self.tokens = tokens(self.text)
        self.items = items(self.tokens)
        self.kernels: dict[str, Item] = {}
        for item in self.items:
            if item.is_kernel and item.names[0]:
                name = "::".join((*(s for s in item.scope if s), item.names[0]))
                if item.defined or name not in self.kernels:
                    self.kernels[name] = item

    # ------------------------------------------------------------------------------------------------------- reading

    def _preprocessed(self) -> str:
        pasted = self._paste(self.path, set())
        own = [f"-D{n}={v}" for n, v in {**PREDEFINED, **dict(self.macros)}.items()]
        defined = {n for n, _ in self.macros}
        pasted = "".join(
            "\n" if (m := re.match(r"\s*#\s*define\s+(\w+)\b(?!\()", line)) and m[1] in defined else line
            for line in pasted.splitlines(keepends=True)
        )
        command = [*clang().command, "-E", "-x", "c++", "-std=gnu++17", "-nostdinc", "-Wno-everything", *own, "-"]
        done = subprocess.run(command, input=pasted.encode(), capture_output=True, timeout=60, check=False)
        for line in done.stderr.decode(errors="replace").splitlines():
            if (match := re.match(r"(.*?):(\d+):(?:\d+:)? (?:fatal )?error: (.*)", line)) and not match[3].startswith('"'):
                if "#error" not in match[3]:
                    raise UserError(f"{match[1]}:{match[2]}: preprocessor: {match[3]}")
        return re.sub(r"\\u([0-9a-fA-F]{4})", lambda m: chr(int(m[1], 16)), done.stdout.decode(errors="replace"))

    def _paste(self, path: Path, seen: set[Path]) -> str:
        """The file behind `#line 1`, what it includes from its own folder in the includes' place, each once."""
        seen.add(path.resolve())
        text = decoded(path).replace("\r\n", "\n").replace("\r", "\n")
        shown = str(path).replace("\\", "\\\\").replace('"', '\\"')
        lines = [f'#line 1 "{shown}"']
        for number, line in enumerate(text.split("\n"), 1):
            if system := SYSTEM.match(line):
                self.left_out.append(system[1])
                lines.append("")
                continue
            match = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
            if match is None:
                lines.append(line)
                continue
            found = self._own(path.parent, match[1])
            if found is None:
                self.left_out.append(match[1])
                lines.append("")
            elif found not in seen:
                lines.append(self._paste(found, seen))
                lines.append(f'#line {number + 1} "{shown}"')
            else:
                lines.append("")
        return "\n".join(lines) + "\n"

    def _own(self, folder: Path, name: str) -> Path | None:
        """A file beside the one that asks, or in the usual folders for headers near it; never outside the tree above."""
        if Path(name).is_absolute():
            return None
        for place in (*(folder / s for s in SEARCHED), self.path.parent):
            found = (place / name).resolve()
            if found.is_file() and found.suffix in (".h", ".hpp", ".cuh", ".cu", ".inl", ".hh", ".hxx", ".inc", ".c", ".cpp"):
                if found.is_relative_to(self.path.parent.parent.parent) or found.is_relative_to(self.path.parent):
                    return found
        return None

    # ------------------------------------------------------------------------------------------------------- kernels

    def kernel(self, symbol: str) -> str:
        """The qualified name of the kernel that is meant.   Raises: UserError naming those there are."""
        bare = re.sub(r"\s*<.*", "", symbol.strip(), flags=re.S).removeprefix("::")
        known = ", ".join(self.kernels) or "(no kernel in this file)"
        if not bare:
            if len(self.kernels) == 1:
                return next(iter(self.kernels))
            raise UserError(f"{self.file}: kernel: need one of {known}, as in {self.path.name}:NAME, got none")
        found = [n for n in self.kernels if n == bare] or [n for n in self.kernels if n.rpartition("::")[2] == bare]
        if not found:
            raise UserError(f"{self.file}: kernel: need one of {known}, got {symbol!r}")
        return found[0]

    def arguments(self, name: str, template: dict[str, str] | None = None) -> tuple[Argument, ...]:
        """A kernel's parameters; template: what its template's parameters stand for."""
        item = self.kernels[name]
        parts = [p for p in split(item.parameters) if p and written(p) != "void"]
        return tuple(self._argument(p, n, template or {}) for n, p in enumerate(parts))

    def parameter(self, part: list[Token]) -> Argument:
        """One parameter of any function."""
        return self._argument(part, 0, {})

    def _argument(self, part: list[Token], number: int, template: dict[str, str]) -> Argument:
        default, depth = "", 0
        for i, t in enumerate(part):
            depth += (t.text in "([{") - (t.text in ")]}")
            if t.text == "=" and depth == 0:
                part, default = part[:i], written(part[i + 1 :])
                break
        dims = 0
        while part and part[-1].text == "]":
            at = max(i for i, t in enumerate(part) if t.text == "[")
            dims, part = dims + 1, part[:at]
        part = _without_attributes(part)
        inner_array = any(t.text == "(" for t in part)  # float (*rows)[32]
        words = [t for t in part if t.text not in ("(", ")")]
        named = len(words) > 1 and words[-1].kind == "word" and words[-1].text not in source.C_TYPES
        name = words[-1].text if named else f"argument{number}"
        kind = words[:-1] if named else words
        stars = sum(t.text == "*" for t in kind) + (dims > 0) + (inner_array and not any(t.text == "*" for t in kind))
        constant = any(t.text == "const" for t in kind)
        c_type = written([t for t in kind if t.text not in ("*", "&", "&&") and t.text not in IGNORED])
        stars, c_type, dtype, lanes = self.resolve(c_type, stars, template)
        reference = any(t.text in ("&", "&&") for t in kind)
        return Argument(name, c_type, stars, dtype, lanes, constant, default, False, reference)

    def resolve(self, c_type: str, stars: int = 0, template: dict[str, str] | None = None):
        """(stars, name, dtype, lanes) behind typedefs, macros and a template's parameters."""
        for _ in range(12):
            c_type = re.sub(r"\b(?:const|volatile|struct|enum|typename|std\s*::)\s*", "", c_type).strip()
            while c_type.endswith("*"):
                stars, c_type = stars + 1, c_type[:-1].strip()
            plain = _plain_type(c_type)
            known = {**source.C_TYPES, **MORE_TYPES}.get(plain)
            if plain in VECTORS:
                return stars, plain, np.dtype(VECTORS[plain]), int(plain[-1])
            if known is not None:
                lanes = 2 if plain.endswith(("half2", "bfloat162")) else 1
                return stars, plain, np.dtype(known), lanes
            if template and c_type in template:
                c_type = template[c_type]
                continue
            item = self._type(c_type.rpartition("::")[2])
            if item is None:
                break
            texts = [t.text for t in item.tokens]
            if item.kind == "alias" and "=" in texts:
                c_type = written(item.tokens[texts.index("=") + 1 : -1])
            elif texts[0] == "typedef" and "{" not in texts and "(" not in texts:
                inside = [t for t in item.tokens[1:-2] if t.text not in IGNORED]
                if texts[-2] == "]":
                    break
                c_type = written(inside)
                if c_type == texts[-2]:
                    break
            elif "enum" in texts:
                return stars, c_type, np.dtype(np.int32), 1
            else:
                break
        return stars, c_type, None, 1

    def _type(self, name: str) -> Item | None:
        return next((i for i in self.items if i.kind in ("type", "alias") and name in i.names), None)

    def struct(self, c_type: str) -> list[Argument] | None:
        """The members of a plain struct, None where it is none."""
        item = self._type(c_type.rpartition("::")[2])
        if item is None or not any(t.text in ("struct", "class") for t in item.tokens) or item.is_template:
            return None
        brace = next((i for i, t in enumerate(item.tokens) if t.text == "{"), None)
        if brace is None:
            return None
        members: list[Argument] = []
        for part in _statements(item.tokens[brace + 1 : closing(item.tokens, brace)]):
            words = [t.text for t in part]
            if "static" in words or "using" in words or "typedef" in words or "friend" in words:
                continue
            if "(" in words and not any(w in ("alignas", "__align__", "__attribute__") for w in words):
                continue  # a method
            pieces = split(_without_attributes(part))
            first = pieces[0] if pieces else []
            stop = next((i for i, t in enumerate(first) if t.text in ("=", "{")), len(first))
            first = first[:stop]
            dims = [int(t.text) for i, t in enumerate(first) if i and first[i - 1].text == "[" and t.text.isdecimal()]
            at = next((i for i, t in enumerate(first) if t.text == "["), len(first))
            base = [t for t in first[: at - 1] if t.text not in ("*",)]
            for k, piece in enumerate(pieces):
                piece = first[at - 1 - sum(t.text == "*" for t in first[: at - 1]) : at] if k == 0 else piece
                star = sum(t.text == "*" for t in piece)
                name = next((t.text for t in reversed(piece) if t.kind == "word"), "")
                c_name = written([t for t in base if t.text not in IGNORED])
                stars, c, dtype, lanes = self.resolve(c_name, star)
                members.append(Argument(name, c, stars, dtype, lanes * int(np.prod(dims or [1]))))
        return members

    def struct_alignment(self, c_type: str) -> int:
        """What __align__ asks of a struct, 1 where it has none."""
        item = self._type(c_type.rpartition("::")[2])
        brace = next((i for i, t in enumerate(item.tokens) if t.text == "{"), 0) if item else 0
        head = written(item.tokens[:brace]) if item else ""
        match = re.search(r"(?:align\w*|aligned)\s*\(+\s*(\d+)", head)
        return int(match[1]) if match else 1

    def has_type(self, name: str) -> bool:
        """Whether the file declares a type of this name."""
        return self._type(name) is not None

    def struct_size(self, c_type: str) -> int:
        """Bytes of a plain struct, 0 where they are not told."""
        from .arguments import layout  # layouts are made of what stands here

        found = layout(self, c_type)
        return found.size if found else 0

    def enumerator(self, name: str) -> int | None:
        """The number behind an enumerator's name."""
        for item in self.items:
            if item.kind != "type" or name not in item.names or not any(t.text == "enum" for t in item.tokens):
                continue
            brace = next((i for i, t in enumerate(item.tokens) if t.text == "{"), None)
            if brace is None:
                continue
            number = -1
            for piece in split(item.tokens[brace + 1 : closing(item.tokens, brace)]):
                number += 1
                if len(piece) == 3 and piece[1].text == "=" and re.fullmatch(r"\d+|0x[\da-f]+", piece[2].text, re.I):
                    number = int(piece[2].text, 0)
                if piece and piece[0].text == name:
                    return number
        return None

    # ---------------------------------------------------------------------------------------------------- extraction

    def extract(self, name: str, words: str = "") -> str:
        """The text that one kernel needs: its declaration and what it reaches, each behind its own line number.

        words: names that its template's arguments use.
        """
        wanted = self.kernels[name]
        by_name: dict[str, list[Item]] = {}
        for item in self.items:
            for n in item.names:
                by_name.setdefault(n, []).append(item)
        kept = {id(wanted)}
        todo, reached = [wanted], set()
        while todo:
            item = todo.pop()
            for word in (self._uses(item) | set(re.findall(r"\w+", words))) - reached:
                reached.add(word)
                for found in by_name.get(word, ()):
                    if id(found) not in kept and found.on_device and not (found.is_kernel and not found.defined):
                        kept.add(id(found))
                        todo.append(found)
            for operator in by_name.get("operator", ()) if not todo else ():
                types = {t.text for t in operator.parameters if t.kind == "word"}
                if id(operator) not in kept and operator.on_device and types & (reached | set(VECTORS)):
                    kept.add(id(operator))
                    todo.append(operator)
        scopes = {s for i in self.items for s in i.scope}
        headers = [h for h in dict.fromkeys(self.left_out) if h in HEADERS and any(re.match(HEADERS[h], w) for w in reached)]
        made = ["".join(f"#include <{h}>\n" for h in headers)]
        for item in self.items:
            if id(item) in kept:
                made.append(self._placed(item, self._cut(item)))
            elif item.kind == "using" and (item.tokens[2].text in scopes | {"cooperative_groups", "std", "nvcuda"}):
                made.append(self._placed(item, written_spaced(item.tokens)))
        return "".join(made)

    def _uses(self, item: Item) -> set[str]:
        words = {t.text for t in item.tokens if t.kind == "word"}
        if item.kind == "type":
            words = {t.text for t in self._members(item) if t.kind == "word"}
        return words

    def _members(self, item: Item) -> list[Token]:
        """A type without what only the host may call."""
        made, i, found = [], 0, item.tokens
        brace = next((k for k, t in enumerate(found) if t.text == "{"), None)
        if brace is None or any(t.text == "enum" for t in found[:brace]):
            return found
        close = closing(found, brace)
        made = found[: brace + 1]
        i = brace + 1
        while i < close:
            if found[i].text in ("public", "private", "protected") and found[i + 1].text == ":":
                made += found[i : i + 2]
                i += 2
                continue
            stop = _member_end(found, i, close)
            part = found[i:stop]
            texts = {t.text for t in part}
            method = _is_method(part)
            hosts = method and not texts & {"__device__", "constexpr", "default", "delete"}
            if not hosts and not texts & {"cudaStream_t", "cudaEvent_t", "ostream", "string"}:
                made += part
            i = max(stop, i + 1)
        return made + found[close:]

    def _cut(self, item: Item) -> str:
        if item.kind == "type":
            kept = self._members(item)
            if len(kept) != len(item.tokens):
                return lined(kept, self.text)
        text = self.text[item.tokens[0].start : item.tokens[-1].end]
        if item.kind in ("function", "variable") and "__shared__" in text:
            text = shared_words(text, item.tokens)
        return text

    def _placed(self, item: Item, text: str) -> str:
        first = item.tokens[0]
        opening = "".join(f"namespace {s} {{ " for s in item.scope)
        shown = first.file.replace("\\", "\\\\").replace('"', '\\"')
        return f'#line {first.line} "{shown}"\n{opening}{text}{" }" * len(item.scope)}\n'


def decoded(path: Path) -> str:
    """A file's text, whatever wrote it: UTF-8 with or without a mark, else Latin-1."""
    raw = path.read_bytes()
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return raw.decode("utf-16", errors="replace")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def lined(found: list[Token], text: str) -> str:
    """Tokens as text in which each stands in its own line."""
    made, last = "", None
    for t in found:
        if last is not None and t.line != last.line and t.line >= last.line:
            made += f'\n#line {t.line} "{t.file}"\n'
        made += (" " if last is not None else "") + t.text
        last = t
    return made


def written_spaced(found: list[Token]) -> str:
    return " ".join(t.text for t in found)


def shared_words(text: str, found: list[Token]) -> str:
    """`extern` declarations of shared memory in the order of words that the device rewrites."""
    start, at = found[0].start, 0
    made = ""
    for i, t in enumerate(found):
        if t.text != "extern" or t.start - start < at or i + 1 < len(found) and found[i + 1].kind == "text":
            continue
        stop = next((k for k in range(i, len(found)) if found[k].text == ";"), None)
        if stop is None or not any(p.text == "__shared__" for p in found[i:stop]):
            continue
        aligned, kind, k = "", [], i
        while k < stop:
            p = found[k]
            if p.text in ("__align__", "alignas", "__attribute__", "__builtin_align__"):
                k = closing(found, k + 1)
            elif p.text not in ("extern", "__shared__", "volatile"):
                kind.append(p)
            elif p.text == "volatile":
                aligned = "volatile "
            k += 1
        at_name = next((k for k, p in enumerate(kind) if p.text == "["), len(kind)) - 1
        name, base, dims = kind[at_name].text, written(kind[:at_name]), kind[at_name + 1 :]
        inner = written(dims[2:]) if len(dims) > 2 else ""
        if inner or aligned or not re.fullmatch(r"[\w\s]+", base):
            target = f"(*const {name}){inner}" if inner else f"* const {name}"
            cast = f"{aligned}{base} {'(*)' + inner if inner else '*'}"
            declared = f"{aligned}{base} {target} = ({cast})cuda_on_host::dynamic_shared;"
        else:
            declared = f"extern __shared__ {base} {name}[];"
        made += text[at : t.start - start] + declared
        at = found[stop].end - start
    return made + text[at:]


def _plain_type(c_type: str) -> str:
    """`unsigned long int` as `unsigned long`."""
    words = c_type.split()
    if len(words) > 1 and words[-1] == "int" and set(words[:-1]) <= {"unsigned", "signed", "long", "short"}:
        words = words[:-1] if words[:-1] != ["signed"] else ["int"]
    if len(words) > 1 and words[0] == "signed" and words[1] != "char":
        words = words[1:]
    if "unsigned" in words and words[0] != "unsigned":
        words = ["unsigned", *(w for w in words if w != "unsigned")]
    return " ".join(words)


def _without_attributes(part: list[Token]) -> list[Token]:
    made, i = [], 0
    while i < len(part):
        if part[i].text in ("__align__", "alignas", "__attribute__", "__builtin_align__") and i + 1 < len(part):
            i = closing(part, i + 1) + 1
            continue
        made.append(part[i])
        i += 1
    return made


def _statements(found: list[Token]) -> list[list[Token]]:
    made, part, i = [], [], 0
    while i < len(found):
        t = found[i].text
        if t in ("public", "private", "protected") and i + 1 < len(found) and found[i + 1].text == ":":
            i += 2
            continue
        if t == "{":
            close = closing(found, i)
            if any(p.text == "(" for p in part):
                part = []
                i = close + 1
                continue
            part += found[i : close + 1]
            i = close
        elif t == "(":
            close = closing(found, i)
            part += found[i : close + 1]
            i = close
        elif t == ";":
            if part:
                made.append(part)
            part = []
        else:
            part.append(found[i])
        i += 1
    return made


def _is_method(part: list[Token]) -> bool:
    """A member with a parameter list: no variable, no nested type."""
    depth_words = [t.text for t in part[: next((i for i, t in enumerate(part) if t.text in ("(", "=", "{")), len(part))]]
    if any(w in TAGS for w in depth_words) or "using" in depth_words or "typedef" in depth_words:
        return False
    at = next((i for i, t in enumerate(part) if t.text in ("(", "=", "{")), None)
    if at is not None and part[at].text == "=" and at and part[at - 1].text == "operator":
        return True
    return at is not None and part[at].text == "(" and part[at - 1].text not in ("__align__", "alignas", "__attribute__")


def _member_end(found: list[Token], at: int, close: int) -> int:
    """Behind the member that begins at `at`."""
    i, called = at, False
    while i < close:
        t = found[i].text
        if t == ";":
            return i + 1
        if t == "<" and i and found[i - 1].text == "template":
            end = closing_angle(found, i)
            i = end if end > 0 else i
        elif t in ("(", "["):
            called = called or t == "("
            i = closing(found, i)
        elif t == "{":
            i = closing(found, i)
            if called and not (i + 1 < close and found[i + 1].text in (",", "{", ";")):
                return i + 1
        i += 1
    return close
