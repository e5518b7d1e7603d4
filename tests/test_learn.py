"""Exercises: the hole fails, the solution passes, wrong solutions are told apart; and the command around them."""

import datetime
import importlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dcgan_cupy.learn import command
from dcgan_cupy.learn.exercises import exercises
from dcgan_cupy.learn.judge import judge
from dcgan_cupy.ops import own_rung

ROOT = Path(__file__).resolve().parent.parent
KNOWN = list(exercises().values())
PARTS = 6  # `make test` tries a sixth of the exercises, another one each day; `make long` tries all
TODAY = [e for i, e in enumerate(KNOWN) if i % PARTS == datetime.date.today().toordinal() % PARTS]


def some_today(name="exercise"):
    every = [pytest.param(e, id=e.number, marks=() if e in TODAY else pytest.mark.long) for e in KNOWN]
    return pytest.mark.parametrize(name, every)


def tried(exercise):
    """The module with WRONG solutions, and some RIGHT ones that are not ours."""
    sys.path.insert(0, str(ROOT / "tests"))
    return importlib.import_module(f"wrong_solutions.e{exercise.number}")


def verdict(exercise, text, folder, speed=False):
    path = folder / exercise.file_name
    path.write_text(text, encoding="utf-8")
    if exercise.rung:
        (folder / exercise.rung_name).write_text(exercise.rung.read_text(encoding="utf-8"), encoding="utf-8")
    return judge(exercise, path, speed=speed)


@some_today()
def test_the_hole_fails_and_the_solution_passes(exercise, tmp_path):
    assert not verdict(exercise, exercise.task(), tmp_path).solved
    found = verdict(exercise, exercise.solution(), tmp_path)
    assert found.solved, found.sentence


@some_today()
def test_wrong_solutions_are_told_apart(exercise, tmp_path):
    wrong, seen = tried(exercise).WRONG, set()
    assert len(wrong) >= 3
    for old, new, kind, part in wrong:
        text = exercise.solution()
        assert old in text, f"{old!r} is not in the solution"
        found = verdict(exercise, text.replace(old, new), tmp_path)
        assert (found.solved, found.kind) == (False, kind), (old, new, found)
        assert part in found.sentence, (old, new, found.sentence)
        assert len(found.sentence) < 400
        seen.add((found.kind, part))
    assert len(seen) >= 3


@some_today()
def test_other_right_solutions_pass(exercise, tmp_path):
    """A goal must not ask for our way of reaching it."""
    for edits in getattr(tried(exercise), "RIGHT", ()):
        text = exercise.solution()
        for old, new in edits:
            assert old in text, f"{old!r} is not in the solution"
            text = text.replace(old, new)
        found = verdict(exercise, text, tmp_path)
        assert found.solved, (edits, found.sentence)


@pytest.mark.parametrize("exercise", KNOWN, ids=lambda e: e.number)
def test_every_exercise_is_whole(exercise):
    """Cheap: what every file of it must have."""
    task, solution = exercise.task(), exercise.solution()
    assert "TODO" in task and "TODO" not in solution and "// <<<" not in task + solution
    assert task.startswith(f"// {exercise.number}  ") and 1 <= len(exercise.hints) <= 3
    assert max(map(len, exercise.text.splitlines())) <= 120
    assert exercise.kernel in exercise.specification() and "def reference(" in exercise.specification()
    compile(exercise.specification(), exercise.file_name, "exec")
    assert (ROOT / "tests" / "wrong_solutions" / f"e{exercise.number}.py").is_file()


def test_numbers_have_no_gap():
    assert [e.number for e in KNOWN] == [f"{i:02}" for i in range(1, len(KNOWN) + 1)]
    assert [e.lesson for e in KNOWN] == sorted(e.lesson for e in KNOWN)


# The command


def learn(capsys, *arguments):
    code = command.main(list(arguments))
    said = capsys.readouterr()
    return code, said.out, said.err


def test_from_start_to_solved(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, _ = learn(capsys, "start", "02")
    assert code == 0 and "learn/02_guard.cu" in out
    assert learn(capsys, "start", "2")[0] == 2  # never over the learner's work
    code, out, _ = learn(capsys, "check", "02")
    assert code == 1 and "not yet: 02_guard.cu:11: out-of-bounds" in out
    assert [learn(capsys, "hint", "02")[1].count("\n") for _ in range(4)] == [1, 2, 3, 3]
    path = Path("learn/02_guard.cu")
    path.write_text(exercises()["02"].solution())
    code, out, _ = learn(capsys, "check", "02", "--json")
    assert code == 0 and json.loads(out) == {
        "number": "02",
        "solved": True,
        "sentence": "solved",
        "kind": "",
        "line": None,
    }
    code, out, _ = learn(capsys)
    assert code == 0 and "✓ 02" in out and "1 of" in out and "next: dcgan-cupy learn start 01" in out
    rows = json.loads(learn(capsys, "--json")[1])
    assert [(r["state"], r["hints"]) for r in rows[:2]] == [("open", 0), ("solved", 3)]


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (["check"], "learn: check: need the number of an exercise, got none"),
        (["start", "99"], "learn: start: need the number of an exercise, 01 to "),
        (["check", "01"], "learn: check: need learn/01_add.cu, got no such file (dcgan-cupy learn start 01 writes it)"),
        (["solve", "01"], "learn: argument what: invalid choice"),
        (["list", "01"], "learn: list: need no number, got '01'"),
    ],
)
def test_wrong_use(tmp_path, capsys, monkeypatch, arguments, sentence):
    monkeypatch.chdir(tmp_path)
    code, _, err = learn(capsys, *arguments)
    assert code == 2 and err.startswith(sentence)


def test_a_damaged_progress_is_named(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("learn").mkdir()
    for text in ("{", "[1]", '{"01": 3}', "[" * 10000):
        Path("learn/progress.json").write_text(text)
        code, _, err = learn(capsys)
        assert code == 2 and err.startswith("learn: learn/progress.json: need ") and err.count("\n") == 1


@pytest.mark.parametrize(
    "text, kind, part",
    [
        ("", "compile", "need a kernel scale, got none of that name in 02_guard.cu"),
        ('extern "C" __global__ void scale(float* y) {}', "compile", "need the parameters of the task for scale"),
        ("while (true) x[0];", "fault", "has not ended within 0.5 s"),
    ],
    ids=["empty", "parameters", "endless"],
)
def test_files_that_cannot_be_judged(tmp_path, monkeypatch, text, kind, part):
    from dcgan_cupy.learn import judge as module

    monkeypatch.setattr(module, "SECONDS", 0.5)
    exercise = exercises()["02"]
    if text.startswith("while"):
        text = exercise.solution().replace("y[i] =", "while (x[i] < 100.0f) y[i] =")
    found = verdict(exercise, text, tmp_path)
    assert not found.solved and found.kind == kind and part in found.sentence


@pytest.mark.parametrize(
    "old, new, part",
    [
        (
            "ops.ceil_div(ow, 4) * oc",
            "(ow // 4) * oc",
            "33_my_rung.py: conv2d_forward: need the textbook's numbers, got y[",
        ),
        ("x, w, bias, y, *sizes", "x, w, None, y, *sizes", "conv2d_forward: need the textbook's numbers, got y["),
        (
            "x, w, bias, y, *sizes",
            "x, w, y, *sizes",
            "TypeError in 33_my_rung.py:21: conv2d_forward: arguments: need 17",
        ),
        ("def conv2d_forward", "def convolution", "need one of conv2d_forward, conv2d_backward_input"),
        ("33_own_rung.cu", "mine.cu", "need KERNELS, the name of its .cu file beside it, got 'mine.cu'"),
        ("BLOCK = 256", "BLOCK = ", "SyntaxError in 33_my_rung.py:12"),
    ],
)
def test_a_rung_is_judged_in_the_network_too(tmp_path, old, new, part):
    exercise = exercises()["33"]
    text = exercise.rung.read_text(encoding="utf-8")
    assert old in text
    (tmp_path / exercise.rung_name).write_text(text.replace(old, new), encoding="utf-8")
    path = tmp_path / exercise.file_name
    path.write_text(exercise.solution(), encoding="utf-8")
    found = judge(exercise, path)
    assert (found.solved, found.kind) == (False, "rung") and part in found.sentence, found
    assert found.sentence.startswith("the kernel is right by itself, but in the network: ")
    assert str(tmp_path) not in found.sentence and not own_rung.OWN


def test_start_gives_a_rung_and_keeps_the_learners(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "learn/33_my_rung.py" in learn(capsys, "start", "33")[1]
    rung = Path("learn/33_my_rung.py")
    assert rung.read_text(encoding="utf-8") == exercises()["33"].rung.read_text(encoding="utf-8")
    rung.unlink()
    Path("learn/33_own_rung.cu").write_text(exercises()["33"].solution())
    code, _, err = learn(capsys, "check", "33")
    assert code == 2 and err.startswith("learn: check: need learn/33_my_rung.py, got no such file")


def test_watch_judges_again(tmp_path):
    exercise = exercises()["02"]
    path = tmp_path / "learn" / exercise.file_name
    path.parent.mkdir()
    path.write_text(exercise.task())
    process = subprocess.Popen(
        [sys.executable, "-m", "dcgan_cupy", "learn", "check", "02", "--watch"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert "not yet" in process.stdout.readline()
        path.write_text(exercise.solution())
        assert process.stdout.readline().startswith("02: solved")
        process.send_signal(2)
        assert process.wait(30) == 0
    finally:
        process.kill()
        time.sleep(0)


def test_the_goal_of_speed_is_relative_to_the_solution(tmp_path, monkeypatch):
    import dataclasses

    exercise = dataclasses.replace(exercises()["02"], faster_than=1e-6)
    assert verdict(exercise, exercise.solution(), tmp_path, speed=True).solved
    found = verdict(dataclasses.replace(exercise, faster_than=1e6), exercise.solution(), tmp_path, speed=True)
    assert found.kind == "speed" and "of the reference solution's speed here, need" in found.sentence
