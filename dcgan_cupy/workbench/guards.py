"""Guards that a launch did not test: an `if` on a size that came out the same for every thread."""

import re

from ..device import source


def untested(kernel, branches) -> list[str]:
    """Sentences about lines `if (i < n)` of the kernel's own file that went one way only.

    branches: the check's costs of branches, by block: executions, and extra: times that one went another way than the
    first.
    """
    names = [p.name for p in kernel.signature.parameters if not p.pointer]
    lines: dict[tuple[str, int], list[bool]] = {}
    for block, cost in zip(kernel.blocks, branches):
        if cost["executions"]:
            lines.setdefault(tuple(block["line"]), []).append(bool(cost["extra"]))
    made = []
    for (file, line), ways in sorted(lines.items()):
        text = _line(file, line)
        if (
            any(ways)
            or not names
            or not re.search(rf"\bif\s*\(.*[<>].*\b(?:{'|'.join(map(re.escape, names))})\b", text)
        ):
            continue
        if re.search(r"\bfor\b|\bwhile\b", text):
            continue
        made.append(
            f"the guard at line {line} was never false: every thread went the same way, so a wrong one would not show; "
            "try a size that the block does not divide"
        )
    return made


def _line(file: str, line: int) -> str:
    path = source.KERNELS / file
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()[line - 1]
    except (OSError, IndexError):
        return ""
