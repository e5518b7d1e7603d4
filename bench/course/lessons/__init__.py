"""What each lesson shows. Importing this registers every picture and block."""

from . import convolutions, first_kernels, rungs, sums, tiles, training, whole, winograd  # noqa: F401
