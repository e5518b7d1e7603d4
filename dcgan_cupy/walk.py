"""python -m dcgan_cupy.walk: a path through the latent space, as a strip of pictures or a looping animation."""

import argparse
import math
import sys
from pathlib import Path

import numpy as np

from . import device as devices
from .choices import DEVICES
from .command import Parser, number, printable, refuse_existing, run
from .errors import UserError
from .runs.labelled import number_of
from .runs.model import BATCH, Sampler, latents, load
from .runs.pictures import GRID_LIMIT, grid, scaled
from .sample import write
from .sizes import sides

STRIP, MOVING = (".png",), (".gif", ".webp", ".apng")
LINEAR, SPHERICAL = "linear", "spherical"


def parse(arguments: list[str]):
    """The command's flags. Raises: UserError."""
    parser = Parser(
        "walk", "a path through the latent space: a strip (.png), or an animation that loops (.gif, .webp, .apng)"
    )
    parser.add_argument("source", metavar="RUN", help="a run's folder, a checkpoint, or a file of weights")
    parser.add_argument(
        "--out", required=True, metavar="FILE", help="a .png strip, or a .gif, .webp or .apng animation"
    )
    parser.add_argument(
        "--seeds",
        type=_seeds,
        default=(0, 1, 2, 3),
        metavar="A,B,…",
        help="the points of the path, by seed, in this order (default: 0,1,2,3)",
    )
    parser.add_argument(
        "--path",
        choices=(LINEAR, SPHERICAL),
        help=(
            "between two points: a line, or a great circle, which keeps the "
            "length (default: spherical for a normal prior, else linear)"
        ),
    )
    parser.add_argument(
        "--frames", type=number(int, 1, 1000), default=None, help="from a point to the next (default: 8, moving: 24)"
    )
    parser.add_argument(
        "--fps", type=number(int, 1, 100), default=24, help="frames a second of an animation (default: 24)"
    )
    parser.add_argument(
        "--truncation", type=number(float, 1e-6, 1e6), metavar="T", help="no number of a point beyond T"
    )
    parser.add_argument(
        "--weights",
        choices=("ema", "last"),
        help="of a run with --ema: the averaged weights, or the last step's (default: ema where there are)",
    )
    parser.add_argument(
        "--class", dest="kind", metavar="NAME|NUMBER", help="of a conditional network: the class (default: the first)"
    )
    parser.add_argument("--device", choices=DEVICES, default="auto")
    parser.add_argument("--force", action="store_true", help="write over what is there")
    return parser.parse_args(arguments)


def _seeds(text: str) -> tuple[int, ...]:
    try:
        seeds = tuple(int(part) for part in text.split(","))
    except ValueError:
        seeds = ()
    if len(seeds) < 2 or not all(0 <= seed < 2**63 for seed in seeds):
        raise argparse.ArgumentTypeError(f"need two or more seeds such as 3,14,15, got {text!r}")
    return seeds


def walk(arguments: list[str]) -> None:
    """Draws and writes."""
    given = parse(arguments)
    out = Path(given.out)
    suffix = out.suffix.lower()
    if suffix not in (*STRIP, *MOVING):
        raise UserError(f"walk: --out: need a name that ends in {', '.join((*STRIP, *MOVING))}, got {out}")
    refuse_existing("walk: --out", out, given.force)
    model = load("walk: RUN", given.source, given.weights)
    c, fixed = model.config, 0
    if given.kind is not None:
        fixed = number_of("walk: --class", given.kind, c.n_classes, model.classes, model.source)
    moving = suffix in MOVING
    kind = given.path or (SPHERICAL if model.config.prior == "normal" else LINEAR)
    frames = given.frames or (24 if moving else 8)
    pixels, total = math.prod(sides(model.config.image_size)), frames * len(given.seeds)
    if total * pixels > GRID_LIMIT:
        raise UserError(f"walk: --frames: need at most {GRID_LIMIT // pixels} images in all, got {total}")
    dev = devices.get(given.device)
    points = np.concatenate([next(latents(model, dev, 1, seed, given.truncation)) for seed in given.seeds])
    z = path(points, frames, kind, loop=moving)
    sampler = Sampler(model, dev, min(BATCH, len(z)))
    parts = np.split(z, range(sampler.batch, len(z), sampler.batch))
    images = np.concatenate([sampler.images(part, np.full(len(part), fixed, np.int32)) for part in parts])
    if not moving:
        write(out, grid(images, columns=frames))
    else:
        write(out, scaled(images), duration=round(1000 / given.fps), loop=0)
    of = f" of class {(model.classes or [*map(str, range(c.n_classes))])[fixed]}" if c.n_classes else ""
    points = f"{len(images)} images{printable(of)} from {len(given.seeds)} points ({kind})"
    print(f"{points} of {printable(model.source)}: {printable(out)}")


def path(points: np.ndarray, frames: int, kind: str, loop: bool) -> np.ndarray:
    """float32 [n, z_dim]: `frames` vectors from each point on, up to the next.

    A loop ends where it began, else at the last point.

    kind: linear z = (1 - t) a + t b; spherical: along the great circle, length and angle in equal steps (Shoemake
    1985).
    """
    ends = np.concatenate([points, points[:1]]) if loop else points
    t = np.arange(frames, dtype=np.float64)[:, None] / frames
    between = linear if kind == LINEAR else spherical
    made = [between(a, b, t) for a, b in zip(ends[:-1].astype(np.float64), ends[1:].astype(np.float64))]
    if not loop:
        made.append(points[-1:].astype(np.float64))
    return np.concatenate(made).astype(np.float32)


def linear(a: np.ndarray, b: np.ndarray, t: np.ndarray) -> np.ndarray:
    """(1 - t) a + t b"""
    return (1 - t) * a + t * b


def spherical(a: np.ndarray, b: np.ndarray, t: np.ndarray) -> np.ndarray:
    """The great circle between the directions of a and b; its length goes from |a| to |b| in equal steps."""
    lengths = np.linalg.norm(a), np.linalg.norm(b)
    u, v = a / lengths[0], b / lengths[1]
    angle = np.arccos(np.clip(u @ v, -1.0, 1.0))
    if np.sin(angle) < 1e-6:  # the same direction, or opposite ones: no circle is given
        return linear(a, b, t)
    direction = (np.sin((1 - t) * angle) * u + np.sin(t * angle) * v) / np.sin(angle)
    return direction * linear(np.array([lengths[0]]), np.array([lengths[1]]), t)


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    return run("walk", walk, arguments)


if __name__ == "__main__":
    sys.exit(main())
