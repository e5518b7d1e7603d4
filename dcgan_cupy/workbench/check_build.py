"""The check build: compiles a kernel so that it calls check.cpp at every access, and check.cpp itself.

clang instruments the text (-fsanitize=thread and a call for each basic block); instrument.py turns that into calls of
check.cpp.
"""

import ctypes
import json
import re
import shutil
from functools import lru_cache
from pathlib import Path

from ..device.host import build as building
from ..device.host import keep
from ..errors import UserError
from . import instrument

HERE = Path(__file__).resolve().parent
INSTRUMENT = (
    "-std=gnu++17",
    "-fPIC",
    "-O1",
    "-march=native",
    "-g1",
    "-fdebug-compilation-dir=.",
    "-fvisibility=hidden",
    "-fno-exceptions",
    "-fno-rtti",
    "-nostdlib++",
    "-ffp-contract=off",
    "-fno-math-errno",
    "-fno-finite-loops",  # a loop without end stays one, and its line is found
    "-fno-delete-null-pointer-checks",  # an access through a literal null pointer stays one
    "-fno-discard-value-names",  # parameters and local arrays keep their names
    "-fno-vectorize",
    "-fno-slp-vectorize",
    "-fno-builtin-memset",
    "-fno-builtin-memcpy",
    "-fno-sanitize=all",
    "-Wno-everything",
    "-Xclang",
    "-fsanitize=thread,object-size",  # object-size: an index that is known to leave a local array is not optimised away
    "-Xclang",
    "-fsanitize-recover=object-size",
    "-Xclang",
    "-fsanitize-coverage-type=2",
    "-Xclang",
    "-fsanitize-coverage-trace-pc-guard",
    "-Xclang",
    "-fsanitize-coverage-no-prune",
    "-mllvm",
    "-tsan-instrument-read-before-write=1",
    "-mllvm",
    "-disable-vector-combine",
    "-mllvm",
    "-sink-common-insts=false",
    "-mllvm",
    "-hoist-common-insts=false",
)
ASSEMBLE = (
    "-fPIC",
    "-shared",
    "-O1",
    "-march=native",
    "-nostdlib++",
    "-fno-sanitize=all",
    "-Wno-everything",
    "-Wl,-z,undefs",
)
# Types of the intermediate text whose arithmetic may be the compiler's library's (device/host/build.py: HELPED).
HELPED = re.compile(r"\b(?:half|bfloat|i128|fp128|x86_fp80)\b")


@lru_cache(maxsize=None)
def clang() -> building.Compiler:
    """A clang: the compiler in use if it is one, else the wheel's, else clang++."""
    found = building.find_compiler()
    if found.is_clang or "zig" in found.found:
        return found
    if compiler := building.wheel():
        return compiler
    if path := shutil.which("clang++"):
        return building.Compiler((path,), "PATH")
    raise UserError(f"device: check: need clang, which can watch accesses (`pip install ziglang`), got {found.version}")


RUNTIME = (
    "-std=gnu++17",
    "-O3",
    "-march=native",
    "-fPIC",
    "-shared",
    "-fno-exceptions",
    "-fno-rtti",
    "-nostdlib++",
    "-fno-sanitize=all",
)
RUNTIME_TEXTS = ("check_order.hpp", "check_costs.hpp")  # that check.cpp includes
REWRITES = (
    "check.hpp",
    "instrument.py",
    "ir.py",
    "flow.py",
    "variables.py",
    "refusals.py",
)  # what decides of an image, beside its text


@lru_cache(maxsize=None)
def _own(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple((HERE / name).read_text(encoding="utf-8") for name in names)


@lru_cache(maxsize=None)
def runtime() -> ctypes.CDLL:
    """check.cpp, where every image can see it."""
    (text,) = _own(("check.cpp",))
    compiler = clang()

    libraries = "-nostdlib" if "zig" in compiler.found else "-lpthread"

    def commands(stem, out):
        return [[*compiler.command, *RUNTIME, f"-I{HERE}", f"-I{building.HERE}", f"{stem}.cpp", "-o", out, libraries]]

    parts = text, *_own(RUNTIME_TEXTS), *RUNTIME, libraries
    kept = building.kept("check", "check", compiler, parts, {"cpp": text}, commands, "check_run")
    return keep.load(kept, mode=ctypes.RTLD_GLOBAL)


def build(symbol: str, text: str) -> tuple[ctypes.CDLL, dict]:
    """The instrumented image of a kernel, loaded, and its tables.   Raises: UserError."""
    compiler = clang()

    def commands(stem, out):
        own = f"-I{HERE}", f"-I{building.HERE}"
        yield [*compiler.command, *INSTRUMENT, *own, "-S", "-emit-llvm", f"{stem}.cpp", "-o", f"{stem}.raw"]
        helped = HELPED.search(Path(f"{stem}.ll").read_text(encoding="utf-8"))  # between the two it was rewritten
        lean = ("-nostdlib",) if "zig" in compiler.found and not helped else ()
        yield [*compiler.command, *ASSEMBLE, f"{stem}.ll", "-o", out, *lean]

    def rewrite(stem):
        kernel = symbol.partition("<")[0].rpartition("::")[2].strip()
        made, tables = instrument.rewrite(Path(f"{stem}.raw").read_text(encoding="utf-8"), kernel)
        Path(f"{stem}.ll").write_text(made, encoding="utf-8")
        return json.dumps(tables).encode()

    parts = text, *_own(REWRITES), *INSTRUMENT, *ASSEMBLE
    kept = building.kept(symbol, "check", compiler, parts, {"cpp": text}, commands, "run_blocks", rewrite)
    return keep.load(kept), json.loads(kept.tables)
