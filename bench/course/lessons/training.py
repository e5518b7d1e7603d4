"""Lesson 16: three short training runs, and what their curves look like.

They take minutes, and floats differ between processors: these parts are made once and not compared.
"""

import base64
import io
from functools import lru_cache

import numpy as np
from PIL import Image

from dcgan_cupy.config import Config
from dcgan_cupy.data.faces import draw
from dcgan_cupy.device import CpuDevice
from dcgan_cupy.trainer import Step, Trainer

from ..marks import block, picture, table
from ..svg import Picture

STEPS, BATCH, FACES = 400, 32, 1024
SMALL = {"features_g": 8, "features_d": 8, "batch_size": BATCH, "image_size": 32}
RUNS = {"rate 0.0002": {}, "D's rate 0.00002": {"lr_d": 0.00002}, "rate 0.2": {"lr": 0.2}}


@lru_cache(maxsize=None)
def _faces() -> np.ndarray:
    images = np.stack([np.asarray(draw(i, (32, 32))[0]) for i in range(FACES)])
    return (images / 127.5 - 1).astype(np.float32)


@lru_cache(maxsize=None)
def _run(name: str) -> tuple[list[Step], np.ndarray]:
    """Every step, and sixteen faces that G draws at the end, 0 to 255."""
    dev, order = CpuDevice(), np.random.default_rng(16)
    trainer = Trainer(Config(steps=STEPS, seed=1, **SMALL, **RUNS[name]).resolved("cpu"), dev)
    real, found = dev.empty((BATCH, 32, 32, 3)), []
    for _ in range(STEPS):
        dev.upload(real, _faces()[order.integers(0, FACES, BATCH)])
        found.append(trainer.step(real))
    images = dev.numpy(trainer.sample(trainer.fixed_z(16)))
    return found, np.clip((images + 1) * 127.5 + 0.5, 0, 255).astype(np.uint8)


def _png(images) -> str:
    """Sixteen images as one, 4 x 4, for an <image>."""
    grid = images.reshape(4, 4, 32, 32, 3).transpose(0, 2, 1, 3, 4).reshape(128, 128, 3)
    out = io.BytesIO()
    Image.fromarray(grid).save(out, "PNG", optimize=True)
    return base64.b64encode(out.getvalue()).decode()


@picture("16-faces", slow=True, fixed=False)
def faces() -> str:
    p = Picture(124, "Real faces, and what G draws after 400 steps in the three runs")
    shown = [("real", np.clip((_faces()[:16] + 1) * 127.5 + 0.5, 0, 255).astype(np.uint8))]
    shown += [(name, _run(name)[1]) for name in RUNS]
    for i, (name, images) in enumerate(shown):
        x = 5 + 98 * i
        p.text(x, 14, name)
        p.parts.append(f'<image x="{x}" y="22" width="96" height="96" href="data:image/png;base64,{_png(images)}"/>')
    return str(p)


def _smooth(values) -> list[float]:
    """Means of ten steps."""
    return [float(np.mean(values[i : i + 10])) for i in range(0, len(values), 10)]


@picture("16-a-gan-that-trains", slow=True, fixed=False)
def curves() -> str:
    p = Picture(400, "D's opinion of real images and of fakes over 400 steps: a run that learns, and two that do not")
    ticks = [(str(v), v / STEPS) for v in range(0, STEPS + 1, 100)]
    for row, name in enumerate(RUNS):
        steps, top = _run(name)[0], 24 + 122 * row
        p.text(30, top - 10, name)
        p.axes(30, top, 360, 84, ticks, [(f"{v:g}", v) for v in (0, 0.5, 1)])
        p.line(30, top + 42, 390, top + 42, "l", 0.6, "2 3")
        for what, kind in (("d_real", "la"), ("d_fake", "lb")):
            points = _smooth([getattr(s, what) for s in steps])
            p.curve([(30 + 360 * (i + 0.5) / len(points), top + 84 - 84 * v) for i, v in enumerate(points)], kind, 1.8)
    p.line(34, 388, 54, 388, "la", 2)
    p.text(58, 391, "D(x), real images", size=9)
    p.line(190, 388, 210, 388, "lb", 2)
    p.text(214, 391, "D(G(z)), fakes. Means of ten steps", size=9)
    return str(p)


@block("16-table", slow=True, fixed=False)
def results() -> str:
    rows = []
    for name in RUNS:
        for at in (1, 100, STEPS):
            steps = _run(name)[0][max(0, at - 10) : at]
            mean = [np.mean([getattr(s, k) for s in steps]) for k in ("loss_d", "loss_g", "d_real", "d_fake")]
            rows.append([f"{name}, step {at}", *(f"{v:.3f}" for v in mean)])
    return table(["means of the last ten steps", "loss D", "loss G", "D(x)", "D(G(z))"], rows)


@block("16-answer", slow=True, fixed=False)
def first_step() -> str:
    first = _run("rate 0.0002")[0][0]
    return (
        f"If D says 0.5 to everything: -log 0.5 - log 0.5 = 2 log 2 = **1.386**, and G's loss is log 2 = 0.693."
        f" Measured"
        f" at step 1: {first.loss_d:.3f} and {first.loss_g:.3f}, with D(x) = {first.d_real:.3f} and D(G(z)) ="
        f" {first.d_fake:.3f}. G's loss is asked after D's first update; its D(G(z)) is {first.d_fake_after:.3f}."
    )
