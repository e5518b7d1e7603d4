"""The CPU device: the same kernel text, compiled by a C++ compiler and run on all cores."""

from .build import find_compiler, need_cache
from .launch import CpuDevice

__all__ = ["CpuDevice", "find_compiler", "need_cache"]
