"""Checkpoints that are damaged, foreign or made to do harm: each refused in one sentence, exit code 2.

Nothing in one is executed, nothing that exists is written over, memory stays bounded.
"""

import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import hostile_checkpoints as hostile
import pytest
from hostile_checkpoints import CASES, FILES, attempt, mutated, sampled, taken
from travel_cases import command, refused, tree  # noqa: F401

from dcgan_cupy import train
from dcgan_cupy.errors import UserError
from dcgan_cupy.runs import checkpoint

FLAGS = (
    "--device", "cpu", "--dataset", "fake", "--image-size", "16", "--features-g", "2", "--features-d", "2",
    "--batch-size", "4", "--z-dim", "5", "--steps", "3", "--checkpoint-every", "1",
)  # fmt: skip
SECONDS = float(os.environ.get("DCGAN_CUPY_FUZZ_SECONDS", "600"))


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A run with three checkpoints. Not to be written to."""
    folder = tmp_path_factory.mktemp("hostile") / "good"
    assert train.main([*FLAGS, "--out", str(folder)]) == 0
    return folder


def same(got: dict, want: dict) -> bool:
    return set(got) == set(want) and all((got[name] == want[name]).all() for name in want)


def test_there_are_many_cases():
    assert len(CASES) >= 200


@pytest.mark.parametrize("name", CASES)
def test_refused(good, tmp_path, monkeypatch, name):
    """By train --resume always. By sample too, or it finds the very networks: Adam's moments are none of its affair."""
    monkeypatch.chdir(tmp_path)
    got = attempt(CASES[name], good, tmp_path / "work")
    assert isinstance(got, UserError), f"taken: {name}"
    before = tree_of(tmp_path / "work")
    other = attempt(CASES[name], good, tmp_path / "work", sampled)
    if not isinstance(other, UserError):
        want = sampled(good / "checkpoints" / "000003")
        assert all(same(other[part], want[part]) for part in want)
    assert tree_of(tmp_path / "work") == before and sorted(p.name for p in tmp_path.iterdir()) == ["work"]


def tree_of(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_good_ones_are_taken(good, tmp_path):
    assert not isinstance(attempt(lambda folder: None, good, tmp_path / "work"), UserError)
    assert not isinstance(attempt(hostile.resum, good, tmp_path / "work"), UserError)


def test_memory_is_bounded(good, tmp_path):
    """All cases in a process that may have 256 MiB more than it has; it takes less than 64."""
    shutil.copytree(good, tmp_path / "good")
    script = [sys.executable, hostile.__file__, str(tmp_path), "256"]
    environment = {**os.environ, "PYTHONPATH": str(Path(hostile.__file__).resolve().parents[1])}
    done = subprocess.run(script, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and not done.stderr, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert found["refused"] == len(CASES) and found["grown_mib"] < 64, found


SHOWN = ("header of 2^63", "features for all the memory", "a name that climbs", "another step than its folder",
         "state.safetensors bit 0.5263", "arrays are a pipe", "a setting of a megabyte", "not a number",
         "the other network", "a log below 0")  # fmt: skip


@pytest.mark.parametrize("name", SHOWN)
def test_the_command_refuses(good, tmp_path, monkeypatch, command, name):
    """The run stays as it is, byte for byte, and so does what lies beside it."""
    monkeypatch.chdir(tmp_path)
    attempt(CASES[name], good, tmp_path / "work")
    before = files_of(tmp_path)
    for arguments in (("--resume", "work/checkpoints/000003"), ("--resume", "work/checkpoints/000003", "--out", "new")):
        code, _, errors = command("train", *arguments)
        assert code == 2 and errors.count("\n") == 1 and len(errors) < 700 and "Traceback" not in errors, errors
    assert files_of(tmp_path) == before


def files_of(folder: Path) -> dict:
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file() and path.name != ".lock"}


@pytest.mark.parametrize(
    "name", ["state.safetensors bit 0.5263", "state.json cut to 0.5", "no manifest", "a wrong sum"]
)
def test_auto_passes_damage_over(good, tmp_path, monkeypatch, command, name):
    """With a note; and the run comes to the same end."""
    monkeypatch.chdir(tmp_path)
    attempt(CASES[name], good, tmp_path / "work")
    code, out, errors = command("train", *FLAGS, "--out", "work", "--resume", "auto")
    assert code == 0 and not errors
    assert "taking the one before it" in out and "from step 2 on" in out
    for file in ("log.jsonl", "generator.npz", "samples/000003.png", "checkpoints/000003/state.safetensors"):
        assert (tmp_path / "work" / file).read_bytes() == (good / file).read_bytes(), file


def test_as_a_process(good, tmp_path):
    """Exit code 2, and nothing but a sentence."""
    attempt(CASES["header of a gigabyte"], good, tmp_path / "work")
    line = [sys.executable, "-m", "dcgan_cupy", "train", "--resume", str(tmp_path / "work/checkpoints/000003")]
    environment = {**os.environ, "PYTHONPATH": str(Path(hostile.__file__).resolve().parents[1])}
    done = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and len(done.stderr) < 700, done.stderr
    assert f"{checkpoint.STATE}: need a safetensors file" in done.stderr


def test_a_run_goes_on_where_it_lies(good, tmp_path, monkeypatch, command):
    """Not where its settings say that it lay: that is another's folder, or harm."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "log.jsonl").write_text("mine")
    attempt(hostile.settings(out=str(tmp_path / "elsewhere")), good, tmp_path / "work")
    code, _, errors = command("train", "--resume", "work", "--steps", "4")
    assert code == 0, errors
    assert os.listdir(tmp_path / "elsewhere") == ["log.jsonl"]
    assert (tmp_path / "elsewhere" / "log.jsonl").read_text() == "mine"
    assert (tmp_path / "work" / "checkpoints" / "000004").is_dir()


def test_no_run_begins_inside_a_checkpoint(good, tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    attempt(lambda folder: None, good, tmp_path / "work")
    before = tree(tmp_path)
    refused(
        command("train", "--resume", "work", "--steps", "4", "--out", "work/checkpoints/000003"),
        "train: --out: need a folder for a run, got a checkpoint: work/checkpoints/000003",
    )
    assert tree(tmp_path) == before


def test_a_log_that_is_a_link_is_left_alone(good, tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    attempt(lambda folder: None, good, tmp_path / "work")
    (tmp_path / "victim").write_text("mine" * 1000)
    (tmp_path / "work" / "log.jsonl").unlink()
    (tmp_path / "work" / "log.jsonl").symlink_to(tmp_path / "victim")
    refused(command("train", "--resume", "work", "--steps", "4"), "need a plain file, got a link")
    assert (tmp_path / "victim").read_text() == "mine" * 1000


def test_a_log_longer_than_it_is(good, tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    for length in (10**6, 2**62, 2**70):
        attempt(hostile.facts(lambda f, length=length: {**f, "log_bytes": length}), good, tmp_path / "work")
        for more in ((), ("--out", "new")):
            result = command("train", "--resume", "work/checkpoints/000003", "--steps", "4", *more)
            refused(result, "bytes")
        assert not (tmp_path / "new").exists()


def fuzz(good, place, seed: int, end: float) -> dict[str, int]:
    """Random changes until then (monotonic): what became of them.

    Taken are those alone that hold the very numbers of the good one, or other numbers where the sums were made right.
    """
    draw, counts = random.Random(seed), {"refused": 0, "the same": 0, "other numbers": 0}
    newest, work = good / "checkpoints" / "000003", place / "work"
    shutil.copytree(good, work)
    want, names = taken(newest), sampled(newest)
    while time.monotonic() < end:
        for name in FILES:
            shutil.copyfile(newest / name, work / "checkpoints" / "000003" / name)
        change, right = mutated(draw)
        change(work / "checkpoints" / "000003")
        for run, there in ((taken, want), (sampled, names)):
            try:
                got = run(work / "checkpoints" / "000003")
            except UserError as error:
                hostile.sentence(error)
                kind = "refused"
            except BaseException:
                print(f"seed {seed}, the files are in {work}")
                raise
            else:
                kind = "the same" if equal(got, there) else "other numbers"
            assert right or kind != "other numbers", f"seed {seed}, the files are in {work}"
            counts[kind] += 1
    return counts


def equal(got: dict, want: dict) -> bool:
    parts = [(got.get(part), value) for part, value in want.items()]
    return set(got) == set(want) and all(same(g, w) if isinstance(w, dict) else (g == w).all() for g, w in parts)


def test_random_damage(good, tmp_path):
    counts = fuzz(good, tmp_path, 1, time.monotonic() + 3)
    assert counts["refused"] > 50


@pytest.mark.long
def test_random_damage_for_long(good, tmp_path):
    """DCGAN_CUPY_FUZZ_SECONDS: how long."""
    seed = random.randrange(1 << 30)
    print(f"\nseed {seed}: {fuzz(good, tmp_path, seed, time.monotonic() + SECONDS)}")
