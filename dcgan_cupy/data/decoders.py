"""The libraries that decode images, and their versions, which belong to a cache entry's key."""

import PIL

try:
    import simplejpeg
except Exception:  # no wheel for this machine, or one made for another NumPy: Pillow does it all
    simplejpeg = None

VERSIONS = f"Pillow {PIL.__version__}" + (f", simplejpeg {simplejpeg.__version__}" if simplejpeg else "")
