"""loss.png: the curves of a run's log, drawn by matplotlib (the extra `plot`), without it by Pillow."""

import contextlib
import io
import json
import logging
import math
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .files import write_whole

PANELS = (
    ("loss", (("D", "loss_d", "#1f77b4"), ("G", "loss_g", "#d62728"))),
    ("probability", (("D(x)", "d_real", "#2ca02c"), ("D(G(z))", "d_fake", "#ff7f0e"))),
)
"""(axis, curves): (name, field of the log, colour)."""

POINTS = 1000  # of a curve: a longer log is drawn by means of neighbouring steps
SIZE, DOTS = (10, 6), 100  # inches, dots an inch


def draw(log: Path, path: Path) -> None:
    """Reads a log.jsonl and writes the picture; nothing for a log without lines.   Raises: OSError."""
    steps, curves = read(log)
    if len(steps):
        made = io.BytesIO()
        (_matplotlib if find_spec("matplotlib") else _pillow)(steps, curves).save(made, format="PNG")
        write_whole(path, made.getvalue())


def read(log: Path) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Steps [n], field -> values [n], NaN where the log has no number; at most POINTS, each a mean of as many steps."""
    names = ["step", *(field for _, curves in PANELS for _, field, _ in curves)]
    rows = []
    with open(log, "rb") as file:
        for line in file:
            with contextlib.suppress(ValueError, AttributeError, TypeError):  # a line that was damaged is left out
                values = json.loads(line)
                rows.append([math.nan if values.get(name) is None else float(values[name]) for name in names])
    table = np.array(rows, np.float64).reshape(-1, len(names))
    each = -(-len(table) // POINTS) or 1
    if each > 1:
        table = np.array([table[i : i + each].mean(axis=0) for i in range(0, len(table), each)])
    return table[:, 0], dict(zip(names[1:], table[:, 1:].T, strict=True))


def smooth(values: np.ndarray) -> np.ndarray:
    """The mean of each value and its neighbours, a fiftieth of the curve in all; NaN stays where it is."""
    half = len(values) // 100
    known = np.isfinite(values)
    sums = np.concatenate([[0.0], np.cumsum(np.where(known, values, 0.0))])
    counts = np.concatenate([[0], np.cumsum(known)])
    at = np.arange(len(values))
    low, high = np.maximum(at - half, 0), np.minimum(at + half + 1, len(values))
    means = (sums[high] - sums[low]) / np.maximum(counts[high] - counts[low], 1)
    return np.where(known, means, np.nan)


def _matplotlib(steps, curves) -> Image.Image:
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it tells of its font cache
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=SIZE, dpi=DOTS, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots(len(PANELS), 1, sharex=True)
    for ax, (title, panel) in zip(axes, PANELS, strict=True):
        for name, field, colour in panel:
            ax.plot(steps, curves[field], color=colour, alpha=0.3, linewidth=0.8)
            ax.plot(steps, smooth(curves[field]), color=colour, label=name, marker="." if len(steps) == 1 else "")
        ax.set_ylabel(title)
        ax.grid(alpha=0.3)
        ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    axes[0].set_ylim(bottom=min(0.0, axes[0].get_ylim()[0]))
    axes[1].set_ylim(-0.02, 1.02)
    axes[-1].set_xlabel("step")
    axes[-1].xaxis.get_major_locator().set_params(integer=True)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy())


def _pillow(steps, curves) -> Image.Image:
    width, height = (inches * DOTS for inches in SIZE)
    image = Image.new("RGB", (2 * width, 2 * height), "white")  # halved at the end: smooth lines
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(26)
    left, right, gap, bottom = 140, 2 * width - 180, 40, 2 * height - 110
    tall = (bottom - gap * len(PANELS)) // len(PANELS)
    for i, (title, panel) in enumerate(PANELS):
        top = gap + i * (tall + gap)
        values = np.concatenate([curves[field] for _, field, _ in panel])
        known = values[np.isfinite(values)]
        low, high = (0.0, 1.0) if title == "probability" else (min(0.0, known.min(initial=0)), known.max(initial=1e-6))
        first, last = (steps[0], steps[-1]) if len(steps) > 1 else (steps[0] - 1, steps[0] + 1)

        def place(x, y, top=top, low=low, high=high, first=first, last=last):
            return left + (x - first) / (last - first) * (right - left), top + (high - y) / (high - low) * tall

        for value in _ticks(low, high):
            (_, y) = place(first, value)
            pen.line((left, y, right, y), fill="#dddddd", width=2)
            pen.text((left - 12, y), f"{value:g}", fill="black", font=font, anchor="rm")
        for value in _ticks(first, last):
            (x, _) = place(value, low)
            pen.line((x, top, x, top + tall), fill="#dddddd", width=2)
            if i == len(PANELS) - 1:
                pen.text((x, top + tall + 12), f"{value:g}", fill="black", font=font, anchor="ma")
        pen.rectangle((left, top, right, top + tall), outline="black", width=2)
        lines = [(curves[field], _faint(colour), 2) for _, field, colour in panel]
        lines += [(smooth(curves[field]), colour, 4) for _, field, colour in panel]
        for line, colour, thick in lines:
            points = [place(x, y) if np.isfinite(y) else None for x, y in zip(steps, line, strict=True)]
            for a, b in pairwise(points):
                if a and b:
                    pen.line((*a, *b), fill=colour, width=thick)
            if len(points) == 1 and points[0]:
                pen.circle(points[0], 6, fill=colour)
        for row, (name, _, colour) in enumerate(panel):
            pen.text((right + 20, top + 36 * row), name, fill=colour, font=font)
        pen.text((left + 16, top + 8), title, fill="black", font=font)
    pen.text(((left + right) / 2, 2 * height - 44), "step", fill="black", font=font, anchor="ma")
    return image.resize((width, height), Image.Resampling.BOX)


def _faint(colour: str) -> tuple[int, ...]:
    return tuple(255 - (255 - int(colour[k : k + 2], 16)) * 3 // 10 for k in (1, 3, 5))


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers in [low, high], some five."""
    raw = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * f for f in (1, 2, 5, 10) if power * f >= raw)
    return [round(k * step, 12) for k in range(math.ceil(low / step), math.floor(high / step) + 1)]
