"""Which reader a source needs: told by its content, never by its name; or by the user."""

import os
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from .formats import cifar, idx, lmdb, matlab, numpy_files, packed_files
from .formats.archive import Tar, Zip, is_image, refuse, zip_directory
from .formats.folder import Folder
from .formats.packed_files import Member
from .formats.pixel_blocks import Block, Blocks
from .picture import MAGIC as PICTURE
from .picture import SUFFIXES
from .reader import DataError, Look, Reader
from .splits import split_of

PACKED = {
    "idx": idx.blocks,
    "cifar": cifar.binary_blocks,
    "pickle": cifar.pickle_blocks,
    "mat": matlab.blocks,
    "numpy": numpy_files.blocks,
}
NEED = (
    "a folder, zip or tar of images, MNIST's idx, CIFAR's files, batches of the downsampled ImageNet, an LMDB, "
    "SVHN's .mat, or a NumPy array"
)


def reader_of(path: Path, look: Look, count: int | None, split: str, form: str | None) -> Reader:
    """The reader of a path. form: one of FORMATS, instead of the one that its content shows. Raises: DataError."""
    folder = path.is_dir()
    if not folder and not path.is_file():
        raise DataError(f"open_dataset: source: need {NEED}, got {str(path)!r} (neither a file nor a folder)")
    form = form or (_of_folder(path, split) if folder else _of_file(path))
    if form == "folder" and folder:
        return Folder(path, look, count, split)
    if form == "lmdb":
        return lmdb.Lmdb(_lmdb(path, split) or path, look, count, split)
    if form in ("zip", "tar") and not folder:
        return (Zip if form == "zip" else Tar)(path, look, count, split)
    if form in PACKED:
        return _packed(path, look, count, split, form)
    raise DataError(
        f"open_dataset: format: need one that suits a {'folder' if folder else 'file'}, got {form!r} for {str(path)!r}"
    )


def _of_folder(path: Path, split: str) -> str:
    if _lmdb(path, split):
        return "lmdb"
    if any(name.lower().endswith(SUFFIXES) for name in _names(path)):
        return "folder"
    members = packed_files.of_folder(path)
    forms = {form for member in members if (form := _of_member(member))}
    if len(forms) > 1:
        forms -= {"archive"}
    if len(forms) > 1:
        raise DataError(
            f"open_dataset: format: need one of {', '.join(sorted(forms))}, all of which are in {str(path)!r}, got none"
        )
    return forms.pop() if forms and forms != {"archive"} else "folder"


def _names(path: Path) -> Iterator[str]:
    """Names of files that are not hidden."""
    for _, folders, files in os.walk(path):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (name for name in files if not name.startswith("."))


def _lmdb(path: Path, split: str) -> Path | None:
    """The data file of an LMDB: in this folder, or in that of the split, as in LSUN's bedroom_train_lmdb."""
    if not path.is_dir():
        return None
    if own := lmdb.data_file(path):
        return own
    inner = sorted(found for found in path.iterdir() if found.is_dir() and lmdb.data_file(found))
    wanted = [found for found in inner if split_of(found.name) == split] or inner
    return lmdb.data_file(wanted[0]) if len(wanted) == 1 else None


def _of_file(path: Path) -> str:
    member = packed_files.of_path(path)[0]
    try:
        with open(path, "rb") as file:
            raw = file.read(packed_files.HEAD)
    except OSError as error:
        raise DataError(
            f"open_dataset: source: need a file that can be read, got {str(path)!r} ({error.strerror})"
        ) from None
    if not raw:
        raise DataError(f"open_dataset: source: need {NEED}, got {str(path)!r} (an empty file)")
    if PICTURE.match(raw) and not cifar.kind(member):
        raise DataError(f"open_dataset: source: need {NEED}, got {str(path)!r} (a single image: give its folder)")
    form = _of_member(member)
    if form == "archive":
        return _of_archive(path, raw)
    if form:
        return form
    if raw.startswith(b"\x89HDF"):
        raise DataError(
            f"open_dataset: source: need {NEED}, got {str(path)!r} (an HDF5 file, as MATLAB 7.3 writes; save it with"
            " -v7)"
        )
    raise DataError(f"open_dataset: source: need {NEED}, got {str(path)!r} (a file of another kind)")


def _of_member(member: Member) -> str | None:
    """The format of one file by its first bytes: a packed one, "lmdb" or "archive"."""
    head = member.head()
    if idx.is_idx(head):
        return "idx"
    if head.startswith(numpy_files.MAGIC) or (head.startswith(numpy_files.ZIP) and numpy_files.is_npz(member)):
        return "numpy"
    if matlab.is_mat(head):
        return "mat"
    if lmdb.is_lmdb(head):
        return "lmdb"
    if head[:4] in (numpy_files.ZIP, b"PK\x05\x06") or head[257:262] == b"ustar" or head[:3] in (b"BZh", b"\xfd7z"):
        return "archive"
    if cifar.is_pickle(head):
        return "pickle"
    if cifar.kind(member):
        return "cifar"
    return None


def _of_archive(path: Path, raw: bytes) -> str:
    """zip or tar of images, or the packed format of the files inside."""
    form = "zip" if raw[:2] == b"PK" else "tar"
    if form == "zip":
        if any(is_image(info.filename) for info in zip_directory(path)):
            return form
    else:
        try:
            with tarfile.open(path) as archive:
                for info, _ in zip(archive, range(packed_files.FILES)):
                    if is_image(info.name) or info.name.endswith(".tar"):
                        return form
        except packed_files.BROKEN as error:
            raise refuse(path, "tar archive", error) from None
    inside = {found for member in _members(path) if (found := _of_member(member)) in PACKED}
    return inside.pop() if len(inside) == 1 else form


def _members(path: Path) -> list[Member]:
    if path.is_dir():
        return packed_files.of_folder(path)
    try:
        if zipfile.is_zipfile(path) and not numpy_files.is_npz(packed_files.of_path(path)[0]):
            return packed_files.of_zip(path)
        if _is_tar(path):
            return packed_files.of_tar(path)
    except packed_files.BROKEN as error:
        raise refuse(path, "archive", error) from None
    return packed_files.of_path(path)


def _is_tar(path: Path) -> bool:
    try:
        return tarfile.is_tarfile(path)
    except packed_files.BROKEN:
        return False


def _packed(path: Path, look: Look, count: int | None, split: str, form: str) -> Blocks:
    def find() -> tuple[list[Block], tuple[str, ...]]:
        blocks, classes = PACKED[form](_members(path), path)
        named = {split_of(block.name.rpartition("/")[2]) or "train" for block in blocks}
        if split != "all" and len(named) > 1:
            blocks = [block for block in blocks if (split_of(block.name.rpartition("/")[2]) or "train") == split]
        return blocks, classes

    files = [path / member.name for member in packed_files.of_folder(path)] if path.is_dir() else [path]
    return Blocks(form, path, files, find, look, count, split)
