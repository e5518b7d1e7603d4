"""A stranger's .cu file, as it lies there: read, preprocessed, and cut down to what one of its kernels reaches.

clang's preprocessor runs on the file and on what it includes from its own folder; the system's headers are left out:
cuda_on_host.hpp and cuda_words.hpp stand in their place. Of the declarations those stay that the kernel reaches by name
and that a GPU could run: host code, other kernels and `main` are never compiled.
"""

import re
import subprocess
from pathlib import Path

from ..errors import UserError
from .check_build import clang
from .items import TAGS, Item, items
from .tokens import Token, closing, closing_angle, tokens, written
from .user_types import VECTORS, Types

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
INCLUDED = (".h", ".hpp", ".cuh", ".cu", ".inl", ".hh", ".hxx", ".inc", ".c", ".cpp")
SYSTEM = re.compile(r"^[ \t]*#[ \t]*(?:include|import|include_next)[ \t]*<([^>\n]+)>.*$", re.M)
# An include in whatever spelling the compiler would take; none may be left once the files have been pasted.
HIDDEN = re.compile(
    r"^(?:[ \t\f\v]|/\*.*?\*/)*(?:#|%:|\?\?=)(?:[ \t\f\v]|/\*.*?\*/)*(?:include(?:_next)?|import|embed)\b[^\n]*", re.M
)
# Headers that NVRTC needs to count registers, and the words that ask for them.
HEADERS = {
    "cuda_fp16.h": r"(?:__)?half2?$",
    "cuda_bf16.h": r"(?:__)?nv_bfloat16",
    "cooperative_groups.h": r"cooperative_groups$",
    "cuda_pipeline.h": r"__pipeline_",
}


class UserFile(Types):
    """A file's declarations. kernels: by qualified name, in their order."""

    def __init__(self, file: str, macros: tuple[tuple[str, str], ...] = ()):
        path = Path(file)
        if not path.is_file():
            raise UserError(f"inspect: {file}: need a .cu file, got none of that name")
        self.file, self.path, self.macros = file, path.resolve(), macros
        self.left_out: list[str] = []
        self.pasted: set[Path] = set()  # the files that its text comes from
        self.text = self._preprocessed()
        self.tokens = tokens(self.text)
        self.items = items(self.tokens)
        self.kernels: dict[str, Item] = {}
        for item in self.items:
            if item.is_kernel and item.names[0]:
                name = "::".join((*(s for s in item.scope if s), item.names[0]))
                if item.defined or name not in self.kernels:
                    self.kernels[name] = item
        own = {n: k for n, k in self.kernels.items() if k.tokens[0].file == str(self.path)}
        self.own_kernels = own or self._launched()  # those of the file itself; else what is launched

    def _launched(self) -> dict[str, Item]:
        """The kernels that the host code launches, of a file that has none of its own: they lie in what it includes."""
        text = "\n".join(t.text for i in self.items for t in i.tokens)
        names = set(re.findall(r"(\w+)(?:\n<(?!<)[^;{}]*?>)?\n<<<", text))
        return {n: k for n, k in self.kernels.items() if n.rpartition("::")[2] in names}

    # ------------------------------------------------------------------------------------------------------- reading

    def _preprocessed(self) -> str:
        pasted = self._paste(self.path, self.pasted)
        joined = re.sub(r"\\[ \t]*\n", "", pasted)
        if hidden := HIDDEN.search(joined):
            at = list(re.finditer(r'^#line (\d+) "(.*)"$', joined[: hidden.start()], re.M))[-1]
            line = int(at[1]) + joined.count("\n", at.end() + 1, hidden.end() - len(hidden[0].lstrip()))
            raise UserError(
                f"{at[2]}:{line}: include: need CUDA's headers or files of the text's own folder, got"
                f" {hidden[0].strip()}"
            )
        own = [f"-D{n}={v}" for n, v in {**PREDEFINED, **dict(self.macros)}.items()]
        if re.search(r"^[ \t]*#[ \t]*define[ \t]+NDEBUG\b", pasted, re.M):
            own.append("-Dassert(...)=((void)0)")  # as <cassert> would have it, which is left out
        defined = {n for n, _ in self.macros}
        pasted = "".join(
            "\n" if (m := re.match(r"\s*#\s*define\s+(\w+)\b(?!\()", line)) and m[1] in defined else line
            for line in pasted.splitlines(keepends=True)
        )
        command = [*clang().command, "-E", "-x", "c++", "-std=gnu++17", "-nostdinc", "-Wno-everything", *own, "-"]
        done = subprocess.run(command, input=pasted.encode(), capture_output=True, timeout=60, check=False)
        for line in done.stderr.decode(errors="replace").splitlines():
            match = re.match(r"(.*?):(\d+):(?:\d+:)? (?:fatal )?error: (.*)", line)
            if match and not re.search(r'^"|#error', match[3]):
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
                if re.match(r"/|.*\.\.", system[1]):
                    raise UserError(f"{path}:{number}: include: need CUDA's headers, got <{system[1]}>")
                self.left_out.append(system[1])
                lines.append("")
                continue
            match = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
            if match is None:
                lines.append(line)
                continue
            if Path(match[1]).is_absolute():
                raise UserError(f'{path}:{number}: include: need a file in the folder of the text, got "{match[1]}"')
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
        """A file beside the one that asks, or in the usual folders near it; never outside the tree above."""
        for place in (*(folder / s for s in SEARCHED), self.path.parent):
            found = (place / name).resolve()
            near = found.is_relative_to(self.path.parent.parent.parent) or found.is_relative_to(self.path.parent)
            if near and found.suffix in INCLUDED and found.is_file():
                return found
        return None

    # ------------------------------------------------------------------------------------------------------- kernels

    def kernel(self, symbol: str) -> str:
        """The qualified name of the kernel that is meant.   Raises: UserError naming those there are."""
        bare = re.sub(r"\s*<.*", "", symbol.strip(), flags=re.S).removeprefix("::")
        known = ", ".join(self.own_kernels) or "(no kernel in this file)"
        if not bare:
            if len(self.own_kernels) == 1:
                return next(iter(self.own_kernels))
            raise UserError(f"{self.file}: kernel: need one of {known}, as in {self.path.name}:NAME, got none")
        found = [n for n in self.kernels if n == bare] or [n for n in self.kernels if n.rpartition("::")[2] == bare]
        if not found:
            raise UserError(f"{self.file}: kernel: need one of {known}, got {symbol!r}")
        return found[0]

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
        headers = [
            h for h in dict.fromkeys(self.left_out) if h in HEADERS and any(re.match(HEADERS[h], w) for w in reached)
        ]
        made = ["".join(f"#include <{h}>\n" for h in headers)]
        for item in self.items:
            if id(item) in kept:
                made.append(self._placed(item, self._cut(item)))
            elif item.kind == "using" and (item.tokens[2].text in scopes | {"cooperative_groups", "std", "nvcuda"}):
                name = item.tokens[2].text  # of a namespace that may come later, or not at all
                opened = f"namespace {name} {{}} " if name in scopes - {"cooperative_groups", "std", "nvcuda"} else ""
                made.append(self._placed(item, opened + written_spaced(item.tokens)))
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
        if t.text != "extern" or t.start - start < at or (i + 1 < len(found) and found[i + 1].kind == "text"):
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


def _is_method(part: list[Token]) -> bool:
    """A member with a parameter list: no variable, no nested type."""
    depth_words = [
        t.text for t in part[: next((i for i, t in enumerate(part) if t.text in ("(", "=", "{")), len(part))]
    ]
    if any(w in TAGS for w in depth_words) or "using" in depth_words or "typedef" in depth_words:
        return False
    at = next((i for i, t in enumerate(part) if t.text in ("(", "=", "{")), None)
    if at is not None and part[at].text == "=" and at and part[at - 1].text == "operator":
        return True
    return (
        at is not None and part[at].text == "(" and part[at - 1].text not in ("__align__", "alignas", "__attribute__")
    )


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
