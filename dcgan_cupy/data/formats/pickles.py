"""Pickles without their danger: a pickle is a program, and this reader lets it do nothing but name plain values and
arrays.

First every instruction is looked at: only those for values, containers and arrays may occur, none may claim more than
the file holds.
Then it runs with a handful of stand-ins of our own in place of NumPy's functions: nothing outside of this file is ever
called.
"""

import io
import math
import pickle
import pickletools
import types
import warnings
from typing import BinaryIO

import numpy as np

LIMIT = 1 << 31  # bytes: the largest batch of the downsampled ImageNet has 1.6 GB
TUPLES = 1000  # in one file: an array needs a few; far more are a trap for what walks through them
SHARED = 16  # uses of a tuple kept: each may double what there is to walk through
PAIRS = 1000  # in the dicts of one file: numbers can be chosen so that their hashes are all alike
STEPS = 1 << 20  # instructions: a second and a half

INSTRUCTIONS = frozenset(
    """
    PROTO FRAME STOP MARK POP POP_MARK NONE NEWTRUE NEWFALSE INT BININT BININT1 BININT2 LONG LONG1 FLOAT BINFLOAT
    STRING BINSTRING SHORT_BINSTRING UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8 BINBYTES SHORT_BINBYTES BINBYTES8
    BYTEARRAY8
    EMPTY_DICT DICT SETITEM SETITEMS EMPTY_LIST LIST APPEND APPENDS EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3
    GLOBAL STACK_GLOBAL REDUCE BUILD PUT BINPUT LONG_BINPUT MEMOIZE GET BINGET LONG_BINGET""".split()  # noqa: SIM905
)


class Refused(Exception):
    """A pickle that is not one of plain values and arrays; the message says why."""


class _Dtype:
    """numpy.dtype: a plain number's type, or refused."""

    __slots__ = ("dtype",)

    def __init__(self, code, *_):
        code = code.decode("ascii") if isinstance(code, bytes) else code
        if code not in ("u1", "i1", "b1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8"):
            raise Refused(f"an array of {code!r}")
        self.dtype = np.dtype(code)

    def __setstate__(self, state):
        order = state[1].decode("ascii") if isinstance(state[1], bytes) else state[1]
        if order not in ("<", ">", "|", "="):
            raise Refused("an array of an unknown type")
        self.dtype = self.dtype.newbyteorder(order)


class _Array:
    """numpy.ndarray, filled by its state."""

    __slots__ = ("value",)

    def __setstate__(self, state):
        _, shape, dtype, fortran, data = state
        self.value = _filled(data, dtype, shape, "F" if fortran else "C")


def _filled(data, dtype, shape, order) -> np.ndarray:
    if not isinstance(dtype, _Dtype) or not isinstance(data, bytes | bytearray) or not isinstance(shape, tuple):
        raise Refused("an array of other things than numbers")
    if not all(type(n) is int and n >= 0 for n in shape) or math.prod(shape) * dtype.dtype.itemsize != len(data):
        raise Refused("an array whose bytes do not fit its shape")
    return np.frombuffer(data, dtype.dtype).reshape(shape, order="F" if order == "F" else "C")


def _reconstruct(*_) -> _Array:
    return _Array()


def _from_buffer(data, dtype, shape, order="C") -> _Array:
    made = _Array()
    made.value = _filled(data, dtype, shape, order)
    return made


def _encode(text, encoding=b"latin1", *_) -> bytes:
    if not isinstance(text, str) or encoding not in ("latin1", b"latin1"):
        raise Refused("it encodes other things than bytes")
    return text.encode("latin1")


ALLOWED = {
    ("numpy", "dtype"): _Dtype,
    ("numpy", "ndarray"): "ndarray",  # that one is only named, never called
    ("_codecs", "encode"): _encode,
    **{(f"{module}.multiarray", "_reconstruct"): _reconstruct for module in ("numpy.core", "numpy._core")},
    **{(f"{module}.numeric", "_frombuffer"): _from_buffer for module in ("numpy.core", "numpy._core")},
}


class _Plain(pickle.Unpickler):
    def find_class(self, module: str, name: str):
        if (module, name) not in ALLOWED:
            raise Refused(f"it would call {module}.{name}"[:200])
        return ALLOWED[module, name]


class _Only:
    """A function that can be called and nothing else: a pickle could give a bare one other defaults, for all that come
    after."""

    __slots__ = ("_function",)

    def __init__(self, function):
        self._function = function

    def __call__(self, *arguments):
        return self._function(*arguments)

    def __setstate__(self, _):
        raise Refused("it changes a function")


ALLOWED = {key: _Only(value) if isinstance(value, types.FunctionType) else value for key, value in ALLOWED.items()}


def load(file: BinaryIO, size: int, limit: int = LIMIT):
    """The value of a pickle that holds only numbers, texts, bytes, lists, tuples, dicts and arrays of plain numbers.

    `limit`: bytes that it may have once inflated.   Raises: Refused.
    """
    limit = min(limit, LIMIT)
    try:
        parts, held = [], 0
        while held <= limit and (part := file.read(1 << 24)):  # no more than there is, whatever is allowed
            parts.append(part)
            held += len(part)
        if max(size, held) > limit:
            raise Refused(f"too dear: more than {limit:,} bytes")
        data = b"".join(parts)
        del parts
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of texts with a stray backslash
            _inspect(data)
            value = _Plain(io.BytesIO(data), encoding="bytes").load()
    except Refused:
        raise
    except MemoryError:
        raise Refused("it claims more memory than there is") from None
    except Exception as error:  # a damaged pickle raises nearly everything
        raise Refused(" ".join(str(error).split())[:200] or type(error).__name__) from None
    if isinstance(value, dict):
        return {key: getattr(item, "value", None) if isinstance(item, _Array) else item for key, item in value.items()}
    return value


def _inspect(data: bytes) -> None:
    """Every instruction, before the first is obeyed."""
    tuples = pairs = shared = depth = 0
    marks, kept, numbered, last = [], set(), 0, ""
    for step, (instruction, argument, _) in enumerate(pickletools.genops(data)):
        name = instruction.name
        if name not in INSTRUCTIONS:
            raise Refused(f"it does more than hold values ({name})")
        tuples += name.startswith("TUPLE")
        if tuples > TUPLES:
            raise Refused("its values lie too deep in each other")
        if name in ("PUT", "LONG_BINPUT") and argument > len(data):
            raise Refused("it claims more memory than there is")
        if name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
            place = numbered if name == "MEMOIZE" else argument
            (kept.add if last.startswith("TUPLE") else kept.discard)(place)
            numbered += 1
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            shared += argument in kept
        count, depth = _depth(instruction, depth, marks)
        pairs += {"SETITEM": 1, "SETITEMS": count // 2, "DICT": count // 2}.get(name, 0)
        if shared > SHARED or pairs > PAIRS or step > STEPS:
            raise Refused("too dear: it holds more values, or uses one more often, than a batch of images does")
        last = "TUPLE" if name in ("GET", "BINGET", "LONG_BINGET") and argument in kept else name


def _depth(instruction, depth: int, marks: list[int]) -> tuple[int, int]:
    """(how many values lay on the last mark, how many lie on the stack afterwards)."""
    if instruction.name == "MARK":
        marks.append(depth)
        return 0, depth
    before, after = instruction.stack_before, instruction.stack_after
    if pickletools.markobject in before:
        if not marks:
            raise Refused("it ends what it has not begun")
        count, depth = depth - marks[-1], marks.pop()
        return count, depth - before.index(pickletools.markobject) + len(after)
    if instruction.name == "POP" and marks and depth == marks[-1]:
        marks.pop()
        return 0, depth
    return 0, depth - len(before) + len(after)
