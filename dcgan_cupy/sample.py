"""python -m dcgan_cupy.sample: images out of a run, a checkpoint or a file of weights."""

import math
import os
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from . import device as devices
from .choices import DEVICES
from .command import Parser, number, printable, refuse_existing, run
from .errors import UserError
from .runs.labelled import listed, number_of, rows
from .runs.model import BATCH, Sampler, latents, load, read_latents
from .runs.pictures import GRID_LIMIT, PNG, grid
from .sizes import sides

SUFFIXES = (".png", ".webp", ".jpg", ".jpeg")


def parse(arguments: list[str]):
    """The command's flags. Raises: UserError."""
    parser = Parser(
        "sample",
        "images out of a run, a checkpoint or a file of weights, in evaluation mode: each depends on its z alone",
    )
    parser.add_argument(
        "source", metavar="RUN", help="a run's folder (its newest checkpoint), a checkpoint, or a file of weights"
    )
    parser.add_argument(
        "-n", "--count", type=number(int, 1, 10**7), help="images (default: 64, 8 of each class, or all of --z)"
    )
    parser.add_argument(
        "--class",
        dest="kind",
        metavar="NAME|NUMBER",
        help="of a conditional network: this class (default: all in turn, image i of class i mod their number)",
    )
    parser.add_argument(
        "--out", required=True, metavar="PATH", help="a picture for a grid, a folder for single PNG files"
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--grid", action="store_true", help="one picture of all (default where PATH ends as a picture's name)"
    )
    how.add_argument("--files", action="store_true", help="PATH/000000.png, 000001.png … (default elsewhere)")
    parser.add_argument("--seed", type=number(int, 0, 2**63), default=0, help="of the latent vectors (default: 0)")
    parser.add_argument("--z", metavar="FILE", help="latent vectors [n, z_dim] from a .npy file, instead of drawn ones")
    parser.add_argument(
        "--truncation",
        type=number(float, 1e-6, 1e6),
        metavar="T",
        help="no number of z beyond T: fewer odd images, less variety",
    )
    parser.add_argument(
        "--batch",
        type=number(int, 1, 2**16),
        default=BATCH,
        help=f"images at a time (default: {BATCH}; changes no byte)",
    )
    parser.add_argument(
        "--weights",
        choices=("ema", "last"),
        help="of a run with --ema: the averaged weights, or the last step's (default: ema where there are)",
    )
    parser.add_argument("--device", choices=DEVICES, default="auto")
    parser.add_argument("--force", action="store_true", help="write over what is there")
    return parser.parse_args(arguments)


def sample(arguments: list[str]) -> None:
    """Draws and writes."""
    given = parse(arguments)
    out = Path(given.out)
    as_grid = given.grid or (not given.files and out.suffix.lower() in SUFFIXES)
    if as_grid and out.suffix.lower() not in SUFFIXES:
        raise UserError(f"sample: --out: need a picture's name ({', '.join(SUFFIXES)}) for a grid, got {out}")
    refuse_existing("sample: --out", out, given.force or (not as_grid and out.is_dir() and not any(out.iterdir())))
    model = load("sample: RUN", given.source, given.weights)
    z = read_latents("sample: --z", given.z, model.config.z_dim) if given.z else None
    c, fixed = model.config, None
    if given.kind is not None:
        fixed = number_of("sample: --class", given.kind, c.n_classes, model.classes, model.source)
    by_class = bool(c.n_classes) and fixed is None
    count = given.count or (len(z) if z is not None else 8 * c.n_classes if by_class else 64)
    if z is not None and count > len(z):
        raise UserError(f"sample: --count: need at most the {len(z)} vectors of {given.z}, got {count}")
    pixels = math.prod(sides(model.config.image_size))
    if as_grid and count * pixels > GRID_LIMIT:
        raise UserError(
            f"sample: --count: need at most {GRID_LIMIT // pixels} images in one grid, got {count}; take --files"
        )
    dev = devices.get(given.device)
    sampler = Sampler(model, dev, min(given.batch, count))
    pieces = latents(model, dev, count, given.seed, given.truncation) if z is None else [z[:count]]
    images = drawn(sampler, pieces, c.n_classes if by_class else None, fixed or 0)
    if as_grid:
        pictures = np.concatenate(list(images))
        write(out, grid(*rows(pictures, c.n_classes)) if by_class else grid(pictures))
        names = listed(model.classes or [*map(str, range(c.n_classes))]) if by_class else ""
        by_rows = f", a row a class: {printable(names)}" if by_class else ""
        print(f"{count} images of {printable(model.source)}: {printable(out)}{by_rows}")
        return
    out.mkdir(exist_ok=True)
    done = 0
    for part in images:
        for image in part:
            write(out / f"{done:06d}.png", Image.fromarray(image[..., 0] if image.shape[2] == 1 else image))
            done += 1
    print(f"{count} images of {printable(model.source)}: {printable(out)}{os.sep}000000.png … {count - 1:06d}.png")


def drawn(sampler: Sampler, pieces, classes: int | None, fixed: int):
    """Images of latent vectors, a batch at a time: number i of class i mod `classes`, or all of one.   pieces: of z."""
    done = 0
    for piece in pieces:
        for part in np.split(piece, range(sampler.batch, len(piece), sampler.batch)):
            numbers = np.arange(done, done + len(part))
            yield sampler.images(part, (numbers % classes if classes else 0 * numbers + fixed).astype(np.int32))
            done += len(part)


def write(path: Path, pictures: Image.Image | list[Image.Image], **options) -> None:
    """A picture, or the frames of an animation: whole or not at all."""
    first, *rest = pictures if isinstance(pictures, list) else [pictures]
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    if rest:
        options |= {"save_all": True, "append_images": rest}
    if path.suffix.lower() in (".png", ".apng"):
        options |= PNG
    elif path.suffix.lower() == ".webp":
        options |= {"lossless": True}
    try:
        first.save(temporary, **options)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    return run("sample", sample, arguments)


if __name__ == "__main__":
    sys.exit(main())
