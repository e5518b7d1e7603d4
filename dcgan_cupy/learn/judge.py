"""The verdict on a learner's kernel: does it compile, has it faults, are the values right, is it cheap enough."""

import inspect
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..device import KernelError, source
from ..device.host import CpuDevice
from ..device.temporary import temporary_folder
from ..errors import UserError
from ..ops import compare_rung, own_rung
from ..workbench.check_device import CheckDevice
from .exercise import Case, Exercise, Out, Updated

SECONDS = 10  # the longest that a watched launch may take
ROUNDS = 5


class Verdict(NamedTuple):
    """solved, and one sentence that says so or what is wrong.   kind: what was wrong: "compile", "fault", "values",
    "cost", "speed", "rung", or "".   line: in the learner's file, where it is known.
    """

    solved: bool
    sentence: str
    kind: str = ""
    line: int | None = None


def judge(exercise: Exercise, path: Path, seed: int = 1, speed: bool = True) -> Verdict:
    """Tries a learner's file. speed: also the goal of speed, if there is one.

    Raises: UserError if the file cannot be read.
    """
    if not path.is_file():
        raise UserError(
            f"learn: check: need {path}, got no such file (dcgan-cupy learn start {exercise.number} writes it)"
        )
    dev = CheckDevice("gpu", seconds=SECONDS)
    try:
        missing = _missing_kernel(exercise, path)
        if missing:
            return missing
        for case in exercise.cases(np.random.default_rng(seed)):
            verdict = _try(dev, exercise, path, case)
            if verdict:
                return verdict
            report = dev.reports[-1]
    except UserError as error:
        return Verdict(False, _shorter(str(error), path), "compile", _line(str(error), path))
    except (KernelError, TimeoutError) as error:
        return Verdict(False, _shorter(str(error), path), "fault", _line(str(error), path))
    for goal in exercise.goals:
        if why := goal.failed(report):
            return Verdict(False, f"the values are right, but with {case.what()}: {why}", "cost")
    if exercise.rung and (verdict := _as_rung(exercise, path)):
        return verdict
    if speed and exercise.faster_than:
        share = _speed(exercise, path)
        if share < exercise.faster_than:
            return Verdict(
                False,
                f"the values are right, but it runs at {100 * share:.0f} % of the reference solution's speed here, need"
                f" {100 * exercise.faster_than:.0f} %",
                "speed",
            )
    return Verdict(True, "solved")


def _as_rung(exercise: Exercise, path: Path) -> Verdict | None:
    """The kernel by the Python file beside it, as train would run it, against the textbook's."""
    file = path.with_name(exercise.rung_name)
    if not file.is_file():
        raise UserError(
            f"learn: check: need {file}, got no such file (dcgan-cupy learn start {exercise.number} writes it)"
        )
    name = ""
    try:
        name = own_rung.load(str(file))
        compare_rung.compare(CpuDevice(), name)
    except (UserError, KernelError) as error:
        said = str(error).removeprefix("--kernels: ").replace(str(file), file.name)
        return Verdict(False, f"the kernel is right by itself, but in the network: {said}", "rung")
    finally:
        own_rung.OWN.pop(name, None)
    return None


def _missing_kernel(exercise: Exercise, path: Path) -> Verdict | None:
    """The kernel must be there, with the parameters of the task."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"learn: check: need a text file, got {path}: {error}") from None
    wanted = source.signatures(exercise.solution())[exercise.kernel]
    found = source.signatures(text).get(exercise.kernel)
    if found is None:
        return Verdict(False, f"need a kernel {exercise.kernel}, got none of that name in {path.name}", "compile")
    if [(p.pointer, p.c_type) for p in found.parameters] != [(p.pointer, p.c_type) for p in wanted.parameters]:
        return Verdict(
            False, f"need the parameters of the task for {exercise.kernel}: they are given from outside", "compile"
        )
    return None


def _placed(dev, case: Case) -> dict:
    """The arguments on a device, by name."""

    def place(value):
        if isinstance(value, Out):
            return dev.empty(value.shape, value.dtype)
        if isinstance(value, Updated):
            return dev.array(value.values)
        return dev.array(value) if isinstance(value, np.ndarray) else value

    return {name: place(value) for name, value in case.arguments.items()}


def _host_arguments(case: Case) -> dict:
    """What the reference gets: inputs, what Updated held before, scalars as Python numbers, the shapes of Out."""

    def plain(value):
        if isinstance(value, Updated):
            return value.values
        if isinstance(value, np.generic):
            return value.item()
        return value.shape if isinstance(value, Out) else value

    return {name: plain(value) for name, value in case.arguments.items()}


def _called(function, case: Case) -> dict[str, np.ndarray]:
    given = _host_arguments(case)
    return function(**{name: given[name] for name in inspect.signature(function).parameters if name in given})


def _try(dev, exercise: Exercise, path: Path, case: Case) -> Verdict | None:
    kernel = dev.kernel(str(path.resolve()), exercise.kernel, **case.macros)
    placed = _placed(dev, case)
    kernel(case.grid, case.block, *placed.values(), shared_bytes=case.shared_bytes)
    if found := dev.reports[-1].findings:
        first = found[0]
        more = f" ({len(found) - 1} more)" if len(found) > 1 else ""
        return Verdict(
            False,
            f"{path.name}:{first.line}: {first.kind} with {case.what()}: {first.message}{more}",
            "fault",
            first.line,
        )
    got = {name: dev.numpy(placed[name]) for name, value in case.arguments.items() if isinstance(value, Out | Updated)}
    for name, value in case.arguments.items():
        if isinstance(value, Out):
            unwritten = ~dev.written(placed[name]).reshape(-1, placed[name].itemsize).all(axis=1)
            if unwritten.any():
                at, others = _place(int(np.argmax(unwritten)), value.shape), int(unwritten.sum()) - 1
                more = f", nor {'is 1 other' if others == 1 else f'are {others} others'} of {unwritten.size}"
                sentence = f"{name}{at} is never written with {case.what()}{more if others else ''}"
                return Verdict(False, sentence, "values")
    for name, want in _called(exercise.reference, case).items():
        if sentence := _difference(name, got[name], want, case):
            why = next((m.why for m in exercise.mistakes if _is(name, got, m, case)), "")
            return Verdict(False, sentence + (f": {why}" if why else ""), "values")
    return None


def _is(at: str, got: dict, mistake, case: Case) -> bool:
    """Whether a result that is wrong in the array `at` is what the mistake would give."""
    wrong = _called(mistake.wrong, case)
    return at in wrong and all(not _difference(name, got[name], value, case) for name, value in wrong.items())


def _difference(name: str, got: np.ndarray, want: np.ndarray, case: Case) -> str:
    """One sentence for values that differ, or "". Where the right one is not finite, the same must be there."""
    want = np.asarray(want, np.float64).reshape(got.shape)
    with np.errstate(invalid="ignore", over="ignore"):
        scale = np.abs(want[np.isfinite(want)]).max(initial=0.0)
        right = (np.abs(got.astype(np.float64) - want) <= case.rtol * scale) | (got == want)
    right |= np.isnan(got) & np.isnan(want)
    if right.all():
        return ""
    first = int(np.argmin(right))
    at, wrong = _place(first, got.shape), int((~right).sum())
    many = f"; {wrong} of {got.size} are wrong" if wrong > 1 else "; all others are right"
    form = ".0f" if np.issubdtype(got.dtype, np.integer) else ".7g"
    return f"{name}{at} is {got.flat[first]:{form}}, need {want.flat[first]:{form}} with {case.what()}{many}"


def _place(number: int, shape: tuple[int, ...]) -> str:
    return f"[{', '.join(str(int(i)) for i in np.unravel_index(number, shape))}]"


def _speed(exercise: Exercise, path: Path) -> float:
    """The reference solution's time by the learner's: medians of rounds in turn, on the CPU device."""
    dev, times = CpuDevice(tiles="gpu"), {"mine": [], "theirs": []}
    case = exercise.cases(np.random.default_rng(1))[-1]
    placed = list(_placed(dev, case).values())
    kernels = {"mine": dev.kernel(str(path.resolve()), exercise.kernel, **case.macros)}
    kernels["theirs"] = dev.kernel(str(_written_solution(exercise)), exercise.kernel, **case.macros)
    for _ in range(ROUNDS):
        for name, kernel in kernels.items():
            times[name].append(
                dev.elapsed(
                    lambda kernel=kernel: kernel(case.grid, case.block, *placed, shared_bytes=case.shared_bytes)
                )
            )
    return float(np.median(times["theirs"]) / np.median(times["mine"]))


def _written_solution(exercise: Exercise) -> Path:
    """The solution as a file, for the compiler."""
    path = temporary_folder("learn") / exercise.file_name
    path.write_text(exercise.solution(), encoding="utf-8")
    return path


def _shorter(text: str, path: Path) -> str:
    """A message with the learner's file by its name alone."""
    return text.replace(f"{path.resolve()}:", f"{path.name}:").replace(str(path.resolve()), path.name)


def _line(text: str, path: Path) -> int | None:
    digits = text.partition(f"{path.resolve()}:")[2].partition(":")[0]
    return int(digits) if digits.isdigit() else None
