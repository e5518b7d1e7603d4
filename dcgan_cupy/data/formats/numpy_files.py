"""uint8 images in NumPy's own files: .npy, and .npz, which is a zip archive of them."""

import math
import re
import zipfile
from pathlib import Path

import numpy as np

from ..picture import PIXEL_LIMIT
from ..reader import DataError
from ..splits import split_of
from .cifar import is_planar, planar
from .idx import Rows
from .packed_files import Member, natural, size_in_zip, unreadable
from .pixel_blocks import Block

MAGIC = b"\x93NUMPY"
ZIP = b"PK\x03\x04"
WHAT = "a NumPy file of uint8 images: [N, H, W], [N, H, W, 1 or 3], [N, 1 or 3, H, W] or [N, 3 * size * size]"
LABELS = re.compile(r"label|target|class|(?:^|_)y(?:_|$)", re.IGNORECASE)
LIKELY = re.compile(r"image|img|data|(?:^|_)x(?:_|$)|arr_0", re.IGNORECASE)
HEADER = 10_000  # bytes of a header


def blocks(members: list[Member], path: Path) -> tuple[list[Block], tuple[str, ...]]:
    """The images of each .npy or .npz file, with the labels beside them."""
    found = []
    for member in members:
        head = member.head()
        if head.startswith(MAGIC):
            block = _block(member, [member])
            if block is not None:
                found.append(block)
        elif head.startswith(ZIP):
            found += _of_npz(member)
    if not found:
        raise DataError(f"open_dataset: source: need {WHAT}, got {str(path)!r}")
    return found, ()


def is_npz(member: Member) -> bool:
    """Whether a zip archive holds nothing but arrays."""
    try:
        with member.open() as file, zipfile.ZipFile(file) as archive:
            names = archive.namelist()
    except Exception:  # zipfile raises much, for directories that are damaged on purpose
        return False
    return bool(names) and all(name.endswith(".npy") for name in names)


def _of_npz(member: Member) -> list[Block]:
    try:
        with member.open() as file, zipfile.ZipFile(file) as archive:
            infos = [info for info in archive.infolist() if info.filename.endswith(".npy")]
    except Exception as error:
        raise unreadable(member, WHAT, error) from None
    arrays = [
        Member(f"{member.name}/{info.filename[:-4]}", size_in_zip(info), lambda info=info: _in_npz(member, info))
        for info in infos
    ]
    arrays.sort(key=lambda array: natural(array.name))
    found = [block for array in arrays if (block := _block(array, arrays)) is not None]
    if len(found) > 1 and any(split_of(_last(block.name)) is None for block in found):
        likely = [block for block in found if LIKELY.search(_last(block.name))]
        if len(likely) != 1:
            raise unreadable(member, "one array of uint8 images", ", ".join(_last(block.name) for block in found))
        return likely
    return found


def _in_npz(member: Member, info: zipfile.ZipInfo):
    archive = zipfile.ZipFile(member.opener())
    return archive.open(info)


def _last(name: str) -> str:
    return name.rpartition("/")[2]


def _block(member: Member, arrays: list[Member]) -> Block | None:
    """The images of one array; None if it holds something else. `arrays`: where its labels may be.

    Raises: DataError.
    """
    declared = _header(member)
    if declared is None:
        return None
    offset, dtype, fortran, shape = declared
    if dtype != np.uint8 or not _layout(shape):
        if len(arrays) == 1:
            raise unreadable(member, WHAT, f"{dtype} {list(shape)}")
        return None
    if fortran:
        raise unreadable(member, "images in C order (np.ascontiguousarray)", "it is in Fortran order")
    if math.prod(shape[1:]) > PIXEL_LIMIT:
        raise unreadable(member, WHAT, f"images of {math.prod(shape[1:]):,} bytes")
    rows = Rows(member, offset, shape[1:])
    return Block(member.name, shape[0], Images(rows), _labels(member, arrays, shape[0]), rows.room(), rows.end)


def _layout(shape: tuple[int, ...]) -> str:
    if any(n < 1 for n in shape):
        return ""
    if len(shape) == 3:
        return "grey"
    if len(shape) == 4:
        return "last" if shape[3] in (1, 3, 4) else "first" if shape[1] in (1, 3, 4) else ""
    return "planes" if is_planar(shape) and shape[1] >= 3 * 64 else ""


class Images:
    """Rows as [n, H, W] or [n, H, W, C]."""

    def __init__(self, rows: Rows):
        self.rows = rows

    def __call__(self, start: int, stop: int) -> np.ndarray | str:
        rows = self.rows(start, stop)
        if isinstance(rows, str):
            return rows
        layout = _layout((1, *rows.shape[1:]))
        return planar(rows) if layout == "planes" else rows.transpose(0, 2, 3, 1) if layout == "first" else rows


def _header(member: Member) -> tuple[int, np.dtype, bool, tuple[int, ...]] | None:
    """(where the data begin, dtype, Fortran order, shape) of an array; None if there is no header that can be read."""
    try:
        with member.open() as file:
            version = np.lib.format.read_magic(file)
            read = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}[version[0]]
            shape, fortran, dtype = read(file, max_header_size=HEADER)
            offset = file.tell()
    except Exception:  # NumPy's parser raises nearly everything for a damaged header
        return None
    if not all(type(n) is int and 0 <= n < 2**48 for n in shape):
        return None
    return offset, dtype, fortran, shape


def _labels(images: Member, arrays: list[Member], count: int) -> dict[str, np.ndarray]:
    """The one array of so many whole numbers that is called after labels, in the same split."""
    for member in arrays:
        if not LABELS.search(_last(member.name)) or split_of(_last(member.name)) != split_of(_last(images.name)):
            continue
        declared = _header(member)
        if declared is None or declared[1].kind not in "iu" or declared[3] not in ((count,), (count, 1)):
            continue
        offset, dtype, _, _ = declared
        labels = Rows(member, offset, (dtype.itemsize,))
        if labels.room() < count:
            continue  # it promises more than it holds
        rows = labels(0, count)
        if isinstance(rows, str) or len(rows) != count or labels.end():
            continue
        labels = np.ascontiguousarray(rows).view(dtype).reshape(count).astype(np.int64)
        first = 1 if images.name.endswith("data") and labels.min(initial=1) >= 1 else 0  # the downsampled ImageNet
        return {"label": (labels - first).astype(np.int32)}
    return {}
