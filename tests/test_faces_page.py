"""export --page: the page's kernels, run by wasmtime, draw what the CPU device draws; its script is held by an engine.

Where there is a Chromium the page itself is opened, 390 px wide.
"""

import html
import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from page_cases import Wasm, facts_of, part
from travel_cases import Gs, command, done, lively, refused  # noqa: F401

from dcgan_cupy.config import Config
from dcgan_cupy.device import RecorderDevice, get, source
from dcgan_cupy.device.wasm import module
from dcgan_cupy.errors import UserError
from dcgan_cupy.networks import generator
from dcgan_cupy.runs import page as pages
from dcgan_cupy.runs.model import Model, Sampler, latents
from dcgan_cupy.walk import path

pytestmark = pytest.mark.any_size

NEAR = 1e-5
"""Of numbers in [-1, 1]: six layers of float32 sums in another order."""

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

MODELS = {
    "32": {"image_size": 32},
    "odd": {"image_size": "24x40", "features_g": 5, "z_dim": 13},
    "grey": {"image_size": 28, "channels": 1},
    "example": {"image_size": 32, "network": "example", "z": "normal"},
    "by class": {"image_size": 16, "conditional": True, "n_classes": 3},
}
"""Sizes, rectangles, widths that no vector divides, one channel, no biases, a normal prior, labels."""


def model_of(folder: Path, name: str) -> Model:
    settings = {"device": "cpu", "features_g": 6, "z_dim": 12, **MODELS[name]}
    config = Config(**settings)
    with np.load(lively(folder / "g.npz", generator(config, RecorderDevice("cpu")))) as file:
        return Model(config, dict(file), name, ("red", "<b>green</b>", "blue") if config.n_classes else ())


def device_images(model: Model, z: np.ndarray, labels=None) -> np.ndarray:
    """float32 [n, h, w, c] by the CPU device, in its fastest rung."""
    dev = get("cpu")
    sampler = Sampler(model, dev, len(z))
    dev.upload(sampler.z, z.reshape(sampler.z.shape))
    if labels is not None:
        dev.upload(sampler.labels, labels)
    return dev.numpy(sampler.g.given(sampler.labels).forward(sampler.z, training=False))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """name, half -> (model, page), each made once."""
    kept = {}

    def make(name, half=False):
        if (name, half) not in kept:
            model = model_of(tmp_path_factory.mktemp("page"), name)
            kept[name, half] = model, pages.html("test", model, get("cpu"), half)[0]
        return kept[name, half]

    return make


@pytest.mark.parametrize("name", MODELS)
def test_images_are_those_of_the_cpu_device(made, name):
    model, page = made(name)
    wasm, n = Wasm(page), 6
    z = next(latents(model, get("cpu"), n, seed=3))
    labels = np.arange(n, dtype=np.int32) % 3 if model.config.n_classes else None
    want = device_images(model, z, labels)
    assert np.isfinite(want).all() and want.std() > 0.1
    got = wasm.images(z, labels)
    assert got.shape == want.shape and np.abs(got - want).max() <= NEAR
    places, values = wasm.facts["check"]["places"], wasm.facts["check"]["values"]
    wasm.run(wasm.drawn(0))
    assert np.abs(wasm.made().ravel()[places] - values).max() <= NEAR


@pytest.mark.parametrize("name", ["32", "odd", "example"])
def test_seeds_draw_the_latent_vectors_of_sample(made, name):
    """To the bit: random.cu fixes every rounding."""
    model, page = made(name)
    wasm = Wasm(page)
    for seed in (0, 1, 77, 2**53 - 1):
        want = next(latents(model, get("cpu"), 1, seed))[0]
        assert np.isfinite(want).all() and want.std() > 0.2
        assert (wasm.drawn(seed) == want).all()


def test_float16_says_what_it_costs(made):
    model, whole = made("32")
    _, page = made("32", True)
    rounded = pages.rounded(model)
    z = next(latents(model, get("cpu"), pages.TRIED, 0))
    far = np.abs(device_images(rounded, z) - device_images(model, z)).max()
    assert 1e-5 < far < 0.05 and facts_of(page)["half"] == pytest.approx(far, rel=1e-3)
    assert np.abs(Wasm(page).images(z) - device_images(rounded, z)).max() <= NEAR
    convolutions = sum(a.size for a in model.weights.values() if a.ndim == 4)
    assert abs(len(whole) - len(page) - 8 / 3 * convolutions) < 200
    loud = replace(model, weights={name: 1e6 * a for name, a in model.weights.items()})
    with pytest.raises(UserError, match="test: --half: need weights up to 65504 for float16, got"):
        pages.need_page("test", loud, True)


def test_a_silenced_channel_is_missing(made):
    """What machine.js does for a channel set to 0 is a launch more, or less, for no other: the layers can be cut."""
    _, page = made("32")
    wasm = Wasm(page)
    z = wasm.drawn(5)
    wasm.run(z)
    whole, relu = wasm.made().copy(), wasm.made(2).copy()
    assert wasm.facts["stages"][2]["name"] == "ReLU" and relu.min() == 0 < relu.max()
    channel = int(relu.sum((0, 1)).argmax())
    relu[..., channel] = 0
    wasm.write(wasm.facts["stages"][2]["at"], relu)
    for stage in wasm.facts["stages"][3:]:
        for step in stage["launches"]:
            wasm.launch(step)
    assert np.abs(wasm.made() - whole).max() > 0.01


@pytest.mark.parametrize("name", MODELS)
def test_stages_are_the_generators_layers(made, name):
    facts = facts_of(made(name)[1])
    k = len(facts["stages"]) // 3
    stage = ["transposed", "batch", "ReLU"]
    assert [s["name"].removeprefix("label's maps, ").split(" ")[0] for s in facts["stages"]] == (
        [*stage * k, "transposed", "tanh"]
    )
    assert ("label's maps" in facts["stages"][0]["name"]) == (name == "by class")
    assert facts["stages"][-1]["shape"] == facts["size"] and all(s["launches"] for s in facts["stages"])


def test_no_kernel_with_a_barrier_becomes_webassembly():
    with pytest.raises(UserError, match=r"need a kernel without barriers, got conv2d/forward_2_shared\.cu"):
        module("test", [("conv2d/forward_2_shared.cu", "conv2d_forward", (("BM", 16), ("BN", 16), ("BK", 16)))])


def test_texts_are_the_kernels_own(made):
    facts = facts_of(made("by class")[1])
    assert set(facts["types"]) == set(facts["files"]) >= {"conv2d_backward_input", "batchnorm_forward", "relu_forward",
                                                          "tanh_forward", "random_uniform"}  # fmt: skip
    for file, text in facts["texts"].items():
        assert text == (source.KERNELS.parent / file).read_text(encoding="utf-8")


def test_directions_move_the_first_layer_most(made):
    """Of all unit vectors: none of a thousand moves what the first batch norm makes more than the first direction."""
    wasm = Wasm(made("32")[1])
    along, shares = np.array(wasm.facts["directions"]), wasm.facts["shares"]
    assert np.allclose(along @ along.T, np.eye(len(along)), atol=1e-4)
    assert shares == sorted(shares, reverse=True) and 0 < sum(shares) <= 1

    def moved(d):
        wasm.run(np.zeros(12))
        still = wasm.made(1).copy()
        wasm.run(d)
        return float(np.square(wasm.made(1) - still).sum())

    drawn = np.random.default_rng(0).standard_normal((1000, 12))
    others = [moved(d / np.linalg.norm(d)) for d in drawn[:100]]
    moves = [moved(d) for d in along]
    assert moves == sorted(moves, reverse=True) and moves[0] > max(others)
    assert moves[0] / sum(moved(d) for d in np.eye(12)) == pytest.approx(shares[0], rel=0.01)


# The script, without a document


def engine(page: str):
    """A function that calls one of machine.js: call("between", a, b, t, prior)."""
    import quickjs

    context = quickjs.Context()
    context.eval(part(page, "machine"))
    return lambda name, *given: json.loads(context.eval(f"JSON.stringify({name}(...{json.dumps(given)}))"))


@pytest.fixture(scope="module")
def call(made):
    return engine(made("32")[1])


@pytest.mark.parametrize("prior, kind", [("uniform", "linear"), ("normal", "spherical")])
def test_way_between_is_that_of_walk(call, prior, kind):
    a, b = np.random.default_rng(1).standard_normal((2, 100)).astype(np.float32)
    want = path(np.stack([a, b]), 8, kind, loop=False)
    got = np.array([call("between", a.tolist(), b.tolist(), i / 8, prior) for i in range(9)])
    assert np.abs(got - want).max() < 1e-6
    assert np.allclose(call("between", a.tolist(), a.tolist(), 0.3, prior), a)


def test_halves_are_numpys(call):
    bits = np.concatenate([np.arange(0, 65536, 7), [0x8000, 0x3FF, 0x400, 0x7BFF, 0xFBFF]]).astype(np.uint16)
    bits = bits[np.isfinite(bits.view(np.float16))]
    assert [call("ofHalf", int(b)) for b in bits] == bits.view(np.float16).astype(float).tolist()


def test_moves_add_up(call):
    z, own, along = [0.5, -1.0], [0.25, 0], [2, -1]
    got = call("moved", z, {"narrow": 0.5, "along": along, "own": own}, [[1, 0], [0.5, 2]])
    assert got == [0.5 * 0.5 + 2 - 0.5 + 0.25, -0.5 - 2]


# The command


def test_command_writes_one_file(command, made, tmp_path):
    model, page = made("odd")
    np.savez(tmp_path / "g.npz", **model.weights)
    out = done(command("export", tmp_path / "g.npz", "--page", tmp_path / "faces.html"))
    text = (tmp_path / "faces.html").read_text(encoding="utf-8")
    assert out.startswith(f"{tmp_path / 'g.npz'}: {tmp_path / 'faces.html'}, 0.") and "24 x 40 px" in out, out
    assert {p.name for p in tmp_path.iterdir()} == {"g.npz", "faces.html"}
    same = ("module", "weights", "machine", "drawing")
    assert [part(text, name) for name in same] == [part(page, name) for name in same]
    refused(command("export", tmp_path / "g.npz", "--page", tmp_path / "faces.html"), "need a name that is free, got")
    done(command("export", tmp_path / "g.npz", "--page", tmp_path / "faces.html", "--force", "--half"))
    assert (tmp_path / "faces.html").stat().st_size < len(text)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["g.npz", "--page", "p.png"], "export: --page: need a name that ends in .html, got p.png"),
        (["g.npz", "--page", "no/p.html"], "export: --page: need a name in a folder that exists, got no/p.html"),
        (["g.npz", "--page", "there.html"], "export: --page: need a name that is free, got there.html"),
        (["g.npz", "--page", "there.html", "--force"], "export: --page: need a file's name, got there.html, a folder"),
        (["g.npz", "--page", "p.html", "--out", "o"], "export: argument --out: not allowed with argument --page"),
        (["g.npz", "--page", "p.html", "--to", "onnx"], "export: --to: need none beside --page"),
        (["g.npz", "--page", "p.html", "--names", "seeds"], "export: --names: need none beside --page"),
        (["g.npz", "--page", "p.html", "--only", "discriminator"], "export: --only: need generator or generator_ema"),
        (["g.npz", "--page", "p.html", "--only", "generator_ema"], "need a run with averaged weights (train --ema)"),
        (["d.npz", "--page", "p.html"], "export: RUN: need the weights of a generator, got those of discriminator"),
        (["none", "--page", "p.html"], "export: RUN: need a run, a checkpoint or a file of weights, got 'none'"),
        (["g.npz", "--half", "--out", "o"], "export: --half: need --page, whose weights it rounds, got none"),
    ],
)
def test_wrong_use_is_one_sentence_before_anything_slow(command, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("dcgan_cupy.export.html", lambda *_: pytest.fail("too late"))
    (tmp_path / "there.html").mkdir()
    settings = Config(device="cpu", features_g=4, features_d=4, z_dim=12, image_size=16)
    lively(tmp_path / "g.npz", generator(settings, RecorderDevice("cpu")))
    from dcgan_cupy.networks import discriminator

    lively(tmp_path / "d.npz", discriminator(settings, RecorderDevice("cpu")))
    before = sorted(tmp_path.rglob("*"))
    refused(command("export", *arguments), message)
    assert sorted(tmp_path.rglob("*")) == before


def test_what_no_browser_holds_is_refused(made, monkeypatch):
    model, _ = made("32")
    monkeypatch.setattr(pages, "LARGEST", 0.01)
    with pytest.raises(UserError, match=r"need a generator whose page has at most 0.01 MB, got .* MB of 32; --half"):
        pages.need_page("test", model, False)


def test_without_the_wheel_one_sentence(made, monkeypatch):
    monkeypatch.setattr("dcgan_cupy.device.wasm.build.wheel", lambda: None)
    with pytest.raises(UserError, match="test: need the clang of the ziglang wheel, which compiles for WebAssembly"):
        pages.need_page("test", made("32")[0], False)


def test_page_needs_nothing_from_outside(made):
    _, page = made("by class")
    own = re.sub(r'(<script[^>]* id="(facts|module|weights)">).*?(</script>)', r"\1\3", page, flags=re.S)
    assert not re.search(r"https?:|\bsrc=|<link|@import|\bimport\b|fetch\(|XMLHttp|url\(|WebSocket", own)
    assert "prefers-color-scheme: dark" in own and "prefers-reduced-motion" in own and "width=device-width" in own
    assert "<" not in part(page, "facts") and "<b>green</b>" in facts_of(page)["classes"]
    for file in pages.HERE.glob("*.*"):
        if file.suffix in (".js", ".css", ".html"):
            assert max(map(len, file.read_text(encoding="utf-8").splitlines())) <= 120, file.name


# In a browser

AT_ONCE = "requestAnimationFrame = work => setTimeout(() => work(performance.now()), 1); setInterval(Boolean, 20);"
"""No screen asks for frames there; and with nothing to do its clock would run on while the module is compiled."""

DRIVE = """
const found = { errors: [] };
const frame = document.querySelector("iframe"), report = () => (document.title = JSON.stringify(found));
const later = ms => new Promise(done => setTimeout(done, ms));
frame.addEventListener("load", async () => {
  const w = frame.contentWindow, d = w.document, at = id => d.getElementById(id);
  w.addEventListener("error", e => found.errors.push(String(e.message)));
  const image = () => at("image").toDataURL();
  const small = e => e.offsetParent && (e.offsetWidth < 40 || e.offsetHeight < 40);
  const slide = (id, value) => {
    at(id).value = value;
    at(id).dispatchEvent(new w.Event("input", { bubbles: true }));
  };
  const differs = async act => {
    const before = image();
    act();
    for (let i = 0; i < 40 && image() === before; i++) await later(50);
    return image() !== before;
  };
  try {
    for (let i = 0; i < 10000 && !at("at-t").textContent; i++) await later(50);
    await later(150);
    found.tested = at("tested").textContent;
    found.refusal = at("refusal").textContent;
    found.about = at("about").textContent;
    found.wide = d.documentElement.scrollWidth;
    found.small = [...d.querySelectorAll("button, input, select")].filter(small).map(e => e.id || e.outerHTML);
    found.moves = [];
    const moves = { t: 400, narrow: 0.6, "along-0": 2, "along-7": -3, bar: 1 };
    for (const [id, value] of Object.entries(moves)) found.moves.push(await differs(() => slide(id, value)));
    found.back = await differs(() => at("back").click());
    slide("layer", 2);
    slide("at-channel-number", CHANNEL);
    await later(100);
    found.off = await differs(() => at("off").click());
    found.said = at("at-channel").textContent;
    found.on = await differs(() => at("all-on").click());
    found.stages = at("layer").options.length;
    found.launches = [];
    for (let i = 0; i < found.stages; i++) {
      slide("layer", i);
      await later(60);
      found.launches.push(at("launch").textContent);
    }
    found.key = await differs(() => d.body.dispatchEvent(new w.KeyboardEvent("keydown", { key: "n", bubbles: true })));
    found.hash = w.location.hash;
    if (at("class")) found.class = await differs(() => slide("class", 1));
    found.classes = at("class") && [...at("class").options].map(o => o.text);
  } catch (e) { found.errors.push(String(e)); }
  report();
});
"""


in_a_browser = pytest.mark.skipif(not CHROMIUM, reason="no Chromium on this machine; wasmtime tests the kernels")


def document(folder: Path, name: str) -> str:
    """What a file's document is in the end. The browser's own clock jumps from one thing to do to the next."""
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}"]
    options += ["--allow-file-access-from-files"]  # a frame is driven from outside
    command = [CHROMIUM, *options, "--virtual-time-budget=600000", "--dump-dom", (folder / name).as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=120).stdout


@in_a_browser
def test_a_browser_that_cannot_run_it_is_told(made, tmp_path):
    _, page = made("by class")
    broken = page.replace(part(page, "module"), "AAAA").replace("<head>", f"<head><script>{AT_ONCE}</script>")
    (tmp_path / "faces.html").write_text(broken, encoding="utf-8")
    out = document(tmp_path, "faces.html")
    assert '<body class="refused">' in out and "This page needs a browser with WebAssembly's 128-bit vectors" in out


@in_a_browser
def test_page_works_on_a_phone(made, tmp_path):
    _, page = made("by class")
    wasm = Wasm(page)
    wasm.run(wasm.drawn(0))
    drive = DRIVE.replace("CHANNEL", str(wasm.made(2).sum((0, 1)).argmax()))
    (tmp_path / "faces.html").write_text(page.replace("<head>", f"<head><script>{AT_ONCE}</script>"), encoding="utf-8")
    frame = '<iframe src="faces.html" style="border:0;width:390px;height:844px"></iframe>'
    (tmp_path / "phone.html").write_text(f"<meta charset=utf-8>{frame}<script>{drive}</script>", encoding="utf-8")
    found = json.loads(html.unescape(re.search("<title>(.*?)</title>", document(tmp_path, "phone.html"), re.S)[1]))
    assert found["errors"] == [] and found["refusal"] == "" and "largest difference" in found["tested"], found
    assert found["wide"] <= 390 and found["small"] == []
    assert all(found["moves"]) and found["back"] and found["off"] and found["on"] and found["key"], json.dumps(found)
    assert found["said"].endswith("set to 0") and "ms an image" in found["about"]
    assert found["stages"] == len(facts_of(page)["stages"]) == len(found["launches"])
    assert all(re.search(r"<<<\d+, 256>>>  kernels/.*: \d+\.\d\d ms", text) for text in found["launches"])
    assert re.fullmatch(r"#a=\d+&b=\d+&t=0&layer=\d+&channel=\d+&label=0", found["hash"])
    assert found["class"] and found["classes"] == ["red", "<b>green</b>", "blue"]
