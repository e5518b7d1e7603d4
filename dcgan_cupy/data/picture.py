"""One image of any kind, as uint8 pixels of the size asked for. It may come from anyone: nothing in it can stop or hang
a run.

    encoded file ─► header checked ─► decoded ─► upright, on white, RGB or grey ─► cut from the centre ─► resized

The resizing is Pillow's LANCZOS, whose support grows with the reduction: nothing is left out, so nothing aliases.
Plain JPEGs are decoded by simplejpeg, where there is one: the same pixels from the same libjpeg-turbo, but Pillow takes
a small image
apart in Python, which costs four times as much as decoding it. What simplejpeg will not have goes to Pillow, whose word
is the last.
"""

import io
import re
import threading
import warnings
from collections.abc import Callable, Sequence
from contextlib import nullcontext

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from . import guard
from .decoders import AVIF, pillow_heif, simplejpeg
from .reader import Batch, Look, Unreadable

SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".dib", ".gif"),
    *(".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".heic", ".heif", ".avif"),
)
MAGIC = {  # how files begin; Pillow's other decoders never see a file: some start programs
    "PNG": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "JPEG": re.compile(rb"\xff\xd8\xff"),
    "WEBP": re.compile(rb"RIFF....WEBP", re.DOTALL),
    "BMP": re.compile(rb"BM........[\x0c-\x7c]\0\0\0", re.DOTALL),
    "GIF": re.compile(rb"GIF8[79]a"),
    "TIFF": re.compile(rb"II[*+]\0|MM\0[*+]"),
    "PPM": re.compile(rb"P[1-6](?:\s+(?:#[^\n]*\n)?)+\d"),
    "AVIF": re.compile(rb"....ftypavi[fs]", re.DOTALL),
    "HEIF": re.compile(rb"....ftyp(?:hei[cxms]|hev[cxms]|mif1|msf1)", re.DOTALL),
}
NAMES = {"PNG": "PNG", "JPEG": "JPEG", "WEBP": "WebP", "BMP": "BMP", "GIF": "GIF", "TIFF": "TIFF", "PPM": "PPM"}
FORMATS = (*NAMES, *(("AVIF",) if AVIF else ()), *(("HEIF",) if pillow_heif else ()))
HEAD = 64  # bytes that tell what an image is
POINTER = b"version https://git-lfs.github.com/spec/"

PIXEL_LIMIT = 1 << 26  # 8192 x 8192: a file of some kB can claim far more
BYTE_LIMIT = 1 << 29  # some decoders read the whole file before anything else
LARGE = 1 << 24  # pixels; larger images are decoded one at a time, to save memory
CHEAP = {"PNG", "JPEG", "WEBP", "BMP", "GIF"}  # whose decoders take a time that their headers tell
CHEAP_BYTES = 1 << 22  # of a file: a decoder may take its pieces apart in Python, or more than once
SMALL = 1 << 16  # bytes of a file that need no look at its header: PIXEL_LIMIT pixels of nothing take no second
SCANS = 16  # of a JPEG as programs write them, which have ten
CHEAP_SCANS = 1 << 28  # pixels times scans of a JPEG: 0.25 ns each, if they are made to be empty
GIF_BYTES = 1 << 19  # comments in a GIF are joined in quadratic time
GAP = 4  # a JPEG is shrunk while it is decoded, to no less than this times the size
ORIENTED = ("exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif")
NO_IMAGE = "not a " + ", ".join(NAMES.values()) + ", HEIC or AVIF image"
NOT_SHRUNK = re.compile(rb"\xff[\xc3\xc7\xcb\xcf]\0[\x0b-\x17]")  # lossless: it has no frequencies to leave out
NOT_PLAIN = re.compile(rb"Exif|http://ns\.adobe\.com/xap/")  # a JPEG that may have to be turned

_large_image = threading.Lock()


def use_lock(lock) -> None:
    """One lock for all processes that decode, in place of this one's own."""
    global _large_image
    _large_image = lock


# ----------------------------------------------------------------------------------------------------- many at a time


def decode_each(
    names: Sequence[str], read_one: Callable[[int], bytes], look: Look, attributes: dict[str, np.ndarray] | None = None
) -> Batch:
    """The images called `names`, in their order; read_one(i) reads the i-th. What cannot be read is skipped, with a
    reason."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # decoders warn of much that does no harm; what fails has its reason below
        return gather(names, lambda i: decode(read_one(i), look), look, attributes)


def fit_each(
    names: Sequence[str], pixels: np.ndarray, look: Look, attributes: dict[str, np.ndarray] | None = None
) -> Batch:
    """The same for images that need no decoding: uint8 [n, H, W], [n, H, W, 1], [n, H, W, 3] or [n, H, W, 4]."""
    if pixels.ndim == 4 and _whole(look, pixels.shape[1:]):
        return Batch(np.ascontiguousarray(pixels), attributes or {})
    return gather(names, lambda i: fit(flatten(Image.fromarray(_plain(pixels[i]))), look), look, attributes)


def _plain(pixels: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels)


def gather(
    names: Sequence[str], attempt: Callable[[int], np.ndarray], look: Look, attributes: dict[str, np.ndarray] | None
) -> Batch:
    """attempt(i) for each name; an exception is the reason why that one is skipped."""
    images, kept, skipped = np.empty((len(names), *look.shape), np.uint8), [], []
    for i, name in enumerate(names):
        try:
            images[len(kept)] = attempt(i)
        except Exception as error:  # decoders raise nearly everything for a damaged file
            skipped.append((name, reason(error)))
        else:
            kept.append(i)
    return Batch(images[: len(kept)], {key: values[kept] for key, values in (attributes or {}).items()}, skipped)


def reason(error: Exception) -> str:
    """What to tell the user about something that could not be read, in a few words."""
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return f"more than {PIXEL_LIMIT:,} pixels"
    if isinstance(error, UnidentifiedImageError):
        return NO_IMAGE
    if isinstance(error, MemoryError):
        return "not enough memory to decode it"
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(text.split())[:200]


# ------------------------------------------------------------------------------------------------------------ one image


def kind_of(head: bytes) -> str:
    """Which of MAGIC's kinds a file is, by its first HEAD bytes; nothing if none."""
    return next((kind for kind, magic in MAGIC.items() if magic.match(head)), "")


def decode(data: bytes, look: Look) -> np.ndarray:
    """One image from a file's bytes, within the limits of time and memory; of several frames the first.

    Shapes: uint8 [height, width, channels].   Raises: Unreadable, or whatever the decoder raises.
    """
    if len(data) <= CHEAP_BYTES and data.startswith(b"\xff\xd8\xff") and data.count(b"\xff\xda") <= SCANS:
        pixels = plain_jpeg(data, look)  # most files there are: no more is asked of them
        if pixels is not None:
            return _made_to_fit(pixels, look)
    kind = kind_of(data[:HEAD])
    if not kind:
        if data.startswith(POINTER):
            raise Unreadable("a Git LFS pointer, not the file: run git lfs pull")
        raise Unreadable(NO_IMAGE)
    if kind not in FORMATS:
        raise Unreadable(
            f"a {kind} image: pip install 'dcgan-cupy[heif]' reads it"
            if kind == "HEIF"
            else "an AVIF image, which this Pillow cannot read"
        )
    return decode_here(data, look) if _is_cheap(data, kind) else guard.decode(data, look)


def _is_cheap(data: bytes, kind: str) -> bool:
    """Whether an image can be decoded in this process: its header promises that it takes little."""
    if kind not in CHEAP or len(data) > (GIF_BYTES if kind == "GIF" else CHEAP_BYTES):
        return False
    scans = data.count(b"\xff\xda") if kind == "JPEG" else 1
    if scans <= SCANS and len(data) < SMALL:
        return True
    pixels = decoded_bytes(data) // 4
    return pixels <= LARGE and pixels * scans <= CHEAP_SCANS


def decoded_bytes(data: bytes) -> int:
    """The bytes of the decoded image as its header claims, four a pixel; 0 if it has none that can be read."""
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            return min(image.width * image.height, PIXEL_LIMIT) * 4
    except Exception:  # whoever decodes it gets the reason
        return 0


def decode_here(data: bytes, look: Look) -> np.ndarray:
    """The same in this process, whatever it takes."""
    pixels = plain_jpeg(data, look)
    if pixels is not None:
        return _made_to_fit(pixels, look)
    return _by_pillow(data, look, NOT_SHRUNK.search(data) is None)


def _made_to_fit(pixels: np.ndarray, look: Look) -> np.ndarray:
    if _whole(look, pixels.shape):
        return pixels
    return fit(Image.fromarray(_plain(pixels)), look)


def _by_pillow(data: bytes, look: Look, shrink: bool) -> np.ndarray:
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        width, height = image.size  # what the header claims; nothing is decoded yet
        shapes = [(height, width)]
        if any(name in image.info for name in ORIENTED):
            shapes.append((width, height))  # it may have to be turned
        cuts = [_cut(look, *shape) for shape in shapes]
        if not any(high <= shape[0] and wide <= shape[1] for (high, wide), shape in zip(cuts, shapes)):
            raise Unreadable(f"{width} x {height} pixels, too small for a crop of {look.crop}")
        side = min(high for high, _ in cuts)
        if shrink and side >= 2 * GAP * look.sides[0]:
            image.draft(None, tuple(GAP * look.sides[0] * length // side for length in image.size))
        pixels = image.width * image.height
        if pixels > PIXEL_LIMIT:
            raise Unreadable(f"{width} x {height} pixels, more than {PIXEL_LIMIT:,}")
        with _large_image if pixels > LARGE else nullcontext():
            image.load()
            return fit(flatten(_upright(image)), look, image.width / width)


def plain_jpeg(data: bytes, look: Look) -> np.ndarray | None:
    """The whole image of a JPEG in colour or grey, undamaged, the right way up and not to be shrunk while it is
    decoded.

    Shapes: uint8 [H, W, 3] or [H, W, 1].   None: not such a one.
    """
    if simplejpeg is None or data[:3] != b"\xff\xd8\xff" or NOT_PLAIN.search(data):
        return None
    try:
        height, width, space, _ = simplejpeg.decode_jpeg_header(data)
        side, across = _cut(look, height, width)
        shrunk = side >= 2 * GAP * look.sides[0]
        if space not in ("YCbCr", "Gray") or height * width > LARGE or shrunk or side > height or across > width:
            return None
        return simplejpeg.decode_jpeg(data, "RGB" if space == "YCbCr" else "GRAY")
    except Exception:  # warnings of libjpeg, kinds that it does not know: Pillow decides
        return None


def _upright(image: Image.Image) -> Image.Image:
    if not any(name in image.info for name in ORIENTED):
        return image
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # a damaged EXIF block is no reason to lose the picture
        return image


def flatten(image: Image.Image) -> Image.Image:
    """8 bits a channel, opaque, RGB or grey: what is transparent lies on white, 16 bits keep their upper 8."""
    if image.mode in ("RGB", "L") and "transparency" not in image.info:
        return image
    if image.mode == "F":
        raise Unreadable("an image of floating-point numbers, whose range nobody knows")
    if image.mode.startswith("I"):
        return Image.fromarray((np.clip(np.asarray(image).astype(np.int64), 0, 65535) >> 8).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGB", image.size, (255, 255, 255))
        white.paste(image, mask=image.getchannel("A"))
        return white
    return image if image.mode in ("L", "RGB") else image.convert("L" if image.mode == "1" else "RGB")


def _cut(look: Look, height: int, width: int, scale: float = 1.0) -> tuple[int, int]:
    """(height, width) of what is cut from the middle of a picture: the largest part of the images' shape; or, which may
    be more than there is, look.crop px times `scale` on the short side."""
    h, w = look.sides
    if look.crop is not None:
        return tuple(max(1, round(look.crop * scale * side / min(h, w))) for side in (h, w))
    if width * h >= height * w:
        return height, max(1, round(height * w / h))
    return max(1, round(width * h / w)), width


def _whole(look: Look, shape: tuple[int, ...]) -> bool:
    """Whether a picture of this [H, W, C] comes out as it is."""
    return tuple(shape) == look.shape and look.crop in (None, min(look.sides))


def fit(image: Image.Image, look: Look, scale: float = 1.0) -> np.ndarray:
    """The centre of an image in RGB or L, in the shape that is wanted, resized. uint8 [height, width, channels]

    Without a crop: as if the whole were resized and the centre cut out, without first making the parts that are cut
    off.
    With one, the square is cut out first, so nothing around it shines in.   `scale`: how much the image has shrunk
    already.
    """
    mode = "L" if look.channels == 1 else "RGB"
    image = image if image.mode == mode else image.convert(mode)
    high, wide = _cut(look, image.height, image.width, scale)
    if scale < 1:  # each side was rounded by itself
        high, wide = min(high, image.height), min(wide, image.width)
    if high > image.height or wide > image.width:
        raise Unreadable(f"{image.width} x {image.height} pixels, too small for a crop of {look.crop}")
    left, top = (image.width - wide) // 2, (image.height - high) // 2
    box = left, top, left + wide, top + high
    if look.crop is not None:
        image, box = image.crop(box), (0, 0, wide, high)
    size = look.sides[::-1]  # Pillow's order
    if image.size == size and box == (0, 0, *size):
        return np.frombuffer(image.tobytes(), np.uint8).reshape(look.shape)
    image = image.resize(
        size, Image.Resampling.LANCZOS, box=box, reducing_gap=3.0
    )  # far larger images are first averaged in blocks, which is fast
    return np.frombuffer(image.tobytes(), np.uint8).reshape(look.shape)
