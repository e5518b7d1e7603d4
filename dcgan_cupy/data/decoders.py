"""The libraries that decode images, and what one file may cost. Both belong to a cache entry's key."""

import os

import PIL
from PIL import features

try:
    import simplejpeg
except Exception:  # no wheel for this machine, or one made for another NumPy: Pillow does it all
    simplejpeg = None
try:
    import pillow_heif

    pillow_heif.register_heif_opener(thumbnails=False)
except Exception:  # the extra `heif` is not installed
    pillow_heif = None

AVIF = bool(features.check("avif"))


def _number(name: str, usual: float) -> float:
    """A positive number from the environment, or the usual one."""
    try:
        value = float(os.environ.get(name, ""))
    except ValueError:
        return usual
    return value if 0 < value < 1e6 else usual


SECONDS = _number("DCGAN_CUPY_FILE_SECONDS", 2.0)  # of processor time
MEMORY = int(_number("DCGAN_CUPY_FILE_MEGABYTES", 512) * 2**20)  # bytes beyond the decoded image

VERSIONS = f"Pillow {PIL.__version__}" + (f", simplejpeg {simplejpeg.__version__}" if simplejpeg else "")
VERSIONS += f", pillow-heif {pillow_heif.__version__}" if pillow_heif else ""
VERSIONS += "" if (SECONDS, MEMORY) == (2.0, 512 << 20) else f", at most {SECONDS} s and {MEMORY} bytes a file"
