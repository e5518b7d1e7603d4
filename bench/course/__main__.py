"""python -m bench.course [--check] [--quick] [--only PATTERN]: the course's pictures, page and measurements, made anew.

--check compares in place of writing; what depends on the machine or its clock is left out. Exit code 1: some differ.
"""

import argparse
import re
import sys
from pathlib import Path

from . import lessons, stepper  # noqa: F401  (registers every part)
from .marks import COURSE, IMAGES, PAGES, PICTURES, ROOT, Part, files, marks, part, refreshed, wrapped


def whole_files() -> dict[Path, Part]:
    """The files of which every letter is made."""
    pictures = {IMAGES / f"{name}.svg": made for name, made in PICTURES.items()}
    return pictures | {COURSE / name: made for name, made in PAGES.items()}


def different(wanted) -> list[str]:
    """Names of the wanted parts that are not what the script makes."""
    names = []
    for path, made in whole_files().items():
        if wanted(made) and not (path.is_file() and path.read_text(encoding="utf-8") == made.make()):
            names.append(path.relative_to(COURSE).as_posix())
    for path in files():
        for name, body in marks(path.read_text(encoding="utf-8")):
            made = part(name)
            if wanted(made) and body.strip() != wrapped(made.make()):
                names.append(f"{path.name}: {name}")
    return names


def write(wanted) -> list[Path]:
    """Makes the wanted parts; the files that changed."""
    changed = []
    for path, made in whole_files().items():
        if wanted(made):
            changed += _put(path, made.make())
    for path in files():
        changed += _put(path, refreshed(path.read_text(encoding="utf-8"), wanted))
    return changed


def _put(path: Path, text: str) -> list[Path]:
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return []
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return [path]


def main(arguments=None) -> int:
    p = argparse.ArgumentParser(prog="python -m bench.course", description=__doc__.split("\n")[0])
    p.add_argument("--check", action="store_true", help="compare, write nothing")
    p.add_argument("--quick", action="store_true", help="leave out what takes long")
    p.add_argument("--only", default="", metavar="PATTERN", help="parts whose name matches")
    given = p.parse_args(arguments)

    def wanted(made: Part) -> bool:
        return (
            bool(re.search(given.only, made.name))
            and not (given.quick and made.slow)
            and not (given.check and not made.fixed)
        )

    if given.check:
        names = different(wanted)
        print("\n".join(names) if names else "the course is what the script makes")
        return 1 if names else 0
    for path in write(wanted):
        print(path.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
