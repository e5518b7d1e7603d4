"""Grids of images."""

import math

import numpy as np
from PIL import Image

GAP = 2  # px between images
SHOWN = 64  # px: smaller images are enlarged to about this, pixel by pixel


def grid(images: np.ndarray, columns: int | None = None) -> Image.Image:
    """uint8 [n, h, w, c] as one picture, row by row, `columns` wide (default: as square as it gets)."""
    n, h, w, c = images.shape
    columns = columns or math.ceil(math.sqrt(n))
    rows = -(-n // columns)
    scale = max(1, SHOWN // max(h, w))
    images = images.repeat(scale, axis=1).repeat(scale, axis=2)
    h, w = h * scale, w * scale
    sheet = np.full((rows * (h + GAP) + GAP, columns * (w + GAP) + GAP, c), 255, np.uint8)
    for i, image in enumerate(images):
        top, left = GAP + i // columns * (h + GAP), GAP + i % columns * (w + GAP)
        sheet[top : top + h, left : left + w] = image
    return Image.fromarray(sheet[..., 0] if c == 1 else sheet)
