"""Runs that end early and go on: the same bytes as those that never stopped; what is refused; signals."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

import pytest

from dcgan_cupy import train
from dcgan_cupy.runs import checkpoint

ROOT = Path(__file__).resolve().parent.parent
SMALL = (
    "--device", "cpu", "--image-size", "16", "--features-g", "4", "--features-d", "4", "--batch-size", "4",
    "--steps", "12", "--sample-every", "5", "--checkpoint-every", "1", "--data", "photos",
)  # fmt: skip
KILLS = int(os.environ.get("DCGAN_CUPY_KILLS", "6"))
TERMS = int(os.environ.get("DCGAN_CUPY_TERMS", "5"))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a few pictures, the working directory of the runs; and whole/, a run that nobody ended."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("resume")
    (folder / "photos").mkdir()
    draw = random.Random(3)
    for i in range(10):
        pixels = bytes(draw.randrange(256) for _ in range(20 * 18 * 3))
        Image.frombytes("RGB", (20, 18), pixels).save(folder / "photos" / f"{i}.png")
    done = start(folder, *SMALL, "--out", "whole")
    assert done.wait(600) == 0, done.stderr.read()
    return folder


def start(folder, *flags, **more) -> subprocess.Popen:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "DCGAN_CUPY_THREADS": "1", **more}
    command = [sys.executable, "-m", "dcgan_cupy.train", *flags]
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def finish(folder, *flags) -> subprocess.CompletedProcess:
    process = start(folder, *flags)
    out, errors = process.communicate(timeout=600)
    return subprocess.CompletedProcess(flags, process.returncode, out, errors)


def results(run: Path) -> dict[str, bytes]:
    """What two runs of the same settings have in common: log, samples, weights; and the last checkpoint's arrays."""
    paths = [run / "log.jsonl", *sorted((run / "samples").glob("*.png")), *sorted(run.glob("*.npz"))]
    last = checkpoint.found(run / "checkpoints")[0]
    return {str(p.relative_to(run)): p.read_bytes() for p in [*paths, last / checkpoint.STATE]}


def assert_same_run(run: Path, whole: Path) -> None:
    got, want = results(run), results(whole)
    assert set(got) == set(want)
    assert len(want) == 1 + 5 + 2 + 1
    for name, content in want.items():
        assert got[name] == content, name
    leftovers = [p for p in run.rglob(".*") if p.name != ".lock"]
    assert not leftovers


def wait_for(path: Path, process) -> None:
    end = time.monotonic() + 300
    while not path.exists():
        assert process.poll() is None and time.monotonic() < end, process.communicate()
        time.sleep(0.005)


def at_a_random_moment(place, run, draw, *flags, cache=None) -> subprocess.Popen:
    """The run, started or gone on with, up to a moment among its steps and saves, or (0.15) before them.

    cache: where kernels are compiled anew, so that most moments lie there; None: they are known.
    """
    process = start(place, *flags, **({"DCGAN_CUPY_CACHE": str(cache)} if cache else {}))
    known = [p.name for p in checkpoint.found(run / "checkpoints")]
    if cache:
        time.sleep(draw.uniform(0.5, 8.0))
    elif draw.random() < 0.85:
        end = time.monotonic() + 300
        while [p.name for p in checkpoint.found(run / "checkpoints")] == known and process.poll() is None:
            assert time.monotonic() < end
            time.sleep(0.002)
        time.sleep(draw.uniform(0, 0.05))
    else:
        time.sleep(draw.uniform(0.05, 1.0))
    return process


def test_killed_at_random_moments_the_run_comes_to_the_same_end(place):
    """SIGKILL again and again, --resume auto each time:

    No file half-written is taken, the end equals the whole run's.
    """
    draw, run, kills, ended = random.Random(11), place / "killed", 0, None
    flags = (*SMALL, "--out", "killed", "--resume", "auto")
    while kills < KILLS:
        if ended == 0:  # it was done before the kill came
            assert_same_run(run, place / "whole")
            shutil.rmtree(run)
        process = at_a_random_moment(place, run, draw, *flags)
        process.kill()
        process.communicate()
        kills, ended = kills + 1, process.returncode
        for path in checkpoint.found(run / "checkpoints"):
            checkpoint.look(path)  # whole, each of them
    done = finish(place, *flags)
    assert done.returncode == 0, done.stderr
    assert_same_run(run, place / "whole")


def ended_by_sigterm(place, name: str, seed: int, count: int) -> dict[str, int]:
    """SIGTERM again and again, --resume auto each time. Returns how many came when.

    Nothing at all is lost: the log's last step is the newest checkpoint's, which the next part says it goes on from.
    """
    draw, run, moments = random.Random(seed), place / name, {"before": 0, "compile": 0, "steps": 0, "end": 0}
    flags, step = (*SMALL, "--out", name, "--resume", "auto"), 0
    for i in range(count):
        cache = place / f"{name}-cache-{i}" if i % 10 == 3 else None
        process = at_a_random_moment(place, run, draw, *flags, cache=cache)
        process.terminate()
        out, errors = process.communicate(timeout=300)
        assert not errors, errors
        if f"from step {step} on" not in out:
            assert not step or "results" not in out, out  # it went on from there, or had not got so far
        last = checkpoint.newest(run / "checkpoints")
        now = last.step if last else 0
        log = run / "log.jsonl"
        assert len(log.read_bytes().splitlines()) == now if log.exists() else now == 0
        if process.returncode == -signal.SIGTERM:  # Python itself was starting or ending: a shell says 143
            assert now in (step, 12), (step, now)
        else:  # the signal came while the last files were written: done is done
            assert process.returncode == 143 or (process.returncode, now) == (0, 12), process.returncode
        moments["end" if now == 12 else "compile" if cache else "steps" if now > step else "before"] += 1
        step = now
        if step == 12 and draw.random() < 0.7:
            if process.returncode == 0:
                assert_same_run(run, place / "whole")
            shutil.rmtree(run)
            step = 0
    done = finish(place, *flags)
    assert done.returncode == 0, done.stderr
    assert_same_run(run, place / "whole")
    return moments


def test_ended_by_sigterm_nothing_is_lost(place):
    """Other moments each day, so that many are tried."""
    ended_by_sigterm(place, "ended", date.today().toordinal(), TERMS)


@pytest.mark.long
def test_ended_by_fifty_sigterms_nothing_is_lost(place):
    moments = ended_by_sigterm(place, "fifty", 7, 50)
    assert min(moments.values()) > 0, moments
    print(moments)


def test_what_killed_writes_left_is_gone_with_the_next_run(run, tmp_path):
    """And nothing else: a hidden file of the user's stays."""
    folder = tmp_path / "whole"
    left = [folder / f".{name}.4711" for name in ("generator.npz", "settings.json", "timing.json", "loss.png")]
    left.append(folder / "samples" / ".000010.png")
    for path in (*left, folder / ".notes.txt"):
        path.write_bytes(b"half")
    assert run("--resume", "whole", "--steps", "13") == (0, "")
    assert not [path for path in left if path.exists()] and (folder / ".notes.txt").exists()


@pytest.mark.parametrize("number, code", [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)])
def test_a_signal_saves_and_leaves(place, number, code):
    run = place / f"signal-{code}"
    process = start(place, *SMALL, "--out", run.name, "--steps", "100000", "--sample-every", "5")
    wait_for(run / "checkpoints" / "000002", process)
    process.send_signal(number)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == code and not errors
    last = checkpoint.newest(run / "checkpoints")
    lines = (run / "log.jsonl").read_bytes().splitlines()
    assert json.loads(lines[-1])["step"] == last.step == len(lines)  # nothing at all is lost
    steps = str(max(12, last.step + 3))
    assert finish(place, "--resume", run.name, "--steps", steps).returncode == 0
    assert finish(place, *SMALL, "--out", f"{run.name}-whole", "--steps", steps).returncode == 0
    assert results(run) == results(place / f"{run.name}-whole")


def test_usr1_saves_and_goes_on(place):
    process = start(
        place, *SMALL, "--out", "usr1", "--steps", "100000", "--checkpoint-every", "90000", "--sample-every", "1"
    )
    wait_for(place / "usr1" / "samples" / "000003.png", process)
    process.send_signal(signal.SIGUSR1)
    end = time.monotonic() + 60
    while not checkpoint.found(place / "usr1" / "checkpoints"):
        assert time.monotonic() < end and process.poll() is None
        time.sleep(0.01)
    step = checkpoint.newest(place / "usr1" / "checkpoints").step
    wait_for(place / "usr1" / "samples" / f"{step + 3:06d}.png", process)
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 143


@pytest.fixture
def run(place, tmp_path, monkeypatch, capfd):
    """A copy of the whole run in the working directory, and the command on it: (exit code, stderr)."""
    shutil.copytree(place / "photos", tmp_path / "photos")
    shutil.copytree(place / "whole", tmp_path / "whole")
    monkeypatch.chdir(tmp_path)

    def command(*flags):
        code = train.main(list(flags))
        return code, capfd.readouterr().err

    return command


def test_other_settings_are_named(run):
    code, errors = run("--resume", "whole", "--batch-size", "8", "--lr", "0.001", "--steps", "20")
    assert code == 2 and errors.count("\n") == 1
    assert "--batch-size 8 (there: 4), --lr 0.001 (there: 0.0002)" in errors and "--steps" not in errors


def test_fewer_steps_than_done(run):
    code, errors = run("--resume", "whole", "--steps", "11")
    assert code == 2 and "train: --steps: need at least the 12 that" in errors


def test_an_older_checkpoint_goes_on_in_a_new_run_only(run, tmp_path, place):
    code, errors = run("--resume", "whole/checkpoints/000010")
    assert code == 2 and "need the newest checkpoint of its run (000012), got 000010" in errors
    code, errors = run("--resume", "whole/checkpoints/000010", "--out", "branch")
    assert code == 0, errors
    for name in ("log.jsonl", "generator.npz", "discriminator.npz", "samples/000012.png"):
        assert (tmp_path / "branch" / name).read_bytes() == (place / "whole" / name).read_bytes()


def test_more_steps_equal_a_run_that_had_them_from_the_start(run, tmp_path, place):
    assert run("--resume", "whole", "--steps", "15")[0] == 0
    code, errors = run(*SMALL, "--out", "longer", "--steps", "15")
    assert code == 0, errors
    got, want = results(tmp_path / "whole"), results(tmp_path / "longer")
    del got["samples/000012.png"]  # the last one of the shorter run
    assert got == want


def test_other_images_are_refused(run, tmp_path):
    (tmp_path / "photos" / "3.png").write_bytes((tmp_path / "photos" / "4.png").read_bytes())
    code, errors = run("--resume", "whole", "--steps", "15")
    assert code == 2 and "need the images that whole/checkpoints/000012 was trained on, got others" in errors


@pytest.mark.parametrize(
    "flags, message",
    [
        (("--resume", "auto"), "train: --resume: need --out beside auto"),
        (("--resume", "nowhere"), "need a run's folder, a checkpoint or auto, got 'nowhere'"),
        (("--resume", "photos"), "need a run with a whole checkpoint, got 'photos'"),
        (("--config", "nowhere.json"), "train: --config: need the settings.json of a run, got nowhere.json"),
        (("--config", "photos/1.png"), "train: --config: need the settings.json of a run"),
    ],
)
def test_wrong_use_is_one_sentence(run, flags, message):
    code, errors = run(*flags)
    assert code == 2 and message in errors and errors.count("\n") == 1


def test_settings_are_read_back(run, tmp_path):
    code, errors = run("--config", "whole/settings.json", "--out", "again")
    assert code == 0, errors
    assert results(tmp_path / "again") == results(tmp_path / "whole")
    used = json.loads((tmp_path / "again" / "settings.json").read_text())["used"]
    assert used["device"] == "cpu" and used["kernels"] == "best" and used["versions"]["numpy"]


def test_two_runs_never_share_a_folder(place):
    """Started at once, with one --out: one runs, the other is told."""
    both = [start(place, *SMALL, "--out", "shared") for _ in range(2)]
    ends = sorted((process.wait(600), process.communicate()[1]) for process in both)
    assert [code for code, _ in ends] == [0, 2]
    assert "train: --out: need a folder" in ends[1][1]
    assert_same_run(place / "shared", place / "whole")
