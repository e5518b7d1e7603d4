"""Digits to try conditional training on, MNIST-shaped and drawn here, and how many of a run's samples are right.

python -m bench.digits draw FOLDER            10,000 digits of 32 x 32 px as IDX files with labels
python -m bench.digits judge RUN FOLDER       100 samples of each class, by the nearest centroid of the drawn ones
"""

import struct
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from dcgan_cupy import device as devices
from dcgan_cupy.command import Parser, run
from dcgan_cupy.data import open_dataset
from dcgan_cupy.runs.model import Sampler, latents, load

SIZE, COUNT, EACH = 32, 10_000, 100


def digit(number: int, rng: np.random.Generator) -> np.ndarray:
    """uint8 [SIZE, SIZE], white on black: a glyph of Pillow's own font; size, weight, slant, place and ink vary."""
    sheet = Image.new("L", (4 * SIZE, 4 * SIZE))
    font = ImageFont.load_default(size=float(rng.uniform(96, 118)))
    middle = tuple(2 * SIZE + rng.uniform(-7, 7, 2))
    ImageDraw.Draw(sheet).text(
        middle, str(number), fill=255, font=font, anchor="mm", stroke_width=int(rng.integers(0, 6)), stroke_fill=255
    )
    sheet = sheet.rotate(rng.uniform(-10, 10), Image.Resampling.BILINEAR)
    slant = rng.uniform(-0.15, 0.15)
    sheet = sheet.transform(
        sheet.size, Image.Transform.AFFINE, (1, slant, -2 * SIZE * slant, 0, 1, 0), Image.Resampling.BILINEAR
    )
    small = np.asarray(sheet.resize((SIZE, SIZE), Image.Resampling.BOX), np.float64)
    return np.clip(small * rng.uniform(0.8, 1.0), 0, 255).astype(np.uint8)


def draw(folder: Path, count: int = COUNT, seed: int = 0) -> None:
    """train-images-idx3-ubyte and train-labels-idx1-ubyte."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 10, count).astype(np.uint8)
    images = np.stack([digit(int(label), rng) for label in labels])
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in (("train-images-idx3-ubyte", images), ("train-labels-idx1-ubyte", labels)):
        header = struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
        (folder / name).write_bytes(header + array.tobytes())


def nearest(images: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """The class whose mean image is nearest to each image."""
    flat = images.reshape(len(images), -1).astype(np.float64)
    return np.square(flat[:, None] - centroids[None]).sum(2).argmin(1)


def judge(run: str, folder: Path) -> None:
    """Prints the share of right samples, in all and by class, and the same of fresh drawn digits."""
    model = load("judge", run)
    config = model.config
    data = open_dataset(str(folder), config.image_size, config.channels)
    labels, flat = data.attributes["label"], data.images.reshape(len(data), -1).astype(np.float64)
    classes = config.n_classes
    centroids = np.stack([flat[labels == k].mean(0) for k in range(classes)])
    sampler = Sampler(model, devices.get("auto"))
    kinds = np.arange(EACH * classes, dtype=np.int32) % classes
    right = np.zeros(classes)
    for z in latents(model, sampler.device, len(kinds), seed=1):
        for first in range(0, len(z), sampler.batch):
            part = kinds[first : first + sampler.batch]
            found = nearest(sampler.images(z[first : first + sampler.batch], part), centroids)
            np.add.at(right, part, found == part)
    shares = ", ".join(f"{k}: {share:.0%}" for k, share in enumerate(right / EACH))
    print(f"{right.sum() / len(kinds):.1%} of {len(kinds)} samples are nearest to their own class ({shares})")
    truth = (nearest(data.images[:2000], centroids) == labels[:2000]).mean()
    print(f"{truth:.1%} of 2000 drawn digits are")


def work(arguments: list[str]) -> None:
    """Draws or judges."""
    parser = Parser("bench.digits", "digits to try conditional training on", prog="python -m bench.digits")
    parser.add_argument("what", choices=("draw", "judge"))
    parser.add_argument("places", nargs="+", metavar="FOLDER | RUN FOLDER")
    given = parser.parse_args(arguments)
    if len(given.places) != (1 if given.what == "draw" else 2):
        parser.error(f"need {'FOLDER' if given.what == 'draw' else 'RUN FOLDER'}, got {' '.join(given.places)}")
    *run_folder, folder = given.places
    if given.what == "draw":
        draw(Path(folder))
    else:
        judge(*run_folder, Path(folder))


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    return run("bench.digits", work, arguments)


if __name__ == "__main__":
    sys.exit(main())
