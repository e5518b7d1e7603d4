"""NVRTC itself, by its C interface: a kernel's text to PTX, with the options that CuPy passes for RawModule."""

import ctypes
import importlib.util
from functools import lru_cache
from pathlib import Path

ARCHITECTURE = 90
OPTIONS = (
    f"-arch=compute_{ARCHITECTURE}",
    "--device-as-default-execution-space",
    "-ftz=true",
    "-lineinfo",
)  # as device/gpu.py's _absent_options; lines for messages


class CompileError(Exception):
    """NVRTC's log."""


@lru_cache(maxsize=None)
def library() -> ctypes.CDLL:
    """libnvrtc of the nvidia wheels, else the system's.   Raises: OSError."""
    for package in ("nvidia.cu13", "nvidia.cuda_nvrtc"):
        try:
            found = importlib.util.find_spec(package)
        except ModuleNotFoundError:
            continue
        for place in found.submodule_search_locations if found else ():
            for path in sorted(Path(place, "lib").glob("libnvrtc.so.*[0-9]"), key=lambda p: len(p.name)):
                for part in path.parent.glob("libnvrtc-builtins.so.*"):  # it asks for them by name, without a folder
                    ctypes.CDLL(str(part))
                return ctypes.CDLL(str(path))
    return ctypes.CDLL("libnvrtc.so.13")


@lru_cache(maxsize=None)
def version() -> str:
    major, minor = ctypes.c_int(), ctypes.c_int()
    _check(library().nvrtcVersion(ctypes.byref(major), ctypes.byref(minor)))
    return f"{major.value}.{minor.value}"


def include() -> str:
    """Where the headers of the runtime's wheel lie (cuda_bf16.h), or an empty text."""
    try:
        found = importlib.util.find_spec("nvidia.cu13")
    except ModuleNotFoundError:
        found = None
    places = found.submodule_search_locations if found else ()
    return next((str(path) for place in places if (path := Path(place, "include")).is_dir()), "")


def _check(code: int) -> None:
    if code:
        library().nvrtcGetErrorString.restype = ctypes.c_char_p
        raise RuntimeError(f"nvrtc: {library().nvrtcGetErrorString(code).decode()}")


def _text(program, size, get) -> str:
    count = ctypes.c_size_t()
    _check(size(program, ctypes.byref(count)))
    room = ctypes.create_string_buffer(count.value)
    _check(get(program, room))
    return room.value.decode(errors="replace")


def ptx(text: str, options: tuple[str, ...], instances: tuple[str, ...] = ()) -> tuple[str, dict[str, str]]:
    """PTX, and of each template instance the name that it has there.   Raises: CompileError."""
    nvrtc, program = library(), ctypes.c_void_p()
    _check(nvrtc.nvrtcCreateProgram(ctypes.byref(program), text.encode(), b"kernel.cu", 0, None, None))
    try:
        for name in instances:
            _check(nvrtc.nvrtcAddNameExpression(program, name.encode()))
        given = [*options, *OPTIONS, *([f"-I{include()}"] if include() else [])]
        array = (ctypes.c_char_p * len(given))(*(option.encode() for option in given))
        if nvrtc.nvrtcCompileProgram(program, len(given), array):
            raise CompileError(_text(program, nvrtc.nvrtcGetProgramLogSize, nvrtc.nvrtcGetProgramLog))
        lowered = {}
        for name in instances:
            found = ctypes.c_char_p()
            _check(nvrtc.nvrtcGetLoweredName(program, name.encode(), ctypes.byref(found)))
            lowered[name] = (found.value or b"").decode()
        return _text(program, nvrtc.nvrtcGetPTXSize, nvrtc.nvrtcGetPTX), lowered
    finally:
        nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
