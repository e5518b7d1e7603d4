"""The kernel workbench: faults and costs of CUDA kernels, on a machine without a GPU.

Python -m dcgan_cupy.inspect --help
"""
