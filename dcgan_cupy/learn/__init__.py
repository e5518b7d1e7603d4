"""Exercises that judge themselves without a GPU: a kernel with a hole, its specification in NumPy, and a verdict."""
