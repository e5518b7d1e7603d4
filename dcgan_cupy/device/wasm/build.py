"""Kernels as one WebAssembly module: the same texts, compiled by clang for wasm32 with 128-bit vectors.

Each file of kernels is compiled by itself behind cuda_in_wasm.hpp; each kernel gets an exported function of its name
that takes grid and block (six integers) and the kernel's arguments, addresses and numbers, and runs every thread.
"""

import tempfile
from collections.abc import Iterable
from pathlib import Path

from ...errors import UserError, printable
from .. import source
from ..host.build import HERE as HOST
from ..host.build import first_error
from ..host.compiler import Compiler, TimedOut, call, seconds_allowed, wheel

HERE = Path(__file__).resolve().parent
FLAGS = (
    *("-target", "wasm32-freestanding", "-msimd128", "-O3", "-g0", "-std=gnu++17"),
    *("-fno-exceptions", "-fno-rtti", "-fno-builtin", "-fno-math-errno", "-ffp-contract=off", "-fvisibility=hidden"),
    *("-Wno-unknown-pragmas", "-Wno-unused", f"-I{HERE}", f"-I{HOST}"),
    *("-mllvm", "-force-vector-interleave=4"),  # vectors of a sum at once: one alone waits for its own last addition
    *("-nostdlib", "-Wl,--no-entry", "-Wl,--export=__heap_base", "-Wl,--strip-all", "-Wl,-z,stack-size=65536"),
)
LONG_SUMS = "conv2d/"
"""Files whose sums may be added in another order than the text's, in vectors, which a strict order would forbid."""

Named = tuple[str, str, tuple]
"""A kernel: file, symbol, macros."""


def need_compiler(where: str) -> Compiler:
    """The clang that compiles for WebAssembly.   Raises: UserError."""
    found = wheel()
    if found is None:
        raise UserError(
            f"{where}: need the clang of the ziglang wheel, which compiles for WebAssembly, got none "
            "(pip install 'dcgan-cupy[cpu]')"
        )
    return found


def module(where: str, kernels: Iterable[Named]) -> bytes:
    """The module of these kernels. Exports: each kernel by its symbol, memory, __heap_base.

    Raises: UserError for a kernel whose threads meet, for two of one name, with the compiler's first error.
    """
    compiler, taken = need_compiler(where), set()
    texts: dict[tuple, str] = {}  # (file, macros) -> its text, and the launchers of its kernels
    for file, symbol, macros in kernels:
        text = source.load(file, macros, tiles="cpu")
        signature = source.signatures(text)[symbol]
        if signature.meets:
            raise UserError(f"{where}: {symbol}: need a kernel without barriers, got {file}, whose threads meet")
        if symbol in taken:
            raise UserError(f"{where}: {symbol}: need one kernel of each name, got two")
        taken.add(symbol)
        texts[file, macros] = texts.get((file, macros)) or _opened(file, text)
        texts[file, macros] += _launcher(signature)
    with tempfile.TemporaryDirectory(prefix="dcgan-cupy-wasm-") as folder:
        made, sources = Path(folder) / "kernels.wasm", []
        for number, text in enumerate(texts.values()):
            sources.append(Path(folder) / f"{number}.cpp")
            sources[-1].write_text(text, encoding="utf-8")
        _compile(where, compiler, [*compiler.command, *FLAGS, *map(str, sources), "-o", str(made)])
        return made.read_bytes()


def _opened(file: str, text: str) -> str:
    order = "#pragma clang fp reassociate(on)\n" if file.startswith(LONG_SUMS) else ""
    return f'#include "cuda_in_wasm.hpp"\n{order}{text}\n#line 1 "launcher"\n'


def _launcher(signature: source.Signature) -> str:
    """The exported function of a kernel."""
    grid = ", ".join(f"unsigned {name}" for name in ("gx", "gy", "gz", "bx", "by", "bz"))
    given = ", ".join(f"{p.c_type}{'*' * p.pointer} {p.name}" for p in signature.parameters)
    names = ", ".join(p.name for p in signature.parameters)
    name = signature.name
    return (
        f'extern "C" __attribute__((export_name("{name}"), flatten)) void launch_{name}({grid}, {given}) '
        f"{{ over_grid({{gx, gy, gz}}, {{bx, by, bz}}, [=] {{ {name}({names}); }}); }}\n"
    )


def _compile(where: str, compiler: Compiler, command: list[str]) -> None:
    seconds = seconds_allowed()
    try:
        done = call(command, seconds)
    except TimedOut:
        raise UserError(f"{where}: {compiler.version}: need a module within {seconds:g} s, got none") from None
    except OSError as error:
        raise UserError(f"{where}: {compiler.version}: need a compiler that runs, got: {error}") from None
    if done.code:
        raise UserError(printable(first_error(where, compiler, done.err, "")))
