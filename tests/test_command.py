"""One command for all: dcgan-cupy, python -m dcgan_cupy."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from dcgan_cupy import __main__ as command
from dcgan_cupy import __version__

ROOT = Path(__file__).resolve().parent.parent


def test_help_names_every_command_and_loads_none():
    code = "import sys, dcgan_cupy.__main__ as m; m.main(['--help']); print('numpy' in sys.modules)"
    start = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and done.stdout.endswith("False\n") and time.monotonic() - start < 10
    for name in command.COMMANDS:
        assert f"\n  {name} " in done.stdout


@pytest.mark.parametrize("name", command.COMMANDS)
def test_every_command_refuses_an_unknown_flag_with_exit_code_2(name, capsys, monkeypatch):
    try:
        code = command.main([name, "--no-such-flag"])
    except SystemExit as end:  # argparse's own way
        code = end.code
    assert code == 2 and name in capsys.readouterr().err


def test_version_and_an_unknown_command(capsys):
    assert command.main(["--version"]) == 0 and capsys.readouterr().out == f"dcgan-cupy {__version__}\n"
    assert command.main(["trian"]) == 2
    assert capsys.readouterr().err.endswith("got 'trian'; train?\n")


@pytest.mark.parametrize(
    "line",
    ["train --resume LONG", "train --out LONG", "train --config LONG", "train --netG LONG", "sample LONG --out a.png",
     "export LONG --out a", "import LONG --out a", "runs show LONG"],
)  # fmt: skip
def test_a_name_too_long_is_wrong_use_in_one_sentence_that_ends(line, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert command.main(line.replace("LONG", "n" * 5000).split()) == 2
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1 and len(errors) < 1100 and not list(tmp_path.iterdir())
