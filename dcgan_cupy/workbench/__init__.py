"""The kernel workbench: faults and costs of CUDA kernels, on a machine without a GPU.   python -m dcgan_cupy.inspect --help"""
