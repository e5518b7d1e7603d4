"""The kernels in a browser: what a piece of work launches is noted, and its kernels become one WebAssembly module."""

from .build import module, need_compiler
from .notes import Arena, NotesDevice, Step

__all__ = ["Arena", "NotesDevice", "Step", "module", "need_compiler"]
