"""A GPU machine's own Python, with NumPy, Rich, Pillow, CuPy and pytest, and no network to install more."""

import os
import subprocess
import sys

import pytest
from device_cases import ROOT, python

ABSENT = ("simplejpeg", "hypothesis", "onnx", "onnxruntime", "lmdb", "platformdirs", "filelock", "safetensors", "torch")


@pytest.fixture
def bare(tmp_path):
    """An environment in which packages of the extras cannot be imported."""
    for name in ABSENT:
        (tmp_path / f"{name}.py").write_text(f"raise ModuleNotFoundError(\"No module named '{name}'\", name='{name}')")
    return {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}


def test_kernels_run_without_our_other_packages(bare):
    code = """
import numpy as np
from dcgan_cupy import ops
from dcgan_cupy.cache import cache_root
from dcgan_cupy.device import get
device = get("cpu", threads=1)
x = device.empty((5,))
ops.fill(device, x, 2.0)
print(x, cache_root())
"""
    done = python(code, **bare)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("[2. 2. 2. 2. 2.] /")
    assert done.stdout.endswith("/.cache/dcgan_cupy\n") or "DCGAN_CUPY_CACHE" in os.environ


def test_tests_that_need_more_are_skipped_and_the_others_run(bare):
    """One file that could not be imported stopped them all."""
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", "--collect-only"]
    files = ("test_pictures.py", "test_elementwise.py", "test_launching.py", "test_trainer.py", "test_bench.py")
    done = subprocess.run(
        [*command, *(f"tests/{name}" for name in files)],
        env={**os.environ, **bare, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "tests/test_elementwise.py: " in done.stdout and "tests/test_launching.py: " in done.stdout
    for name, package in (("pictures", "simplejpeg"), ("trainer", "torch"), ("bench", "torch")):
        assert f"tests/test_{name}.py:0: {package} is not installed" in done.stdout
