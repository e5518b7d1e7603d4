"""What compiled text may not hold: functions that a GPU does not have, assembly, what runs when it is loaded."""

import re

from ..errors import UserError
from .ir import NAME, OURS, frames_of

HAS = re.compile(  # functions without a body here that a kernel may call: the C library's mathematics, printf, memory
    r"(?:llvm|__tsan|__sanitizer|__ubsan|check)[\w.]*|mem(?:cpy|move|set|cmp)|printf|puts|putchar|v?snprintf|__assert_fail|abs|l?labs"
    r"|(?:a?(?:sin|cos|tan)h?|atan2|exp(?:2|10|m1)?|log(?:2|10|1p|b)?|pow|sqrt|cbrt|hypot|erfc?|[tl]gamma|f(?:abs|ma|mod|dim|max|min)"
    r"|floor|ceil|trunc|l?l?rint|l?l?round|nearbyint|remainder|remquo|modf|frexp|ldexp|scalbl?n|ilogb|copysign|nextafter|nan"
    r"|sincos|j[01n]|y[01n])f?"
)
NEVER_RUN = re.compile(
    r"@(?:_GLOBAL__sub_I_|__cxx_global_var_init|sancov\.module|tsan\.module)"
)  # constructors: left out
ASSEMBLY = re.compile(  # the header's own: how a fiber's stack is switched
    r'module asm "(?:\s*(?:pushq|popq|movq|ret|stp|ldp|mov|add|sub)\b[^"]*|\.text|\.p2align 4'
    r"|\.(?:hidden|globl) switch_stack"
    r'|\.(?:type|size) switch_stack[^"]*|switch_stack:)"'
)


def need_plain_text(text: str) -> None:
    """Raises: UserError for what would run when the image is loaded, or reach past the compiler."""
    for line in text.splitlines():
        if line.startswith("module asm") and not ASSEMBLY.fullmatch(line):
            raise UserError("unsupported: need CUDA C++, got assembly text")
        if re.match(r'@\S+ = [\w ]*ifunc |define [^"]*\) [^{]*section "(?!\.text\.startup")', line):
            raise UserError(f"unsupported: need plain functions, got {line[:60]}")


def need_device_functions(lines: list[str], metadata: dict, declared: set) -> None:
    """Raises: UserError for a function that is declared only, and no part of CUDA or of what stands behind it here."""
    for line in lines:
        if "@" not in line and " asm " not in line:
            continue
        frames = frames_of(metadata, line, ours=True)
        if not frames or OURS.search(frames[0][0]) or frames[0][0] == "launcher":
            continue
        where = f"{frames[0][0]}:{frames[0][1]}"
        if re.search(r"\bcall\b[^@\"]* asm ", line):
            raise UserError(f"{where}: unsupported: need CUDA C++, got assembly text")
        for name in sorted(set(re.findall(rf"@({NAME})", line)) & declared):
            if HAS.fullmatch(name):
                continue
            if name.startswith("_Z"):
                raise UserError(f"{where}: {_spelled(name)}: need its body in the file, got a declaration only")
            raise UserError(f"{where}: unsupported: need functions that a GPU has, got the host's {name}()")


def _spelled(name: str) -> str:
    """_ZN4mine6helperEf -> mine::helper."""
    parts, rest = [], name[3:] if name.startswith("_ZN") else name[2:]
    while match := re.match(r"\d+", rest):
        end = match.end() + int(match[0])
        parts.append(rest[match.end() : end])
        rest = rest[end:]
    return "::".join(parts) or name
