"""dcgan-cupy learn: the exercises, listed, begun, judged.

learn                  lists them, and what is solved
learn start 07         writes the kernel with its hole, and its specification in NumPy, into the folder learn/
learn check 07         exit code 0 solved, 1 not yet, 2 wrong use; --watch judges again whenever the file changes
learn hint 07          up to three
"""

import json
import os
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from ..changes import changes
from ..command import Parser, refuse_existing, run
from ..errors import UserError
from .exercise import Exercise
from .exercises import exercises
from .judge import Verdict, judge

FOLDER = "learn"
PROGRESS = "progress.json"


def parser() -> Parser:
    p = Parser("learn", __doc__.partition("\n")[0], prog="dcgan-cupy learn")
    p.add_argument("what", nargs="?", default="list", choices=("list", "start", "check", "hint"))
    p.add_argument("number", nargs="?", help="of the exercise, such as 07")
    p.add_argument("file", nargs="?", help="check: another file than learn/07_….cu")
    p.add_argument("--dir", default=FOLDER, help=f"the learner's folder (default {FOLDER}/)")
    p.add_argument("--json", action="store_true", help="list, check: one JSON document")
    p.add_argument("--watch", action="store_true", help="check: again whenever the file changes, until Ctrl-C")
    p.add_argument("--no-speed", action="store_true", help="check: without the goals of speed, as on a busy machine")
    p.add_argument("--force", action="store_true", help="start: write over what is there")
    return p


class Progress:
    """What a learner has solved, and how many hints were read: a file in the folder."""

    def __init__(self, folder: Path):
        self.path = folder / PROGRESS
        try:
            values = json.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            values = {}
        except (OSError, ValueError, RecursionError) as error:
            raise UserError(f"learn: {self.path}: need the progress of an earlier call, got: {error}") from None
        if not isinstance(values, dict) or not all(isinstance(v, dict) for v in values.values()):
            raise UserError(f"learn: {self.path}: need an object for each exercise, got something else")
        self.values: dict[str, dict] = values

    def of(self, number: str) -> dict:
        return self.values.get(number, {})

    def note(self, number: str, **values) -> None:
        self.values[number] = {**self.of(number), **values}
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            fresh = self.path.with_suffix(".new")
            fresh.write_text(json.dumps(self.values, indent=1) + "\n", encoding="utf-8")
            os.replace(fresh, self.path)
        except OSError as error:
            raise UserError(f"learn: {self.path}: need a file that can be written, got: {error.strerror}") from None


def state(exercise: Exercise, progress: Progress, folder: Path) -> str:
    if progress.of(exercise.number).get("solved"):
        return "solved"
    return "begun" if (folder / exercise.file_name).is_file() else "open"


def show_list(options, progress: Progress, folder: Path) -> int:
    rows = [
        {
            "number": e.number,
            "name": e.name,
            "title": e.title,
            "lesson": e.lesson,
            "state": state(e, progress, folder),
            "hints": progress.of(e.number).get("hints", 0),
        }
        for e in exercises().values()
    ]
    if options.json:
        print(json.dumps(rows, indent=1))
        return 0
    console = Console(highlight=False, soft_wrap=True)
    lesson = ""
    for row in rows:
        if row["lesson"] != lesson:
            lesson = row["lesson"]
            console.print(f"[bold]{escape(lesson)}[/bold]")
        mark = {"solved": "[green]✓[/green]", "begun": "…", "open": " "}[row["state"]]
        console.print(f"  {mark} {row['number']}  {escape(row['title'])}")
    solved = sum(row["state"] == "solved" for row in rows)
    following = next((row["number"] for row in rows if row["state"] != "solved"), None)
    console.print(
        f"{solved} of {len(rows)} solved" + (f"; next: dcgan-cupy learn start {following}" if following else "")
    )
    return 0


def start(exercise: Exercise, options, folder: Path) -> int:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"learn: --dir: need a folder, got {folder}: {error.strerror}") from None
    kernel = folder / exercise.file_name
    refuse_existing("learn: start", kernel, options.force)
    kernel.write_text(exercise.task(), encoding="utf-8")
    specification = kernel.with_suffix(".py")
    specification.write_text(exercise.specification(), encoding="utf-8")
    print(f"{kernel}: the kernel, with a hole\n{specification}: what it must compute")
    if exercise.rung:
        rung = folder / exercise.rung_name
        if not rung.exists() or options.force:
            rung.write_text(exercise.rung.read_text(encoding="utf-8"), encoding="utf-8")
        print(f"{rung}: what launches it in the network")
    print(f"then: dcgan-cupy learn check {exercise.number}")
    return 0


def show_verdict(exercise: Exercise, verdict: Verdict, progress: Progress, as_json: bool, seconds: str = "") -> None:
    if verdict.solved:
        progress.note(exercise.number, solved=True)
    if as_json:
        print(json.dumps({"number": exercise.number, **verdict._asdict()}, indent=1), flush=True)
    else:
        print(
            f"{exercise.number}: {'solved' if verdict.solved else 'not yet: ' + verdict.sentence}{seconds}", flush=True
        )


def watch(exercise: Exercise, path: Path, options, progress: Progress) -> int:
    """Judges whenever the file has changed. Ctrl-C ends it with the last verdict's exit code."""
    verdict = None
    try:
        for _ in changes([path]):
            if not path.is_file():
                raise UserError(f"learn: check: need {path}, got no such file")
            begun = time.monotonic()
            verdict = judge(exercise, path, speed=not options.no_speed)
            took = f"   ({time.monotonic() - begun:.1f} s)"
            show_verdict(exercise, verdict, progress, options.json, took)
    except KeyboardInterrupt:
        pass
    return 0 if verdict and verdict.solved else 1


def hint(exercise: Exercise, progress: Progress) -> int:
    read = progress.of(exercise.number).get("hints", 0)
    shown = min(read + 1, len(exercise.hints)) if isinstance(read, int) and read >= 0 else 1
    for number, text in enumerate(exercise.hints[:shown], 1):
        print(f"{number} of {len(exercise.hints)}: {text}")
    progress.note(exercise.number, hints=shown)
    return 0


def work(arguments: list[str]) -> int:
    options = parser().parse_args(arguments)
    folder = Path(options.dir)
    progress = Progress(folder)
    if options.what == "list":
        if options.number:
            raise UserError(f"learn: list: need no number, got {options.number!r}")
        return show_list(options, progress, folder)
    known = exercises()
    number = (options.number or "").partition("_")[0].zfill(2)
    if number not in known:
        raise UserError(
            f"learn: {options.what}: need the number of an exercise, {min(known)} to {max(known)}, got"
            f" {options.number!r}"
            if options.number
            else f"learn: {options.what}: need the number of an exercise, got none"
        )
    exercise = known[number]
    if options.what == "start":
        return start(exercise, options, folder)
    if options.what == "hint":
        return hint(exercise, progress)
    path = Path(options.file) if options.file else folder / exercise.file_name
    if options.watch:
        return watch(exercise, path, options, progress)
    verdict = judge(exercise, path, speed=not options.no_speed)
    show_verdict(exercise, verdict, progress, options.json)
    return 0 if verdict.solved else 1


def main(arguments: list[str] | None = None) -> int:
    return run("learn", work, arguments)


if __name__ == "__main__":
    sys.exit(main())
