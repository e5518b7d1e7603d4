"""The check build's own compilation step: rewrites the compiler's intermediate text (LLVM IR).

clang has put a call in front of every access (-fsanitize=thread) and at the head of every basic block (trace-pc-guard).
Each call becomes one to check.cpp with a number in it: that of a Site (an access, with its line, its size and alignment
as compiled, and the array whose pointer it goes by) or of a Block (flow.py). A thread's own arrays, which clang leaves
out, are watched too, and divisions. Shared arrays and variables of the device move into regions with empty room between
them. Calls of functions that a GPU does not have are refused by name.
"""

import re
from dataclasses import asdict, dataclass, field

from ..errors import UserError
from .flow import Flow
from .ir import NAME, OURS, Layout, Pointers, dimensions, frames_of, inside, metadata_of, split, used_at, value_of
from .refusals import NEVER_RUN, need_device_functions, need_plain_text
from .variables import Variables

LOCAL_LIMIT = 512 << 10  # bytes of local memory that CUDA gives a thread
ACCESS = re.compile(r"^\s*(?:tail )?call void @__tsan_(?:unaligned_|volatile_|unaligned_volatile_)?(read|write)(\d+)\(")
RANGE = re.compile(r"call ptr @(?:__tsan_)?(memcpy|memmove|memset)\(")
ATOMIC = re.compile(r"call \w+ @__tsan_atomic(\d+)_(\w+)\(")
MEMORY = re.compile(r"^(\s*)(?:%[^ ]+ = (load)|(store))(?: volatile)? (.*)$")
DIVISION = re.compile(rf"^(\s*)(%{NAME}) = ([su])(div|rem)( exact)? i(8|16|32|64) (%{NAME}|-?\d+), (%{NAME})(.*)$")


@dataclass
class Site:
    """A place in the source that reads or writes memory, or divides. frames: (file, line, function), inner first."""

    kind: str  # read, write, atomic or divide
    size: int
    frames: list
    align: int = 0  # as compiled: what the text may move at once (of a division: 1 for a signed one)
    root: list | None = None  # ["argument", name], ["shared", number], ["variable", number], ["local", number]
    seed: bool = False  # a plain read that only seeds a compare-and-swap of the same word
    loaded: list = field(
        default_factory=list
    )  # the kernel's arrays whose values its address, or its divisor, is made of
    changed: list = field(default_factory=list)  # those whose atomics' results are


@dataclass
class Tables:
    """What goes with the rewritten text."""

    sites: list = field(default_factory=list)
    blocks: list = field(default_factory=list)
    locals: list = field(default_factory=list)


def rewrite(text: str, kernel: str = "") -> tuple[str, dict]:
    """The rewritten text, and the tables that go with it: sites, blocks, arrays.

    kernel: its name, without a template's <…>.

    Raises: UserError for what a kernel may not call.
    """
    need_plain_text(text)
    metadata, made = metadata_of(text), Tables()
    variables = Variables(text)
    declared = set(re.findall(rf"^declare [^@]*@({NAME})\(", text, re.M)) | variables.elsewhere
    text = re.sub(r"^@llvm\.(?:compiler\.)?(?:used|global_ctors|global_dtors) = .*$", "", variables.text, flags=re.M)
    layout, flow = Layout(text), Flow(metadata, made.blocks)
    out, body, header = [], [], None
    for line in text.splitlines():
        if header is None:
            out.append(line)
            if line.startswith("define "):
                header, body = line, []
                flow.line(line)
        elif line.startswith("}"):
            watched = any("@__sanitizer_cov_trace_pc_guard(" in b for b in body)
            function = _Function(header, body, metadata, made, variables, declared, layout, flow, kernel)
            if not NEVER_RUN.search(header):
                need_device_functions(body, metadata, declared)
            out += function.lines() if watched else body
            flow.line(line)
            out.append(line)
            header = None
        else:
            body.append(line)
    out.append(variables.tail())
    out.append(
        "declare void @check_access(ptr, i32)\ndeclare void @check_reach(ptr, i32)\ndeclare void @check_block(i32)\n"
        "declare ptr @check_local(ptr, ptr, i64, i32, i32)\ndeclare void @check_local_begin(ptr, i64)\n"
        "declare ptr @check_memcpy(ptr, ptr, i64, i32, i32)\ndeclare ptr @check_memmove(ptr, ptr, i64, i32, i32)\n"
        "declare ptr @check_memset(ptr, i32, i64, i32, i32)\n"
        + "".join(f"declare i{n} @check_divide{n}(i{n}, i{n}, i32)\n" for n in (8, 16, 32, 64))
    )
    return "\n".join(out), {
        "sites": [asdict(s) for s in made.sites],
        "blocks": [asdict(b) for b in made.blocks],
        "locals": made.locals,
        **variables.tables(),
    }


class _Function:
    """One watched function."""

    def __init__(self, header, body, metadata, made, variables, declared, layout, flow, kernel):
        self.body, self.metadata, self.made, self.variables = body, metadata, made, variables
        self.declared, self.layout, self.flow, self.kernel = declared, layout, flow, kernel
        self.pointers = Pointers(header, body)
        match = re.search(r"!dbg !(\d+) \{", header)
        name = metadata.get(int(match[1]), ("", {}))[1].get("name", "") if match else ""
        self.is_kernel = bool(kernel) and name.partition("<")[0] == kernel
        self.numbers, self.fresh = (
            {},
            0,
        )  # alloca -> (number in made.locals, type, whether reads are held against writes)
        self.seeds = self._seeds()
        self.started = {
            self.pointers.root(value_of(split(inside(b, b.index("(")))[-1]))
            for b in body
            if "@llvm.lifetime.start" in b
        }

    def lines(self) -> list[str]:
        """The function's text, rewritten."""
        self._find_locals()
        out = []
        for number, line in enumerate(self.body):
            self._rewrite(number, line, out)
        return out

    def _rewrite(self, number, line, out):
        if match := ACCESS.match(line):
            return self._access(number, line, match, out)
        if (match := RANGE.search(line)) and not self._is_ours(line):
            line = self._range(number, line, match)
        elif match := ATOMIC.search(line):  # these come from every function, watched or not
            tail = _debug(line)
            if not OURS.search((frames_of(self.metadata, tail) or [[""]])[0][0]):
                pointer = value_of(split(inside(line, match.end() - 1))[0])
                site = self._site(number, "atomic", int(match[1]) // 8, tail, pointer)
                check = "reach" if match[2] == "load" else "access"
                out.append(f"  call void @check_{check}(ptr {pointer}, i32 {site}){tail}")
        elif "@__sanitizer_cov_trace_pc_guard(" in line and "call" in line:
            line = f"  call void @check_block(i32 {len(self.made.blocks)}){_debug(line)}"
            self.flow.block()
        elif re.match(r"\s*(?:tail )?call void @__(?:tsan_vptr|ubsan_handle)", line):
            return None
        elif match := DIVISION.match(line):
            line = self._division(number, match, out)
        else:
            self.flow.line(line)
            if match := MEMORY.match(line):
                line = self._local(number, line, match, out)
        out.append(line)
        self._begin(line, out)

    def _access(self, number, line, match, out):
        pointer = value_of(split(inside(line, match.end() - 1))[0])
        kind, size, root = match[1], int(match[2]), self.pointers.root(pointer)
        if root and root[0] == "alloca":
            return  # at the access itself
        if root and root[0] == "global" and not self.variables.known(root[1]):
            return  # threadIdx and its kin, constants
        following = self.body[number + 1] if number + 1 < len(self.body) else ""
        aligned = re.search(r", align (\d+)", following)
        align = min(size, int(aligned[1])) if aligned else size
        tail = _debug(line)
        site = self._site(number, kind, size, tail, pointer, align)
        named = re.match(rf"\s*(%{NAME}) = ", following)
        self.made.sites[site].seed = bool(named) and named[1] in self.seeds
        out.append(f"  call void @check_access(ptr {pointer}, i32 {site}){tail}")

    def _range(self, number, line, match):
        arguments = inside(line, match.end() - 1)
        parts, tail = split(arguments), _debug(line)
        length = re.search(r"i64 (?:\w+ )*(\d+)$", parts[2])
        size = next((s for s in (16, 8, 4, 2) if length and int(length[1]) % s == 0), 1)
        reads = self._site(number, "read", size, tail, value_of(parts[1])) if match[1] != "memset" else 0
        writes = self._site(number, "write", size, tail, value_of(parts[0]))
        return f"{line[: match.start()]}call ptr @check_{match[1]}({arguments}, i32 {writes}, i32 {reads}){tail}"

    def _division(self, number, match, out):
        space, name, sign, word, exact, bits, a, b, rest = match.groups()
        tail = _debug(rest)
        site = self._site(number, "divide", int(bits) // 8, tail, b, int(sign == "s"))
        self.fresh += 1
        out.append(
            f"{space}%check.{self.fresh} = call i{bits} @check_divide{bits}(i{bits} {a}, i{bits} {b}, i32 {site}){tail}"
        )
        return f"{space}{name} = {sign}{word}{exact or ''} i{bits} {a}, %check.{self.fresh}{rest}"

    def _local(self, number, line, match, out):
        """A load or a store: of a local array it is checked here, and goes elsewhere if it is outside."""
        parts = split(match[4])
        kind = parts[0] if match[2] else _type_of_store(parts[0])
        if len(parts) < 2 or not parts[1].startswith("ptr "):
            return line
        if kind.startswith("<") or kind == "i128":  # a misaligned one is reported, and must not crash
            line = re.sub(r", align \d+", ", align 1", line, count=1)
        pointer, size = parts[1][4:], self.layout.size(kind)
        root = self.pointers.root(pointer)
        if not root or not size:
            return line
        where = None
        if root[0] == "alloca" and root[1] in self.numbers:
            where, base = self.numbers[root[1]], root[1]
            if pointer == base and not where[2]:
                return line
        elif root[0] == "global" and pointer != root[1] and (table := self.variables.table(root[1])):
            where, base = (self._number(table["name"], table["type"], False), table["type"], 0), root[1]
        if where is None:
            return line
        tail = _debug(line)
        site = self._site(number, "read" if match[2] else "write", size, tail, pointer, size, ["local", where[0]])
        self.fresh += 1
        out.append(
            f"  %check.{self.fresh} = call ptr @check_local(ptr {pointer}, ptr {base},"
            f" i64 {self.layout.size(where[1])}, i32 {site}, i32 {int(where[2])}){tail}"
        )
        before, comma, after = line.rpartition(f"ptr {pointer}")
        return f"{before}ptr %check.{self.fresh}{after}" if comma else line

    def _begin(self, line, out):
        """Where a local array's life begins, nothing of it is written."""
        name = None
        if "@llvm.lifetime.start" in line:
            root = self.pointers.root(value_of(split(inside(line, line.index("(")))[-1]))
            name = root[1] if root and root[0] == "alloca" else None
        elif (match := re.match(rf"\s*(%{NAME}) = alloca ", line)) and ("alloca", match[1]) not in self.started:
            name = match[1]
        known = self.numbers.get(name) if name else None
        if known and known[2]:
            out.append(f"  call void @check_local_begin(ptr {name}, i64 {self.layout.size(known[1])}){_debug(line)}")

    def _find_locals(self):
        kinds = {}
        for line in self.body:
            if match := re.match(rf"\s*(%{NAME}) = alloca (.*)$", line):
                kind = split(match[2])[0]
                if kind.startswith(("[", "%")) and self.layout.size(kind):
                    kinds[match[1]] = kind
        if not kinds:
            return
        lost = {r[1] for line in self.body for r in self._escapes(line)}
        for name, kind in kinds.items():
            plain, size = re.sub(r"[.\"%].*", "", name[1:].strip('"')) or name, self.layout.size(kind)
            if size > LOCAL_LIMIT:
                file, line, _ = self._first_frame()
                raise UserError(
                    f"{file}:{line}: {plain}: need at most {LOCAL_LIMIT >> 10} KiB of local memory a thread, got"
                    f" {size >> 10} KiB"
                )
            whole = re.fullmatch(r"(?:\[\d+ x )+(?:i\d+|float|double|half|bfloat)\]+", kind) is not None
            self.numbers[name] = self._number(plain, kind, True), kind, whole and name not in lost

    def _number(self, name, kind, local):
        dims, item = dimensions(kind)
        row = {"name": name, "dims": dims, "item": item, "size": self.layout.size(kind), "local": local}
        if row not in self.made.locals:
            self.made.locals.append(row)
        return self.made.locals.index(row)

    def _escapes(self, line):
        """Local arrays whose address goes where what is written there is not seen."""
        if re.search(r"\bcall\b", line):
            if re.search(r"@(?:__tsan_(?:func|read|write|unaligned|mem)|llvm\.lifetime|llvm\.mem)", line):
                return
            parts = split(inside(line, at)) if (at := line.find("(", line.find("@"))) > 0 else []
            operands = [value_of(p) for p in parts if p.startswith("ptr")]
        elif match := re.match(r"\s*store (?:volatile )?ptr (.*)$", line):
            operands = [split(match[1])[0]]
        elif match := re.search(r"= (?:ptrtoint|insertvalue) (.*)$", line):
            operands = re.findall(rf"ptr (%{NAME})", match[1])
        elif match := re.search(r"= phi ptr (.*)$", line):
            operands = re.findall(rf"\[ (%{NAME})", match[1])
            if len({self.pointers.root(o) for o in operands}) < 2:
                return
        elif " select " in line and "ptr" in line:
            operands = [value_of(p) for p in split(line.partition("= select")[2])[1:3]]
            if len({self.pointers.root(o) for o in operands}) < 2:
                return
        else:
            return
        for operand in operands:
            root = self.pointers.root(operand)
            if root and root[0] == "alloca":
                yield root

    def _seeds(self) -> set:
        """Plain reads whose value a compare-and-swap of the same word expects."""
        found = set()
        for line in self.body:
            match = ATOMIC.search(line)
            if not match or not match[2].startswith("compare_exchange"):
                continue
            parts = split(inside(line, match.end() - 1))
            word, todo, seen = value_of(parts[0]), [value_of(parts[1])], set()
            while todo:
                name = todo.pop()
                text = self.pointers.made.get(name, "")
                if name in seen or not text:
                    continue
                seen.add(name)
                if text.startswith("load "):
                    pointer = value_of(split(text)[1])
                    if pointer == word or (
                        self.pointers.root(pointer) and self.pointers.root(pointer) == self.pointers.root(word)
                    ):
                        found.add(name)
                elif text.startswith("phi "):
                    todo += re.findall(rf"\[ (%{NAME}),", text)
                elif text.startswith(("select", "freeze", "bitcast", "trunc", "zext")):
                    todo += re.findall(rf"%{NAME}", text)
        return found

    def _site(self, number, kind, size, tail, pointer, align=None, root=None) -> int:
        frames = frames_of(self.metadata, tail)
        if not (frames and frames[0][1]):
            after = self.body[number + 1 :]
            frames = used_at(self.metadata, after[:99], True) or used_at(self.metadata, after[:15], False) or frames
        if root is None and (found := self.pointers.root(pointer)):
            if found[0] == "argument" and self.is_kernel:
                root = list(found)
            elif found[0] == "global":
                root = self.variables.known(found[1])
        behind = self.pointers.values_behind(pointer) if self.is_kernel else ((), ())
        align = size if align is None else align
        self.made.sites.append(Site(kind, size, frames or [["", 0, ""]], align, root, False, *map(sorted, behind)))
        return len(self.made.sites) - 1

    def _is_ours(self, line) -> bool:
        frames = frames_of(self.metadata, line, ours=True)
        return bool(frames) and OURS.search(frames[0][0]) is not None and "__tsan_" not in line

    def _first_frame(self):
        for line in self.body:
            if (frames := frames_of(self.metadata, line)) and frames[0][1]:
                return frames[0]
        return ["", 0, ""]


def _debug(line: str) -> str:
    match = re.search(r", !dbg !\d+", line)
    return match[0] if match else ""


def _type_of_store(text: str) -> str:
    """i32 %v -> i32, <4 x float> %v -> <4 x float>."""
    if text[0] in "[{<":
        return text[: text.rindex("]}>"["[{<".index(text[0])]) + 1] if text.count(text[0]) == 1 else ""
    return text.partition(" ")[0]
