"""Grids of images."""

import math
import zlib

import numpy as np
from PIL import Image

GAP = 2  # px between images
GRID_LIMIT = 1 << 26  # px of all images in one grid: 192 MB of colours
PNG = {"format": "PNG", "compress_type": zlib.Z_RLE}  # 12 ms for a grid of 64 faces, the usual type 84, as many bytes
SHOWN = 64  # px: smaller images are enlarged to about this, pixel by pixel


def grid(images: np.ndarray, columns: int | None = None) -> Image.Image:
    """uint8 [n, h, w, c] as one picture, row by row, `columns` wide (default: as square as it gets)."""
    n, h, w, c = images.shape
    columns = columns or math.ceil(math.sqrt(n))
    rows = -(-n // columns)
    images = _enlarged(images)
    h, w = images.shape[1:3]
    sheet = np.full((rows * (h + GAP) + GAP, columns * (w + GAP) + GAP, c), 255, np.uint8)
    for i, image in enumerate(images):
        top, left = GAP + i // columns * (h + GAP), GAP + i % columns * (w + GAP)
        sheet[top : top + h, left : left + w] = image
    return Image.fromarray(sheet[..., 0] if c == 1 else sheet)


def scaled(images: np.ndarray) -> list[Image.Image]:
    """uint8 [n, h, w, c] as n pictures, small ones enlarged."""
    return [Image.fromarray(image[..., 0] if image.shape[2] == 1 else image) for image in _enlarged(images)]


def _enlarged(images: np.ndarray) -> np.ndarray:
    scale = max(1, SHOWN // max(images.shape[1:3]))
    return images.repeat(scale, axis=1).repeat(scale, axis=2)
