"""The parts of the course that a script makes: pictures and pages by name, and blocks between two marks.

    <!-- made: 03-strides -->
    ... what the function registered as "03-strides" returned ...
    <!-- end -->

`code FILE | TEXT | LINES` is an excerpt of a file from the line that holds TEXT on; `exercises 03-coalescing` lists
those of a lesson.
"""

import re
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COURSE = ROOT / "docs" / "course"
IMAGES = COURSE / "images"
WIDTH = 118
MARK = re.compile(r"^<!-- made: (?P<name>[^\n]+?) -->\n(?P<body>.*?)^<!-- end -->$", re.M | re.S)


@dataclass(frozen=True)
class Part:
    """make() -> its text.   slow: more than a second or two.   fixed: the same on every machine and in every run."""

    name: str
    make: Callable[[], str]
    slow: bool = False
    fixed: bool = True


PICTURES: dict[str, Part] = {}
PAGES: dict[str, Part] = {}  # by the file's name
BLOCKS: dict[str, Part] = {}


def _register(where: dict[str, Part], name: str, slow: bool, fixed: bool):
    def add(function):
        assert name not in where, name
        where[name] = Part(name, function, slow, fixed)
        return function

    return add


def picture(name: str, slow: bool = False, fixed: bool = True):
    """Registers a function that returns an SVG."""
    return _register(PICTURES, name, slow, fixed)


def page(name: str, slow: bool = False, fixed: bool = True):
    """Registers a function that returns a whole file of docs/course/."""
    return _register(PAGES, name, slow, fixed)


def block(name: str, slow: bool = False, fixed: bool = True):
    """Registers a function that returns Markdown."""
    return _register(BLOCKS, name, slow, fixed)


def fenced(text: str, language: str = "") -> str:
    return f"```{language}\n{text.strip(chr(10))}\n```"


def table(head: list, rows: list[list]) -> str:
    """A Markdown table; the first column and words to the left, numbers to the right."""
    rule = ["---"] + ["---:" if re.match(r"[-\d]", str(cell)) else "---" for cell in rows[0][1:]]
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in (head, rule, *rows))


def excerpt(what: str) -> str:
    """`FILE | TEXT | LINES`: so many lines of a file from the first that holds TEXT on."""
    file, text, count = (part.strip() for part in what.split("|"))
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
    found = [number for number, line in enumerate(lines) if text in line]
    assert found, f"{file}: no line holds {text!r}"
    first, last = found[0], found[0] + int(count)
    kind = {"py": "python"}.get(file.rsplit(".", 1)[-1], "cuda")
    return f"[`{file}`](../../{file}), lines {first + 1} to {last}:\n\n" + fenced("\n".join(lines[first:last]), kind)


def exercises(lesson: str) -> str:
    """The exercises of a lesson, as they are in the package."""
    from dcgan_cupy.learn.exercises import exercises as known

    found = [e for e in known().values() if e.lesson == lesson]
    if not found:
        return "None yet in this version."
    return "\n".join(f"- `dcgan-cupy learn start {e.number}`: {e.title}" for e in found)


def wrapped(text: str) -> str:
    """Its paragraphs in lines of at most 120; tables, lists and code as they are. No line begins with an operator."""
    made, fence = [], False
    for line in text.strip().splitlines():
        fence ^= line.startswith("```")
        if fence or len(line) <= WIDTH or line.startswith(("|", "```", "- ", "[")):
            made.append(line)
            continue
        line = re.sub(r" (?=[-*+=/·|] )", "\0", line)
        made += [
            part.replace("\0", " ")
            for part in textwrap.wrap(line, WIDTH, break_long_words=False, break_on_hyphens=False)
        ]
    return "\n".join(made)


def part(name: str) -> Part:
    """The part that a mark names."""
    if name.startswith("code "):
        return Part(name, lambda: excerpt(name.removeprefix("code ")))
    if name.startswith("exercises "):
        return Part(name, lambda: exercises(name.removeprefix("exercises ")))
    assert name in BLOCKS, f"no block {name!r}"
    return BLOCKS[name]


def files() -> list[Path]:
    return sorted(COURSE.glob("*.md"))


def marks(text: str) -> Iterator[tuple[str, str]]:
    """(name, body) of each block of a lesson."""
    for match in MARK.finditer(text):
        yield match["name"], match["body"]


def refreshed(text: str, wanted: Callable[[Part], bool]) -> str:
    """A lesson's text with every wanted block made again."""

    def again(match) -> str:
        made = part(match["name"])
        return f"<!-- made: {made.name} -->\n{wrapped(made.make())}\n<!-- end -->" if wanted(made) else match[0]

    return MARK.sub(again, text)
