"""Runs of several processes under mpirun: what they leave, and how they end."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("mpi4py")
ROOT = Path(__file__).resolve().parent.parent
MPIRUN = shutil.which("mpirun", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
pytestmark = pytest.mark.skipif(MPIRUN is None, reason="no mpirun is here")
SMALL = ["--image-size", "16", "--features-g", "4", "--features-d", "4", "--batch-size", "12", "--device", "cpu"]


def start(size, out, *flags, **variables):
    """A run of so many workers."""
    command = [MPIRUN, "-n", str(size), sys.executable, "-m", "dcgan_cupy.train", "--out", str(out), *flags]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **variables}
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def ended(process, seconds=240):
    """(exit code, what it printed, what it said of errors)."""
    try:
        out, err = process.communicate(timeout=seconds)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    return process.returncode, out, err


def numbers(out):
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def until(process, log, steps):
    """Waits until the log has so many steps."""
    end = time.monotonic() + 200
    while not log.exists() or len(log.read_text().splitlines()) < steps:
        assert process.poll() is None and time.monotonic() < end, process.communicate()
        time.sleep(0.05)


def pids(process):
    """Worker -> process, of a run that has told them."""
    line = next(line for line in iter(process.stdout.readline, "") if line.startswith("workers"))
    return [int(word.strip("(),")) for word in line.split() if word.startswith("(")]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """A run of one worker, 8 steps."""
    out = tmp_path_factory.mktemp("alone") / "run"
    code, _, err = ended(start(1, out, *SMALL, "--steps", "8", "--checkpoint-every", "4"))
    assert code == 0, err
    return out


def apart(run, other):
    """How far the losses of two runs are from each other."""
    fields = "loss_d", "loss_g", "d_real", "d_fake", "d_fake_after"
    mine, theirs = (np.array([[step[name] for name in fields] for step in numbers(out)]) for out in (run, other))
    assert mine.shape == theirs.shape
    return np.abs(mine - theirs).max()


@pytest.mark.parametrize("size", [2, 3])
def test_a_run_of_several_is_that_of_one(alone, tmp_path, size):
    for name in ("run", "again"):
        code, told, err = ended(start(size, tmp_path / name, *SMALL, "--steps", "8", "--checkpoint-every", "4"))
        assert code == 0 and not err, err
        assert told.count("\nnetworks ") == 1, "one worker talks"
        assert f"12 images, shared by {size} workers" in told
    assert 0 < apart(alone, tmp_path / "run") < 1e-6
    for file in ("log.jsonl", "samples/000008.png"):
        assert (tmp_path / "run" / file).read_bytes() == (tmp_path / "again" / file).read_bytes()
    assert json.loads((tmp_path / "run/settings.json").read_text())["used"]["workers"] == size


def test_resumed_by_another_number_of_workers(alone, tmp_path):
    out = tmp_path / "run"
    assert ended(start(2, out, *SMALL, "--steps", "4", "--checkpoint-every", "4"))[0] == 0
    code, _, err = ended(start(3, out, "--resume", "auto", "--steps", "8"))
    assert code == 0, err
    assert 0 < apart(alone, out) < 1e-6


def test_sigterm_to_the_launcher_saves(tmp_path):
    process = start(2, tmp_path / "run", *SMALL, "--steps", "100000", "--checkpoint-every", "90000")
    until(process, tmp_path / "run/log.jsonl", 3)
    process.send_signal(signal.SIGTERM)
    code, _, err = ended(process, 60)
    assert code == 143, err
    last = len(numbers(tmp_path / "run"))
    assert (tmp_path / f"run/checkpoints/{last:06d}/manifest.json").is_file()


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGSTOP])
def test_a_worker_that_dies_or_hangs_ends_the_job(tmp_path, sent):
    flags = "--steps", "100000", "--checkpoint-every", "2", "--worker-timeout", "3"
    process = start(2, tmp_path / "run", *SMALL, *flags)
    workers = pids(process)
    until(process, tmp_path / "run/log.jsonl", 5)
    os.kill(workers[1], sent)
    begun = time.monotonic()
    code, _, err = ended(process, 60)
    assert time.monotonic() - begun < 20 and code != 0
    if sent == signal.SIGSTOP:
        assert "worker 1: need an answer within 3 s (--worker-timeout), got none" in err
    code, _, err = ended(start(2, tmp_path / "run", "--resume", "auto", "--steps", str(len(numbers(tmp_path / "run")))))
    assert code == 0, err


@pytest.mark.parametrize(
    "flags, sentence",
    [
        (["--batch-size", "7"], "train: --batch-size: need a multiple of the 2 workers, got 7"),
        (["--image-size", "37"], "train: --image-size: need "),
        (["--nonsense"], "train: unrecognized arguments: --nonsense"),
        (["--data", "nowhere"], "data: "),
    ],
)
def test_what_is_refused_is_said_once(tmp_path, flags, sentence):
    code, _, err = ended(start(2, tmp_path / "run", *SMALL, *flags, "--steps", "2"))
    assert code == 2 and err.count(sentence[:20]) == 1 and sentence[:20] in err, err
    assert not (tmp_path / "run").exists()


def test_a_folder_that_only_the_first_looks_at(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/settings.json").write_text("{}")
    code, _, err = ended(start(2, tmp_path / "run", *SMALL, "--steps", "2"))
    assert code == 2 and err.count("train: --out") == 1, err


def test_torchrun_is_refused(tmp_path):
    variables = {"TORCHELASTIC_RUN_ID": "none", "WORLD_SIZE": "2", "RANK": "0"}
    command = [sys.executable, "-m", "dcgan_cupy.train", "--out", str(tmp_path / "run")]
    done = subprocess.run(command, env={**os.environ, **variables}, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2
    assert done.stderr == "train: torchrun: need MPI's launcher (mpirun -n 2 …), got torchrun, which brings no MPI\n"
