"""Element by element: fill, add, the activations. One thread an element."""

import numpy as np

from ..device import Array, Device
from .check import same_size
from .epilogue import need_slope
from .tiles import BLOCK, ceil_div

F32, I32 = np.float32, np.int32


def launch_each(dev: Device, file: str, symbol: str, n: int, *arguments) -> None:
    dev.kernel(file, symbol)(ceil_div(n, BLOCK), BLOCK, *arguments, I32(n))


def fill(dev: Device, x: Array, value: float) -> None:
    """x[i] = value.   kernels/elementwise.cu"""
    launch_each(dev, "elementwise.cu", "fill", same_size("fill", x=x), x, F32(value))


def add(dev: Device, x: Array, y: Array) -> None:
    """y[i] += x[i].   kernels/elementwise.cu"""
    launch_each(dev, "elementwise.cu", "add", same_size("add", x=x, y=y), x, y)


def relu_forward(dev: Device, x: Array, y: Array) -> None:
    """y = max(x, 0).   kernels/activations.cu"""
    launch_each(dev, "activations.cu", "relu_forward", same_size("relu_forward", x=x, y=y), x, y)


def relu_backward(dev: Device, y: Array, dy: Array, dx: Array) -> None:
    """dx = dy where y > 0, else 0.   kernels/activations.cu"""
    launch_each(dev, "activations.cu", "relu_backward", same_size("relu_backward", y=y, dy=dy, dx=dx), y, dy, dx)


def leaky_relu_forward(dev: Device, x: Array, y: Array, slope: float) -> None:
    """y = x where x > 0, else slope * x.   kernels/activations.cu"""
    n = same_size("leaky_relu_forward", x=x, y=y)
    need_slope("leaky_relu_forward", slope)
    launch_each(dev, "activations.cu", "leaky_relu_forward", n, x, y, F32(slope))


def leaky_relu_backward(dev: Device, y: Array, dy: Array, dx: Array, slope: float) -> None:
    """dx = dy where y > 0, else slope * dy.   kernels/activations.cu"""
    n = same_size("leaky_relu_backward", y=y, dy=dy, dx=dx)
    need_slope("leaky_relu_backward", slope)
    launch_each(dev, "activations.cu", "leaky_relu_backward", n, y, dy, dx, F32(slope))


def tanh_forward(dev: Device, x: Array, y: Array) -> None:
    """y = tanh(x).   kernels/activations.cu"""
    launch_each(dev, "activations.cu", "tanh_forward", same_size("tanh_forward", x=x, y=y), x, y)


def tanh_backward(dev: Device, y: Array, dy: Array, dx: Array) -> None:
    """dx = dy * (1 - y^2).   kernels/activations.cu"""
    launch_each(dev, "activations.cu", "tanh_backward", same_size("tanh_backward", y=y, dy=dy, dx=dx), y, dy, dx)


def sigmoid_forward(dev: Device, x: Array, y: Array) -> None:
    """y = 1 / (1 + exp(-x)).   kernels/activations.cu"""
    launch_each(dev, "activations.cu", "sigmoid_forward", same_size("sigmoid_forward", x=x, y=y), x, y)


def sigmoid_backward(dev: Device, y: Array, dy: Array, dx: Array) -> None:
    """dx = dy * y * (1 - y).   kernels/activations.cu"""
    launch_each(dev, "activations.cu", "sigmoid_backward", same_size("sigmoid_backward", y=y, dy=dy, dx=dx), y, dy, dx)
