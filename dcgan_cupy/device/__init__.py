"""Where kernels run: one interface, an NVIDIA GPU or the CPU behind it.

dev = get("auto")                       # the GPU if one answers, else the CPU
x = dev.array(numpy_array)
k = dev.kernel("conv2d/forward_1_textbook.cu", "conv2d_forward")
k(grid, block, x, w, y, np.int32(n))    # a bare Python number is a TypeError
"""

from ..errors import UserError
from . import gpu
from .array import Array
from .base import Device, Graph, Kernel, KernelError
from .gpu import GpuDevice
from .host import CpuDevice, find_compiler, need_cache
from .recorder import RecorderDevice

__all__ = [
    "Array",
    "CpuDevice",
    "Device",
    "GpuDevice",
    "Graph",
    "Kernel",
    "KernelError",
    "RecorderDevice",
    "get",
    "ready",
]


def get(name: str = "auto", **options) -> Device:
    """The device called "auto", "cpu" or "gpu"; its `reason` says why it was chosen.

    Raises: UserError for another name, a GPU that does not answer, or no C++ compiler for the CPU.
    """
    if name == "gpu":
        return GpuDevice(**options)
    if name == "cpu":
        return CpuDevice(**options)
    if name != "auto":
        raise UserError(f"device: need auto, cpu or gpu, got {name!r}")
    missing = gpu.why_not()
    return CpuDevice(reason=missing, **options) if missing else GpuDevice(reason="a CUDA device answers", **options)


def ready(kind: str) -> None:
    """Looks whether a "cpu" or "gpu" device can be had, and compiles nothing.   Raises: UserError as get() would."""
    if kind == "gpu":
        if missing := gpu.why_not():
            raise UserError(f"device: gpu: need a CUDA device, got none: {missing}")
        return
    CpuDevice.threads_wanted()
    need_cache()
    _ = find_compiler().version
