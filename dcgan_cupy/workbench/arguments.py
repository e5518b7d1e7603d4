"""The arguments of a user's kernel: from the command line, from its host code, or proposed; and what they hold."""

import re
from dataclasses import dataclass, field

import numpy as np

from ..errors import UserError
from .user_source import UserFile
from .user_types import VECTORS, Argument

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
FILLS = ("random", "empty", "zeros", "ones", "range", "sorted", "permutation", "identity", "nan-free")
MOST_BYTES = 1 << 31
LONGEST_RANDOM = 1_000_003  # elements; a prime, so that rows differ
NULL = ("null", "none", "nullptr", "NULL", "0")


@dataclass
class Value:
    """What a parameter gets. origin: given, read (from the host code), default or proposed."""

    text: str
    origin: str
    value: object = None


@dataclass
class Layout:
    """Where a struct's members lie: (member, offset) each; size and alignment in bytes."""

    size: int
    alignment: int
    members: list = field(default_factory=list)
    dtype: np.dtype | None = None


def layout(user: UserFile, c_type: str, template=None, depth: int = 0) -> Layout | None:
    """A plain struct's layout by C's rules; None where a member is not understood."""
    if c_type in VECTORS:
        item, lanes = np.dtype(VECTORS[c_type]), int(c_type[-1])
        size = item.itemsize * lanes
        alignment = item.itemsize if lanes in (1, 3) else min(16, size)
        return Layout(size, alignment, [], np.dtype((item, (lanes,))) if lanes > 1 else item)
    if c_type.startswith("curandState"):
        return Layout(64, 16, [], np.dtype([("words", np.uint32, (16,))]))
    members = user.struct(c_type)
    if members is None or depth > 4:
        return None
    at, alignment, placed, fields = 0, 1, [], []
    for m in members:
        inner = None
        if m.stars:
            size, item = 8 * m.lanes, 8
            kind = np.dtype((np.uint64, (m.lanes,))) if m.lanes > 1 else np.dtype(np.uint64)
        elif m.c_type in VECTORS or m.dtype is None:
            inner = layout(user, m.c_type, template, depth + 1)
            if inner is None:
                return None
            repeat = m.lanes // (int(m.c_type[-1]) if m.c_type in VECTORS else 1)
            size, item = inner.size * repeat, inner.alignment
            kind = np.dtype((inner.dtype, (repeat,))) if repeat > 1 else inner.dtype
        else:
            size, item = m.dtype.itemsize * m.lanes, m.dtype.itemsize
            kind = np.dtype((m.dtype, (m.lanes,))) if m.lanes > 1 else m.dtype
        at = -(-at // item) * item
        placed.append((m, at, inner))
        fields.append((m.name, kind, at))
        at, alignment = at + size, max(alignment, item)
    item = user.struct_alignment(c_type)
    alignment = max(alignment, item)
    size = max(1, -(-at // alignment) * alignment)
    names = [f[0] for f in fields]
    if len(set(names)) != len(names):
        return None
    made = np.dtype(
        {"names": names, "formats": [f[1] for f in fields], "offsets": [f[2] for f in fields], "itemsize": size}
    )
    return Layout(size, alignment, placed, made)


def given(texts: list[str], parameters) -> dict[str, str]:
    """--arg name=value by name.   Raises: UserError for another name."""
    values, names = {}, [p.name for p in parameters]
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or name.strip() not in names:
            raise UserError(f"inspect: --arg: need name=value with one of {', '.join(names)}, got {text!r}")
        values[name.strip()] = value.strip()
    return values


class Maker:
    """Makes the values of parameters on a device. arrays: those of struct members, (name, array) each."""

    def __init__(self, dev, user, seed: int, template=None):
        self.dev, self.user, self.template = dev, user, template
        self.seed = seed
        self.arrays: list = []

    def make(self, p: Argument, text: str):
        """One parameter's value.   Raises: UserError in which the parameter is named."""
        if p.stars > 1:
            raise UserError(
                f"inspect: --arg: {p.name}: need a pointer to numbers or structs, got {p.c_type}{'*' * p.stars}, an"
                " array of pointers: pass one flat array and index it by row, which also saves the second read"
            )
        if p.stars:
            return self._array(p, text)
        if p.dtype is not None and p.lanes == 1:
            return _scalar(p, text, self.user)
        return self._struct(p, text)

    def dtype_of(self, p: Argument) -> np.dtype | None:
        """An array's element: of a plain type, or a struct's."""
        if p.dtype is not None or p.c_type == "void":
            return p.dtype
        found = layout(self.user, p.c_type, self.template)
        return found.dtype if found else None

    def _array(self, p: Argument, text: str):
        if text in NULL:
            return None
        where = f"inspect: --arg: {p.name}"
        if text.startswith("@"):
            return self.dev.array(self._fitting(p, load(where, text[1:])))
        match = re.fullmatch(r"(\w*)\[([\d,x* ]*)\](?:\s*[:=]\s*(.+))?", text)
        dtype = self.dtype_of(p)
        if (
            not match
            or (match[1] and match[1] not in DTYPES and match[1] != p.c_type)
            or (not match[1] and dtype is None)
        ):
            raise UserError(
                f"{where}: need an array such as f32[1024], f32[32,64]:zeros, @file.npy or null ({', '.join(DTYPES)}; "
                f"{', '.join(FILLS)}), got {text!r}"
            )
        shape = tuple(int(v) for v in re.split(r"[,x*]", match[2].replace(" ", "")) if v)
        fill, name = match[3] or "random", match[1] if match[1] in DTYPES else ""
        dtype = np.dtype(DTYPES[name]) if name else dtype
        assert dtype is not None
        if int(np.prod(shape, dtype=np.float64)) * dtype.itemsize > MOST_BYTES:
            raise UserError(f"{where}: need at most 2 GiB, got {text}")
        fitting = self._fitting(p, np.zeros(shape, dtype))
        if fill == "empty":
            return self.dev.empty(fitting.shape, fitting.dtype)
        if fill.startswith("@"):
            values = load(where, fill[1:])
            if values.size != int(np.prod(shape)) or values.dtype != dtype:
                raise UserError(
                    f"{where}: need {dtype.name} of {shape} in {fill[1:]}, got {values.dtype.name} of {values.shape}"
                )
            return self.dev.array(self._fitting(p, values.reshape(shape)))
        bfloat = name == "bf16" or p.c_type.endswith(("bfloat16", "bfloat162"))
        rng = np.random.default_rng([self.seed, *p.name.encode()])
        return self.dev.array(self._fitting(p, fill_array(where, rng, shape, dtype, fill, bfloat)))

    def _fitting(self, p: Argument, values):
        """An array's values, if they are the parameter's: for structs, numbers that fill a whole number of them."""
        need = self.dtype_of(p)
        if need is not None and values.dtype != need and (need.names is None or values.nbytes % need.itemsize):
            raise UserError(
                f"inspect: --arg: {p.name}: need an array of {need.name if need.names is None else p.c_type} for"
                f" {p.c_type}*, got {values.dtype.name}"
            )
        if need is not None and values.dtype != need:
            return np.ascontiguousarray(values).reshape(-1).view(np.uint8).view(need)
        return values

    def _struct(self, p: Argument, text: str):
        where = f"inspect: --arg: {p.name}"
        found = layout(self.user, p.c_type, self.template)
        if found is None or found.dtype is None:
            raise UserError(f"{where}: need a parameter of a number, a pointer or a plain struct, got {p.c_type}")
        value = np.zeros((), found.dtype)
        if p.c_type in VECTORS:
            numbers = [v for v in re.split(r"[,\s]+", text.strip("{}() ")) if v]
            numbers = [v.rpartition(":")[2] for v in numbers]
            if len(numbers) != p.lanes:
                raise UserError(
                    f"{where}: need {p.lanes} numbers such as {{{', '.join('1234'[: p.lanes])}}}, got {text!r}"
                )
            values = [_number(where, v, found.dtype.base) for v in numbers]
            flat = np.array(values, found.dtype.base)
            return np.frombuffer(flat.tobytes(), np.dtype((np.void, found.size)))[0]
        members = [m for m, _, _ in found.members]
        for key, part in _pairs(where, text, members):
            m, _, _ = next(x for x in found.members if x[0].name == key)
            if m.stars:  # of an array of pointers each gets an array of its own
                arrays = [self._array(m, part) for _ in range(m.lanes)]
                which = [f"[{k}]" for k in range(m.lanes)] if m.lanes > 1 else [""]
                self.arrays += [(f"{p.name}.{m.name}{k}", a) for k, a in zip(which, arrays)]
                addresses = [0 if a is None else self.dev.address(a) for a in arrays]
                value[key] = addresses if m.lanes > 1 else addresses[0]
            elif m.dtype is not None and m.lanes == 1:
                value[key] = _scalar(m, part, self.user)
            elif m.dtype is not None:
                value[key] = [_number(where, v, m.dtype) for v in re.split(r"[,\s]+", part.strip("{}[] ")) if v]
            else:
                value[key] = np.frombuffer(self._struct(m, part).tobytes(), value.dtype[key])[0]
        return np.frombuffer(value.tobytes(), np.dtype((np.void, found.size)))[0]


def read_array(dev, name: str, text: str, seed: int):
    """An array of whatever type the text names: f32[64], @file.npy; None for null.   Raises: UserError."""
    return Maker(dev, None, seed).make(Argument(name, "void", 1, None), text)


def _pairs(where: str, text: str, members: list[Argument]):
    """{n:4, scale:0.5} or {4, 0.5} as (member, text) each."""
    inside = text.strip()
    if not (inside.startswith("{") and inside.endswith("}")):
        names = ", ".join(f"{m.name}:{'f32[64]' if m.stars else 1}" for m in members)
        raise UserError(f"{where}: need {{{names}}}, got {text!r}")
    parts, depth, part = [], 0, ""
    for c in inside[1:-1]:
        depth += (c in "[{(") - (c in ")}]")
        if c == "," and depth == 0:
            parts.append(part)
            part = ""
        else:
            part += c
    parts = [v.strip() for v in [*parts, part] if v.strip()]
    names = [m.name for m in members]
    for i, part in enumerate(parts):
        match = re.match(r"\.?(\w+)\s*[:=]\s*(?=\S)(?![:])", part)
        if match and match[1] in names:
            yield match[1], part[match.end() :]
        elif not match and i < len(names):
            yield names[i], part
        else:
            raise UserError(f"{where}: need members {', '.join(names)}, got {part!r}")


def load(where: str, file: str) -> np.ndarray:
    """A .npy file's array.   Raises: UserError."""
    try:
        return np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{where}: need a .npy file, got {file}: {error}") from None


def fill_array(where: str, rng, shape, dtype: np.dtype, fill: str, bfloat: bool = False) -> np.ndarray:
    """An array's contents by the name of a fill.   Raises: UserError for one that does not fit."""
    if fill not in FILLS:
        raise UserError(f"{where}: need one of {', '.join(FILLS)} or @file.npy behind the colon, got {fill!r}")
    if dtype.names is not None:
        made = np.zeros(shape, dtype)
        for name in dtype.names:
            base = dtype[name].base
            while base.subdtype:  # float2 points[3]
                base = base.base
            if fill != "zeros":
                made[name] = fill_array(where, rng, made[name].shape, base, "random")
        return made
    if bfloat:
        values = fill_array(where, rng, shape, np.dtype(np.float32), fill)
        return (values.view(np.uint32) >> 16).astype(np.uint16)
    count = int(np.prod(shape, dtype=np.int64))
    if fill == "zeros":
        return np.zeros(shape, dtype)
    if fill == "ones":
        return np.ones(shape, dtype)
    if fill == "range":
        return (
            (np.arange(count) % (1 << 8 * dtype.itemsize if dtype.kind in "iu" else 1 << 24))
            .astype(dtype)
            .reshape(shape)
        )
    if fill == "permutation":
        return rng.permutation(count).astype(dtype).reshape(shape)
    if fill == "identity":
        if len(shape) != 2:
            raise UserError(f"{where}: need two sizes for identity, such as [32,32], got {list(shape)}")
        return np.eye(*shape).astype(dtype)
    if fill == "nan-free":
        if dtype.kind != "f":
            raise UserError(f"{where}: need an array of floats for nan-free, got {dtype.name}")
        most = {2: 4, 4: 12, 8: 100}[dtype.itemsize]
        return (rng.choice([-1, 1], shape) * 10.0 ** rng.uniform(-most, most, shape)).astype(dtype)
    made = random_array(rng, shape, dtype)
    return np.sort(made.reshape(-1)).reshape(shape) if fill == "sorted" else made


def random_array(rng, shape, dtype: np.dtype, most: int = 127) -> np.ndarray:
    """Normal floats; integers from 0 to most - 1. Long arrays repeat themselves."""
    count = int(np.prod(shape, dtype=np.int64))
    if count > LONGEST_RANDOM:
        return np.resize(random_array(rng, (LONGEST_RANDOM,), dtype, most), shape)
    if dtype.kind == "f":
        return rng.standard_normal(shape, np.float32).astype(dtype, copy=False)
    if dtype.kind == "b":
        return rng.integers(0, 2, shape).astype(dtype)
    return rng.integers(0, max(1, min(most, np.iinfo(dtype).max)), shape).astype(dtype)


def _number(where: str, text: str, dtype: np.dtype):
    text = text.strip().rstrip("fFuUlL") if re.fullmatch(r"[-+\d.xXeE]+[fFuUlL]+", text.strip()) else text.strip()
    try:
        if dtype.kind == "b" or text in ("true", "false"):
            return {"true": 1, "false": 0}[text] if text in ("true", "false") else int(bool(int(text, 0)))
        value = float(text) if dtype.kind == "f" else int(text, 0)
        if dtype.kind in "iu" and not np.iinfo(dtype).min <= value <= np.iinfo(dtype).max:
            raise ValueError
        return value
    except ValueError:
        raise UserError(f"{where}: need a number that fits {dtype.name}, got {text!r}") from None


def _scalar(p: Argument, text: str, user: UserFile):
    where = f"inspect: --arg: {p.name}"
    assert p.dtype is not None
    number = user.enumerator(text)
    if number is not None:
        return p.dtype.type(number)
    if p.c_type.endswith("bfloat16"):
        return np.uint16(np.float32(_number(where, text, np.dtype(np.float32))).view(np.uint32) >> 16)
    return p.dtype.type(_number(where, text, p.dtype))
