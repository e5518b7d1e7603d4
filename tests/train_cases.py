"""What the tests of train share."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dcgan_cupy import train
from dcgan_cupy.cache import cache_root
from dcgan_cupy.trainer import Step

ROOT = Path(__file__).resolve().parents[1]


PHOTOS, BATCH = 9, 4  # an epoch is two steps


TINY = ("--image-size", "16", "--features-g", "8", "--features-d", "8", "--batch-size", str(BATCH), "--device", "cpu")


def kernels_of_the_cache(root: Path) -> None:
    """A cache of one's own, but for the compiled kernels: those lie where they always do."""
    root.mkdir(mode=0o700)
    for name in ("cpu", "zig"):
        (cache_root() / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        (root / name).symlink_to((cache_root() / name).resolve())


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """An empty working folder, with photos/ in it.

    Decoded images are kept beside it, compiled kernels where they always are.
    """
    cache, here = tmp_path / "cache", tmp_path / "here"
    kernels_of_the_cache(cache)
    monkeypatch.setenv("DCGAN_CUPY_CACHE", str(cache))
    (here / "photos").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for i in range(PHOTOS):
        Image.fromarray(rng.integers(0, 256, (20, 18, 3), dtype=np.uint8)).save(here / "photos" / f"{i}.png")
    monkeypatch.chdir(here)
    return here


@pytest.fixture
def command(capfd):
    """Runs the command here, in this process: command(*flags) -> (exit code, stdout, stderr)."""

    def run(*flags):
        capfd.readouterr()
        code = train.main(["--data", "photos", *TINY, *flags])
        return code, *capfd.readouterr()

    return run


def start(*flags, **environment) -> subprocess.Popen:
    """The command as a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "dcgan_cupy.train", "--data", "photos", *TINY, *flags],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )


def tree(folder: Path) -> dict:
    """Every file below a folder and its bytes."""
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def read_log(run) -> list[dict]:
    """The log's lines; each must be whole, finite and in its place."""
    text = (Path(run) / "log.jsonl").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert text.endswith("\n") and [line["step"] for line in lines] == list(range(1, len(lines) + 1))
    assert all(list(line) == ["step", "epoch", *Step._fields] for line in lines)
    assert all(math.isfinite(value) for line in lines for value in line.values())
    return lines


def write(path: str, content: bytes | str = b"") -> str:
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


def shown(flags) -> str:
    return " ".join(word if isinstance(word, str) else "FILE" for word in flags)[:40]
