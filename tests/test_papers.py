"""The project's documents: lines that fit a screen, links that lead somewhere."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "kernels/README.md"])
LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")
pages = pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())


@pages
def test_documents_are_120_columns_wide(path):
    """Prose: a table's row is as wide as its cells, and what a command prints as wide as it is."""
    wide, fenced = [], False
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        fenced ^= line.startswith("```")
        if len(line) > 120 and not fenced and not line.startswith(("|", "    ")):
            wide.append(number)
    assert not wide, f"lines {wide}"


@pages
def test_links_lead_to_files_of_this_project(path):
    for target in LINK.findall(path.read_text(encoding="utf-8")):
        if not target.startswith(("http:", "https:", "mailto:")):
            place = (path.parent / target).resolve()
            assert place.is_relative_to(ROOT) and place.exists(), target
