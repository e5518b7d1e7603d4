"""A rung of the user's own: a Python file that launches the kernels of a .cu file beside it, in place of ours.

    python -m dcgan_cupy.train --kernels path/my_rung.py

The file names its kernels' file in KERNELS and defines some of

    conv2d_forward(dev, x, w, bias, y, stride, padding)              as ops.conv2d_forward, what it is given is checked
    conv2d_backward_input(dev, dy, w, bias, dx, stride, padding)     also every transposed convolution, forward
    conv2d_backward_weight(dev, x, dy, dw, stride, padding)          adds to dw

What it does not define, the rung `tiled` does. `ops.convolution_sizes` gives the 13 integers that our kernels take.
Loading runs the file, so only `load` does it, by the path that its caller was given.
"""

import importlib.util
import traceback
from pathlib import Path
from types import ModuleType

from ..device import KernelError
from ..errors import UserError, printable

FUNCTIONS = ("conv2d_forward", "conv2d_backward_input", "conv2d_backward_weight")

OWN: dict[str, ModuleType] = {}
"""The rungs that were loaded, by the file's full path: that is their name."""


def load(path: str) -> str:
    """Runs the file and keeps its functions; the rung's name.   Raises: UserError for a file that is no rung."""
    file = Path(path).resolve()
    where = f"--kernels: {printable(path)}"
    if not file.is_file():
        raise UserError(f"{where}: need a Python file, got none of that name")
    spec = importlib.util.spec_from_file_location(f"own_rung_{file.stem}", file)
    assert spec is not None and spec.loader is not None  # it ends in .py: config.py has seen to it
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise UserError(f"{where}: need a Python file that runs, got {_in_file(error, file)}") from None
    kernels = getattr(module, "KERNELS", None)
    if not isinstance(kernels, str) or not (file.parent / kernels).is_file():
        raise UserError(f"{where}: need KERNELS, the name of its .cu file beside it, got {kernels!r}")
    if not any(callable(getattr(module, name, None)) for name in FUNCTIONS):
        raise UserError(f"{where}: need one of {', '.join(FUNCTIONS)}, got none of them")
    OWN[str(file)] = module
    return str(file)


def function(rung: str, name: str):
    """What an own rung does in place of ops.<name>, or None where it does nothing.

    Its own errors become a UserError with the line.
    """
    module = OWN.get(rung)
    own = getattr(module, name, None) if module else None
    if not callable(own):
        return None

    def run(*arguments):
        try:
            own(*arguments)
        except (UserError, KernelError, MemoryError):
            raise
        except Exception as error:
            raise UserError(f"--kernels: {name}: {_in_file(error, Path(rung))}") from None

    return run


def _in_file(error: Exception, file: Path) -> str:
    """An error of the user's file, with its last line there: TypeError in my_rung.py:12: …"""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == str(file)]
    line = frames[-1].lineno if frames else getattr(error, "lineno", None)
    return printable(f"{type(error).__name__} in {file.name}:{line or 1}: {error}")
