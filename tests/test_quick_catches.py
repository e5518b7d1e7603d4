"""Twenty faults, one at a time, planted in kernels, layers and the trainer: `make quick` catches at least eighteen."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LEAST = 18

# (file, what stands there, what is put in its place)
FAULTS = [
    ("kernels/elementwise.cu", "y[i] += x[i]", "y[i] = x[i]"),
    ("kernels/include/activation.cuh", "return y > 0.0f ? d : s * d;", "return y < 0.0f ? d : s * d;"),
    ("kernels/include/activation.cuh", "return dy * (1.0f - y * y);", "return dy * (1.0f - y);"),
    ("kernels/losses.cu", "gradient[i] = scale * (p - t) / n;", "gradient[i] = (p - t) / n;"),
    ("kernels/adam.cu", "float v_new = beta2 * v[i] + one_minus_beta2 * (g * g);", "float v_new = beta2 * v[i];"),
    ("kernels/images.cu", "flip[n] ? W - 1 - col : col", "flip[n] ? W - col : col"),
    ("kernels/batchnorm/fused.cu", "m2 / (rows - 1) - running_var[c]", "m2 / rows - running_var[c]"),
    ("kernels/batchnorm/fused.cu", "(float)(beta[c] - ", "(float)(beta[c] + "),
    ("kernels/conv2d/forward_1_textbook.cu", "* stride_h", "* stride_w"),
    ("kernels/conv2d/backward_input_1_textbook.cu", "up % stride_h != 0", "up % stride_w != 0"),
    ("kernels/conv2d/forward_4_tiled.cu", "last < W", "last <= W"),
    ("kernels/include/gemm_tile.cuh", "ty + i * (BM / TM)", "ty * TM + i"),
    ("kernels/include/winograd.cuh", "m[1][c][v] -= m[2][c][v];", "m[1][c][v] += m[2][c][v];"),
    ("kernels/include/gpu/mover.cuh", "now = (now + 1) % BUFFERS", "now = now"),
    ("dcgan_cupy/layers/batchnorm.py", "if param_grads or training:", "if param_grads:"),
    (
        "dcgan_cupy/layers/fusion.py",
        "dx = self.activation.gradient(self._take_saved(), dy)",
        "self._take_saved(); dx = dy",
    ),
    ("dcgan_cupy/layers/base.py", "input_grad or i > 0", "input_grad"),
    ("dcgan_cupy/memory.py", "mine.turn = 1 - turn", "mine.turn = turn"),
    ("dcgan_cupy/trainer.py", "        d.zero_grads()\n", ""),
    ("dcgan_cupy/trainer.py", "scale=-1.0", "scale=1.0"),
]


def planted(folder: Path, file: str, old: str, new: str) -> None:
    text = (ROOT / file).read_text(encoding="utf-8")
    (folder / file).write_text(faulty(text, old, new), encoding="utf-8")


def faulty(text: str, old: str, new: str) -> str:
    """The text with its first `old` replaced, headers left alone. Raises: AssertionError if there is none."""
    header = re.match(r"(?://.*\n)*", text)[0]
    assert old in text[len(header) :], f"no {old!r}: mend the fault"
    return header + text[len(header) :].replace(old, new, 1)


def quick(folder: Path) -> subprocess.CompletedProcess:
    names = [line.partition("#")[0].strip() for line in (ROOT / "tests/quick.txt").read_text().splitlines()]
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-x",
        "-p",
        "no:cacheprovider",
        "-k",
        "not stand-in",
        *filter(None, names),
    ]
    command[4:4] = ["-n", "2", "--dist", "worksteal"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_XDIST")}
    environment |= {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=1200)


@pytest.mark.long
def test_quick_catches_planted_faults(tmp_path):
    for name in ("dcgan_cupy", "kernels", "tests", "bench", "docs"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in (*ROOT.glob("*.md"), ROOT / "pyproject.toml", ROOT / "Makefile", ROOT / "LICENSE"):
        shutil.copy(path, tmp_path)
    clean = quick(tmp_path)
    assert clean.returncode == 0, clean.stdout[-3000:]
    missed = []
    for file, old, new in FAULTS:
        planted(tmp_path, file, old, new)
        if quick(tmp_path).returncode == 0:
            missed.append(f"{file}: {old!r} -> {new!r}")
        shutil.copy(ROOT / file, tmp_path / file)
    assert len(FAULTS) == 20 and len(FAULTS) - len(missed) >= LEAST, "\n".join(missed)


def test_the_faults_can_be_planted():
    for file, old, new in FAULTS:
        text = (ROOT / file).read_text(encoding="utf-8")
        assert faulty(text, old, new) != text, f"{file}: {old!r}"
