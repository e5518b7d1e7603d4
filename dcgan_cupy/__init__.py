"""A DCGAN whose every layer is a CUDA kernel written by hand, on a GPU or on none."""

__version__ = "0.1.0"
