"""inspect --watch: again whenever the file changes, and what became better or worse."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dcgan_cupy.workbench import watch
from dcgan_cupy.workbench.watch import Seen, against

ROOT = Path(__file__).resolve().parent.parent
TEXT = """__global__ void k(const float* x, float* y, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] = x[i];
}
"""


@pytest.fixture
def watched(tmp_path):
    """Starts inspect --watch --json on a file k.cu; a function that writes a text and reads the run's document."""
    path, started = tmp_path / "k.cu", []

    def write(text, *more):
        path.write_text(text)
        if not started:
            arguments = ("--arg", "x=f32[1000]", "--arg", "y=f32[1000]", "--arg", "n=1000", *more)
            command = [sys.executable, "-m", "dcgan_cupy.inspect", f"{path}:k", "--grid", "4", "--block", "256"]
            started.append(
                subprocess.Popen(
                    [*command, *arguments, "--json", "--watch"],
                    env={**os.environ, "PYTHONPATH": str(ROOT)},
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
        return started[0]

    yield write
    for process in started:
        process.kill()
        process.communicate()


def test_a_changed_file_is_run_again_and_held_against_the_last_run(watched):
    process = watched(TEXT)
    assert "against_the_last_run" not in json.loads(process.stdout.readline())
    watched(TEXT.replace("x[i]", "x[i * 8 % n]"))
    said = json.loads(process.stdout.readline())["against_the_last_run"]
    assert [c["change"] for c in said if c["sentence"].startswith("sectors")] == ["worse"], said
    watched(TEXT.replace("i < n", "i <= n"))
    said = [(c["change"], c["sentence"]) for c in json.loads(process.stdout.readline())["against_the_last_run"]]
    assert ("worse", "out-of-bounds at line 3 is new") in said and said[-1][0] == "other", said
    watched(TEXT.replace("i < n", "i < "))
    assert "compile" in process.stderr.readline()
    watched("\n" + TEXT)
    said = [(c["change"], c["sentence"]) for c in json.loads(process.stdout.readline())["against_the_last_run"]]
    assert ("better", "out-of-bounds at line 3 is gone") in said, said
    process.send_signal(2)
    assert process.wait(30) == 0


def test_an_included_file_is_watched(watched, tmp_path):
    (tmp_path / "less.h").write_text("#define LESS <\n")
    process = watched('#include "less.h"\n' + TEXT.replace("i < n", "i LESS n"))
    assert json.loads(process.stdout.readline())["findings"] == []
    (tmp_path / "less.h").write_text("#define LESS <=\n")
    assert [f["kind"] for f in json.loads(process.stdout.readline())["findings"]] == ["out-of-bounds"] * 2
    process.send_signal(2)
    assert process.wait(30) == 1


COUNTS = dict.fromkeys(watch.COMPARED, 10)


@pytest.mark.parametrize(
    "before, now, said",
    [
        (
            Seen(("1",), True, {}, COUNTS),
            Seen(("1",), True, {}, {**COUNTS, "bank_conflicts": 0}),
            "better extra passes",
        ),
        (Seen(("1",), True, {}, COUNTS), Seen(("2",), True, {}, COUNTS), "other the launch is another one"),
        (Seen(("1",), True, {}, COUNTS), Seen(("1",), False, {}, COUNTS), "worse the launch does not come to its end"),
        (Seen(("1",), True, {("race", "a", "x"): 4}), Seen(("1",), False), "other race at line 4 was not reached"),
        (Seen(("1",), True, wrong={"y": 3}), Seen(("2",), True, wrong={"y": 0}), "better wrong elements of y: 3 -> 0"),
        (Seen(("1",), True, {}, COUNTS, {}, 2.0), Seen(("1",), True, {}, COUNTS, {}, 1.0), "better roofline: 2 -> 1"),
    ],
)
def test_what_became_better_or_worse(before, now, said):
    assert any(" ".join(c).startswith(said) for c in against(before, now)), against(before, now)
