"""A rung of one's own: python -m dcgan_cupy.train --kernels docs/course/my_rung.py

It computes conv2d_forward; conv2d_backward_input and conv2d_backward_weight, which it does not define, are the tiled
rung's.
"""

from pathlib import Path

from dcgan_cupy import ops

KERNELS = "my_rung.cu"


def conv2d_forward(dev, x, w, bias, y, stride, padding):
    """x [N, H, W, IC], w [KH, KW, IC, OC], bias [OC] or None, y [N, OH, OW, OC]: arrays of the device, checked."""
    sizes = ops.convolution_sizes("conv2d_forward", x.shape, w.shape, y.shape, stride, padding)
    kernel = dev.kernel(str(Path(__file__).resolve().with_name(KERNELS)), "four_channels")
    threads = y.size // y.shape[3] * ops.ceil_div(y.shape[3], 4)
    kernel(ops.ceil_div(threads, 256), 256, x, w, bias, y, *sizes)
