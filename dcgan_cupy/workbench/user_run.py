"""One launch of a user's kernel: its sizes and arguments found, tried where they are open, watched, and compared."""

import re

import numpy as np

from ..device import source
from ..errors import UserError
from .arguments import NULL, Maker, Value, given, layout
from .check_device import MAX_BYTES, CheckDevice
from .host_code import launches_of
from .host_values import Dim3, Pointer, Struct, number
from .proposals import propose_block, propose_fill, propose_grid, propose_scalars
from .tokens import split, written
from .trial import sized
from .user_expect import compared, named
from .user_kernel import ARRAYS, UserKernel, Wanted, check_supported, parse_size
from .user_source import UserFile

EXPORTED = '__attribute__((visibility("default"), used))'


class Run:
    """One launch of a user's kernel, from its arguments to its Report."""

    def __init__(self, dev: CheckDevice, user: UserFile, wanted: Wanted, name: str, inner: str, second: bool = False):
        self.dev, self.user, self.wanted, self.name, self.second = dev, user, wanted, name, second
        self.item = user.kernels[name]
        if not self.item.defined:
            raise UserError(f"{user.file}: kernel: need a definition of {name}, got a declaration only")
        self.notes: list[str] = []
        found = launches_of(user, name) if wanted.launch else []
        self.read = found[0] if found else None
        if wanted.launch and not found:
            self.notes.append(f"no <<<…>>> of {name} in the host code: sizes are proposed")
        self.block, block_from = self._extent("block", wanted.block, self.read and self.read.block)
        if self.block is None:
            self.block, block_from = propose_block(self.item), "proposed"
        self.template = self._template(inner)
        self.parameters = user.arguments(name, self.template)
        for p in self.parameters:
            if p.stars > 1:
                Maker(dev, user, 1).make(p, "")
        self.values = self._values()
        self.grid, grid_from = self._extent("grid", wanted.grid, self.read and self.read.grid)
        if self.grid is None:
            self.grid, grid_from = propose_grid(self.item, self.block, self.whole_numbers()), "proposed"
        self.shared = wanted.shared_bytes or 0
        shared_from = "given" if wanted.shared_bytes is not None else ""
        told = number(self.read.shared) if self.read is not None else None
        if wanted.shared_bytes is None and told is not None and (told or block_from != "proposed"):
            self.shared, shared_from = int(told), "read"
        if (not shared_from and any(t.text == "extern" for t in self.item.body)) or (
            self.read and self.read.shared is None
        ):
            self.shared, shared_from = 48 * 1024, "proposed"
        self.extents = {"grid": grid_from, "block": block_from, "shared_bytes": shared_from}

    def _extent(self, what, text, read):
        if text:
            return parse_size(what, text), "given"
        sizes = read.sizes() if isinstance(read, Dim3) else None
        if sizes is not None and int(np.prod(sizes)) < 1 << 40:
            return sizes, "read"
        if isinstance(read, Dim3) and number(read.x) and None in (read.y, read.z):  # dim3(32, what nobody knows)
            return tuple(int(number(v) or 1) for v in (read.x, read.y, read.z)), "proposed"
        return None, ""

    def _template(self, inner: str) -> dict[str, str]:
        """What the template's parameters stand for, by name; those not told are proposed."""
        if not self.item.is_template:
            return {}
        told = [
            v.strip() for v in re.split(r",(?![^<]*>)", inner or (self.read.template if self.read else "")) if v.strip()
        ]
        made: dict[str, str] = {}
        self.template_origin = "given" if inner else "read" if told else "proposed"
        numbers = [self.block[0]] * 8
        for i, part in enumerate(p for p in split(self.item.template) if p):
            default = None
            for k, t in enumerate(part):
                if t.text == "=":
                    part, default = part[:k], written(part[k + 1 :])
                    break
            name, words = part[-1].text, [t.text for t in part]
            if (i < len(told) and not re.fullmatch(r"[A-Z]\w*", told[i])) or (
                i < len(told) and self.user.has_type(told[i])
            ):
                made[name] = told[i]
            elif default is not None:
                made[name] = default
            elif words[0] in ("typename", "class") and (item := self._deduced(name)):
                made[name], self.template_origin = item, "read"
            elif words[0] in ("typename", "class"):
                made[name] = "float"
            elif "bool" in words:
                made[name] = "true"
            else:
                made[name] = str(numbers.pop(0))
            if i >= len(told) and told:
                self.template_origin = "proposed"
        return made

    def _deduced(self, name: str) -> str:
        """What a type parameter is by the host's arguments: T of `T*` where the host passes a float*."""
        parts = [p for p in split(self.item.parameters) if p]
        for part, value in zip(parts, self.read.arguments if self.read else []):
            words = [t.text for t in part]
            told = isinstance(value, Pointer) and value.item not in ("", "T", "void")
            if told and name in words and "*" in words:
                return value.item
        return ""

    @property
    def symbol(self) -> str:
        return f"{self.name}<{', '.join(self.template.values())}>" if self.template else self.name

    # --------------------------------------------------------------------------------------------------------- values

    def _values(self) -> dict[str, Value]:
        wanted = given(self.wanted.given, self.parameters)
        used = {a.text + b.text + c.text for a, b, c in zip(self.item.body, self.item.body[1:], self.item.body[2:])}
        proposed = propose_scalars(
            self.parameters, bool(used & {"threadIdx.y", "blockIdx.y"}), self.block[0], self.second
        )
        made = {}
        for i, p in enumerate(self.parameters):
            if p.name in wanted:
                made[p.name] = Value(wanted[p.name], "given")
                continue
            if self.read is not None and i < len(self.read.arguments):
                text = self._same_as(i) or self._from_host(p, self.read.arguments[i])
                if text is not None:
                    made[p.name] = Value(text, "read")
                    continue
            if p.default:
                made[p.name] = Value(p.default, "default")
            elif p.stars:
                made[p.name] = Value("", "proposed")
            elif p.function:
                made[p.name] = Value(next(iter(self.user.functions_like(p)), "null"), "proposed")
            elif p.name in proposed:
                made[p.name] = Value(proposed[p.name], "proposed")
            else:
                made[p.name] = Value(self._propose_struct(p), "proposed")
        return made

    def _same_as(self, i: int) -> str:
        """&x where the host passes the array of the earlier parameter x once more."""
        k = self.read.same[i] if self.read and i < len(self.read.same) else i
        p, other = self.parameters[i], self.parameters[min(k, len(self.parameters) - 1)]
        same = k < i and p.stars == other.stars == 1 and p.c_type == other.c_type
        return f"&{other.name}" if same and isinstance(self.read.arguments[i], Pointer) else ""

    def _from_host(self, p, value) -> str | None:
        if p.stars:
            if value == 0:
                return "null"
            dtype = Maker(self.dev, self.user, 1, self.template).dtype_of(p)
            if isinstance(value, Pointer) and value.bytes and dtype is not None:
                fill = ":zeros" if value.zeros else "" if value.touched or not value.device else ":empty"
                return f"[{max(1, value.bytes // dtype.itemsize)}]{fill}"
            return None
        if p.function:
            return None
        if isinstance(value, Struct):
            members = self.user.struct(p.c_type)
            if not members:
                return None
            parts = [self._from_host(m, value.members.get(m.name)) for m in members]
            return None if None in parts else "{" + ", ".join(f"{m.name}:{t}" for m, t in zip(members, parts)) + "}"
        if isinstance(value, Dim3) and p.lanes > 1:
            numbers = [number(v) for v in (value.x, value.y, value.z)] + [0]
            return None if None in numbers[: p.lanes] else "{" + ", ".join(map(str, numbers[: p.lanes])) + "}"
        whole = number(value)
        if whole is None or p.dtype is None or p.lanes > 1:
            return None
        return str(int(whole)) if p.dtype.kind in "iub" else str(float(whole))

    def _propose_struct(self, p) -> str:
        if p.lanes > 1:
            return "{" + ", ".join(["1"] * p.lanes) + "}"
        members = self.user.struct(p.c_type)
        if members is None:
            where = next((t for t in self.item.parameters if t.text == p.c_type), None)
            if where and re.match(r"cuda(?:Texture|Surface)Object_t", p.c_type):
                raise UserError(f"{where.file}:{where.line}: unsupported: need {ARRAYS}, got textures or surfaces")
            raise UserError(
                f"inspect: --arg: {p.name}: need a parameter of a number, a pointer or a plain struct, got {p.c_type}"
            )
        sizes = propose_scalars(tuple(members), False)
        parts = []
        for m in members:
            if m.stars:
                parts.append(f"{m.name}:[65536]{propose_fill(m)}" if m.dtype is not None else f"{m.name}:null")
            elif m.dtype is not None and m.lanes == 1:
                parts.append(f"{m.name}:{sizes.get(m.name, '1')}")
            elif m.lanes == 1 and self.user.struct(m.c_type):
                parts.append(f"{m.name}:{self._propose_struct(m)}")
        return "{" + ", ".join(parts) + "}"

    def whole_numbers(self) -> list[int]:
        """Values of the whole-number parameters: what arrays and grids are sized by."""
        made = []
        for p in self.parameters:
            text = self.values[p.name].text
            if not p.stars and p.dtype is not None and p.dtype.kind in "iu" and re.fullmatch(r"-?\d+", text):
                made.append(int(text))
        return made

    # --------------------------------------------------------------------------------------------------------- launch

    def prepare(self) -> None:
        """Compiles the kernel.   Raises: UserError for what has no meaning here."""
        dev = self.dev
        functions = [self.values[p.name].text for p in self.parameters if p.function]
        text = self.user.extract(self.name, " ".join([self.symbol, *functions]))
        check_supported(text)
        parameters = tuple(
            source.Parameter(
                p.name,
                p.c_type,
                p.stars > 0,
                Maker(dev, self.user, 1, self.template).dtype_of(p) if p.stars else p.dtype if p.lanes == 1 else None,
            )
            for p in self.parameters
        )
        signature = source.Signature(self.name, parameters, False, True)
        checks = self._layouts() + self._functions()
        self.kernel = UserKernel(dev, signature, self.symbol, text, (), str(self.user.path), checks)

    def report(self):
        """Compiles, tries where sizes are open, launches; the Report."""
        self.prepare()
        dev = self.dev
        open_arrays = [p for p in self.parameters if p.stars and self.values[p.name].origin == "proposed"]
        guessed = bool(open_arrays) or self.read is not None
        arguments = None
        blocks = int(np.prod(self.grid))
        if guessed:
            arguments = sized(self, open_arrays, blocks)
        if arguments is None:
            arguments = self.make_arguments()
        expect = self.wanted.expect
        if expect:
            self.kernel_cap = 0
            self.kernel.watch_at_most(0)
        before = named(self, arguments) if expect else {}
        self.launch(arguments)
        report = dev.reports[-1]
        if expect:
            report.values = compared(self, expect, before, named(self, arguments))
        if self.kernel_cap and self.kernel_cap < blocks:
            self.notes.append(
                f"watched {self.kernel_cap} of {blocks} blocks, the first and the last: the counts are theirs"
            )
        report.notes = self.notes + report.notes
        report.launch, report.files = self.described(), sorted(self.user.pasted)
        return report

    kernel_cap = 0

    def _layouts(self) -> str:
        """Assertions that a struct lies as it was worked out."""
        made = ""
        for p in self.parameters:
            if (
                not p.stars
                and (p.dtype is None or p.lanes > 1)
                and (found := layout(self.user, p.c_type, self.template))
            ):
                scope = "::".join(self.item.scope)
                kind = (
                    f"{scope}::{p.c_type}"
                    if scope and p.c_type.rpartition("::")[2] in self._scoped(scope)
                    else p.c_type
                )
                made += f'static_assert(sizeof({kind}) == {found.size}, "need a struct of plain members");\n'
        return made

    def _functions(self) -> str:
        """Where the functions lie that parameters point to: constants that are looked up once the image is loaded."""
        made = ""
        for p in self.parameters:
            if not p.function:
                continue
            text, known = self.values[p.name].text, self.user.functions_like(p)
            if text not in (*NULL, *known):
                named = ", ".join(known) or "the file has none"
                raise UserError(
                    f"inspect: --arg: {p.name}: need a function for {p.c_type} ({named}) or null, got {text!r}"
                )
            value = "nullptr" if text in NULL else f"({p.c_type})&{text}"
            made += f'extern "C" {EXPORTED} void* const check_function_{p.name} = (void*){value};\n'
        return made

    def _scoped(self, scope):
        return {n for i in self.user.items if i.kind == "type" and "::".join(i.scope) == scope for n in i.names}

    def make_arguments(self, sizes: dict[str, str] | None = None):
        maker = Maker(self.dev, self.user, self.wanted.seed, self.template)
        by_name: dict = {}
        self._need_room(sizes or {})
        for p in self.parameters:
            text = (sizes or {}).get(p.name, self.values[p.name].text)
            if p.function:
                by_name[p.name] = self.kernel.function(p.name)
            elif p.stars and text.startswith("&"):
                by_name[p.name] = self._once_more(p, text, by_name)
            else:
                by_name[p.name] = maker.make(p, text)
        made = list(by_name.values())
        self.kernel.members = maker.arrays
        read = self.read.arguments if self.read else []
        self.kernel.inside = {  # where the host's pointer goes into the middle of an array, or nobody knows where
            p.name for p, v in zip(self.parameters, read) if p.stars and (v is None or getattr(v, "moved", False))
        }
        self.kernel.made_up = {
            p.name
            for p in self.parameters
            if p.stars and (v := self.values[p.name]).origin != "given" and not v.text.endswith((":zeros", ":empty"))
        }
        return made

    def _need_room(self, sizes: dict[str, str]) -> None:
        """Raises: UserError before any array is filled, if they are too large together."""
        maker, total = Maker(self.dev, self.user, 1, self.template), 0
        for p in self.parameters:
            found = re.match(r"\[(\d+)\]", sizes.get(p.name, self.values[p.name].text)) if p.stars == 1 else None
            total += int(found[1]) * getattr(maker.dtype_of(p), "itemsize", 1) if found else 0
        if total > MAX_BYTES:
            raise UserError(
                f"inspect: arrays: need at most {MAX_BYTES >> 20} MiB in all, got {total >> 20} MiB for {self.name}:"
                " choose a smaller shape"
            )

    def _once_more(self, p, text: str, made: dict):
        """--arg y=&x: the array of an earlier parameter."""
        array, need = made.get(text[1:]), Maker(self.dev, self.user, 1, self.template).dtype_of(p)
        if not self.dev.is_array(array) or need not in (None, array.dtype):
            earlier = ", ".join(n for n, a in made.items() if self.dev.is_array(a)) or "there is none"
            raise UserError(f"inspect: --arg: {p.name}: need an earlier array of {p.c_type} ({earlier}), got {text!r}")
        return array

    def proposed_sizes(self) -> str:
        """n=1000, of the whole numbers that nobody gave."""
        return ", ".join(
            f"{p.name}={self.values[p.name].text}"
            for p in self.parameters
            if self.values[p.name].origin == "proposed"
            and not p.stars
            and re.fullmatch(r"\d{2,}", self.values[p.name].text)
        )

    def launch(self, arguments) -> None:
        """Runs it once. The report stands last in the device's."""
        try:
            self.kernel(self.grid, self.block, *arguments, shared_bytes=self.shared)
        except (ValueError, TypeError) as error:
            raise error if isinstance(error, UserError) else UserError(str(error)) from None

    def described(self) -> dict:
        """The launch as --json prints it: each size and argument with where it comes from."""
        made = {
            "grid": {"value": [*self.grid, 1, 1][:3], "from": self.extents["grid"]},
            "block": {"value": [*self.block, 1, 1][:3], "from": self.extents["block"]},
            "shared_bytes": {"value": [self.shared], "from": self.extents["shared_bytes"]},
            "arguments": {
                p.name: {"value": self.values[p.name].text, "from": self.values[p.name].origin} for p in self.parameters
            },
        }
        if self.template:
            made["template"] = {"value": list(self.template.values()), "from": self.template_origin}
        if self.read is not None:
            made["read_from"] = {"file": self.read.file, "line": self.read.line}
        return made


def launched(dev: CheckDevice, user: UserFile, wanted: Wanted, name: str, inner: str):
    """The Report of a kernel's launch; where its sizes were proposed, with what it does wrong at others, too."""
    run = Run(dev, user, wanted, name, inner)
    report = run.report()
    if not run.proposed_sizes() or not report.complete or wanted.expect:
        return report
    costs, dev.costs = dev.costs, False
    try:
        other = Run(dev, user, wanted, name, inner, second=True)
        findings = other.report().findings
    finally:
        dev.costs = costs
    dev.reports.remove(report)
    dev.reports[-1] = report
    known, sizes = {(f.kind, f.file, f.line) for f in report.findings}, other.proposed_sizes()
    for f in findings:
        if (f.kind, f.file, f.line) not in known:
            f.message += f" (with {sizes})"
            report.findings.append(f)
    report.notes.append(f"run with {sizes}, too")
    return report
