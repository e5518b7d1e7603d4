"""docs/course/step.html: what the script makes, whole in one file, and its arithmetic that of dcgan_cupy.reference.

The arithmetic runs in an engine from PyPI, so that no browser is needed; where there is a Chromium, the page itself is
opened too, 390 px wide.
"""

import json
import re
import shutil
import subprocess

import numpy as np
import pytest

from bench.course import stepper
from dcgan_cupy import reference

PAGE = stepper.OUT.read_text(encoding="utf-8")
WAYS = ("four steps", "gather", "phases")
KINDS = ("conv2d_forward", "conv2d_backward_input", "conv2d_backward_weight", "conv_transpose2d_forward")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def script(name: str) -> str:
    return re.search(rf'<script id="{name}">\n(.*?)</script>', PAGE, re.S)[1]


def engine(arithmetic: str):
    """A function that calls one of the page's: call("compute", kind, spec)."""
    import quickjs  # of the test extra; where it is missing, the browser's test still runs

    context = quickjs.Context()
    context.eval(arithmetic)
    return lambda name, *given: json.loads(context.eval(f"JSON.stringify({name}(...{json.dumps(given)}))"))


@pytest.fixture(scope="module")
def call():
    return engine(script("arithmetic"))


def drawn(kind: str, seed: int) -> tuple:
    """(H, W), kernel, stride, padding, output_padding: unlike along the axes; some strides are above the kernel."""
    rng = np.random.default_rng([KINDS.index(kind), seed])

    def pair(low, high):
        return tuple(int(v) for v in rng.choice(np.arange(low, high), 2, replace=False))

    return pair(1, 10), pair(1, 7), pair(1, 6), pair(0, 5), pair(0, 4) if kind == KINDS[3] else (0, 0)


def can_be(kind, hw, kernel, stride, padding, extra) -> bool:
    try:
        if kind == "conv_transpose2d_forward":
            reference.conv_transpose2d_output_size(hw, kernel, stride, padding, extra)
            return all(e < s for e, s in zip(extra, stride))  # the layer's rule; the reference leaves it open
        reference.conv2d_output_size(hw, kernel, stride, padding)
    except ValueError:
        return False
    return True


def possible(kind: str, count: int):
    """The first so many drawn sizes that can be."""
    return [sizes for sizes in (drawn(kind, seed) for seed in range(20 * count)) if can_be(kind, *sizes)][:count]


def test_page_is_what_the_script_makes():
    assert stepper.make() == PAGE, "python -m bench.course.stepper makes it again"


def test_command_writes_and_compares(tmp_path, capsys):
    out = tmp_path / "page.html"
    assert stepper.main(["--out", str(out), "--check"]) == 1 and "not what" in capsys.readouterr().out
    assert stepper.main(["--out", str(out)]) == 0 and out.read_text(encoding="utf-8") == PAGE
    assert stepper.main(["--out", str(out), "--check"]) == 0
    out.write_text(PAGE.replace("stride_h", "stride_w", 1), encoding="utf-8")
    assert stepper.main(["--out", str(out), "--check"]) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_arithmetic_equals_the_reference(call, kind):
    shapes = possible(kind, 40)
    assert len(shapes) == 40
    assert any(s > k for _, kernel, stride, *_ in shapes for s, k in zip(stride, kernel))
    assert any(p >= k for _, kernel, _, padding, _ in shapes for p, k in zip(padding, kernel))
    for seed, sizes in enumerate(shapes):
        spec = stepper.drawn_spec(np.random.default_rng(seed), kind, *sizes)
        want = stepper.answer(kind, spec)
        assert np.isfinite(want).all()
        for way in WAYS if kind == "conv_transpose2d_forward" else ("gather",):
            got = call("compute", kind, spec, way)
            assert got["shape"] == list(want.shape) and np.array_equal(got["values"], want), (sizes, way)


@pytest.mark.parametrize("kind", KINDS)
def test_taps_that_are_drawn_are_the_sum(call, kind):
    """The products of every thread's taps, as the page lists them, add up to the reference's numbers."""
    for seed, sizes in enumerate(possible(kind, 6)):
        spec = stepper.drawn_spec(np.random.default_rng(seed), kind, *sizes)
        for thread, want in np.ndenumerate(stepper.answer(kind, spec)):
            taps = call("tapsOf", kind, spec, thread)
            assert sum(t["product"] for t in taps) == taps[-1]["sum"] == want
            assert all(t["ok"] == (t["why"] == "") for t in taps)


@pytest.mark.parametrize("kind", KINDS)
def test_sizes_that_cannot_be_are_refused_in_a_sentence(call, kind):
    drawn_sizes = [drawn(kind, seed) for seed in range(120)]
    refused = 0
    for sizes in drawn_sizes:
        names = ("H", "W", "KH", "KW", "stride_h", "stride_w", "pad_h", "pad_w", "extra_h", "extra_w")
        said = call("refusal", kind, dict(zip(names, (n for pair in sizes for n in pair))))
        assert (said == "") == can_be(kind, *sizes), (sizes, said)
        assert not said or re.fullmatch(r"\w+: need .+, got -?\d+", said)
        refused += said != ""
    assert 10 <= refused <= 110
    assert "stride_h: need" in call("refusal", kind, {**stepper.cases()[0]["spec"], "stride_h": 0})


def test_ways_count_as_lesson_8_does(call):
    """8 x 8 to 16 x 16 by kernel 4, stride 2, padding 1: 900 of 4096 taps meet a number (08-answer)."""
    spec = stepper.drawn_spec(
        np.random.default_rng(0), "conv_transpose2d_forward", (8, 8), (4, 4), (2, 2), (1, 1), (0, 0)
    )
    total = {way: np.zeros(3, int) for way in WAYS}
    for thread in np.ndindex(16, 16):
        for way, counts in call("countWays", spec, thread, call("tapsOf", KINDS[3], spec, thread)).items():
            total[way] += np.array(counts, int)
    assert total["four steps"].tolist() == [4096, 4096, 3196]
    assert total["gather"].tolist() == [4096, 900, 0]
    assert total["phases"].tolist() == [1024, 900, 0]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("oh * s.stride_h - s.pad_h + kh", "oh * s.stride_h + kh"),
        ("place / stride < size", "place / stride <= size - 2"),
        ("kw += s.stride_w", "kw += 1"),
        ("kh += s.stride_h", "kh += 1"),
        ("w[w.length - 1 - r]", "w[r]"),
    ],
)
def test_page_says_when_its_arithmetic_is_wrong(call, old, new):
    cases = stepper.cases()
    assert call("selfTest", cases) == []
    text = script("arithmetic")
    assert old in text
    assert engine(text.replace(old, new))("selfTest", cases)


def test_page_needs_nothing_from_outside():
    assert not re.search(r"https?:|\bsrc=|<link|@import|\bimport\b|fetch\(|XMLHttp|url\(|WebSocket", PAGE)
    assert "prefers-color-scheme: dark" in PAGE and "prefers-reduced-motion" in PAGE and "width=device-width" in PAGE


def test_sources_are_120_columns_wide():
    for path in stepper.PARTS.iterdir():
        assert max(map(len, path.read_text(encoding="utf-8").splitlines())) <= 120, path.name


def test_excerpts_mark_the_lines_that_decide():
    for e in stepper.data()["excerpts"]:
        if "zeros" not in e["title"]:
            assert [len(e["marked"][why]) for why in ("row", "column", "")] == [1, 1, 1], e["file"]


# In a browser

DRIVE = """
const found = { errors: [] };
const frame = document.querySelector("iframe"), report = () => (document.title = JSON.stringify(found));
frame.addEventListener("load", () => {
  const w = frame.contentWindow, d = w.document, at = id => d.getElementById(id);
  const key = name => d.body.dispatchEvent(new w.KeyboardEvent("keydown", { key: name, bubbles: true }));
  const small = e => e.offsetParent && (e.offsetWidth < 40 || e.offsetHeight < 40);
  try {
    found.tested = at("tested").textContent;
    found.modes = [...d.querySelectorAll("[data-kind]")].map(b => b.dataset.kind).map(kind => {
      d.querySelector(`[data-kind=${kind}]`).click();
      const start = at("at-tap").textContent;
      for (let i = 0; i < 3; i++) key("ArrowRight");
      key("ArrowLeft");
      const tap = at("at-tap").textContent;
      at("terms").querySelector(".current").focus();
      key("ArrowRight");
      const focused = d.activeElement.className;
      key("ArrowDown");
      return { kind, start, tap, focused, thread: at("at-thread").textContent, lit: at("now").textContent,
        wide: d.documentElement.scrollWidth, small: [...d.querySelectorAll("button, input")].filter(small).length };
    });
    const kernel = at("size-K");
    d.querySelector("[data-size=O][data-by='1']").click();
    d.querySelector("[data-size=P][data-by='1']").click();
    d.querySelector("[data-size=P][data-by='1']").click();
    kernel.value = 1;
    kernel.dispatchEvent(new w.Event("input", { bubbles: true }));
    found.refusal = at("refusal").textContent;
    found.shown = at("work").offsetHeight;
    found.hook = typeof w.compute;
  } catch (e) { found.errors.push(String(e)); }
  report();
});
"""


@pytest.mark.skipif(not CHROMIUM, reason="no Chromium on this machine; the arithmetic is tested without")
def test_page_works_on_a_phone(tmp_path):
    words = PAGE.replace("&", "&amp;").replace('"', "&quot;")
    frame = f'<iframe srcdoc="{words}" style="border:0;width:390px;height:844px"></iframe>'
    (tmp_path / "phone.html").write_text(f"<meta charset=utf-8>{frame}<script>{DRIVE}</script>", encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    command = [CHROMIUM, *options, "--virtual-time-budget=5000", "--dump-dom", (tmp_path / "phone.html").as_uri()]
    out = subprocess.run(command, capture_output=True, text=True, timeout=120).stdout
    found = json.loads(re.search("<title>(.*?)</title>", out, re.S)[1])
    assert found["errors"] == [] and found["hook"] == "function"
    assert found["tested"].endswith(f"{len(stepper.CASES)} cases: equal.")
    assert [mode["kind"] for mode in found["modes"]] == list(KINDS)
    for mode in found["modes"]:
        assert mode["wide"] <= 390 and mode["small"] == 0, mode
        assert mode["start"].startswith("tap 1 of") and mode["tap"].startswith("tap 3 of"), mode
        assert "current" in mode["focused"], "the focus went with the term"
        assert mode["thread"].startswith("thread 1") and "sum" in mode["lit"], mode
    assert found["refusal"].count(".") == 1 and "need" in found["refusal"] and found["shown"] == 0
