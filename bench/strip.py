"""A strip of pictures out of runs' samples, for docs/runs.md: a row of real images and a row of G's last for each run.

python -m bench.strip OUT.webp RUN [RUN …] [--columns 6] [--side 96]
"""

from pathlib import Path

import numpy as np
from PIL import Image

from dcgan_cupy.command import Parser, number, run
from dcgan_cupy.errors import UserError
from dcgan_cupy.runs.folder import SETTINGS, settings_of
from dcgan_cupy.runs.pictures import GAP, SHOWN
from dcgan_cupy.sizes import sides

BETWEEN = 4  # px of white between runs


def tiles(path: Path, height: int, width: int, columns: int) -> list[Image.Image]:
    """The first images of a run's grid."""
    sheet = Image.open(path).convert("RGB")
    scale = max(1, SHOWN // max(height, width))
    height, width = scale * height, scale * width
    across = sheet.width // (width + GAP)
    places = [(GAP + i % across * (width + GAP), GAP + i // across * (height + GAP)) for i in range(columns)]
    return [sheet.crop((x, y, x + width, y + height)) for x, y in places]


def strip(folders: list[Path], columns: int, side: int) -> Image.Image:
    """Two rows a run, images scaled to `side` px; a run above the other."""
    rows = []
    for folder in folders:
        height, width = sides(settings_of(folder / SETTINGS, "bench.strip: RUN")["image_size"])
        drawn = sorted(path for path in (folder / "samples").glob("*.png") if path.stem.isdecimal())
        if not drawn:
            raise UserError(f"bench.strip: RUN: need a run with samples, got {folder}")
        for path in (folder / "samples" / "real.png", drawn[-1]):
            images = tiles(path, height, width, columns)
            rows.append(np.hstack([image.resize((side, side), Image.Resampling.LANCZOS) for image in images]))
        rows.append(np.full((BETWEEN, side * columns, 3), 255, np.uint8))
    return Image.fromarray(np.vstack(rows[:-1]))


def work(arguments: list[str]) -> None:
    """Writes the picture."""
    parser = Parser("bench.strip", "a strip of runs' samples", prog="python -m bench.strip")
    parser.add_argument("out", type=Path)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--columns", type=number(int, 1, 9), default=6)
    parser.add_argument("--side", type=number(int, 8, 513), default=96)
    given = parser.parse_args(arguments)
    strip(given.runs, given.columns, given.side).save(given.out, quality=85)


if __name__ == "__main__":
    raise SystemExit(run("bench.strip", work))
