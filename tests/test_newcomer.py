"""The script of docs/runs.md, from start to end, as written there but for the sizes: a newcomer's first hour."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TINY = " --image-size 16 --features-g 8 --features-d 8 --batch-size 4 --device cpu"


def blocks() -> dict[str, str]:
    """The section's two blocks, by language."""
    section = (ROOT / "docs/runs.md").read_text(encoding="utf-8").split("## From start to end")[1].split("\n## ")[0]
    return dict(re.findall(r"^```(sh|python)\n(.*?)^```", section, flags=re.M | re.S))


@pytest.mark.skipif(not Path("/bin/bash").exists(), reason="needs bash")
def test_the_script_runs_as_written(tmp_path):
    pytest.importorskip("torch")
    script = blocks()["sh"].replace("dcgan-cupy train", "dcgan-cupy train" + TINY)
    script = script.replace("dcgan-cupy ", f"{sys.executable} -m dcgan_cupy ").replace("sleep 20", "sleep 6")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["/bin/bash", "-e", "-c", "set +e\n" + script.replace("wait\n", "wait\nset -e\n", 1)],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "Traceback" not in done.stderr
    assert len(list((tmp_path / "images").glob("*.png"))) == 500
    assert (tmp_path / "walk.gif").read_bytes()[:3] == b"GIF"
    log = (tmp_path / "runs/mine/log.jsonl").read_text().splitlines()
    assert len(log) == 40
    told = subprocess.run(
        [sys.executable, "-c", blocks()["python"]],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip
    assert re.fullmatch(r"\d+ tensors, \d+ numbers\n", told.stdout)
