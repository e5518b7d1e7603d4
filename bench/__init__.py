"""How fast the kernels and the training step are, beside PyTorch: python -m bench."""
