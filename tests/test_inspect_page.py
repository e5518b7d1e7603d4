"""The page of --html: what the terminal says is there, and nothing is wider than a phone."""

import re
import shutil
import subprocess

import pytest

from dcgan_cupy.workbench import command, tables

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
TEXT = """#include <cstdio>
__global__ void shifted(const float* x, float* y, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] = x[(i + 1) % n];  // %s
    if (i == 0) printf("<said> by the kernel\\n");
}
"""


@pytest.fixture
def page(tmp_path, capsys):
    file, made = tmp_path / "a_long_name_that_no_phone_shows_in_one_line_of_its_screen.cu", tmp_path / "page.html"
    file.write_text(TEXT.replace("%s", "a comment that goes on and on " * 5))
    (tmp_path / "ref.py").write_text("def ref(x): return x\n")
    assert command.main([str(file), "--expect", f"{tmp_path}/ref.py:ref", "--html", str(made)]) == 1
    return made.read_text(encoding="utf-8"), capsys.readouterr().out


def test_the_page_says_what_the_terminal_says(page):
    text, out = page
    for words in ("proposed: ", "values: y[0] is ", "occupancy: ", "diverge"):
        assert words in text and words in out, words
    assert "a launch costs more" in text
    assert "&lt;said&gt; by the kernel" in text and "<said> by the kernel" in out


def test_what_nvrtc_would_add_is_said(monkeypatch):
    class Report:
        registers = None

    monkeypatch.setattr(tables.costs, "total", lambda r: dict.fromkeys(("sectors", "shared_requests"), 0) | ROOF)
    monkeypatch.setattr(tables.costs, "on_card", lambda r, gpu: dict.fromkeys(TIMES, 9.0) | {"bound": "memory"})
    said = tables.summary(Report(), "h200")
    assert "the registers of a thread are NVRTC's to count" in said[-1]


ROOF = {"compulsory_bytes": 8, "flops": 1, "intensity": 0.1}
TIMES = ("ridge", "roofline_us", "memory_us", "arithmetic_us", "uncached_us")


@pytest.mark.skipif(not CHROMIUM, reason="no Chromium on this machine")
def test_nothing_is_wider_than_a_phone(page, tmp_path):
    probe = "<script>document.title = 'wide ' + document.documentElement.scrollWidth</script></body>"
    (tmp_path / "page.html").write_text(page[0].replace("</body>", probe), encoding="utf-8")
    frame = '<iframe id="f" src="page.html" width="390" height="800"></iframe><p id="p"></p><script>'
    frame += "f.onload = () => p.textContent = f.contentDocument.title</script>"
    (tmp_path / "frame.html").write_text(frame)
    options = ("--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files")
    command_line = [CHROMIUM, *options, "--virtual-time-budget=5000", "--dump-dom", (tmp_path / "frame.html").as_uri()]
    done = subprocess.run(command_line, capture_output=True, text=True, timeout=120, check=False)
    assert int(re.search(r"wide (\d+)", done.stdout)[1]) <= 390, done.stdout[-500:]
