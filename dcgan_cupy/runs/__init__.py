"""What a training run leaves behind: settings, log, pictures, weights."""

from .folder import RunFolder
from .weights import load_weights, save_weights

__all__ = ["RunFolder", "load_weights", "save_weights"]
