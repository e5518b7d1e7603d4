"""Values of host code as far as they can be told without running it. None is a value that cannot."""

import math
from dataclasses import dataclass, field


@dataclass
class Pointer:
    """Memory that the host asked for: bytes (None: not told), and what it did to it."""

    label: str
    bytes: int | None = None
    device: bool = True
    touched: bool = False  # something besides cudaMalloc has seen it
    zeros: bool = False  # cudaMemset to 0 was the last
    item: str = ""
    moved: bool = False  # it points into the middle of what was asked for
    of: "Pointer | None" = None  # what it is, seen as another type


@dataclass
class Dim3:
    """dim3, or a float4 and its kin: x, y, z may be unknown."""

    x: object = 1
    y: object = 1
    z: object = 1

    def sizes(self):
        """(x, y, z) as whole numbers, None where one is unknown."""
        values = (self.x, self.y, self.z)
        if any(not isinstance(v, int | float) or v < 1 for v in values):
            return None
        return tuple(int(v) for v in values)


@dataclass
class Struct:
    """A struct's members, as far as they were set."""

    c_type: str
    members: dict = field(default_factory=dict)


@dataclass
class Reference:
    """Where a value lies: a name in a table."""

    table: dict
    key: object

    def get(self):
        return self.table.get(self.key)


@dataclass
class Function:
    """A function or a kernel, named as a value."""

    name: str


@dataclass
class Launch:
    """One <<<…>>> of the host's: what it launches and with what, as far as it can be told."""

    kernel: str
    template: str
    grid: object
    block: object
    shared: object
    arguments: list
    texts: list[str]
    file: str
    line: int
    function: str
    same: list = field(default_factory=list)  # of each argument: the number of the first that is the same memory


def number(v):
    """A plain number, or None."""
    return v if isinstance(v, int | float) and not isinstance(v, bool) else int(v) if isinstance(v, bool) else None


def divide(a, b):
    """C's division: towards zero for whole numbers."""
    if not b:
        return None
    if isinstance(a, int) and isinstance(b, int):
        return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
    return a / b


BINARY = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": divide,
    "%": lambda a, b: (
        None if not b else a - b * divide(a, b) if isinstance(a, int) and isinstance(b, int) else math.fmod(a, b)
    ),
    "<<": lambda a, b: a << b if isinstance(a, int) and isinstance(b, int) and 0 <= b < 64 else None,
    ">>": lambda a, b: a >> b if isinstance(a, int) and isinstance(b, int) and 0 <= b < 64 else None,
    "<": lambda a, b: int(a < b),
    ">": lambda a, b: int(a > b),
    "<=": lambda a, b: int(a <= b),
    ">=": lambda a, b: int(a >= b),
    "==": lambda a, b: int(a == b),
    "!=": lambda a, b: int(a != b),
    "&": lambda a, b: a & b if isinstance(a, int) and isinstance(b, int) else None,
    "|": lambda a, b: a | b if isinstance(a, int) and isinstance(b, int) else None,
    "^": lambda a, b: a ^ b if isinstance(a, int) and isinstance(b, int) else None,
}
PRECEDENCE = [
    ["||"],
    ["&&"],
    ["|"],
    ["^"],
    ["&"],
    ["==", "!="],
    ["<", ">", "<=", ">="],
    ["<<", ">>"],
    ["+", "-"],
    ["*", "/", "%"],
]


def _float(f):
    return lambda *v: None if any(number(x) is None for x in v) else f(*v)


def _root(x):
    return math.sqrt(x) if x >= 0 else None


MATHEMATICS = {
    "min": _float(min),
    "max": _float(max),
    "ceil": _float(lambda x: float(math.ceil(x))),
    "ceilf": _float(lambda x: float(math.ceil(x))),
    "floor": _float(lambda x: float(math.floor(x))),
    "floorf": _float(lambda x: float(math.floor(x))),
    "sqrt": _float(_root),
    "sqrtf": _float(_root),
    "pow": _float(lambda x, y: float(x) ** y if abs(y) < 64 and abs(x) < 1e6 else None),
    "powf": _float(lambda x, y: float(x) ** y if abs(y) < 64 and abs(x) < 1e6 else None),
    "log2": _float(lambda x: math.log2(x) if x > 0 else None),
    "log2f": _float(lambda x: math.log2(x) if x > 0 else None),
    "abs": _float(abs),
    "round": _float(lambda x: float(round(x))),
}
SIZES = {
    "float": 4,
    "int": 4,
    "unsigned": 4,
    "double": 8,
    "char": 1,
    "bool": 1,
    "short": 2,
    "long": 8,
    "size_t": 8,
    "half": 2,
    "__half": 2,
    "__nv_bfloat16": 2,
    "nv_bfloat16": 2,
    "curandState": 64,
    "curandState_t": 64,
}
# What cudaGetDeviceProperties says, of a card of today.
DEVICE = {
    "multiProcessorCount": 132,
    "maxThreadsPerBlock": 1024,
    "warpSize": 32,
    "sharedMemPerBlock": 49152,
    "maxThreadsPerMultiProcessor": 2048,
    "major": 9,
    "minor": 0,
    "regsPerBlock": 65536,
    "totalGlobalMem": 80 << 30,
    "sharedMemPerMultiprocessor": 233472,
    "concurrentKernels": 1,
    "managedMemory": 1,
    "concurrentManagedAccess": 1,
    "cooperativeLaunch": 1,
    "canMapHostMemory": 1,
    "unifiedAddressing": 1,
}
