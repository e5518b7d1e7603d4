"""The course: every lesson has its parts, and every picture and measured block is what the script makes."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench.course import __main__ as command
from bench.course import lessons
from bench.course.marks import BLOCKS, COURSE, IMAGES, PICTURES, marks, part, refreshed, wrapped

SLUGS = (
    "01-threads",
    "02-guard",
    "03-coalescing",
    "04-reductions",
    "05-losses",
    "06-batchnorm",
    "07-convolution",
    "08-transposed",
    "09-shared-tile",
    "10-register-tile",
    "11-pipeline",
    "12-winograd",
    "13-split-sums",
    "14-tensor-cores",
    "15-whole-step",
    "16-a-gan-that-trains",
)
PARTS = ["The idea", "The formula", "The picture", "The code", "What the workbench says", "Predict", "Exercises"]
PAGES = sorted(COURSE.glob("*.md"))
LESSONS = [COURSE / f"{slug}.md" for slug in SLUGS]
FENCE = re.compile(r"^```.*?^```\n", re.M | re.S)
REMEDY = "python -m bench.course makes them again; then read what changed"
by_name = {"ids": lambda path: path.stem}


def test_every_lesson_is_there():
    assert {p.stem for p in PAGES} == {*SLUGS, "README", "rungs"}
    contents = (COURSE / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"\]\((\d\d-[\w-]+)\.md\)", contents) == list(SLUGS)


@pytest.mark.parametrize("path", LESSONS, **by_name)
def test_lesson_has_its_parts_in_order(path):
    text = path.read_text(encoding="utf-8")
    assert [h for h in re.findall(r"^## (.+)$", FENCE.sub("", text), re.M) if h in PARTS] == PARTS
    sections = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", FENCE.sub("", text), re.M | re.S))
    assert re.search(r"^    \S", sections["The formula"], re.M), "need a formula, set off by four spaces"
    assert re.search(r"!\[[^]]{20,}\]\(images/", sections["The picture"]), "need a picture with a text in its place"
    question, _, answer = sections["Predict"].partition("<details>")
    assert "rite" in question and "?" in question, "need a question that asks to write the prediction down"
    number = path.name[:2]
    assert f"<!-- made: {number}-answer -->" in answer and answer.rstrip().endswith("</details>")
    assert re.search(r"\d", answer.split("-->", 1)[1])
    assert f"<!-- made: exercises {path.stem} -->" in sections["Exercises"]


@pytest.mark.parametrize("path", PAGES, **by_name)
def test_page_can_be_read_anywhere(path):
    text = path.read_text(encoding="utf-8")
    for line in FENCE.sub("", text).splitlines():
        assert len(line) <= 120 or line.startswith("|"), line
    assert text.count("<!-- made:") == text.count("<!-- end -->") == len(list(marks(text)))
    assert text.count("<details>") == text.count("</details>")


@pytest.mark.parametrize("path", PAGES, **by_name)
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", FENCE.sub("", path.read_text(encoding="utf-8"))):
        assert target.startswith("http") or (path.parent / target).exists(), target


def test_every_picture_is_made_and_shown():
    shown = {name for p in PAGES for name in re.findall(r"\]\(images/([\w-]+)\.svg\)", p.read_text(encoding="utf-8"))}
    assert shown == set(PICTURES) == {p.stem for p in IMAGES.iterdir()}


def test_every_block_is_shown():
    shown = {name for p in PAGES for name, _ in marks(p.read_text(encoding="utf-8"))}
    assert set(BLOCKS) <= shown


@pytest.mark.parametrize("path", sorted(IMAGES.glob("*.svg")), **by_name)
def test_picture_fits_a_phone_and_a_dark_page(path):
    text = path.read_text(encoding="utf-8")
    root = ElementTree.fromstring(text)
    _, _, width, height = map(float, root.get("viewBox").split())
    assert width == 400 and "prefers-color-scheme:dark" in text and "currentColor" in text
    assert root.find("{*}title").text
    for element in root.iter():  # nothing lies outside, nothing has a colour of its own
        assert not {"fill", "stroke", "style"} & set(element.keys())
        for x in ("x", "x1", "x2"):
            assert 0 <= float(element.get(x, 0)) <= width
        for y in ("y", "y1", "y2"):
            assert 0 <= float(element.get(y, 0)) <= height
        assert float(element.get("font-size", 11)) >= 7


def _different(wanted):
    return command.different(lambda made: made.fixed and wanted(made))


def test_what_is_quickly_made_is_what_the_pages_show():
    assert _different(lambda made: not made.slow) == [], REMEDY


@pytest.mark.long
def test_what_is_slowly_made_is_what_the_pages_show():
    assert _different(lambda made: made.slow) == [], REMEDY


def test_a_changed_number_is_found(tmp_path, monkeypatch):
    page = (COURSE / "03-coalescing.md").read_text(encoding="utf-8")
    assert "| 8 | 32 |" in page
    (tmp_path / "03-coalescing.md").write_text(page.replace("| 8 | 32 |", "| 8 | 31 |"), encoding="utf-8")
    monkeypatch.setattr(command, "files", lambda: [tmp_path / "03-coalescing.md"])
    assert command.different(lambda made: made.name == "03-strides") == ["03-coalescing.md: 03-strides"]


def test_refreshing_changes_nothing_but_the_block():
    text = "before\n<!-- made: 03-answer -->\nold\n<!-- end -->\nafter\n"
    made = wrapped(part("03-answer").make())
    assert refreshed(text, lambda _: True) == f"before\n<!-- made: 03-answer -->\n{made}\n<!-- end -->\nafter\n"
    assert refreshed(text, lambda _: False) == text


def test_no_wrapped_line_begins_with_an_operator():
    text = " ".join(["a * b + c = d - e / f"] * 40)
    for line in wrapped(text).splitlines():
        assert len(line) <= 120 and not re.match(r"[-*+=/] ", line)
    assert wrapped(text).replace("\n", " ") == text


def test_check_names_what_differs(capsys, monkeypatch):
    assert command.main(["--check", "--only", "^03-strides$"]) == 0
    monkeypatch.setattr(command, "different", lambda wanted: ["images/x.svg"])
    assert command.main(["--check"]) == 1 and "x.svg" in capsys.readouterr().out


def test_sources_are_short():
    for path in Path(lessons.__file__).parent.parent.rglob("*.py"):
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 400, path
