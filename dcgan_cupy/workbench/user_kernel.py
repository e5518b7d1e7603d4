"""A kernel file of the user's: its arguments from the command line, and one sentence for what cannot be run here."""

import re
from pathlib import Path

import numpy as np

from ..device import source
from ..errors import UserError

DTYPES = {
    "f32": np.float32,
    "f64": np.float64,
    "i32": np.int32,
    "i64": np.int64,
    "u32": np.uint32,
    "u64": np.uint64,
    "u8": np.uint8,
    "i8": np.int8,
    "u16": np.uint16,
    "i16": np.int16,
    "f16": np.float16,
    "bf16": np.uint16,
    "bool": np.bool_,
}
UNSUPPORTED = (
    (r"<<<", "a file of kernels only: it is the command line that launches", "a launch by <<<…>>>"),
    (r"\b__?asm\b|\basm\b", "CUDA C++", "inline PTX, which a CPU does not understand"),
    (r"\bcooperative_groups\b|\bcg::", "__syncthreads(), __syncwarp() and warp collectives", "cooperative groups"),
    (
        r"\btex[123]D\w*\s*[<(]|\bsurf[123]D\w*\s*[<(]|\bcudaTextureObject_t\b|\bcudaSurfaceObject_t\b",
        "arrays",
        "textures or surfaces",
    ),
    (r"\bnvcuda\b|\bwmma::", "ordinary arithmetic", "tensor-core fragments (wmma)"),
    (
        r"\bcuda::(?:barrier|pipeline|memcpy_async)\b|\b__mbarrier_",
        "__pipeline_memcpy_async and its kin",
        "asynchronous barriers",
    ),
    (r"\b__cluster_dims__|\bcluster_group\b", "blocks that stand alone", "thread block clusters"),
    (r"\b__(?:match|reduce)_\w+_sync\b", "shuffles and votes", "a match or reduce collective"),
    (r"\b__nanosleep\b|\bclock(?:64)?\s*\(", "a kernel that does not ask for the time", "a clock"),
    (
        r"\bcudaMalloc\b|\bcudaMemcpy\b|\bcudaDeviceSynchronize\b",
        "a file of kernels only",
        "a call of the CUDA runtime",
    ),
    (r"\b__managed__\b", "arrays that are passed as arguments", "a __managed__ variable"),
    (r"\bmalloc\s*\(|\bnew\s+\w+\s*\[", "arrays that are passed as arguments", "memory allocated in a kernel"),
)


def check_supported(file: str, text: str) -> None:
    """Raises: UserError with the line of the first CUDA feature that has no meaning here."""
    own = Path(file).read_text(encoding="utf-8")
    code = source.strip_comments(own)
    found = [(m.start(), need, got) for pattern, need, got in UNSUPPORTED for m in re.finditer(pattern, code)]
    if found:
        at, need, got = min(found)
        raise UserError(f"{file}:{code.count(chr(10), 0, at) + 1}: unsupported: need {need}, got {got}")
    if match := re.search(
        r"^\s*#\s*include\s*<(?!cuda_|device_|vector_types|math|stdio|stdint|stddef|string|stdlib|float)([^>]+)>",
        code,
        re.M,
    ):
        line = code.count("\n", 0, match.start(1)) + 1
        raise UserError(f"{file}:{line}: include: need CUDA's own headers or plain C's, got <{match[1]}>")


def parse_size(what: str, text: str) -> tuple[int, ...]:
    """4 or 4,2 or 4,2,1 as a tuple."""
    try:
        sizes = tuple(int(v) for v in text.replace("x", ",").split(","))
    except ValueError:
        sizes = ()
    if not 1 <= len(sizes) <= 3 or min(sizes) < 1:
        raise UserError(f"inspect: --{what}: need one to three whole numbers such as 4 or 4,2, got {text!r}")
    return sizes


def make_arguments(dev, signature, given: list[str], seed: int) -> list:
    """The values of a kernel's parameters from --arg name=value.

    Raises: UserError for a name or a value that does not fit.
    """
    values = {}
    names = [p.name for p in signature.parameters]
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or name not in names:
            raise UserError(f"inspect: --arg: need name=value with one of {', '.join(names)}, got {text!r}")
        values[name] = value
    rng, made = np.random.default_rng(seed), []
    for p in signature.parameters:
        if p.name not in values:
            example = "f32[1024]" if p.pointer else "1024"
            raise UserError(
                f"inspect: --arg: need a value for {p.name} ({p.c_type}{'*' if p.pointer else ''}), such as --arg"
                f" {p.name}={example}, got none"
            )
        made.append(_array(dev, p, values[p.name], rng) if p.pointer else _scalar(p, values[p.name]))
    return made


def _array(dev, p, text: str, rng):
    if text in ("null", "none", "0"):
        return None
    where = f"inspect: --arg: {p.name}"
    if text.startswith("@"):
        try:
            loaded = np.load(text[1:], allow_pickle=False)
        except (OSError, ValueError) as error:
            raise UserError(f"{where}: need a .npy file, got {text[1:]}: {error}") from None
        values, empty = loaded, False
    else:
        match = re.fullmatch(r"(\w+)\[([\d,x ]*)\](\s*=\s*empty|:empty)?", text)
        if not match or match[1] not in DTYPES:
            raise UserError(
                f"{where}: need an array such as f32[1024], f32[32,64]:empty, @file.npy or null ({', '.join(DTYPES)}),"
                f" got {text!r}"
            )
        shape = tuple(int(v) for v in re.split(r"[,x]", match[2].replace(" ", "")) if v)
        dtype, empty = np.dtype(DTYPES[match[1]]), bool(match[3])
        if int(np.prod(shape, dtype=np.float64)) * dtype.itemsize > 1 << 31:
            raise UserError(f"{where}: need at most 2 GiB, got {text}")
        values = _random(rng, shape, dtype, match[1])
    if p.dtype is not None and values.dtype != p.dtype:
        raise UserError(f"{where}: need an array of {p.dtype.name} for {p.c_type}*, got {values.dtype.name}")
    return dev.empty(values.shape, values.dtype) if empty else dev.array(values)


def _random(rng, shape, dtype, name):
    if name == "bf16":
        return (rng.standard_normal(shape).astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
    if dtype.kind == "f":
        return rng.standard_normal(shape).astype(dtype)
    if dtype.kind == "b":
        return rng.integers(0, 2, shape).astype(dtype)
    return rng.integers(0, min(127, np.iinfo(dtype).max), shape).astype(dtype)


def _scalar(p, text: str):
    if p.dtype is None:
        raise UserError(f"inspect: --arg: {p.name}: need a parameter of a plain number type, got {p.c_type}")
    try:
        value = float(text) if p.dtype.kind == "f" else int(text, 0)
        if p.dtype.kind in "iu" and not np.iinfo(p.dtype).min <= value <= np.iinfo(p.dtype).max:
            raise ValueError
        return p.dtype.type(value)
    except ValueError:
        raise UserError(f"inspect: --arg: {p.name}: need a number that fits {p.c_type}, got {text!r}") from None


def run_user_kernel(
    dev,
    file: str,
    symbol: str,
    grid: str,
    block: str,
    given: list[str],
    macros: list[str],
    shared_bytes: int,
    seed: int,
):
    """Launches file:symbol once; its Report."""
    path = Path(file)
    if not path.is_file():
        raise UserError(f"inspect: {file}: need a .cu file, got none of that name")
    absolute = str(path.resolve())
    defines = {}
    for text in macros:
        name, equals, value = text.partition("=")
        if not re.fullmatch(r"[A-Za-z_]\w*", name):
            raise UserError(f"inspect: --macro: need NAME=VALUE, got {text!r}")
        defines[name] = value if equals else 1
    text = source.load(absolute, tuple(defines.items()))
    check_supported(absolute, text)
    known = source.signatures(text)
    if not symbol and len(known) == 1:
        symbol = next(iter(known))
    signature = dev.signature(absolute, symbol, text)
    if signature.template and "<" not in symbol:
        raise UserError(
            f"inspect: {file}: need an instance of the template {symbol}, such as '{symbol}<4>', got its bare name"
        )
    kernel = dev.kernel(absolute, symbol, **defines)
    arguments = make_arguments(dev, signature, given, seed)
    try:
        kernel(parse_size("grid", grid), parse_size("block", block), *arguments, shared_bytes=shared_bytes)
    except (ValueError, TypeError) as error:
        raise error if isinstance(error, UserError) else UserError(str(error)) from None
    return dev.reports[-1]
