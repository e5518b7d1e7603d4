"""A page that runs a generator in a browser: one HTML file with its kernels as WebAssembly, its weights and no more."""

import base64
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from ...device.wasm import module, need_compiler
from ...errors import UserError, printable
from ...sizes import shown
from ..model import Model, Sampler, latents
from .program import program

__all__ = ["html", "need_page", "program"]

HERE = Path(__file__).resolve().parent
PARTS = ("page.css", "machine.js", "page.js")
LARGEST = 256  # MB: a browser holds the text, the bytes and the numbers of it at once
PLACES = 64  # numbers of an image by which the page compares itself with this device
TRIED = 16  # images that tell what float16 costs
LIMIT = float(np.finfo(np.float16).max)


def megabytes(model: Model, half: bool) -> float:
    """About what a model's page takes: base64 is four characters for three bytes."""
    sizes = [(a.size, 2 if half and a.ndim == 4 else 4) for a in model.weights.values()]
    return sum(count * each for count, each in sizes) * 4 / 3 / 1e6


def need_page(where: str, model: Model, half: bool) -> None:
    """Raises: UserError for what no page can hold, and where nothing compiles for WebAssembly."""
    need_compiler(where)
    size = megabytes(model, half)
    if size > LARGEST:
        smaller = "" if half else "; --half takes half of it"
        need = f"a generator whose page has at most {LARGEST} MB"
        raise UserError(f"{where}: need {need}, got {size:.0f} MB of {model.source}{smaller}")
    most = max((float(np.abs(a).max()) for a in model.weights.values() if a.ndim == 4), default=0.0)
    if half and most > LIMIT:
        raise UserError(
            f"{where}: --half: need weights up to {LIMIT:.0f} for float16, got {most:.3g} in {model.source}"
        )


def rounded(model: Model) -> Model:
    """The model with its convolutions' weights as float16 holds them."""
    weights = {n: a.astype(np.float16).astype(np.float32) if a.ndim == 4 else a for n, a in model.weights.items()}
    return replace(model, weights=weights)


def images(model: Model, dev, count: int) -> np.ndarray:
    """float32 [count, h, w, c] in [-1, 1] of seed 0's first latent vectors, class 0."""
    sampler = Sampler(model, dev, count)
    z = next(latents(model, dev, count, 0))
    dev.upload(sampler.z, z.reshape(sampler.z.shape))
    return dev.numpy(sampler.g.given(sampler.labels).forward(sampler.z, training=False))


def html(where: str, model: Model, dev, half: bool = False) -> tuple[str, str]:
    """(the page, a line about it).   dev: draws the image by which the page compares itself.

    Raises: UserError.
    """
    used = rounded(model) if half else model
    want = images(used, dev, 1)[0].ravel()
    made = program(model, half)
    wasm = module(where, made.kernels)
    places = np.linspace(0, want.size - 1, PLACES).astype(int)
    facts = {
        **made.facts,
        "source": printable(model.source),
        "classes": [printable(name) for name in made.facts["classes"]],
        "check": {"places": places.tolist(), "values": [round(float(v), 7) for v in want[places]], "device": dev.kind},
        "half": float(np.abs(images(used, dev, TRIED) - images(model, dev, TRIED)).max()) if half else 0,
    }
    parts = {name: (HERE / name).read_text(encoding="utf-8") for name in PARTS}
    parts |= {
        "facts": json.dumps(facts, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c"),
        "module": base64.b64encode(wasm).decode(),
        "weights": base64.b64encode(made.weights).decode(),
    }
    text = (HERE / "page.html").read_text(encoding="utf-8")
    text = re.sub(r"\{\{(.+?)\}\}", lambda match: parts[match[1]].rstrip("\n"), text)
    numbers = sum(piece[1] for piece in facts["pieces"])
    rounding = f", float16: images within {facts['half']:.1g} of float32's" if half else ""
    return text, (
        f"{len(text.encode()) / 1e6:.2f} MB, {shown(model.config.image_size)} px, {numbers} numbers{rounding}, "
        f"{len(made.kernels)} kernels in {len(wasm)} bytes of WebAssembly"
    )
