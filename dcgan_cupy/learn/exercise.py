"""What an exercise is: a kernel file with a hole, the function it must equal, the launches it is tried on.

The kernel's file holds the solution and the task at once:

    // >>> solution
    y[i] = 2.0f * x[i];
    // === task
    // TODO: y[i] is twice x[i]
    // <<<

`task()` has the lines below `=== task`, `solution()` those above it, neither the marks.
"""

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

HOLE = re.compile(r"^[ \t]*// >>> solution\n(.*?)^[ \t]*// === task\n(.*?)^[ \t]*// <<<\n", re.M | re.S)


class Out(NamedTuple):
    """An argument that the kernel writes, and finds undefined."""

    shape: tuple[int, ...]
    dtype: type = np.float32


class Updated(NamedTuple):
    """An argument that the kernel adds to, or changes in place: what it holds before."""

    values: np.ndarray


@dataclass(frozen=True)
class Case:
    """A launch.

    arguments: by the parameters' names, in their order: arrays are inputs, NumPy scalars are passed by value.
    grid, block: one to three numbers each.   rtol: how far a value may be from the reference, relative to the largest
    one; 0 for results that are exact in float32.   about: what is special here, for the sentence about a wrong value.
    """

    arguments: dict[str, np.ndarray | np.generic | Out | Updated | None]
    grid: int | tuple[int, ...]
    block: int | tuple[int, ...]
    rtol: float = 0.0
    shared_bytes: int = 0
    macros: dict[str, int] = field(default_factory=dict)
    about: str = ""

    def what(self) -> str:
        """The sizes, for people: n = 257."""
        scalars = {name: value.item() for name, value in self.arguments.items() if isinstance(value, np.generic)}
        between = " = " if len(scalars) < 7 else " "
        sizes = (
            ", ".join(f"{name}{between}{value:.7g}" for name, value in scalars.items())
            or f"grid {self.grid}, block {self.block}"
        )
        return f"{sizes} ({self.about})" if self.about else sizes


class Goal(NamedTuple):
    """What a solution may cost. failed(report): one sentence that says what is too much, or ""."""

    what: str
    failed: Callable


class Mistake(NamedTuple):
    """A wrong result that people get: wrong(**arguments) gives it as the reference gives the right one."""

    why: str
    wrong: Callable


@dataclass(frozen=True)
class Exercise:
    """number: two digits, the file's too.   kernel: the symbol.   reference(**arguments): name -> array, in NumPy.

    cases(rng): the launches, smallest first.   goals: looked at for the last one.   hints: up to three.
    rung: a Python file that launches the kernel as a rung of one's own; the learner gets it, and may change it.
    """

    number: str
    name: str
    title: str
    lesson: str
    kernel: str
    file: Path
    reference: Callable
    cases: Callable[[np.random.Generator], list[Case]]
    hints: tuple[str, ...]
    goals: tuple[Goal, ...] = ()
    mistakes: tuple[Mistake, ...] = ()
    rung: Path | None = None
    faster_than: float = 0.0  # share of the solution's speed on this machine that is asked for; 0: none

    def __post_init__(self):
        assert 1 <= len(self.hints) <= 3 and HOLE.search(self.text)

    @property
    def text(self) -> str:
        return self.file.read_text(encoding="utf-8")

    @property
    def file_name(self) -> str:
        """What the learner's file is called."""
        return f"{self.number}_{self.name}.cu"

    @property
    def rung_name(self) -> str:
        """What the learner's copy of the rung is called: my_rung_33.py is 33_my_rung.py."""
        assert self.rung
        return f"{self.number}_{self.rung.stem.removesuffix(f'_{self.number}')}.py"

    def task(self) -> str:
        return HOLE.sub(lambda hole: hole[2], self.text)

    def solution(self) -> str:
        return HOLE.sub(lambda hole: hole[1], self.text)

    def specification(self) -> str:
        """The reference as a Python file of its own."""
        last = self.cases(np.random.default_rng(1))[-1]
        goals = "".join(f"    {goal.what}\n" for goal in self.goals)
        if self.faster_than:
            goals += f"    at least {100 * self.faster_than:.0f} % of the reference solution's speed, on this machine\n"
        launch = f"grid {last.grid}, block {last.block}"
        if launch != last.what():
            launch = f"{last.what()};\n    {launch}"
        wanted = f"\n\nIt must cost, at most:\n{goals}in this launch:\n    {launch}\n" if goals else ""
        names = inspect.signature(self.reference).parameters
        shapes = [name for name in names if isinstance(last.arguments.get(name), Out)]
        given = f"\n{', '.join(shapes)}, which the kernel writes, is its shape here." if shapes else ""
        head = f"{self.number} {self.title}: what {self.kernel} must compute.{given}{wanted}"
        code = inspect.getsource(self.reference)
        return f'"""{head}"""\n\nimport numpy as np\n\n\n{code}'


def exercise(module_file: str, title: str, lesson: str, kernel: str, reference, cases, hints, **rest) -> Exercise:
    """An Exercise whose number and name are those of its module's file, e07_tree_reduction.py, beside its .cu file."""
    path = Path(module_file)
    match = re.fullmatch(r"e(\d\d)_(\w+)", path.stem)
    assert match, f"{path}: need a name such as e07_tree_reduction.py"
    return Exercise(
        match[1], match[2], title, lesson, kernel, path.with_suffix(".cu"), reference, cases, tuple(hints), **rest
    )
