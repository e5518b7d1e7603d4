"""CIFAR-10, CIFAR-100 and the downsampled ImageNet: rows of 3 x 32 x 32 bytes, colour by colour, with labels.

binary    a row: the label (CIFAR-100: the coarse one, then the fine one), 1 byte each, and 3072 bytes of pixels
pickle    a dict: data uint8 [N, 3 * size * size], and labels, or fine_labels and coarse_labels
"""

import math
import re
from functools import lru_cache
from pathlib import Path

import numpy as np

from ..decoders import MEMORY
from ..reader import DataError
from ..splits import split_of
from .idx import Rows
from .packed_files import BROKEN, Member, unreadable
from .pickles import Refused, load
from .pixel_blocks import Block

PIXELS = 3072
NAMES = (b"label_names", b"fine_label_names")
CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
OWN10 = re.compile(r"(?:^|/)(?:data_batch_\d+|test_batch)\.bin$")
OWN100 = re.compile(r"(?:^|/)(?:train|test)\.bin$")
PACKED = 20  # times that batches of images shrink when they are packed, at most
LIKELY = 1 << 16  # bytes of rows that are looked at to tell a binary batch from other files


def planar(rows: np.ndarray) -> np.ndarray:
    """[N, 3 * size * size], colour by colour, as [N, size, size, 3]."""
    size = math.isqrt(rows.shape[1] // 3)
    return rows.reshape(-1, 3, size, size).transpose(0, 2, 3, 1)


def is_planar(shape: tuple[int, ...]) -> bool:
    """Whether rows of this shape are images colour by colour."""
    return len(shape) == 2 and shape[1] > 0 and shape[1] % 3 == 0 and math.isqrt(shape[1] // 3) ** 2 == shape[1] // 3


# --------------------------------------------------------------------------------------------------------------- binary


def label_bytes(head: bytes, size: int) -> int:
    """1 if the rows are CIFAR-10's, 2 if CIFAR-100's, 0 if neither: the file has no mark, so lengths and labels must
    fit."""
    for count, limits in ((1, (10,)), (2, (20, 100))):
        row = PIXELS + count
        labels = (head[at + i] < limit for at in range(0, len(head) - count, row) for i, limit in enumerate(limits))
        if size and size % row == 0 and all(labels):
            return count
    return 0


def kind(member: Member) -> int:
    """The same for a file; one that is cut short is told by its name."""
    if not label_bytes(member.head(), PIXELS + 1) and not label_bytes(member.head(), PIXELS + 2):
        return 0  # most other files: no need to open them again
    head = start_of(member)
    named = 1 if OWN10.search(member.name) else 2 if OWN100.search(member.name) else 0
    return label_bytes(head, member.size) or (named if label_bytes(head, PIXELS + named) == named else 0)


def binary_blocks(members: list[Member], path: Path) -> tuple[list[Block], tuple[str, ...]]:
    """The images of each file of rows."""
    found, kinds = [], set()
    for member in members:
        count = kind(member)
        if not count:
            continue
        kinds.add(count)
        row = PIXELS + count
        rows = BinaryRows(Rows(member, 0, (row,)), count)
        total = -(-member.size // row)
        labels = rows.labels(total)
        names = ("label",) if count == 1 else ("coarse_label", "label")
        found.append(Block(member.name, total, rows, dict(zip(names, labels.T, strict=True)), row=row))
    if not found:
        raise DataError(f"open_dataset: source: need CIFAR's binary files, got {str(path)!r}")
    return found, CIFAR10 if kinds == {1} else ()


def start_of(member: Member) -> bytes:
    """The rows that are looked at."""
    try:
        with member.open() as file:
            return file.read(LIKELY)
    except BROKEN:
        return b""


class BinaryRows:
    """Pixels and labels of a file of rows."""

    def __init__(self, rows: Rows, count: int):
        self.rows, self.count = rows, count

    def __call__(self, start: int, stop: int) -> np.ndarray | str:
        rows = self.rows(start, stop)
        return rows if isinstance(rows, str) else planar(rows[:, self.count :])

    def labels(self, total: int) -> np.ndarray:
        """int32 [total, labels of a row]; 0 where the file ends early."""
        labels = np.zeros((total, self.count), np.int32)
        for start in range(0, total, 1024):
            rows = self.rows(start, min(start + 1024, total))
            if isinstance(rows, str):
                break
            labels[start : start + len(rows)] = rows[:, : self.count]
        return labels


# --------------------------------------------------------------------------------------------------------------- pickle


def is_pickle(head: bytes) -> bool:
    """Whether a file begins as a pickle of protocol 2 or later does."""
    return len(head) > 2 and head[0] == 0x80 and 2 <= head[1] <= 5


def pickle_blocks(members: list[Member], path: Path) -> tuple[list[Block], tuple[str, ...]]:
    """The images of each pickled batch."""
    found, classes, refused = [], (), None
    for member in members:
        if not is_pickle(member.head()):
            continue
        try:
            content = _batch(member)
        except Refused as error:
            refused = unreadable(member, "a pickle of plain arrays", str(error))
            if len(members) == 1 or split_of(member.name) or "batch" in member.name:
                raise refused from None
            continue
        for name in NAMES:
            if isinstance(content.get(name), list):
                classes = tuple(text.decode("utf-8", "replace") for text in content[name] if isinstance(text, bytes))
        rows = content.get(b"data")
        if not isinstance(rows, np.ndarray):
            continue
        if rows.dtype != np.uint8 or not is_planar(rows.shape):
            raise unreadable(member, "a batch of uint8 rows, colour by colour", f"{rows.dtype} {list(rows.shape)}")
        known = _labels(member, content, len(rows))
        found.append(Block(member.name, len(rows), PickledRows(member), known, row=rows.shape[1]))
    if not found:
        raise refused or DataError(f"open_dataset: source: need batches of images in pickles, got {str(path)!r}")
    return found, classes


@lru_cache(maxsize=1)  # one batch in memory, however many there are
def _batch(member: Member) -> dict:
    try:
        with member.open() as file:
            content = load(file, member.size, max(MEMORY, PACKED * member.packed))
    except BROKEN as error:
        raise Refused(" ".join(str(error).split())) from None
    if not isinstance(content, dict):
        raise Refused("no dict, as batches are")
    return {key.encode("utf-8", "replace") if isinstance(key, str) else key: value for key, value in content.items()}


class PickledRows:
    """Pixels of a pickled batch, which is read again when its turn comes."""

    def __init__(self, member: Member):
        self.member = member

    def __call__(self, start: int, stop: int) -> np.ndarray | str:
        try:
            return planar(_batch(self.member)[b"data"][start:stop])
        except (Refused, KeyError, AttributeError) as error:  # it has changed since
            return str(error)


def _labels(member: Member, content: dict, count: int) -> dict[str, np.ndarray]:
    """The labels from 0: the downsampled ImageNet counts them from 1."""
    found = {}
    for key, name in ((b"labels", "label"), (b"fine_labels", "label"), (b"coarse_labels", "coarse_label")):
        values = content.get(key)
        if isinstance(values, np.ndarray) and values.size == count:
            values = values.reshape(-1).tolist()
        if values is None:
            continue
        if (
            not isinstance(values, list)
            or len(values) != count
            or not all(type(v) is int and 0 <= v < 2**31 for v in values)
        ):
            raise unreadable(member, f"{count} labels", f"{key.decode()} is no list of so many whole numbers")
        labels = np.array(values, np.int32)
        found[name] = labels - 1 if count and b"mean" in content and labels.min() >= 1 else labels
    return found
