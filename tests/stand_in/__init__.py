"""A GPU for machines that have none: what NVRTC makes of a kernel, run and watched on the CPU. For tests only.

    nvrtc.py            NVRTC itself: CUDA C to PTX, with CuPy's options
    ptx.py              PTX to instructions
    program.py slots.py instructions to what the machine runs (records.py)
    *.hpp, machine.py   the machine: warps in lockstep, every access checked, shared memory that begins as NaN
    cupy_stand_in.py    CuPy's rules around it: streams, captures, graphs, modules (arrays.py: its arrays)
    kept.py             programs on disk, so that a second run of the tests is quick

It is right where the PTX manual says what an instruction does, and strict where the manual leaves it open. It knows
nothing of time, of caches, of what ptxas makes of PTX, and of races between warps but by another order (Order).
"""

import contextlib
import os
from functools import lru_cache

from dcgan_cupy.device import gpu

NAME = "stand-in"


@lru_cache(maxsize=None)
def gpu_name() -> str:
    """What tests call the GPU's device here: "gpu" where one answers, else "stand-in"."""
    return NAME if gpu.why_not() else "gpu"


@lru_cache(maxsize=None)
def why_not() -> str:
    """Why there is no stand-in here, or an empty string."""
    from . import nvrtc

    try:
        nvrtc.version()
    except (OSError, RuntimeError) as error:
        return f"no GPU, and no NVRTC for a stand-in: {error}"
    return ""


@contextlib.contextmanager
def installed(count: int = 1, **order: bool):
    """device/gpu.py finds the stand-in in CuPy's place, `count` GPUs, launches in the order given (machine.Order)."""
    from . import cupy_stand_in

    before, gpus = (gpu.cupy, gpu.missing, gpu.no_driver), cupy_stand_in.GPUS
    outer = gpus.count, gpus.order
    words = os.environ.get("STAND_IN_ORDER", "").split()
    cupy_stand_in.reset(count, **{**dict.fromkeys(words, True), **order})
    gpu.cupy, gpu.missing, gpu.no_driver = cupy_stand_in, lambda: "", lambda: ""
    try:
        yield cupy_stand_in
    finally:
        gpu.cupy, gpu.missing, gpu.no_driver = before
        gpus.count, gpus.order = outer
