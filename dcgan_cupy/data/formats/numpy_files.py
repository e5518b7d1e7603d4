"""Images in NumPy's own files: .npy, and .npz, which is a zip archive of them."""

import math
import re
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..picture import PIXEL_LIMIT
from ..reader import DataError
from ..splits import class_labels, split_of
from . import arrays
from .cifar import is_planar, planar
from .idx import Rows
from .packed_files import Member, natural, of_path, open_inside, size_in_zip, unreadable
from .pixel_blocks import Block

MAGIC = b"\x93NUMPY"
ZIP = b"PK\x03\x04"
WHAT = (
    "a NumPy file of images, uint8 or of a plain range: [N, H, W], [N, H, W, 1 or 3], [N, 1 or 3, H, W], "
    "[N, size*size] or [N, 3*size*size]; or a folder with one [H, W] or [H, W, 3] a file"
)
LABELS = re.compile(r"label|target|class|(?:^|_)y(?:_|$)", re.IGNORECASE)
LIKELY = re.compile(r"image|img|data|(?:^|_)x(?:_|$)|arr_0", re.IGNORECASE)
WORDS = re.compile(r"label|target|class|image|img|data|(?<![a-z])[xy](?![a-z])|e?s(?![a-z])|[^a-z0-9]", re.IGNORECASE)
HEADER = 10_000  # bytes of a header
FLAT = 64  # pixels of a row that is an image, at least
MOST_LABELS = 1 << 26  # bytes
STRETCHED = 4  # times that one side of a lone image is longer than the other, at most


@dataclass(frozen=True)
class Array:
    """What the header of a file says."""

    member: Member
    offset: int
    dtype: np.dtype
    fortran: bool
    shape: tuple[int, ...]

    @property
    def plain(self) -> bool:
        """Whether it holds numbers that pixels can be made of."""
        return self.dtype.kind in "buif" and all(n > 0 for n in self.shape) and self.dtype.itemsize <= 8

    def rows(self, shape: tuple[int, ...]) -> Rows:
        """Its rows, in bytes: the last length of each counts bytes."""
        size = self.dtype.itemsize
        return Rows(self.member, self.offset, (*shape[:-1], shape[-1] * size) if shape else (size,))


def blocks(members: list[Member], path: Path) -> tuple[list[Block], tuple[str, ...]]:
    """The images of each .npy or .npz file, with the labels beside them."""
    found, loose = [], []
    for member in members:
        head = member.head()
        if head.startswith(MAGIC):
            loose.append(member)
        elif head.startswith(ZIP):
            found += _of_npz(member)
    known = [array for member in loose if (array := header(member)) is not None]
    if len(loose) == 1 and not known and not found:
        raise unreadable(loose[0], WHAT, "its header cannot be read")
    lone = _lone_images(known)
    if lone and not found:
        classes, labels = class_labels([array.member.name for array in lone])
        known_range = _range_of_all(lone)
        for i, array in enumerate(lone):
            label = {} if labels is None else {"label": labels[i : i + 1]}
            found.append(_block(array, (1, *array.shape), label, known_range))
        return found, classes
    images = [array for array in known if _layout(array.shape) and not _is_label(array)]
    beside = known + (_beside(path) if len(loose) == 1 and loose[0].name == path.name else [])
    images = [array for array in images if array.dtype == np.uint8] or images
    for array in images:
        found.append(_block(array, array.shape, _labels(array, beside, images)))
    if not found:
        if len(known) == 1:
            raise unreadable(known[0].member, WHAT, f"{known[0].dtype} {list(known[0].shape)}")
        raise DataError(f"open_dataset: source: need {WHAT}, got {str(path)!r}")
    return found, ()


def _lone_images(known: list[Array]) -> list[Array]:
    """Arrays of one image each, if all are such: [H, W, 3] or [H, W], in two or more files."""
    candidates = [array for array in known if not (LABELS.search(_last(array.member.name)) and len(array.shape) < 2)]
    if len(candidates) < 2 or not all(array.plain for array in candidates):
        return []
    colour = [len(array.shape) == 3 and array.shape[2] in (1, 3, 4) for array in candidates]
    grey = [len(array.shape) == 2 and max(array.shape) <= STRETCHED * min(array.shape) for array in candidates]
    if all(c or g for c, g in zip(colour, grey)):
        return candidates
    first = {array.shape[0] for array in candidates if len(array.shape) == 3}
    if first == {3} and all(len(array.shape) == 3 for array in candidates):
        array = candidates[0]
        raise unreadable(
            array.member,
            WHAT,
            f"{len(candidates)} files of {list(array.shape)}: one image each is [H, W, 3], three are "
            "[3, H, W] in one file",
        )
    return []


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
    inside = [
        Member(f"{member.name}/{info.filename[:-4]}", size_in_zip(info), lambda info=info: _in_npz(member, info))
        for info in infos
    ]
    inside.sort(key=lambda array: natural(array.name))
    known = [array for one in inside if (array := header(one)) is not None]
    images = [array for array in known if _layout(array.shape) and array.plain and not _is_label(array)]
    images = [array for array in images if len(array.shape) > 2] or images
    images = [array for array in images if array.dtype == np.uint8] or images
    if len(images) > 1 and any(split_of(_last(array.member.name)) is None for array in images):
        likely = [array for array in images if LIKELY.search(_last(array.member.name))]
        if len(likely) != 1:
            names = ", ".join(_last(array.member.name) for array in images)
            raise unreadable(member, "one array of images", names)
        images = likely
    if not images and len(known) == 1:
        raise unreadable(known[0].member, WHAT, f"{known[0].dtype} {list(known[0].shape)}")
    return [_block(array, array.shape, _labels(array, known, images)) for array in images]


def _in_npz(member: Member, info: zipfile.ZipInfo):
    return open_inside(lambda use: use(zipfile.ZipFile(use(member.opener()))).open(info))


def _last(name: str) -> str:
    return name.rpartition("/")[2].removesuffix(".gz").removesuffix(".npy")


def _is_label(array: Array) -> bool:
    """Whether an array is called after labels: one-hot rows may look like images of some pixels."""
    return bool(LABELS.search(_last(array.member.name))) and len(array.shape) < 3


def _range_of_all(lone: list[Array]) -> arrays.Range | None:
    """The range of several files, which are one array's images."""
    if all(array.dtype == np.uint8 for array in lone) or len({array.dtype for array in lone}) > 1:
        return None
    ranges = [arrays.range_of(array.rows(array.shape), array.dtype, 1) for array in lone]
    least, most = min(known.least for known in ranges), max(known.most for known in ranges)
    return arrays.Range(least, most, all(known.finite for known in ranges))


def _block(
    array: Array, shape: tuple[int, ...], attributes: dict[str, np.ndarray], known: arrays.Range | None = None
) -> Block:
    """The images of an array that is taken as `shape`, whose range may be known. Raises: DataError."""
    member = array.member
    if not array.plain:
        raise unreadable(member, WHAT, f"{array.dtype} {list(array.shape)}")
    if len(shape) == 3 and shape == array.shape and shape[2] in (1, 3, 4):
        raise unreadable(member, WHAT, f"{array.dtype} {list(shape)}, which is one image: [N, H, W, C] is needed")
    if array.fortran and len(array.shape) > 1:
        raise unreadable(member, "images in C order (np.ascontiguousarray)", "it is in Fortran order")
    size = math.prod(shape[1:])
    if size > PIXEL_LIMIT:
        raise unreadable(member, WHAT, f"images of {size:,} numbers")
    rows, how = array.rows(shape[1:]), ""
    if array.dtype != np.uint8:
        known = known or arrays.range_of(rows, array.dtype, min(shape[0], rows.room()))
        how = arrays.meaning(array.dtype, known)
        if not how:
            raise unreadable(member, WHAT, arrays.sentence(array.dtype, array.shape, known))
    images = Images(rows, array.dtype, how)
    return Block(member.name, shape[0], images, attributes, rows.room(), rows.end, rows.row_bytes)


def _layout(shape: tuple[int, ...]) -> str:
    if any(n < 1 for n in shape):
        return ""
    if len(shape) == 3:
        return "grey"
    if len(shape) == 4:
        return "last" if shape[3] in (1, 3, 4) else "first" if shape[1] in (1, 3, 4) else ""
    if len(shape) != 2 or shape[1] < FLAT:
        return ""
    if is_planar(shape) and shape[1] >= 3 * FLAT:
        return "planes"
    return "square" if math.isqrt(shape[1]) ** 2 == shape[1] else ""


class Images:
    """Rows as [n, H, W] or [n, H, W, C] of uint8."""

    def __init__(self, rows: Rows, dtype: np.dtype, how: str):
        self.rows, self.dtype, self.how = rows, dtype, how

    def __call__(self, start: int, stop: int) -> np.ndarray | str:
        rows = self.rows(start, stop)
        if isinstance(rows, str):
            return rows
        if self.how:
            rows = arrays.MEANINGS[self.how](np.ascontiguousarray(rows).view(self.dtype))
        layout = _layout((1, *rows.shape[1:]))
        if layout == "square":
            return rows.reshape(len(rows), math.isqrt(rows.shape[1]), -1)
        return planar(rows) if layout == "planes" else rows.transpose(0, 2, 3, 1) if layout == "first" else rows


def header(member: Member) -> Array | None:
    """What a file's header says; None if there is none that can be read."""
    try:
        with member.open() as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of headers that Python 2 wrote, which are read all the same
            version = np.lib.format.read_magic(file)
            read = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}[version[0]]
            shape, fortran, dtype = read(file, max_header_size=HEADER)
            offset = file.tell()
    except Exception:  # NumPy's parser raises nearly everything for a damaged header
        return None
    if not all(type(n) is int and 0 <= n < 2**48 for n in shape):
        return None
    return Array(member, offset, dtype, fortran, shape)


def _beside(path: Path) -> list[Array]:
    """The arrays called after labels next to a single file."""
    try:
        near = sorted(p for p in path.parent.iterdir() if p != path and LABELS.search(_last(p.name)) and p.is_file())
    except OSError:
        return []
    members = [member for one in near for member in of_path(one)]
    return [array for one in members if one.head().startswith(MAGIC) and (array := header(one)) is not None]


def _labels(images: Array, known: list[Array], all_images: list[Array]) -> dict[str, np.ndarray]:
    """The labels of an array of images: of those in its folder and split the one whose name is its own but for the
    word, or the
    only one, if no other array of images could have it. Raises: DataError if that one has another length."""
    name, count = images.member.name, images.shape[0]
    mine = [array for array in known if array is not images and _may_label(array) and _place(array) == _place(images)]
    own = [array for array in mine if _stem(array) == _stem(images)]
    rivals = [array for array in all_images if _place(array) == _place(images)]
    fitting = [array for array in mine if math.prod(array.shape) == count]
    chosen = own if len(own) == 1 else fitting if len(fitting) == len(rivals) == 1 else []
    for array in chosen:
        if math.prod(array.shape) != count:
            raise unreadable(array.member, f"{count:,} labels, for {name!r}", f"it has {math.prod(array.shape):,}")
        labels = Rows(array.member, array.offset, (array.dtype.itemsize,))
        if labels.room() < count:
            continue  # it promises more than it holds
        if count * array.dtype.itemsize > MOST_LABELS:
            raise unreadable(array.member, f"at most {MOST_LABELS:,} bytes of labels", f"{count:,} of {array.dtype}")
        rows = labels(0, count)
        if isinstance(rows, str) or len(rows) != count or labels.end():
            continue
        values = np.ascontiguousarray(rows).view(array.dtype).reshape(count).astype(np.int64)
        first = 1 if name.endswith("data") and values.min(initial=1) >= 1 else 0  # the downsampled ImageNet
        return {"label": (values - first).astype(np.int32)}
    return {}


def _may_label(array: Array) -> bool:
    """Whether an array can hold labels: a column of whole numbers, called after them."""
    column = len(array.shape) == 1 or (len(array.shape) == 2 and array.shape[1] == 1)
    return bool(LABELS.search(_last(array.member.name))) and column and array.dtype.kind in "iu"


def _place(array: Array) -> tuple[str, str | None]:
    """The folder or file that it lies in, and its split; what stands beside a single file lies where that does."""
    return array.member.name.rpartition("/")[0], split_of(_last(array.member.name))


def _stem(array: Array) -> str:
    """Its name without the words that tell images from labels."""
    return WORDS.sub("", _last(array.member.name)).lower()
