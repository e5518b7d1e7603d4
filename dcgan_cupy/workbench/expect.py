"""What a kernel should have computed beside what it did: the first wrong element, how many, how far off, where."""

import importlib.util
import inspect as signatures
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..errors import UserError

COLUMNS, ROWS = 64, 16  # of the map in the terminal
# Rounding of a sum of a few thousand products: relative to the largest value that is expected.
TOLERANCE = {2: 2e-2, 4: 2e-5, 8: 1e-12}


@dataclass
class Values:
    """An output compared. wrong: elements; first: the first one's index; error: the largest; where: the map's lines."""

    array: str
    elements: int
    wrong: int
    first: tuple = ()
    got: float = 0.0
    want: float = 0.0
    error: float = 0.0
    where: list = field(default_factory=list)

    def sentence(self) -> str:
        """One line for people."""
        if not self.wrong:
            return f"values: {self.array}: all {self.elements} elements as expected, largest error {self.error:.3g}"
        index = ", ".join(map(str, self.first))
        return (
            f"values: {self.array}[{index}] is {self.got:.9g}, expected {self.want:.9g}: {self.wrong} of"
            f" {self.elements} elements are wrong, largest error {self.error:.3g}"
        )

    def data(self) -> dict:
        """As --json prints it."""
        return {
            "array": self.array,
            "elements": self.elements,
            "wrong": self.wrong,
            "first": [int(i) for i in self.first],
            "got": self.got,
            "expected": self.want,
            "largest_error": self.error,
        }


def compare(name: str, got: np.ndarray, want: np.ndarray, tolerance: float | None = None) -> Values:
    """An output against what is expected, element by element; NaN is right only where NaN is expected.

    tolerance: relative to the largest expected value (default: of the output's type; whole numbers must be equal).
    Raises: UserError where the number of elements differs.
    """
    want = np.asarray(want)
    if got.size != want.size:
        raise UserError(f"inspect: --expect: {name}: need {got.size} elements, got {want.size}")
    want = want.reshape(got.shape)
    exact = got.dtype.kind not in "f"
    a, b = got.astype(np.float64), want.astype(np.float64)
    with np.errstate(invalid="ignore"):
        difference = np.where(a == b, 0.0, np.abs(a - b))
    difference[np.isnan(a) & np.isnan(b)] = 0.0
    difference[np.isnan(difference)] = np.inf
    finite = np.abs(b[np.isfinite(b)])
    most = float(finite.max()) if finite.size else 0.0
    relative = tolerance if tolerance is not None else 0.0 if exact else TOLERANCE[got.dtype.itemsize]
    wrong = difference > relative * max(most, 1e-30)
    made = Values(name, got.size, int(wrong.sum()), error=float(difference.max(initial=0.0)))
    if made.wrong:
        at = int(np.flatnonzero(wrong)[0])
        made.first = tuple(int(i) for i in np.unravel_index(at, got.shape))
        made.got, made.want = float(a.reshape(-1)[at]), float(b.reshape(-1)[at])
        made.where = picture(wrong)
    return made


def picture(wrong: np.ndarray) -> list[str]:
    """Where the wrong elements lie: `.` none of a cell's, `x` some, `#` all. Rows of the array from top to bottom."""
    flat = wrong.reshape(-1, wrong.shape[-1]) if wrong.ndim > 1 else wrong.reshape(1, -1)
    if flat.shape[0] == 1 and flat.shape[1] > COLUMNS:
        width = -(-flat.shape[1] // ROWS) if flat.shape[1] > COLUMNS * 4 else COLUMNS
        padded = np.zeros(-(-flat.shape[1] // width) * width, bool)
        padded[: flat.shape[1]] = flat[0]
        flat = padded.reshape(-1, width)
    rows = np.array_split(np.arange(flat.shape[0]), min(ROWS, flat.shape[0]))
    columns = np.array_split(np.arange(flat.shape[1]), min(COLUMNS, flat.shape[1]))
    made = []
    for r in rows:
        part = flat[r[0] : r[-1] + 1]
        cells = [part[:, c[0] : c[-1] + 1] for c in columns]
        made.append("".join("#" if c.all() else "x" if c.any() else "." for c in cells))
    return made


def expected(text: str, arguments: dict, outputs: dict) -> dict[str, np.ndarray]:
    """What --expect says of the outputs, by name.

    text: `y=@y.npy`, `y.npy` where there is one output, or `reference.py:function`: called with the kernel's arguments
    as they were before the launch, by the names it asks for. It returns an array, a dict of arrays, or None, having
    changed the arrays in place.
    Raises: UserError.
    """
    name, equals, file = text.partition("=")
    if equals and name in outputs:
        return {name: _load(file.removeprefix("@"))}
    if text.removeprefix("@").endswith(".npy"):
        return {_only(outputs): _load(text.removeprefix("@"))}
    file, colon, function = text.rpartition(":")
    if not colon or not file.endswith(".py"):
        raise UserError(
            f"inspect: --expect: need y=@y.npy, reference.py:function or a kernel as file.cu:kernel, got {text!r}"
        )
    called = _function(file, function)
    copies = {n: np.array(v) if isinstance(v, np.ndarray) else v for n, v in arguments.items()}
    asked = signatures.signature(called).parameters
    free = any(p.kind == p.VAR_KEYWORD for p in asked.values())
    if missing := [
        n
        for n, p in asked.items()
        if n not in copies and p.default is p.empty and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
    ]:
        raise UserError(
            f"inspect: --expect: {function}: need names of the kernel's ({', '.join(copies)}), got {missing[0]}"
        )
    try:
        made = called(**{n: v for n, v in copies.items() if free or n in asked})
    except Exception as error:  # whatever the user's function raises
        raise UserError(f"inspect: --expect: {function}: need values, got {type(error).__name__}: {error}") from None
    if made is None:
        return {n: copies[n] for n in outputs if n in copies}
    if isinstance(made, dict):
        if unknown := [n for n in made if n not in arguments]:
            raise UserError(f"inspect: --expect: {function}: need names of the kernel's arrays, got {unknown[0]}")
        return {n: np.asarray(v) for n, v in made.items()}
    return {_only(outputs): np.asarray(made)}


def _only(outputs) -> str:
    if len(outputs) != 1:
        raise UserError(
            f"inspect: --expect: need the output's name (NAME=@file.npy, or a dict from the function): the kernel"
            f" writes {', '.join(outputs) or 'nothing'}"
        )
    return next(iter(outputs))


def _load(file: str) -> np.ndarray:
    try:
        return np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"inspect: --expect: need a .npy file, got {file}: {error}") from None


def _function(file: str, name: str):
    path = Path(file)
    if not path.is_file():
        raise UserError(f"inspect: --expect: need a Python file, got none at {file}")
    spec = importlib.util.spec_from_file_location(f"expected_{path.stem}", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.resolve().parent))
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever the user's file raises
        raise UserError(
            f"inspect: --expect: {file}: need a file that imports, got {type(error).__name__}: {error}"
        ) from None
    finally:
        sys.path.pop(0)
    if not callable(getattr(module, name, None)):
        raise UserError(f"inspect: --expect: {file}: need a function {name}, got none")
    return getattr(module, name)
