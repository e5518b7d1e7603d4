"""The check build's own compilation step: reads and rewrites the compiler's intermediate text (LLVM IR).

clang has put a call in front of every access (-fsanitize=thread) and at the head of every basic block (trace-pc-guard).
Each call becomes one to check.cpp with a number in it: that of a Site (an access, with its line) or of a Block (with
its loops and its floating-point operations). Shared arrays move into one region with empty room between them.
"""

import re
from dataclasses import asdict, dataclass, field

PAD = 16  # slots of empty room at either end of them all
SLOT = 65536  # a shared array's room: at most 48 KiB are its own, the rest is guard
OURS = re.compile(r"(?:^|/)(?:cuda_\w+\.hpp|check\.hpp|async_copy\.hpp|launch\.h)$")
METADATA = re.compile(
    r"^!(\d+) = (?:distinct )?!(DILocation|DISubprogram|DILexicalBlock|DILexicalBlockFile|DIFile)\((.*)\)$", re.M
)
ACCESS = re.compile(
    r"^(\s*)(?:tail )?call void @__tsan_(?:unaligned_)?(read|write)(\d+)\(ptr (?:noundef |nonnull )*(.+)\)(?: #\d+)?"
    r"((?:, ![\w.]+ !\d+)*)$"
)
RANGE = re.compile(r"^(\s*).*call ptr @__tsan_(memcpy|memmove|memset)\((.+)\)((?: #\d+)?)((?:, ![\w.]+ !\d+)*)$")
ATOMIC = re.compile(
    r"call \w+ @__tsan_atomic(\d+)_(\w+)\(ptr (?:noundef |nonnull )*([^(,]+|[^(,]*\((?:[^()]|\([^()]*\))*\)), i"
)
FLOP = re.compile(r"= (?:tail |notail |musttail )?(f(?:add|sub|mul|div|rem)|call)\b([^@\n]*)(?:@([\w.]+))?")
MATHEMATICS = re.compile(
    r"(?:llvm\.)?(fmuladd|fma|sqrt|exp2?|log(?:2|10|1p)?|expm1|tanh|sin|cos|tan|pow|rint|atan2?|erf)f?(?:\.|$)"
)
SHARED = re.compile(
    r'^@([\w.$]+|"[^"]+") = [\w ]*?global (.+?) (?:zeroinitializer|undef|poison|null|false|0|0\.0+e\+00), section'
    r' "cuda_shared"(.*)$',
    re.M,
)
DYNAMIC = re.compile(r"^@(\S*dynamic_shared\S*) = internal global (\[\d+ x i8\]) zeroinitializer.*$", re.M)
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


@dataclass
class Site:
    """A place in the source that reads or writes memory. frames: (file, line, function), innermost first."""

    kind: str  # read, write or atomic
    size: int
    frames: list


@dataclass
class Block:
    """A basic block: its innermost loop (the number of the loop's first block, -1: none), and what it computes."""

    function: int
    line: list  # (file, line) of the branch at its end
    branches: bool
    entry: bool = False
    header: bool = False
    depth: int = 0
    inside: list = field(default_factory=list)  # headers of the loops around it, outermost first, itself included
    flops: int = 0
    flops64: int = 0
    flop_lines: list = field(default_factory=list)  # (file, line, operations)


def rewrite(text: str) -> tuple[str, dict]:
    """The rewritten text, and the tables that go with it: sites, blocks, shared arrays."""
    metadata = {
        int(n): (kind, {k: a or b for k, a, b in re.findall(r'(\w+): (?:"([^"]*)"|!?([^,]+))', rest)})
        for n, kind, rest in METADATA.findall(text)
    }
    shared = []

    def place(match):
        offset = SLOT * (PAD + sum(s["slots"] for s in shared))
        name, kind = match[1], match[2]
        dynamic = match.re is DYNAMIC
        dims, item = _dimensions(kind)
        slots = 5 if dynamic else 1
        shared.append(
            {
                "name": "(dynamic)" if dynamic else _plain(name),
                "type": kind,
                "dims": dims,
                "item": item,
                "slots": slots,
                "offset": offset,
                "dynamic": dynamic,
            }
        )
        return f"@{name} = internal alias {kind}, ptr getelementptr (i8, ptr @check_shared, i64 {offset})"

    symbols = [m[1] for m in SHARED.finditer(text)] + [m[1] for m in DYNAMIC.finditer(text)]
    text = DYNAMIC.sub(place, SHARED.sub(place, text))
    text = re.sub(r"^@llvm\.(?:compiler\.)?(?:used|global_ctors) = .*$", "", text, flags=re.M)
    sites, blocks, out = [], [], []
    reader = _Functions(metadata, blocks)

    lines = text.splitlines()

    def site(number, kind, size, tail):
        frames = _frames(metadata, tail)
        if not (frames and frames[0][1]):
            frames = (
                _used(metadata, lines[number + 1 : number + 100], True)
                or _used(metadata, lines[number + 1 : number + 16], False)
                or frames
            )
        sites.append(Site(kind, size, frames or [["", 0, ""]]))
        return len(sites) - 1

    for number, line in enumerate(lines):
        if match := ACCESS.match(line):
            space, kind, size, pointer, tail = match.groups()
            named = re.findall(r'@([\w.$]+|"[^"]+")', pointer)
            if named and not any(n in symbols for n in named):
                continue  # threadIdx and its kin, constants
            line = f"{space}call void @check_access(ptr {pointer}, i32 {site(number, kind, int(size), tail)}){tail}"
        elif match := RANGE.match(line):
            space, what, arguments, _, tail = match.groups()
            length = re.search(r"i64 (?:\w+ )*(\d+)$", arguments)
            size = next((s for s in (16, 8, 4, 2) if length and int(length[1]) % s == 0), 1)
            reads = site(number, "read", size, tail) if what != "memset" else 0
            writes = site(number, "write", size, tail)
            line = line.replace(
                f"@__tsan_{what}({arguments})", f"@check_{what}({arguments}, i32 {writes}, i32 {reads})"
            )
        elif (match := ATOMIC.search(line)) and match[2] != "load":  # these come from every function, watched or not
            tail = "".join(re.findall(r", !dbg !\d+", line))
            if OURS.search((_frames(metadata, tail) or [[""]])[0][0]):
                out.append(line)
                continue
            out.append(
                f"  call void @check_access(ptr {match[3]}, i32"
                f" {site(number, 'atomic', int(match[1]) // 8, tail)}){tail}"
            )
        elif "@__sanitizer_cov_trace_pc_guard(" in line and "call" in line:
            tail = "".join(re.findall(r", !dbg !\d+", line))
            line = f"  call void @check_block(i32 {len(blocks)}){tail}"
            reader.block()
        elif re.match(r"\s*call void @__tsan_vptr", line):
            continue
        else:
            reader.line(line)
        out.append(line)
    total = SLOT * (2 * PAD + sum(s["slots"] for s in shared))
    sizes = (
        ", ".join(f"i64 ptrtoint (ptr getelementptr ({s['type']}, ptr null, i32 1) to i64)" for s in shared) or "i64 0"
    )
    out.append(
        f"@check_shared = global [{total} x i8] zeroinitializer, align {SLOT}\n"
        f"@check_sizes = global [{max(1, len(shared))} x i64] [{sizes}]\n"
        "declare void @check_access(ptr, i32)\ndeclare void @check_block(i32)\n"
        "declare ptr @check_memcpy(ptr, ptr, i64, i32, i32)\ndeclare ptr @check_memmove(ptr, ptr, i64, i32, i32)\n"
        "declare ptr @check_memset(ptr, i32, i64, i32, i32)\n"
    )
    tables = {
        "sites": [asdict(s) for s in sites],
        "blocks": [asdict(b) for b in blocks],
        "shared": shared,
        "shared_bytes": total,
    }
    return "\n".join(out), tables


def _plain(symbol: str) -> str:
    """The array's name in the source, of a mangled one: conv2d_forward.a_s, _ZZ12sum_over_rowsfE4part, _ZL2gs."""
    symbol, found = symbol.strip('"'), None
    for match in re.finditer(r"(?=(?<!\d)(\d+)([A-Za-z_]\w*))", symbol if symbol.startswith("_Z") else ""):
        length, rest = int(match[1]), match[2]
        if length <= len(rest) and re.fullmatch(r"(?:_\d*_?)?", rest[length:]):
            found = rest[:length]
    return found or re.sub(r"\.\d+$", "", symbol).rpartition(".")[2]


def _dimensions(kind: str) -> tuple[list[int], int]:
    """[8 x [32 x float]] -> [8, 32] and 4, the bytes of an element (0: a struct, counted in bytes by the reader)."""
    dims = []
    while match := re.match(r"\[(\d+) x (.*)\]$", kind):
        dims.append(int(match[1]))
        kind = match[2]
    return dims, SCALARS.get(kind, 0)


def _frames(metadata, tail: str) -> list:
    """(file, line, function) of a !dbg attachment, innermost first; the lines of our own headers left out."""
    match = re.search(r"!dbg !(\d+)", tail)
    number, frames = int(match[1]) if match else None, []
    while number is not None and number in metadata:
        _, at = metadata[number]
        file, function = _scope(metadata, at.get("scope"))
        frames.append([file, int(at.get("line", 0)), function])
        number = int(at["inlinedAt"]) if "inlinedAt" in at else None
    return [f for f in frames if not OURS.search(f[0]) and f[0] != "launcher"] or frames


def _used(metadata, lines: list[str], itself: bool) -> list:
    """An access that the compiler has moved has line 0:

    Where what it reads is used (itself), or else the next line with a number.
    """
    first = re.match(r"\s*(%[\w.]+) = ", lines[0]) if itself else None
    names = {first[1]} if first else set()
    for line in lines:
        if itself and not names & set(re.findall(r"%[\w.]+", line)):
            continue
        frames = _frames(metadata, line)
        if frames and frames[0][1]:
            return frames
        if match := re.match(r"\s*(%[\w.]+) = (?:phi|select)", line):
            names.add(match[1])
    return []


def _scope(metadata, number) -> tuple[str, str]:
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


class _Functions:
    """Follows the text from function to function and completes the blocks: their successors, loops and operations."""

    def __init__(self, metadata, blocks):
        self.metadata, self.blocks = metadata, blocks
        self.number, self.label, self.last, self.first = -1, None, "", 0
        self.successors, self.labels, self.switch = {}, {}, None

    def block(self) -> None:
        self.labels[self.label] = len(self.blocks)
        self.blocks.append(Block(self.number, ["", 0], False, entry=self.label is None))

    def line(self, line: str) -> None:
        if line.startswith("define "):
            self.number, self.label, self.first = self.number + 1, None, len(self.blocks)
            self.successors, self.labels = {}, {}
        elif match := re.match(r'([\w.$]+|"[^"]+"):', line):
            self.label = match[1]
        elif line.startswith("}"):
            self._finish()
        elif self.label in self.labels:
            current = self.blocks[self.labels[self.label]]
            if self.switch is not None or re.match(r"\s+(br|switch) ", line):
                targets = re.findall(r"label %([\w.$]+)", line)
                self.successors.setdefault(self.label, []).extend(targets)
                if "!dbg" in line:
                    frames = _frames(self.metadata, line)
                    current.line = frames[0][:2] if frames else ["", 0]
                if line.lstrip().startswith("switch"):
                    self.switch = True
                if self.switch and line.lstrip().startswith("]"):
                    self.switch = None
                current.branches = len(set(self.successors[self.label])) > 1
            elif match := FLOP.search(line):
                self._count(current, *match.groups(), line)

    def _count(self, block, word, kind, callee, line):
        if word == "call":
            match = MATHEMATICS.match(callee or "")
            if match is None:
                return
            operations = 2 if match[1] in ("fma", "fmuladd") else 1
        else:
            operations = 1
        lanes = re.search(r"<(\d+) x ", kind)
        operations *= int(lanes[1]) if lanes else 1
        if "double" in kind:
            block.flops64 += operations
        else:
            block.flops += operations
        frames = _frames(self.metadata, line)
        if frames:
            block.flop_lines.append((frames[0][0], frames[0][1], operations))

    def _finish(self):
        """Natural loops: an edge to a block that dominates its source closes one."""
        own = self.labels
        order, seen = [], set()
        if None not in own:
            return
        stack = [(None, iter(self.successors.get(None, ())))]
        seen.add(None)
        while stack:
            label, rest = stack[-1]
            following = next((s for s in rest if s not in seen), "")
            if following == "":
                order.append(label)
                stack.pop()
            else:
                seen.add(following)
                stack.append((following, iter(self.successors.get(following, ()))))
        order.reverse()
        index = {label: i for i, label in enumerate(order)}
        before = {label: [] for label in order}
        for label in order:
            for s in self.successors.get(label, ()):
                before[s].append(label)
        dominator = {None: None}
        changed = True
        while changed:
            changed = False
            for label in order[1:]:
                new = None
                found = False
                for p in before[label]:
                    if p in dominator:
                        new, found = (p, True) if not found else (self._meet(new, p, dominator, index), True)
                if found and dominator.get(label, "") != new:
                    dominator[label] = new
                    changed = True
        loops = {}
        for label in order:
            for s in self.successors.get(label, ()):
                if self._dominates(s, label, dominator):
                    body = loops.setdefault(s, {s})
                    todo = [label]
                    while todo:
                        b = todo.pop()
                        if b not in body:
                            body.add(b)
                            todo.extend(before[b])
        for header, body in loops.items():
            if header in own:
                self.blocks[own[header]].header = True
            for label in body:
                if label in own:
                    self.blocks[own[label]].inside.append((len(body), own.get(header, -1)))
        for number in own.values():
            block = self.blocks[number]
            block.inside = [h for _, h in sorted(block.inside, reverse=True)]
            block.depth = len(block.inside)

    @staticmethod
    def _meet(a, b, dominator, index):
        while a != b:
            while index[a] > index[b]:
                a = dominator[a]
            while index[b] > index[a]:
                b = dominator[b]
        return a

    @staticmethod
    def _dominates(a, b, dominator):
        while b != a and b is not None:
            b = dominator[b]
        return a == b
