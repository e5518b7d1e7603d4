"""What a program is: its steps while it is translated, its records as machine.hpp reads them."""

from dataclasses import dataclass, field

import numpy as np

from .ptx import Variable

# As machine.hpp has them
PLAIN, LABEL, BRANCH, EXIT, BARRIER, COLLECTIVE = range(6)
SPACES = {"": 0, "global": 1, "const": 1, "shared": 2, "local": 3}
NEGATED, ADDRESS32 = 1, 2
NO_SLOT, ADDRESS = 0xFFFF, 15
SHARED_START = 1024
SPECIALS = {
    name: number
    for number, name in enumerate(
        [f"%{what}.{axis}" for what in ("tid", "ntid", "ctaid", "nctaid") for axis in "xyz"]
        + ["%laneid", *(f"%lanemask_{which}" for which in ("eq", "lt", "le", "gt", "ge")), "%dynamic_smem_size"]
    )
}
RECORD = np.dtype(
    [("run", "<u8"), ("offset", "<i8"), ("r", "<u2", 16), ("guard", "<u2"), ("flags", "<u2"), ("kind", "u1"),
     ("size", "u1"), ("count", "u1"), ("space", "u1"), ("target", "<i4"), ("mask", "<i4")]
)  # fmt: skip


@dataclass
class Step:
    """An instruction whose operands are registers, numbers ("#", "##" of 64 bits) or parameters ("=", "==")."""

    name: str
    outs: list[str]
    ins: list[str]
    kind: int = PLAIN
    guard: str | None = None
    negated: bool = False
    offset: int = 0
    address: str | None = None
    size: int = 0
    count: int = 0
    space: int = 0
    target: str | int | None = None
    mask: int = -1
    line: tuple[int, int] = (0, 0)
    text: str = ""


@dataclass
class Program:
    """A kernel that is ready to run. names: of the instructions in records' order, for the table of handlers."""

    name: str
    records: np.ndarray
    names: list[str]
    texts: list[str]  # the PTX, and the line of the source, for messages
    constants: list[tuple[int, int, int]]  # bits, slot, 1 if of 64 bits
    parameters: list[tuple[int, int, bool, int, int]]  # offset, bytes, signed, slot, 1 if of 64 bits
    parameter_bytes: list[tuple[int, int]]  # offset, bytes of each parameter
    symbols: list[tuple[str, int, int]]  # variable, added, slot: addresses of the module's memory
    specials: list[tuple[int, int]]  # what, slot
    slots: int
    shared: list[tuple[str, int, int]]  # name, first, bytes of each shared variable
    shared_bytes: int
    static_bytes: int
    dynamic: bool
    local_bytes: int
    most_threads: int
    variables: list[Variable] = field(default_factory=list)
