"""From a kernel's PTX to what the machine runs: calls pasted in, registers in slots, each instruction in 64 bytes."""

import re

from .ptx import WIDTHS, Instruction, Kernel, Module, NotKnown, bits_of
from .records import BARRIER, BRANCH, COLLECTIVE, EXIT, LABEL, SHARED_START, SPACES, SPECIALS, Program, Step
from .slots import encode

RED_ZONE = 256  # bytes between shared variables that nothing may touch

# Parts of a name that change nothing here: nearest is how this machine rounds, -ftz=true is how it runs, approximations
# are as exact as the full operation, and caches and scopes have nobody to hide from.
IGNORED = {"ftz", "rn", "approx", "full", "uni", "aligned", "noftz"}
OF_MEMORY = {"volatile", "weak", "relaxed", "acquire", "release", "acq_rel", "cta", "cluster", "gpu", "sys", "nc",
             "ca", "cg", "cs", "lu", "cv", "wb", "wt"}  # fmt: skip
COLLECTIVES = {"shfl": 5, "vote": 2, "redux": 2, "bar.warp": 0, "mma": -1, "ldmatrix": -1}  # where the mask stands


def translate(module: Module, name: str) -> Program:
    """Raises: NotKnown where the kernel holds what this machine does not run."""
    return encode(_Translation(module, module.kernels[name]))


class _Translation:
    def __init__(self, module: Module, kernel: Kernel):
        self.module, self.kernel, self.steps = module, kernel, []
        self.types = dict(kernel.registers)
        self.temporaries = self.calls = 0
        self.shared, self.local, self.memory = {}, {}, {}
        self.local_bytes = 0
        self.places(module.variables + kernel.variables)
        self.paste(kernel, "", {}, "")

    def places(self, variables) -> None:
        """Where variables lie: shared ones with room between them, and the dynamic one behind all others."""
        at = SHARED_START
        for v in variables:
            if v.space == "local":
                self.local_bytes = -(-self.local_bytes // v.align) * v.align
                self.local[v.name] = self.local_bytes
                self.local_bytes += v.size
            elif v.space in ("global", "const"):
                self.memory[v.name] = v
            elif v.size:
                at = -(-at // max(v.align, 16)) * max(v.align, 16)
                self.shared[v.name] = (at, v.size)
                at += v.size + RED_ZONE
        at = -(-at // 256) * 256
        for v in variables:
            if v.space == "shared" and not v.size:
                self.shared[v.name] = (at, 0)
        self.local_bytes = -(-self.local_bytes // 16) * 16
        self.dynamic_at = at

    # Calls

    def paste(self, kernel: Kernel, prefix: str, arguments: dict[str, str], end: str) -> None:
        """The steps of a kernel or function. arguments: a function's parameter -> the caller's name for it."""
        if prefix.count("/") > 8:
            raise NotKnown(f"{self.kernel.name}: a function that calls itself ({kernel.name})")
        if prefix:
            self.types |= {prefix + name: kind for name, kind in kernel.registers.items()}
            if kernel.variables:
                raise NotKnown(f"{kernel.name}: memory of a function of its own")
        self.prefix, self.arguments, self.end, self.here = prefix, arguments, end, kernel
        for i in kernel.instructions:
            self.line = i.line
            try:
                self.take(i)
            except (IndexError, KeyError, ValueError) as error:
                raise NotKnown(f"{self.kernel.name}: {i.opcode} {', '.join(i.operands)}: {error!r}") from error
            self.prefix, self.arguments, self.end, self.here = prefix, arguments, end, kernel
        if end:
            self.steps.append(Step("control", [], [], LABEL, target=end))

    def call(self, i: Instruction) -> None:
        results, name, given = i.operands if i.operands[0].startswith("(") else ("()", *i.operands[:2])
        callee = self.module.functions.get(name)
        if callee is None or i.guard:
            raise NotKnown(f"{self.kernel.name}: a call of {name}")
        outer = [self.prefix + part.strip() for part in f"{results[1:-1]},{given[1:-1]}".split(",") if part.strip()]
        inner = [*callee.results, *callee.parameters]
        self.calls += 1
        prefix = f"{self.prefix}{self.calls}/"
        self.paste(callee, prefix, dict(zip(inner, outer, strict=True)), f"{prefix}end")

    # One instruction

    def take(self, i: Instruction) -> None:
        guard = i.guard and self.prefix + i.guard
        self.common = {
            "guard": guard,
            "negated": i.negated,
            "line": i.line,
            "text": f"{i.opcode} {', '.join(i.operands)}",
        }
        words = i.opcode.replace("::", "_").split(".")
        family = words[0]
        if family == "label":
            self.steps.append(Step("control", [], [], LABEL, target=self.prefix + i.operands[0]))
        elif family == "bra":
            self.branch(self.prefix + i.operands[-1])
        elif family in ("ret", "exit"):
            if self.end and family == "ret":
                self.branch(self.end)
            else:
                self.add("control", [], [], kind=EXIT)
        elif family == "call":
            self.call(i)
        elif family in ("ld", "ldu", "st"):
            self.access(family[:2], words[1:], i.operands)
        elif family in ("atom", "red"):
            self.atomic(family, words[1:], i.operands)
        elif family == "cp" and words[1] == "async":
            self.copy(words[2:], i.operands)
        elif family in ("bar", "barrier"):
            self.barrier(words, i.operands)
        elif family in ("membar", "fence"):
            self.add("membar", [], [])
        elif family in ("mov", "cvta"):
            self.move(family, words, i.operands)
        elif family == "setp":
            self.compare(words[1:], i.operands)
        elif family in ("shfl", "vote", "redux"):
            self.together(family, words, i.operands)
        elif family in ("mma", "ldmatrix"):
            self.matrix(family, words, i.operands)
        elif family in ("prefetch", "prefetchu", "nanosleep", "discard", "griddepcontrol"):
            pass
        elif family in ("trap", "brkpt"):
            self.add("trap", [], [])
        elif family == "activemask":
            self.add("activemask.b32", [self.out(i.operands[0])], [])
        else:
            self.plain(words, i.operands)

    def add(self, name, outs, ins, **more) -> None:
        self.steps.append(Step(name, outs, ins, **{**self.common, **more}))

    def branch(self, target: str) -> None:
        self.add("control", [], [], kind=BRANCH, target=target)
        if self.common["guard"]:  # lanes that stay may have to wait here for others
            self.steps.append(Step("control", [], [], LABEL, target=f"{len(self.steps)}+"))

    def plain(self, words, operands) -> None:
        name = ".".join(w for w in words if w not in IGNORED)
        widths = self.widths(words)
        self.add(name, [self.out(operands[0])], [self.source(o, widths(n)) for n, o in enumerate(operands[1:], 1)])

    def widths(self, words):
        """How many bytes the n-th operand has, if it is a number."""
        kinds = [WIDTHS[w] for w in words if w in WIDTHS]
        family = words[0]
        if family == "cvt":
            return lambda n: kinds[-1]
        if family in ("shl", "shr") or (family in ("shf", "bfe", "prmt")):
            return lambda n: max(kinds[-1], 4) if n == 1 else 4
        if family in ("bfi",):
            return lambda n: kinds[-1] if n < 3 else 4
        if "wide" in words and family == "mad":
            return lambda n: 2 * kinds[-1] if n == 3 else max(kinds[-1], 4)
        return lambda n: max(kinds[-1], 4)

    # Operands

    def out(self, name: str) -> str:
        return self.temporary() if name == "_" else self.prefix + name

    def temporary(self, kind: str = "b32") -> str:
        self.temporaries += 1
        name = f"temporary {self.temporaries}"
        self.types[name] = kind
        return name

    def width(self, register: str) -> int:
        if register[0] in "#=&@":  # a number, a parameter, an address of the module's memory, a special register
            return 8 if register[1] == register[0] or register[0] == "&" else 4
        return 8 if WIDTHS[self.types[register]] == 8 else 4

    def source(self, operand: str, width: int = 4) -> str:
        """A register, or the name of a slot that holds a number for good."""
        if operand[0] == "!":
            made = self.temporary("pred")
            self.add("not.pred", [made], [self.source(operand[1:])])
            return made
        if operand in SPECIALS:
            return f"@{operand}"
        if self.prefix + operand in self.types:
            return self.prefix + operand
        if operand[0].isdigit() or operand[0] == "-":
            return ("##" if width == 8 else "#") + str(bits_of(operand, max(width, 4)))
        if operand == "WARP_SZ":
            return "#32"
        return self.symbol(operand)

    def symbol(self, name: str, added: int = 0) -> str:
        if "+" in name:
            name, _, more = name.partition("+")
            added += int(more, 0)
        if name in self.shared:
            return f"##{self.shared[name][0] + added}"
        if name in self.local:
            return f"##{self.local[name] + added}"
        if name in self.memory:
            return f"&{name}+{added}"
        raise NotKnown(f"{self.kernel.name}: {name}")

    def place(self, operand: str) -> tuple[str, int]:
        """[register+offset], [symbol+offset] or [number] as a source and what is added to it."""
        base, _, added = operand.strip("[] ").partition("+")
        number = int(added or "0", 0)
        if self.prefix + base.strip() in self.types:
            return self.prefix + base.strip(), number
        return (self.source(base, 8), number) if base[0].isdigit() else (self.symbol(base, number), 0)

    @staticmethod
    def list_of(operand: str) -> list[str]:
        return [part.strip() for part in operand.strip("{} ").split(",")]

    # Families

    def move(self, family, words, operands) -> None:
        to, given = operands
        if family == "cvta":
            space = next((w for w in words if w in ("shared", "local")), "")
            window = {"shared": 1 << 56, "local": 2 << 56, "": 0}[space] * (-1 if "to" in words else 1)
            source = self.source(given, 8)
            if self.width(self.out(to)) == 4 or self.width(source) == 4:
                raise NotKnown(f"{self.kernel.name}: cvta of 32 bits")
            self.add("add.u64", [self.out(to)], [source, f"##{window & (1 << 64) - 1}"])
            return
        if to[0] == "{":
            outs, source = [self.out(o) for o in self.list_of(to)], self.source(given, WIDTHS[words[-1]])
            self.add(f"unpack.{8 * WIDTHS[words[-1]]}.{8 * WIDTHS[words[-1]] // len(outs)}", outs, [source])
        elif given[0] == "{":
            parts = [self.source(o) for o in self.list_of(given)]
            self.add(f"pack.{8 * WIDTHS[words[-1]]}.{8 * WIDTHS[words[-1]] // len(parts)}", [self.out(to)], parts)
        else:
            target = self.out(to)
            source = self.source(given, WIDTHS[words[-1]])
            if self.width(target) == 4 and self.width(source) == 8:  # the address of a shared variable, in 32 bits
                self.add("cvt.u32.u64", [target], [source])
            else:
                self.add(f"mov.{8 * self.width(target)}", [target], [source])

    def compare(self, words, operands) -> None:
        words = [w for w in words if w not in IGNORED]
        kind = words[-1]
        ins = [self.source(o, WIDTHS[kind]) for o in operands[1:3]]
        outs = [self.out(o.strip()) for o in operands[0].split("|")]
        name = f"setp.{words[0]}.{kind}"
        if len(words) == 2 and len(outs) == 1:
            self.add(name, outs, ins)
            return
        found, other = self.temporary("pred"), self.temporary("pred")
        self.add(name, [found], ins)
        self.add("not.pred", [other], [found])
        joined = self.source(operands[3]) if len(words) == 3 else None
        values = [self.temporary("pred") for _ in outs]
        for value, half in zip(values, (found, other)):
            if joined:
                self.add(f"{words[1]}.pred", [value], [half, joined])
            else:
                self.add("mov.32", [value], [half])
        for out, value in zip(outs, values):
            self.add("mov.32", [out], [value])

    def parameter(self, ld: bool, kind: str, parts: list[str], operand: str) -> None:
        """ld.param and st.param: a kernel's parameters lie in slots from the start, a function's are registers."""
        base, _, added = operand.strip("[] ").partition("+")
        number, width = int(added or "0", 0), WIDTHS[kind]
        for n, part in enumerate(parts):
            at = number + n * width
            if base in self.kernel.parameters and base not in self.arguments:
                offset, size = self.kernel.parameters[base]
                if at + width > size:
                    raise NotKnown(f"{self.kernel.name}: reads behind its parameter {base}")
                out = self.out(part)
                bits = 8 * self.width(out)
                mark = "==" if bits == 64 else "="
                self.add(f"mov.{bits}", [out], [f"{mark}{offset + at}:{width}:{kind[0]}"])
                continue
            name = f"{self.arguments.get(base, self.prefix + base)}+{at}"
            self.types.setdefault(name, "b64" if width == 8 else "b32")
            if ld:
                self.add(f"mov.{8 * self.width(name)}", [self.out(part)], [name])
            else:
                self.add(f"mov.{8 * self.width(name)}", [name], [self.source(part, width)])

    def access(self, family, words, operands) -> None:
        words = [w.split("_")[0] for w in words]
        kind = words[-1]
        count = next((int(w[1:]) for w in words if re.fullmatch(r"v[248]", w)), 1)
        where, value = (operands[1], operands[0]) if family == "ld" else operands
        parts = self.list_of(value) if value[0] == "{" else [value]
        if "param" in words:
            self.parameter(family == "ld", kind, parts, where)
            return
        space = next((w for w in words if w in SPACES), "")
        if left := [
            w for w in words[:-1] if w not in SPACES and w not in OF_MEMORY and not re.fullmatch(r"v[248]|L[12]", w)
        ]:
            raise NotKnown(f"{self.kernel.name}: {family}.{'.'.join(left)}")
        address, offset = self.place(where)
        registers = [self.out(p) if family == "ld" else self.source(p, WIDTHS[kind]) for p in parts]
        wide, size = self.width(registers[0]) == 8, WIDTHS[kind]
        sign = "s" if kind[0] == "s" else "u"
        name = "64" if size == 8 else ("wide." if wide else "") + (f"{sign}{8 * size}" if size < 4 or wide else "32")
        more = {"address": address, "offset": offset, "size": size, "count": count, "space": SPACES[space]}
        self.add(f"{family}.{name}", *((registers, []) if family == "ld" else ([], registers)), **more)

    def atomic(self, family, words, operands) -> None:
        words = [w.split("_")[0] for w in words]
        space = next((w for w in words if w in SPACES), "")
        name = ".".join(["atom", *(w for w in words if w not in SPACES and w not in OF_MEMORY and w not in IGNORED)])
        if family == "red":
            operands = ["_", *operands]
        width = WIDTHS[words[-1]]
        address, offset = self.place(operands[1])
        out = self.temporary("b64" if width == 8 else "b32") if operands[0] == "_" else self.out(operands[0])
        ins = [self.source(o, width) for o in operands[2:]]
        self.add(name, [out], ins, address=address, offset=offset, size=width, count=1, space=SPACES[space])

    def copy(self, words, operands) -> None:
        """cp.async: start, commit, wait."""
        if words[0] in ("commit_group", "wait_group", "wait_all"):
            number = int(operands[0]) if operands else -1
            self.add(
                "cp.async.commit_group" if words[0] == "commit_group" else "cp.async.wait_group", [], [], offset=number
            )
            return
        if words[0] not in ("ca", "cg") or words[1].split("_")[0] != "shared":
            raise NotKnown(f"{self.kernel.name}: cp.async.{'.'.join(words)}")
        address, offset = self.place(operands[0])
        source, added = self.place(operands[1])
        given = [self.source(operands[3])] if len(operands) > 3 else []
        more = {"address": address, "offset": offset, "size": int(operands[2]), "count": 1, "mask": added}
        self.add("cp.async", [], [source, *given], **more)

    def barrier(self, words, operands) -> None:
        words = [w for w in words[1:] if w not in IGNORED and w != "cta"]
        if words[0] == "warp":
            self.add("bar.warp.sync", [], [self.source(operands[0])], kind=COLLECTIVE, mask=0)
        elif words == ["sync"] and operands in (["0"], ["0x0"]):
            self.add("bar.sync", [], [], kind=BARRIER)
        elif words[0] == "red" and len(operands) == 3:
            self.add(
                f"bar.{'.'.join(words)}", [self.out(operands[0])], [self.source(operands[2])], kind=BARRIER, count=1
            )
        else:
            raise NotKnown(f"{self.kernel.name}: bar.{'.'.join(words)} {', '.join(operands)}")

    def together(self, family, words, operands) -> None:
        name = ".".join(w for w in words if w not in IGNORED)
        outs = [self.out(o.strip()) for o in operands[0].split("|")]
        ins = [self.source(o) for o in operands[1:]]
        if family == "shfl" and len(outs) == 1:
            outs.append(self.temporary("pred"))
        self.add(name, outs, ins, kind=COLLECTIVE, mask=COLLECTIVES[family])

    def matrix(self, family, words, operands) -> None:
        name = ".".join(w for w in words if w not in IGNORED)
        if family == "ldmatrix":
            address, offset = self.place(operands[1])
            name = name.replace("shared_cta", "shared")
            self.add(
                name,
                [self.out(o) for o in self.list_of(operands[0])],
                [],
                kind=COLLECTIVE,
                address=address,
                offset=offset,
            )
            return
        outs = [self.out(o) for o in self.list_of(operands[0])]
        ins = [self.source(o) for operand in operands[1:4] for o in self.list_of(operand)]
        self.add(name, outs, ins, kind=COLLECTIVE)
