"""--expect of a user's kernel: what it wrote beside a file, a Python function, or another kernel's work."""

from pathlib import Path

import numpy as np

from ..errors import UserError
from .expect import compare, expected
from .user_kernel import Wanted, parse_macros
from .user_source import UserFile


def named(run, arguments) -> dict:
    """Copies of the arguments by name: arrays, numbers; nothing for a null pointer or a struct."""
    made = {}
    for p, value in zip(run.parameters, arguments):
        if p.stars:
            made[p.name] = None if value is None else run.dev.numpy(value)
        elif not isinstance(value, np.void):
            made[p.name] = value
    return made


def compared(run, expect: str, before: dict, after: dict) -> list:
    """The outputs that something is expected of, as Values."""
    outputs = {
        p.name: after[p.name] for p in run.parameters if p.stars and not p.constant and after[p.name] is not None
    }
    if ".cu" in expect:
        want = other_kernel(run, expect, before)
        outputs = {n: a for n, a in outputs.items() if n in want}
    else:
        changed = {n: a for n, a in outputs.items() if a.tobytes() != before[n].tobytes()}
        want = expected(expect, before, changed or outputs)
    for n in want:
        if n not in after or not isinstance(after[n], np.ndarray):
            raise UserError(f"inspect: --expect: need one of the kernel's arrays ({', '.join(outputs)}), got {n}")
    return [compare(n, after[n], w) for n, w in want.items()]


def other_kernel(run, expect: str, before: dict) -> dict:
    """The arrays after another kernel has run on the same arguments, matched by name, else by place."""
    at = expect.index(".cu")
    file, symbol = (expect[: at + 3], expect[at + 4 :]) if ":" in expect[at:] else (expect, "")
    wanted = Wanted(file, symbol, run.wanted.grid, run.wanted.block, [], run.wanted.macros, run.wanted.shared_bytes)
    wanted.launch = run.wanted.launch and Path(file).resolve() == run.user.path
    user = UserFile(file, parse_macros(wanted.macros))
    other = type(run)(run.dev, user, wanted, user.kernel(symbol), symbol.partition("<")[2].rpartition(">")[0])
    names = list(before)
    taken, arguments = {}, []
    for i, p in enumerate(other.parameters):
        name = p.name if p.name in before else names[i] if i < len(names) else None
        if name is None:
            raise UserError(f"inspect: --expect: {expect}: need the same parameters, got {p.name} besides")
        value = before[name]
        if p.stars and isinstance(value, np.ndarray):
            taken[name] = len(arguments)
            value = run.dev.array(value)
        arguments.append(value)
    if wanted.grid is None and other.read is None:
        other.grid = run.grid
    if wanted.block is None and other.read is None:
        other.block = run.block
    other.prepare()
    other.launch(arguments)
    if not run.dev.reports.pop().complete:
        raise UserError(f"inspect: --expect: need a kernel that comes to its end, got one that does not: {expect}")
    constant = {p.name for p in run.parameters if p.constant}
    return {n: run.dev.numpy(arguments[k]) for n, k in taken.items() if n not in constant}
