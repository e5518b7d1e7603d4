"""Programs on disk: what NVRTC and the translation made of a text, so that a second run of the tests asks neither."""

import hashlib
import os
import pickle
import threading
import time
import zlib
from functools import lru_cache
from pathlib import Path

from dcgan_cupy.cache import cache_root, open_to_read, private_folder

from . import nvrtc, program, ptx

HERE = Path(__file__).resolve().parent


@lru_cache(maxsize=None)
def _decides() -> bytes:
    """All that a program depends on but its text and options."""
    texts = [
        (HERE / name).read_bytes() for name in ("nvrtc.py", "ptx.py", "records.py", "program.py", "slots.py", "kept.py")
    ]
    return b"\0".join([nvrtc.version().encode(), *texts])


def translated(code: str, options: tuple[str, ...], symbol: str, instances: tuple[str, ...]) -> program.Program:
    """The program of a kernel.   Raises: nvrtc.CompileError, ptx.NotKnown, LookupError for no such kernel."""
    key = hashlib.sha256(
        b"\0".join([_decides(), code.encode(), repr((options, symbol, instances)).encode()])
    ).hexdigest()
    path = cache_root() / "stand-in" / key[:32]
    try:
        with open_to_read(path) as file:
            return pickle.loads(zlib.decompress(file.read()))
    except (OSError, EOFError, zlib.error, pickle.UnpicklingError):
        pass
    text, lowered = nvrtc.ptx(code, options, instances)
    module = ptx.parse(text)
    name = lowered.get(symbol, symbol)
    if name not in module.kernels:
        raise LookupError(f"CUDA_ERROR_NOT_FOUND: named symbol not found: {symbol}")
    made = program.translate(module, name)
    folder = private_folder(path.parent)
    _sweep(folder)
    temporary = folder / f".{key[:32]}-{os.getpid()}-{threading.get_ident()}"
    temporary.write_bytes(zlib.compress(pickle.dumps(made), 1))
    os.replace(temporary, path)
    return made


@lru_cache(maxsize=None)
def _sweep(folder: Path) -> None:
    """Once a process: removes what was made two weeks ago, by this version of the translation or another."""
    for path in folder.iterdir():
        try:
            if time.time() - path.stat().st_mtime > 14 * 24 * 3600:
                path.unlink()
        except OSError:
            pass
