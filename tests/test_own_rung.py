"""--kernels my_rung.py: a rung of the user's own, compared with the textbook, then trained with."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from helpers import assert_equal, integers
from train_cases import command, place  # noqa: F401

from dcgan_cupy import ops
from dcgan_cupy.device import CpuDevice
from dcgan_cupy.errors import UserError
from dcgan_cupy.ops import own_rung
from dcgan_cupy.ops.compare_rung import compare

EXAMPLE = Path(__file__).resolve().parent.parent / "docs" / "course" / "my_rung.py"
RUN = ("--steps", "4", "--out", "run")

BACKWARD = """
def conv2d_backward_input(dev, dy, w, bias, dx, stride, padding):
    ops.conv2d_backward_input(dev, dy, w, bias, dx, stride, padding, "phases")


def conv2d_backward_weight(dev, x, dy, dw, stride, padding):
    ops.conv2d_backward_weight(dev, x, dy, dw, stride, padding, "shared")
"""


@pytest.fixture(autouse=True)
def none_left():
    own_rung.OWN.clear()
    yield
    own_rung.OWN.clear()


@pytest.fixture
def mine(tmp_path):
    """mine(old, new, more): the example, changed, in a folder of its own; the path of my_rung.py."""

    def write(old="", new="", more=""):
        for path in (EXAMPLE, EXAMPLE.with_suffix(".cu")):
            text = path.read_text(encoding="utf-8")
            (tmp_path / path.name).write_text(text.replace(old, new) if old else text, encoding="utf-8")
        file = tmp_path / EXAMPLE.name
        file.write_text(file.read_text(encoding="utf-8") + more, encoding="utf-8")
        return str(file)

    return write


def test_the_documented_rung_equals_the_textbook(device, rng):
    rung = own_rung.load(str(EXAMPLE))
    compare(device, rung)
    x, w = device.array(integers(rng, (2, 7, 5, 6))), device.array(integers(rng, (3, 2, 6, 9)))
    y, want = (device.array(np.full((2, 3, 4, 9), np.nan, np.float32)) for _ in range(2))
    ops.conv2d_forward(device, x, w, None, y, (2, 1), (0, 0), rung)
    ops.conv2d_forward(device, x, w, None, want, (2, 1), (0, 0), "textbook")
    assert_equal(device.numpy(y), device.numpy(want))


def test_it_trains_and_is_resumed_when_named_again(command, mine):
    """The whole network by the user's functions: the same as by the rungs that they call."""
    file = mine(more=BACKWARD)
    code, _, err = command(*RUN, "--kernels", file)
    assert code == 0, err
    assert json.loads(Path("run/settings.json").read_text())["kernels"] == file
    own_rung.OWN.clear()
    code, _, err = command("--resume", "run", "--steps", "6")
    assert code == 2 and f"need --kernels {file} as a flag: a file is run only where one names it" in err
    assert command("--resume", "run", "--steps", "6", "--kernels", file)[0] == 0


def test_a_checkpoint_does_not_run_a_file(command, mine, tmp_path):
    from dcgan_cupy import sample

    file = mine()
    assert command(*RUN, "--kernels", file)[0] == 0
    own_rung.OWN.clear()
    Path(file).write_text(f"open({str(tmp_path / 'owned')!r}, 'w')")
    assert command("--resume", "run", "--steps", "6")[0] == 2
    assert command("--config", "run/settings.json", "--out", "other")[0] == 2
    assert sample.main(["run", "-n", "1", "--out", "one.png"]) == 0  # by the device's own rung
    assert not (tmp_path / "owned").exists()


WRONG = {  # what is replaced, what by, more text, the sentence
    "another tap": (
        "- pad_h + kh", "- pad_h + KH - 1 - kh", "",
        r"--kernels: my_rung\.py: conv2d_forward: need the textbook's numbers, got y\[0, 0, 0, 0\] = ",
    ),
    "no tail": ("min(4, OC - oc0)", "4", "", "conv2d_forward: need writes to y alone, got one"),
    "python": ("y.size // y", "y.size / z", "", r"--kernels: conv2d_forward: NameError in my_rung\.py:\d+: name 'z'"),
    "syntax": ("def conv2d_forward", "def conv2d forward", "", r"need a Python file that runs, got SyntaxError in my"),
    "no kernels": ('KERNELS = "my_rung.cu"', "KERNELS = 3", "", "need KERNELS, the name of its .cu file"),
    "no function": ("conv2d_forward(dev", "forward(dev", "", "need one of conv2d_forward, conv2d_backward_input"),
    "compile": ("float sum[4]", "floot sum[4]", "", r"my_rung\.cu:18: compile: "),
    "unwritten": ("y[((n * OH", "if (n) y[((n * OH", "", r"got y\[0, 0, 0, 0\] = nan"),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_wrong_rungs_are_refused_before_anything_trains(command, mine, what):
    old, new, more, sentence = WRONG[what]
    code, _, err = command(*RUN, "--kernels", mine(old, new, more))
    assert code == 2 and err.count("\n") == 1
    assert re.search(sentence, err), err
    assert not Path("run").exists()


def test_files_that_are_none(command):
    for path, sentence in (
        ("none.py", "--kernels: none.py: need a Python file, got none of that name"),
        ("rung.txt", "train: --kernels: need one of textbook, direct, "),
    ):
        code, _, err = command(*RUN, "--kernels", path)
        assert code == 2 and sentence in err.replace(str(Path.cwd()) + "/", "")


def test_a_rung_that_was_not_loaded_is_unknown():
    dev = CpuDevice(threads=1)
    a = dev.zeros((1, 1, 1, 1))
    with pytest.raises(UserError, match=r"need --kernels /x/my_rung\.py as a flag"):
        ops.conv2d_forward(dev, a, a, None, dev.zeros((1, 1, 1, 1)), (1, 1), (0, 0), "/x/my_rung.py")
