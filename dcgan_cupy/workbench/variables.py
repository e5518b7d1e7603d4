"""Shared arrays and variables of the device in the compiled text: each moves to a region, with empty room around it."""

import re

from ..errors import UserError
from .ir import NAME, Layout, dimensions, plain_name, type_and_rest

PAD = 16  # slots of empty room at either end of the shared region
SLOT = 65536  # a shared array's room: at most 48 KiB are its own, the rest is guard
SHARED = re.compile(
    rf"^@({NAME}) = [\w ]*?global (.+?) (?:zeroinitializer|undef|poison|null|false|0|0\.0+e\+00), section"
    r' "cuda_shared"(.*)$',
    re.M,
)
DYNAMIC = re.compile(r"^@(\S*dynamic_shared\S*) = internal global (\[\d+ x i8\]) zeroinitializer.*$", re.M)
VARIABLE = re.compile(
    rf"^@({NAME}) = (?P<words>(?:[\w]+(?:\([^)]*\))? )*?)(?P<kind>global|constant) (?P<rest>.*)$", re.M
)
OF_THE_RUNTIME = re.compile(  # what the text does not name: our own header's, the compiler's
    r"_Z+[NLK]*12cuda_on_host|_ZL(?:9threadIdx|8blockIdx|8blockDim|7gridDim|8warpSize)|\.|__|llvm\.|switch\.table|str(?:\.\d+)?$|check_|anon"
    r"|_Z(?:TV|TI|TS|GV)|_ZZN12cuda_on_host|\d+$"
)


class Variables:
    """The arrays of a text that lie in no function, and the text in which they have moved."""

    def __init__(self, text: str):
        self.shared, self.variables, self.numbers, self.constants, self.elsewhere = [], [], {}, {}, set()
        self.slots, self.room, self.initial = 0, SLOT, []
        self.layout = Layout(text)
        text = DYNAMIC.sub(self._share, SHARED.sub(self._share, text))
        self.text = VARIABLE.sub(self._move, text)

    def known(self, symbol: str):
        """["shared", number] or ["variable", number] of a symbol with its @; None for what is not watched."""
        return self.numbers.get(symbol[1:])

    def table(self, symbol: str):
        """A table of constants in the text: its name and type."""
        return self.constants.get(symbol[1:])

    def _share(self, match):
        name, kind, dynamic = match[1], match[2], match.re is DYNAMIC
        dims, item = dimensions(kind)
        offset, slots = SLOT * (PAD + self.slots), 5 if dynamic else 1
        self.slots += slots
        self.numbers[name] = ["shared", len(self.shared)]
        self.shared.append(
            {
                "name": "(dynamic)" if dynamic else plain_name(name),
                "type": kind,
                "dims": dims,
                "item": item,
                "slots": slots,
                "offset": offset,
                "size": self.layout.size(kind),
                "dynamic": dynamic,
            }
        )
        return f"@{name} = internal alias {kind}, ptr getelementptr (i8, ptr @check_shared, i64 {offset})"

    def _move(self, match):
        name, words = match[1], match["words"].split()
        if name in self.numbers or OF_THE_RUNTIME.match(name.strip('"')) or "appending" in words:
            return match[0]
        if "external" in words or "extern_weak" in words:
            self.elsewhere.add(name)
            return match[0]
        kind, value = type_and_rest(match["rest"])
        if (section := re.search(r', section "([^"]*)"', value)) and section[1] != "cuda_constant":
            raise UserError(
                f"{plain_name(name)}: unsupported: need a variable of the device, got one in section {section[1]}"
            )
        size, (dims, item) = self.layout.size(kind), dimensions(kind)
        if match["kind"] == "constant":
            if dims:
                self.constants[name] = {"name": plain_name(name), "type": kind}
            return match[0]
        initial = re.split(r", (?:section|comdat|align|partition|!)", value)[0].strip()
        zero = initial in ("zeroinitializer", "0", "null", "false", "undef", "0.000000e+00")
        plain = name.strip('"')
        self.numbers[name] = ["variable", len(self.variables)]
        self.variables.append(
            {
                "name": plain_name(name),
                "type": kind,
                "dims": dims,
                "item": item,
                "size": size,
                "offset": self.room,
                "constant": 'section "cuda_constant"' in value,
                "given": not zero,
            }
        )
        self.room += size + -size % SLOT + SLOT
        self.initial.append("null" if zero else f'@"{plain}.initial"')
        at = self.variables[-1]["offset"]
        alias = f"@{name} = internal alias {kind}, ptr getelementptr (i8, ptr @check_globals, i64 {at})"
        return alias if zero else f'{alias}\n@"{plain}.initial" = internal constant {kind} {initial}'

    def tail(self) -> str:
        """The regions themselves, and where first values lie."""
        total, starts = SLOT * (2 * PAD + self.slots), self.initial or ["null"]
        return (
            f"@check_shared = global [{total} x i8] zeroinitializer, align {SLOT}\n"
            f"@check_globals = global [{self.room} x i8] zeroinitializer, align {SLOT}\n"
            f"@check_initial = global [{len(starts)} x ptr] [{', '.join(f'ptr {i}' for i in starts)}]\n"
        )

    def tables(self) -> dict:
        return {
            "shared": self.shared,
            "shared_bytes": SLOT * (2 * PAD + self.slots),
            "variables": self.variables,
            "variable_bytes": self.room,
        }
