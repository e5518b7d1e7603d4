"""Locales: files are UTF-8 whatever the system says, and a terminal of ASCII or Latin-1 is no reason to fail."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from dcgan_cupy.cache import cache_root

ROOT = Path(__file__).resolve().parent.parent
MODULES = sorted((ROOT / "dcgan_cupy").rglob("*.py"))
COMMANDS = ("train", "sample", "walk", "runs", "data", "inspect")
NARROW = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def text_without_encoding(path):
    """Lines that read or write text as the locale has it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        given = {keyword.arg: keyword.value for keyword in node.keywords}
        if "encoding" in given:
            continue
        if (name == "read_text" and not node.args) or name == "write_text":
            yield node.lineno
        if name == "open" and isinstance(node.func, ast.Name):
            mode = node.args[1] if len(node.args) > 1 else given.get("mode")
            modes = [part.value for part in ast.walk(mode) if isinstance(part, ast.Constant)] if mode else []
            if not any(isinstance(part, str) and "b" in part for part in modes):
                yield node.lineno
        if name in ("run", "Popen", "check_output") and any(k in given for k in ("text", "universal_newlines")):
            yield node.lineno


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_text_is_read_and_written_as_utf_8(path):
    assert not list(text_without_encoding(path))


def test_the_look_at_encodings_sees_what_it_should(tmp_path):
    path = tmp_path / "a.py"
    path.write_text(
        'p.read_text()\np.write_text(t)\nopen(f)\nopen(f, "w")\nrun(c, text=True)\n'
        'open(f, "rb")\nopen(f, encoding="utf-8")\np.read_text(encoding="utf-8")\nrun(c)\narchive.open(n)\n'
    )
    assert list(text_without_encoding(path)) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", None])
@pytest.mark.parametrize("name", COMMANDS)
def test_help_in_a_narrow_terminal(name, encoding):
    """None: what Python takes from LC_ALL=C, in which nothing but ASCII can be written."""
    env = {**NARROW, "PATH": "/usr/bin:/bin", **({"PYTHONIOENCODING": encoding} if encoding else {})}
    command = [sys.executable, "-m", f"dcgan_cupy.{name}", "--help"]
    done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, timeout=120)
    assert done.returncode == 0 and b"usage:" in done.stdout and b"Traceback" not in done.stderr, done.stderr[-500:]
    done.stdout.decode(encoding or "ascii")


def test_a_refusal_in_a_narrow_terminal(tmp_path):
    env = {**NARROW, "PATH": "/usr/bin:/bin", "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "dcgan_cupy.train", "--data", f"{tmp_path}/größe", "--device", "cpu"]
    done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, timeout=120)
    assert done.returncode == 2 and done.stderr.count(b"\n") == 1, done.stderr[-500:]


def test_a_kernel_is_compiled_in_a_narrow_locale(tmp_path):
    """Its text holds what is no ASCII, and so does the path of the cache."""
    file = tmp_path / "k.cu"
    file.write_text('extern "C" __global__ void one(float* x) { x[threadIdx.x] = 1.0f; }   // größer als Σ\n', "utf-8")
    code = """
import sys, numpy as np
from dcgan_cupy.device import CpuDevice
x = np.zeros(4, np.float32)
CpuDevice(threads=1).kernel(sys.argv[1], "one")(1, 4, x)
print(x.tolist())
"""
    zig = {f"ZIG_{kind}_CACHE_DIR": str(cache_root() / "zig") for kind in ("GLOBAL", "LOCAL")}  # seconds to fill
    env = {**NARROW, **zig, "PATH": "/usr/bin:/bin", "DCGAN_CUPY_CACHE": f"{tmp_path}/caché"}
    done = subprocess.run(
        [sys.executable, "-c", code, str(file)], env=env, cwd=ROOT, capture_output=True, encoding="utf-8", timeout=300
    )
    assert done.stdout == "[1.0, 1.0, 1.0, 1.0]\n", done.stderr[-1000:]
