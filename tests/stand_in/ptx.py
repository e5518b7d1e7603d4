"""Reads PTX, the text that NVRTC makes: its variables, and for each kernel its parameters and instructions."""

import re
from dataclasses import dataclass, field

WIDTHS = {"pred": 4, "b8": 1, "u8": 1, "s8": 1, "b16": 2, "u16": 2, "s16": 2, "f16": 2, "bf16": 2, "b32": 4, "u32": 4,
          "s32": 4, "f32": 4, "f16x2": 4, "bf16x2": 4, "b64": 8, "u64": 8, "s64": 8, "f64": 8}  # fmt: skip
TYPE = "|".join(WIDTHS)
VARIABLE = re.compile(
    rf"((?:\.(?:visible|extern|weak|common)\s+)*)\.(global|const|shared|local)\s+(?:\.attribute\([^)]*\)\s*)?"
    rf"(?:\.align\s+(\d+)\s+)?\.({TYPE})\s+([\w$]+)((?:\[\d*\])*)\s*(?:=\s*(.*))?$",
    re.S,
)
PARAMETER = re.compile(
    rf"\.param\s+(?:\.align\s+(\d+)\s+)?\.({TYPE})\s+(?:\.ptr\s*(?:\.\w+\s*)?(?:\.align\s+\d+\s+)?)?([\w$]+)(?:\[(\d+)\])?"
)
STATEMENT = re.compile(r"(?:@(!?)([%\w$]+)\s+)?([a-z][\w.:]*)\s*(.*)$", re.S)


class NotKnown(Exception):
    """PTX that the stand-in does not read or run; the text says which."""

    def __init__(self, what: str):
        super().__init__(f"the stand-in does not run this PTX: {what}")


@dataclass(frozen=True)
class Variable:
    """A variable of the module or of a kernel. size 0: dynamic shared memory."""

    name: str
    space: str
    align: int
    size: int
    start: bytes | None = None  # what it begins with


@dataclass
class Instruction:
    """One instruction, or a label (opcode "label", its name the one operand)."""

    opcode: str
    operands: list[str]
    guard: str | None = None
    negated: bool = False
    line: tuple[int, int] = (0, 0)  # number of the file, line


@dataclass
class Kernel:
    """A kernel or a function: parameters as name -> (offset, bytes), registers as name -> type."""

    name: str
    results: list[str] = field(default_factory=list)  # of a function: where it leaves what it returns
    parameters: dict[str, tuple[int, int]] = field(default_factory=dict)
    registers: dict[str, str] = field(default_factory=dict)
    variables: list[Variable] = field(default_factory=list)
    instructions: list[Instruction] = field(default_factory=list)
    most_threads: int = 1024


@dataclass
class Module:
    """A PTX text."""

    kernels: dict[str, Kernel] = field(default_factory=dict)
    functions: dict[str, Kernel] = field(default_factory=dict)
    variables: list[Variable] = field(default_factory=list)
    files: dict[int, str] = field(default_factory=dict)


def parse(text: str) -> Module:
    """Raises: NotKnown."""
    module = Module()
    text = re.sub(r"//[^\n]*|/\*.*?\*/", "", text, flags=re.S)
    for number, name in re.findall(r'^\s*\.file\s+(\d+)\s+"([^"]*)"', text, flags=re.M):
        module.files[int(number)] = name
    text = re.sub(r"^\s*\.(?:file|version|target|address_size|section)\b[^\n]*", "", text, flags=re.M)
    at = 0
    for match in re.finditer(r"\.(entry|func)\b", text):
        if match.start() < at:
            continue
        _variables(
            text[at : text.rindex(";", at, match.start()) + 1 if ";" in text[at : match.start()] else at], module
        )
        opening = text.index("{", match.end()) if "{" in text[match.end() :] else len(text)
        semicolon = text.find(";", match.end())
        if match[1] == "func" and 0 <= semicolon < opening:  # a declaration
            at = semicolon + 1
            continue
        end = _closing(text, opening)
        made = _kernel(text[match.end() : opening], text[opening + 1 : end])
        (module.kernels if match[1] == "entry" else module.functions)[made.name] = made
        at = end + 1
    _variables(text[at:], module)
    return module


def _variables(text: str, module: Module) -> None:
    for statement in text.split(";"):
        if found := _variable(statement.strip()):
            module.variables.append(found)


def _variable(statement: str) -> Variable | None:
    match = VARIABLE.match(statement)
    if not match:
        return None
    _, space, align, kind, name, sizes, values = match.groups()
    width, count = WIDTHS[kind], 1
    for size in re.findall(r"\[(\d*)\]", sizes):
        count *= int(size or 0)
    start = None
    if values:
        numbers = [number.strip() for number in values.strip().strip("{}").replace("{", "").replace("}", "").split(",")]
        if any(not re.fullmatch(r"-?\d+|0[xXfFdD][\da-fA-F]+", number) for number in numbers):
            raise NotKnown(f"variable {name}: need numbers, got {values[:60]}")
        start = b"".join(bits_of(n, width).to_bytes(width, "little") for n in numbers).ljust(count * width, b"\0")
    return Variable(name, space, int(align or width), count * width, start)


def bits_of(number: str, width: int) -> int:
    """The bits of a number as PTX writes it, cut to so many bytes."""
    if number[:2] in ("0f", "0F", "0d", "0D"):
        return int(number[2:], 16)
    return int(number.rstrip("U"), 0) & ((1 << 8 * width) - 1)


def _closing(text: str, opening: int) -> int:
    depth = 0
    for match in re.finditer(r"[{}]", text[opening:]):
        depth += 1 if match[0] == "{" else -1
        if depth == 0:
            return opening + match.start()
    return len(text)


def _kernel(head: str, body: str) -> Kernel:
    results, name, parameters, head = re.match(
        r"\s*(?:\(([^)]*)\))?\s*([\w$]+)\s*(?:\(([^)]*)\))?(.*)", head, re.S
    ).groups()
    kernel = Kernel(name, [found[2] for found in PARAMETER.findall(results or "")])
    offset = 0
    for align, kind, name, count in PARAMETER.findall(parameters or ""):
        size = WIDTHS[kind] * int(count or 1)
        offset = -(-offset // int(align or WIDTHS[kind])) * int(align or WIDTHS[kind])
        kernel.parameters[name] = (offset, size)
        offset += size
    if bound := re.search(r"\.(?:maxntid|reqntid)\s+([\d, ]+)", head):
        threads = 1
        for size in bound[1].split(","):
            threads *= int(size)
        kernel.most_threads = threads
    _Body(kernel).read(body)
    return kernel


class _Body:
    """The statements of a kernel. A brace that opens a statement opens a scope of registers, labels of their own."""

    def __init__(self, kernel: Kernel):
        self.kernel, self.scopes, self.made, self.line = kernel, [{}], 0, (0, 0)

    def read(self, body: str) -> None:
        rest = ""
        for line in body.splitlines():
            stripped = line.strip()
            if re.match(r"\.loc\s", stripped):
                _, number, at = stripped.split()[:3]
                self.line = (int(number), int(at))
            elif stripped:
                rest = self.take(f"{rest} {stripped}" if rest else stripped)
        if rest.strip():
            raise NotKnown(f"{self.kernel.name}: need a statement, got {rest[:80]}")

    def take(self, text: str) -> str:
        """Takes whole statements off the front of a text and returns the rest."""
        while text := text.strip():
            if text[0] == "{":
                self.scopes.append({})
                text = text[1:]
            elif text[0] == "}":
                self.scopes.pop()
                text = text[1:]
            elif label := re.match(r"([\w$]+):(?!:)", text):
                self.add("label", [label[1]])
                text = text[label.end() :]
            elif ";" in text:
                statement, _, text = text.partition(";")
                self.statement(statement.strip())
            else:
                return text
        return ""

    def statement(self, text: str) -> None:
        if text.startswith(".reg"):
            self.declare(text)
        elif text.startswith(".param"):
            self.declare(re.sub(r"\.align \d+|\[\d*\]", "", text))
        elif text.startswith("."):
            if variable := _variable(text):
                self.kernel.variables.append(variable)
            elif not text.startswith((".pragma", ".branchtargets")):
                raise NotKnown(f"{self.kernel.name}: {text[:80]}")
        elif match := STATEMENT.match(text):
            negated, guard, opcode, operands = match.groups()
            self.add(opcode, self.split(operands), guard and self.scoped(guard), bool(negated))
        else:
            raise NotKnown(f"{self.kernel.name}: {text[:80]}")

    def add(self, opcode, operands, guard=None, negated=False) -> None:
        self.kernel.instructions.append(Instruction(opcode, operands, guard, negated, self.line))

    def declare(self, text: str) -> None:
        _, kind, names = text.split(None, 2)
        for name in names.split(","):
            name = name.strip()
            many = re.fullmatch(r"([\w$%]+)<(\d+)>", name)
            inner = len(self.scopes) > 1
            for single in [f"{many[1]}{n}" for n in range(int(many[2]))] if many else [name]:
                own = single
                if inner:
                    self.made += 1
                    own = self.scopes[-1][single] = f"{single}@{self.made}"
                self.kernel.registers[own] = kind[1:]

    def scoped(self, name: str) -> str:
        for scope in reversed(self.scopes):
            if name in scope:
                return scope[name]
        return name

    def split(self, text: str) -> list[str]:
        """Operands, parted by commas outside of braces and brackets."""
        if len(self.scopes) > 1:
            text = re.sub(r"[%\w$]+", lambda match: self.scoped(match[0]), text)
        if not re.search(r"[{[(]", text):
            return [part.strip() for part in text.split(",")] if text else []
        parts, depth, start = [], 0, 0
        for at, letter in enumerate(text):
            depth += (letter in "{[(") - (letter in "}])")
            if letter == "," and depth == 0:
                parts.append(text[start:at].strip())
                start = at + 1
        return [*parts, text[start:].strip()] if text else []
