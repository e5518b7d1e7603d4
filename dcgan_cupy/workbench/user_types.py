"""Types of a stranger's file: typedefs and macros behind names, parameters, the members of structs, enumerators."""

import re
from dataclasses import dataclass, replace

import numpy as np

from ..device import source
from .items import TAGS, Item
from .tokens import Token, closing, split, tokens, written

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
    **{
        f"{n}{k}": t for n, t in (("ushort", np.uint16), ("ulonglong", np.uint64), ("ulong", np.uint64)) for k in "1234"
    },
}
COMPLEX = {
    **dict.fromkeys(("cuComplex", "cuFloatComplex", "cufftComplex"), "float2"),
    **dict.fromkeys(("cuDoubleComplex", "cufftDoubleComplex"), "double2"),
    "cufftReal": "float",
    "cufftDoubleReal": "double",
}
IGNORED = {
    "const",
    "volatile",
    "__restrict__",
    "__restrict",
    "restrict",
    "__grid_constant__",
    "struct",
    "enum",
    "class",
}
IGNORED |= {"register", "typename", "std", "::", "union", "signed", "static"}


@dataclass(frozen=True)
class Argument:
    """A parameter. stars: how many pointers deep; dtype: of a number or of what it points to, None: a struct."""

    name: str
    c_type: str
    stars: int
    dtype: np.dtype | None
    lanes: int = 1  # 4 of float4
    constant: bool = False
    default: str = ""
    template: bool = False  # its type is a parameter of the template
    reference: bool = False
    function: bool = False  # a pointer to a function of the device's; c_type: as a cast to it is written


class Types:
    """What the names of a file's types stand for. items: its declarations; kernels: by name."""

    items: list[Item]
    kernels: dict[str, Item]

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
        if (at := _pointer_to_function(part)) is not None:
            kind = written(part[: at + 2]) + written(part[at + 3 :])
            return Argument(part[at + 2].text, kind, 0, np.dtype(np.uint64), function=True)
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
        if stars == 0 and self.function_type(c_type):
            return Argument(name, c_type, 0, np.dtype(np.uint64), 1, False, default, function=True)
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
            if item is None and c_type in COMPLEX:
                c_type = COMPLEX[c_type]
                continue
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
        head = [t.text for t in item.tokens[:brace]]
        members: list[Argument] = (self.struct(head[-1]) or []) if ":" in head else []  # a base comes first
        for part in _statements(item.tokens[brace + 1 : closing(item.tokens, brace)]):
            words = [t.text for t in part]
            if "static" in words or "using" in words or "typedef" in words or "friend" in words:
                continue
            if "(" in words and not any(w in ("alignas", "__align__", "__attribute__") for w in words):
                continue  # a method
            if "{" in words and words[0] in ("struct", "class"):
                part = self._named_inside(c_type, part)
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

    def _named_inside(self, c_type: str, part: list[Token]) -> list[Token]:
        """`struct { int* p; } s` as a member of a type that has a name from now on."""
        close = closing(part, next(i for i, t in enumerate(part) if t.text == "{"))
        name = replace(part[0], kind="word", text=f"{c_type}@{part[0].start}")
        if not self.has_type(name.text):
            self.items.append(Item("type", [name.text], (), part[: close + 1]))
        return [name, *part[close + 1 :]]

    def struct_alignment(self, c_type: str) -> int:
        """What __align__ asks of a struct, 1 where it has none."""
        item = self._type(c_type.rpartition("::")[2])
        brace = next((i for i, t in enumerate(item.tokens) if t.text == "{"), 0) if item else 0
        head = written(item.tokens[:brace]) if item else ""
        match = re.search(r"(?:align\w*|aligned)\s*\(+\s*(\d+)", head)
        return int(match[1]) if match else 1

    def function_type(self, c_type: str) -> list[Token] | None:
        """The tokens of a type that points to a function, from its parenthesis on; None for another type."""
        item = self._type(c_type.rpartition("::")[2])
        if item is None or any(t.text in TAGS for t in item.tokens):
            return None
        at = next((i for i, t in enumerate(item.tokens[:-3]) if t.text == "(" and item.tokens[i + 1].text == "*"), None)
        end = closing(item.tokens, at) if at is not None else 0
        return item.tokens[end + 1 : -1] if at is not None and item.tokens[end + 1].text == "(" else None

    def functions_like(self, p: Argument) -> list[str]:
        """The device's functions that a parameter may point to: those that take what its type names."""
        wanted = self.function_type(p.c_type) or tokens(p.c_type[p.c_type.rindex("(*)") + 3 :])
        kinds = self._kinds(wanted[1 : closing(wanted, 0)])
        return [
            i.names[0]
            for i in self.items
            if i.kind == "function" and i.on_device and i.defined and not (i.is_kernel or i.is_template or i.scope)
            if self._kinds(i.parameters) == kinds
        ]

    def _kinds(self, found: list[Token]) -> list[tuple[int, str]]:
        """Stars and type of each parameter in a list, which may have names."""
        made = []
        for part in split(found):
            if part and written(part) != "void":
                p = self._argument(part if self._named(part) else [*part, *tokens("_")], 0, {})
                made.append((p.stars, p.c_type))
        return made

    def _named(self, part: list[Token]) -> bool:
        """Whether the last word of a parameter is its name: `unsigned int` has none, nor has `const wrapped`."""
        words = [t.text for t in part if t.kind == "word" and t.text not in IGNORED]
        return (
            len(words) > 1
            and part[-1].text == words[-1]
            and self.resolve(words[-1])[2] is None
            and self._type(words[-1]) is None
        )

    def has_type(self, name: str) -> bool:
        """Whether the file declares a type of this name."""
        return self._type(name) is not None

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


def _pointer_to_function(part: list[Token]) -> int | None:
    """Where `(*name)(` begins in a parameter."""
    texts = [t.text for t in part]
    for i in range(len(part) - 4):
        if texts[i : i + 2] == ["(", "*"] and part[i + 2].kind == "word" and texts[i + 3 : i + 5] == [")", "("]:
            return i
    return None


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
