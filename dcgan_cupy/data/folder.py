"""Image files in a folder, as images of one size. The files may come from anyone: none of them can stop or hang a run.

    files below the folder ─► decode ─► upright, on white, RGB or grey ─► short side to image_size ─► centre cut out

What cannot be read is skipped and named with a reason. `decode` takes any open file and `decode_all` any list of names
with a way to open them, so that a reader of archives needs to bring no more than that.
"""

import hashlib
import os
import stat
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ..machine import cores
from .cache import Batch, code_version

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif")
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF")      # Pillow's other decoders never see a file: some start programs

PIXEL_LIMIT = 1 << 26                                # 8192 x 8192: a file of some kB can claim far more
BYTE_LIMIT = 1 << 29                                 # some decoders read the whole file before anything else
LARGE = 1 << 24                                      # pixels; larger images are decoded one at a time, to save memory
THREADS = 8
CHUNK = 64                                           # images in one batch

_large_image = threading.Lock()


class Folder:
    """The reader of a folder: the first `count` readable images, in the order of their names."""

    name = "folder"

    def __init__(self, path: Path, image_size: int, channels: int, count: int | None = None):
        self.path, self.image_size, self.channels, self.count = path.resolve(), image_size, channels, count
        self.source = str(self.path)
        self.listing, self.skipped = find_images(self.path)
        self.total = len(self.listing) if count is None else min(count, len(self.listing))

    def key(self) -> dict:
        names = hashlib.blake2b(digest_size=16)
        for row in (*self.listing, *self.skipped):
            names.update(repr(row).encode("utf-8", "surrogateescape") + b"\n")
        return {"reader": "folder", "code": code_version(__file__), "path": self.source, "listing": names.hexdigest(),
                "count": self.count}

    def batches(self) -> Iterator[Batch]:
        yield Batch(np.empty((0, self.image_size, self.image_size, self.channels), np.uint8), {}, self.skipped)
        names = [name for name, *_ in self.listing]
        yield from decode_all(names, lambda name: open_regular(self.path / name), self.image_size, self.channels,
                              self.count)


# ----------------------------------------------------------------------------------------------------------- finding

def find_images(folder: Path) -> tuple[list[tuple[str, int, int, int]], list[tuple[str, str]]]:
    """([(name, bytes, mtime in ns, mode)], [(name, reason)]): image files by their suffix, sorted by name.

    A name is relative to the folder, with "/" between its parts. Hidden files and folders are left out. Links to files
    are followed; links to folders are not, since they can lead in a circle or out to the whole disk.
    """
    listing, skipped = [], []

    def unlisted(error: OSError) -> None:
        skipped.append((_relative(error.filename, folder), f"cannot be listed: {error.strerror}"))

    for place, folders, files in os.walk(folder, onerror=unlisted):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in folders:
            if os.path.islink(os.path.join(place, name)):
                skipped.append((_relative(os.path.join(place, name), folder), "a link to a folder, not followed"))
        for name in files:
            if name.startswith(".") or not name.lower().endswith(SUFFIXES):
                continue
            path = os.path.join(place, name)
            try:
                info = os.stat(path)
            except OSError as error:
                skipped.append((_relative(path, folder), _reason(error)))
                continue
            if stat.S_ISREG(info.st_mode):
                listing.append((_relative(path, folder), info.st_size, info.st_mtime_ns, info.st_mode))
            else:
                skipped.append((_relative(path, folder), "not a regular file"))
    return sorted(listing), sorted(skipped)


def _relative(path: str, folder: Path) -> str:
    return Path(path).relative_to(folder).as_posix()


class Unreadable(Exception):
    """An image that has to be skipped; the message is the reason."""


def open_regular(path: Path) -> BinaryIO:
    """Open a file for reading, without waiting for a writer should it have become a pipe since it was listed."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    file = os.fdopen(descriptor, "rb")
    info = os.fstat(descriptor)
    if stat.S_ISREG(info.st_mode) and 0 < info.st_size <= BYTE_LIMIT:
        return file
    file.close()
    if not stat.S_ISREG(info.st_mode):
        raise Unreadable("not a regular file")
    raise Unreadable(f"{info.st_size:,} bytes, more than {BYTE_LIMIT:,}" if info.st_size else "an empty file")


# ---------------------------------------------------------------------------------------------------------- decoding

def decode_all(names: list[str], open_one: Callable[[str], BinaryIO], image_size: int, channels: int,
               count: int | None = None) -> Iterator[Batch]:
    """The images called `names`, in their order, decoded by several threads; ends after `count` readable ones."""
    Image.init()                                     # loads the decoders once, before the threads could do it twice

    def attempt(name: str) -> np.ndarray | str:
        try:
            with open_one(name) as file:
                return decode(file, image_size, channels)
        except Exception as error:                   # decoders raise nearly everything for a damaged file
            return _reason(error)

    left = len(names) if count is None else count
    with ThreadPoolExecutor(min(THREADS, cores())) as pool:
        for start in range(0, len(names), CHUNK):
            some, images, skipped = names[start:start + CHUNK], [], []
            for name, result in zip(some, pool.map(attempt, some), strict=True):
                if isinstance(result, str):
                    skipped.append((name, result))
                else:
                    images.append(result)
                if len(images) == left:
                    break
            left -= len(images)
            yield Batch(np.array(images, np.uint8).reshape(-1, image_size, image_size, channels), {}, skipped)
            if not left:
                return


def decode(file: BinaryIO, image_size: int, channels: int) -> np.ndarray:
    """One image from an open file; of several frames the first.

    Shapes: uint8 [image_size, image_size, channels].   Raises: Unreadable, or whatever the decoder raises.
    """
    with Image.open(file, formats=FORMATS) as image:
        pixels = image.width * image.height          # what the header claims; nothing is decoded yet
        if pixels > PIXEL_LIMIT:
            raise Unreadable(f"{image.width} x {image.height} pixels, more than {PIXEL_LIMIT:,}")
        with _large_image if pixels > LARGE else nullcontext():
            image.draft(None, (4 * image_size, 4 * image_size))      # a large JPEG shrinks while it is decoded
            image.load()
            return fit(_flatten(_upright(image)), image_size, channels)


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:                                # a damaged EXIF block is no reason to lose the picture
        return image


def _flatten(image: Image.Image) -> Image.Image:
    """8 bits a channel, opaque, RGB or grey: what is transparent lies on white, 16 bits keep their upper 8."""
    if image.mode.startswith("I"):
        return Image.fromarray((np.clip(np.asarray(image).astype(np.int64), 0, 65535) >> 8).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGB", image.size, (255, 255, 255))
        white.paste(image, mask=image.getchannel("A"))
        return white
    return image if image.mode in ("L", "RGB") else image.convert("L" if image.mode == "1" else "RGB")


def fit(image: Image.Image, image_size: int, channels: int) -> np.ndarray:
    """The largest centred square of an image in RGB or L, resized. uint8 [image_size, image_size, channels]

    The same as resizing the short side and cutting out the centre, without first making the parts that are cut off.
    """
    image = image.convert("L" if channels == 1 else "RGB")
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    image = image.resize((image_size, image_size), Image.Resampling.LANCZOS, box=(left, top, left + side, top + side),
                         reducing_gap=3.0)           # far larger images are first averaged in blocks, which is fast
    return np.asarray(image).reshape(image_size, image_size, channels)


def _reason(error: Exception) -> str:
    """What to tell the user about a file that could not be read, in a few words."""
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return f"more than {PIXEL_LIMIT:,} pixels"
    if isinstance(error, UnidentifiedImageError):
        return "not a PNG, JPEG, WebP, BMP or GIF image"
    if isinstance(error, MemoryError):
        return "not enough memory to decode it"
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(text.split())[:200]
