"""The compiler's intermediate text (LLVM IR), as far as the check build must understand it."""

import re

OURS = re.compile(
    r"(?:^|/)(?:cuda_(?:on_host|words|groups|half|random|std|complex)\.hpp|check\.hpp|async_copy\.hpp|launch\.h|dcgan_cupy/device/host/[^/]+|dcgan_cupy/workbench/[^/]+)$"
)
METADATA = re.compile(
    r"^!(\d+) = (?:distinct )?!(DILocation|DISubprogram|DILexicalBlock|DILexicalBlockFile|DIFile)\((.*)\)$", re.M
)
NAME = r'(?:[\w.$-]+|"[^"]*")'
SCALARS = {
    "float": 4,
    "double": 8,
    "half": 2,
    "bfloat": 2,
    "i1": 1,
    "i8": 1,
    "i16": 2,
    "i32": 4,
    "i64": 8,
    "i128": 16,
    "ptr": 8,
}


def metadata_of(text: str) -> dict:
    """Number -> (kind, fields) of the debug metadata."""
    return {
        int(n): (kind, {k: a or b for k, a, b in re.findall(r'(\w+): (?:"([^"]*)"|!?([^,]+))', rest)})
        for n, kind, rest in METADATA.findall(text)
    }


def frames_of(metadata, tail: str, ours: bool = False) -> list:
    """(file, line, function) of a !dbg attachment, innermost first; the lines of our own headers left out.

    ours: theirs, too.
    """
    match = re.search(r"!dbg !(\d+)", tail)
    number, frames = int(match[1]) if match else None, []
    while number is not None and number in metadata:
        _, at = metadata[number]
        file, function = scope_of(metadata, at.get("scope"))
        frames.append([file, int(at.get("line", 0)), function])
        number = int(at["inlinedAt"]) if "inlinedAt" in at else None
    if ours:
        return frames
    return [f for f in frames if not OURS.search(f[0]) and f[0] != "launcher"] or frames


def scope_of(metadata, number) -> tuple[str, str]:
    """The file and the function that a scope lies in."""
    file = function = ""
    while number is not None and number.isdecimal() and int(number) in metadata:
        kind, scope = metadata[int(number)]
        if not file and scope.get("file", "").isdecimal():
            file = metadata[int(scope["file"])][1].get("filename", "")
        if kind == "DISubprogram":
            return file, scope.get("name", "")
        number = scope.get("scope")
    return file, function


def used_at(metadata, lines: list[str], itself: bool) -> list:
    """An access that the compiler has moved has line 0:

    Where what it reads is used (itself), or else the next line with a number.
    """
    first = re.match(r"\s*(%[\w.]+) = ", lines[0]) if itself and lines else None
    names = {first[1]} if first else set()
    for line in lines:
        if itself and not names & set(re.findall(r"%[\w.]+", line)):
            continue
        frames = frames_of(metadata, line)
        if frames and frames[0][1]:
            return frames
        if match := re.match(r"\s*(%[\w.]+) = (?:phi|select)", line):
            names.add(match[1])
    return []


def split(text: str) -> list[str]:
    """The parts between commas that stand in no bracket and no quotes: arguments, operands."""
    parts, depth, start, quoted = [], 0, 0, False
    for at, c in enumerate(text):
        if c == '"':
            quoted = not quoted
        elif quoted:
            continue
        elif c in "([{<":
            depth += 1
        elif c in ")]}>":
            depth -= 1
            if depth < 0:
                break
        elif c == "," and depth == 0:
            parts.append(text[start:at].strip())
            start = at + 1
    else:
        at = len(text)
    last = text[start:at].strip()
    return [*parts, last] if last or parts else []


def inside(text: str, start: int) -> str:
    """What stands in the parenthesis that opens at `start`."""
    depth, quoted = 0, False
    for at in range(start, len(text)):
        c = text[at]
        if c == '"':
            quoted = not quoted
        elif not quoted:
            depth += (c == "(") - (c == ")")
            if depth == 0 and c == ")":
                return text[start + 1 : at]
    return text[start + 1 :]


def value_of(operand: str) -> str:
    """ptr noundef nonnull align 4 %x -> %x."""
    match = re.search(r"[%@]|\b(?:getelementptr|null|undef|poison|inttoptr|addrspacecast|bitcast)\b", operand)
    return operand[match.start() :].strip() if match else operand.rpartition(" ")[2]


def type_and_rest(text: str) -> tuple[str, str]:
    """[4 x %struct.S] zeroinitializer, align 4 -> the type, and what follows."""
    if text[0] in "[{<":
        depth = 0
        for at, c in enumerate(text):
            depth += (c in "[{<") - (c in "]}>")
            if depth == 0:
                return text[: at + 1], text[at + 1 :].strip()
    match = re.match(rf"%{NAME}|\w+", text)
    return (match[0], text[match.end() :].strip()) if match else ("", text)


class Layout:
    """Sizes of types; structs are looked up in the text."""

    def __init__(self, text: str):
        self.named = dict(re.findall(rf"^(%{NAME}) = type (.*)$", text, re.M))

    def size(self, kind: str) -> int:
        """Bytes; 0 for what has none."""
        return self._measure(kind)[0]

    def _measure(self, kind: str) -> tuple[int, int]:
        if kind in SCALARS:
            return SCALARS[kind], SCALARS[kind]
        if kind in self.named:
            return self._measure(self.named[kind])
        if match := re.fullmatch(r"\[(\d+) x (.*)\]", kind):
            size, align = self._measure(match[2])
            return int(match[1]) * size, align
        if match := re.fullmatch(r"<(\d+) x ([^<>]*)>", kind):
            size = int(match[1]) * self._measure(match[2])[0]
            return size, size
        packed, size, most = kind.startswith("<{"), 0, 1
        for member in split(kind.strip("<>")[1:-1].strip()) if kind.startswith(("{", "<{")) else ():
            bytes_, align = self._measure(member)
            align = 1 if packed else max(1, align)
            size, most = size + -size % align + bytes_, max(most, align)
        return size + -size % most, most


def dimensions(kind: str) -> tuple[list[int], int]:
    """[8 x [32 x float]] -> [8, 32] and 4, the bytes of an element (0: a struct, counted in bytes by the reader)."""
    dims = []
    while match := re.match(r"\[(\d+) x (.*)\]$", kind):
        dims.append(int(match[1]))
        kind = match[2]
    return dims, SCALARS.get(kind, 0)


def plain_name(symbol: str) -> str:
    """The array's name in the source, of a mangled one: conv2d_forward.a_s, _ZZ12sum_over_rowsfE4part, _ZL2gs."""
    symbol, found = symbol.strip('"'), None
    for match in re.finditer(r"(?=(?<!\d)(\d+)([A-Za-z_]\w*))", symbol if symbol.startswith("_Z") else ""):
        length, rest = int(match[1]), match[2]
        if length <= len(rest) and re.fullmatch(r"(?:_\d*_?|E)?", rest[length:]):
            found = rest[:length]
    return found or re.sub(r"\.\d+$", "", symbol).rpartition(".")[2]


class Pointers:
    """Where a function's pointers come from: ("argument", x), ("alloca", %a), ("global", @g); None: not one place."""

    def __init__(self, header: str, lines: list[str]):
        self.made = {}
        for line in lines:
            if match := re.match(rf"\s*(%{NAME}) = (.*)$", line):
                self.made[match[1]] = match[2]
        start = re.search(rf"@{NAME}\(", header)
        listed = split(inside(header, start.end() - 1)) if start else []
        self.arguments = {m[1] for part in listed if part.startswith("ptr") and (m := re.search(rf"(%{NAME})$", part))}
        self.known = {}
        self.stores = [split(m[1]) for line in lines if (m := re.match(r"\s*store (?:volatile )?(.*)$", line))]
        self.kept: dict | None = None
        self.operands: dict[str, tuple] = {}  # of a value: what it is made of, as values_behind asks for it

    def root(self, operand: str):
        """The place that a pointer was made from."""
        if operand in self.known:
            return self.known[operand]
        found, seen, todo = set(), set(), [operand]
        while todo:
            name = todo.pop()
            if name in seen:
                continue
            seen.add(name)
            if name.startswith("@"):
                found.add(("global", name))
            elif match := re.match(r"(?:getelementptr|bitcast|addrspacecast)\b[^(]*\(", name):
                pointer = next((p for p in split(inside(name, match.end() - 1)) if p.startswith("ptr ")), None)
                todo.append(value_of(pointer) if pointer else "?")
            elif name in self.arguments:
                found.add(("argument", name[1:].strip('"')))
            else:
                self._follow(name, self.made.get(name, ""), found, todo)
        one = next(iter(found)) if len(found) == 1 else None
        self.known[operand] = one
        return one

    def values_behind(self, operand: str, most: int = 200) -> tuple[set, set]:
        """Arguments whose loaded values, or whose values returned by atomics, an address or a number is made of."""
        loaded, changed, seen, todo = set(), set(), set(), [operand]
        while todo and len(seen) < most:
            name = todo.pop()
            if name in seen or name not in self.made:
                continue
            seen.add(name)
            root, atomic, operands = self._made_of(name)
            if root and root[0] == "argument":
                (changed if atomic else loaded).add(root[1])
            elif root and root[0] in ("global", "alloca"):
                loaded |= self._kept_in(root)
            todo += operands
        return loaded, changed

    def _made_of(self, name: str) -> tuple:
        """Where a value was loaded from (or what an atomic changed), whether an atomic did, and its operands."""
        if name not in self.operands:
            text = self.made[name].partition(", !dbg")[0]
            call = re.search(rf"@__tsan_atomic\d+_\w+\(ptr [^%@]*(%{NAME})", text) if "@__tsan_atomic" in text else None
            pointer = value_of(split(text)[1]) if text.startswith("load ") else call[1] if call else None
            operands = [pointer] if pointer else re.findall(rf"%{NAME}", text)
            self.operands[name] = self.root(pointer) if pointer else None, bool(call), operands
        return self.operands[name]

    def _kept_in(self, place) -> set:
        """Arguments whose values the function stores in a shared or a local array."""
        if self.kept is None:
            self.kept = {}
            for value, pointer, *_ in self.stores:
                if value.startswith(("i", "[")) and (root := self.root(value_of(pointer))):
                    self.kept.setdefault(root, set()).update(self.values_behind(value_of(value))[0])
        return self.kept.get(place, set())

    def _follow(self, name, text, found, todo):
        if text.startswith("alloca"):
            found.add(("alloca", name))
        elif text.startswith("getelementptr"):
            pointer = next((p for p in split(text) if p.startswith("ptr ")), None)
            todo.append(value_of(pointer) if pointer else "?")
        elif text.startswith("phi ptr"):
            todo += [split(p)[0] for p in re.findall(r"\[ (.*?), %[^\]]*\]", text)]
        elif text.startswith("select"):
            todo += [value_of(p) for p in split(text)[1:3]]
        elif text.startswith(("freeze ptr", "bitcast ptr", "addrspacecast ptr")):
            todo.append(value_of(text.split(" ", 1)[1].partition(" to ")[0]))
        else:
            found.add(("made", name))  # loaded, or computed from a number
