"""Which reader a source needs: told by its content, never by its name; or by the user."""

import zipfile
from pathlib import Path

from .formats import cifar, idx, lmdb, matlab, numpy_files, packed_files, tars
from .formats.archive import Tar, is_image, refuse
from .formats.folder import Folder, find_images
from .formats.packed_files import Member
from .formats.pixel_blocks import Block, Blocks
from .formats.several import Several
from .formats.zips import Zip, names_in
from .picture import kind_of
from .reader import DataError, Look, Reader
from .splits import category, check_classes, split_of

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


def reader_of(
    path: Path, look: Look, count: int | None, split: str, form: str | None, classes: tuple[str, ...] = ()
) -> Reader:
    """The reader of a path. form: one of FORMATS, instead of the one that its content shows; classes: the only ones to
    be read,
    where the source has a folder or a set for each. Raises: DataError."""
    folder = path.is_dir()
    if not folder and not path.is_file():
        raise DataError(f"open_dataset: source: need {NEED}, got {str(path)!r} (neither a file nor a folder)")
    form = form or (_of_folder(path) if folder else _of_file(path))
    if classes and form not in ("folder", "lmdb", "idx"):
        raise DataError(
            f"open_dataset: classes: need a folder of images, LSUN's or EMNIST's, got {str(path)!r}, {form}"
        )
    if form == "folder" and folder:
        return Folder(path, look, count, split, classes)
    if form == "lmdb":
        return _lmdbs(path, look, count, split, classes)
    if form in ("zip", "tar") and not folder:
        return (Zip if form == "zip" else Tar)(path, look, count, split)
    if form == "archives" and folder:
        parts = [(Zip if zipfile.is_zipfile(part) else Tar)(part, look, None, split) for part in _archives(path, split)]
        return Several(path, parts, look, count, [])
    if form in PACKED:
        return _packed(path, look, count, split, form, classes)
    raise DataError(
        f"open_dataset: format: need one that suits a {'folder' if folder else 'file'}, got {form!r} for {str(path)!r}"
    )


def _of_folder(path: Path) -> str:
    if lmdb.data_file(path) or _databases(path):
        return "lmdb"
    if find_images(path)[0]:
        return "folder"
    members = packed_files.of_folder(path)
    forms = {form for member in members if (form := _of_member(member))}
    if len(forms) > 1:
        forms -= {"archive"}
    if len(forms) > 1:
        raise DataError(
            f"open_dataset: format: need one of {', '.join(sorted(forms))}, all of which are in {str(path)!r}, got none"
        )
    if forms == {"archive"}:
        return "archives"
    return forms.pop() if forms else "folder"


def _archives(path: Path, split: str) -> list[Path]:
    """The archives of a folder: of one split, where their names tell them apart."""
    found = [path / member.name for member in packed_files.of_folder(path) if _of_member(member) == "archive"]
    if split != "all" and len({split_of(part.name) for part in found}) > 1:
        found = [part for part in found if (split_of(part.name) or "train") == split] or found
    for part in found:
        if (form := _of_archive(part, b"PK" if zipfile.is_zipfile(part) else b"")) not in ("zip", "tar"):
            raise DataError(f"open_dataset: source: need one archive of {form}, got {str(path)!r} (give {part.name!r})")
    return found


def _databases(path: Path) -> list[Path]:
    """The folders of LMDBs in a folder, as LSUN's bedroom_train_lmdb."""
    return sorted(found for found in path.iterdir() if found.is_dir() and lmdb.data_file(found))


def _lmdbs(path: Path, look: Look, count: int | None, split: str, classes: tuple[str, ...]) -> Reader:
    """The reader of one LMDB, or of LSUN's categories, each a class."""
    own = lmdb.data_file(path) if path.is_dir() else path
    inner = _databases(path) if own is None else []
    if not inner:
        check_classes(classes, [], path)
        return lmdb.Lmdb(own or path, look, count, split)
    wanted = [found for found in inner if split in ("all", split_of(found.name) or "train")]
    if not wanted and len(inner) == 1:
        wanted = inner
    there = sorted({category(found.name) for found in wanted})
    if not wanted:
        raise DataError(
            f"open_dataset: split: need one that is there, got {split!r} for {', '.join(found.name for found in inner)}"
        )
    asked = tuple(category(one) for one in classes)
    check_classes(asked, there, path)
    wanted = [found for found in wanted if not asked or category(found.name) in asked]
    parts = [lmdb.Lmdb(lmdb.data_file(found), look, None, split) for found in wanted]
    if len(parts) == 1:
        return lmdb.Lmdb(parts[0].path, look, count, split)
    return Several(path, parts, look, count, [category(found.name) for found in wanted])


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
    if kind_of(raw) and not cifar.kind(member):
        raise DataError(f"open_dataset: source: need {NEED}, got {str(path)!r} (a single image: give its folder)")
    form = _of_member(member)
    if form == "archive":
        return _of_archive(path, raw)
    if form:
        return form
    what = packed_files.other_kind(member.head()) or packed_files.other_kind(raw) or "a file of another kind"
    raise DataError(f"open_dataset: source: need {NEED}, got {str(path)!r} ({what})")


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
        if any(map(is_image, names_in(path))):
            return form
        if any(name.endswith("data.pkl") for name in names_in(path)):
            raise DataError(f"open_dataset: source: need {NEED}, got {str(path)!r} ({packed_files.OTHERS[0][1]})")
    else:
        try:
            with tars.opened(path) as archive:
                for info, _ in zip(archive, range(packed_files.FILES)):
                    if is_image(info.name) or info.name.endswith(".tar"):
                        return form
        except packed_files.BROKEN as error:
            raise refuse(path, "tar archive", error) from None
    try:
        members = _members(path)
    except DataError:
        return form  # more members than arrays have: told one by one by their first bytes
    kinds = {found: member for member in members if (found := _of_member(member))}
    inside = [found for found in kinds if found in PACKED]
    if not inside and (found := next((found for found in kinds if found in ("lmdb", "archive")), None)):
        what = "an LMDB" if found == "lmdb" else "other archives"
        raise DataError(
            f"open_dataset: source: need an archive of images or arrays, got {str(path)!r}, which holds {what} "
            f"({kinds[found].name!r}): unpack it first"
        )
    return inside[0] if len(inside) == 1 else form


def _members(path: Path) -> list[Member]:
    if path.is_dir():
        return packed_files.of_folder(path)
    try:
        if zipfile.is_zipfile(path) and not numpy_files.is_npz(packed_files.of_path(path)[0]):
            return packed_files.of_zip(path)
        if tars.is_tar(path):
            return packed_files.of_tar(path)
    except packed_files.BROKEN as error:
        raise refuse(path, "archive", error) from None
    return packed_files.of_path(path)


def _packed(path: Path, look: Look, count: int | None, split: str, form: str, classes: tuple[str, ...] = ()) -> Blocks:
    def find() -> tuple[list[Block], tuple[str, ...]]:
        if path.is_dir() and (dead := packed_files.dead_links(path)):
            raise DataError(
                f"open_dataset: source: need files that are there, got links to nowhere in {str(path)!r}: "
                f"{', '.join(dead[:5])} (git annex get, or datalad get, brings them)"
            )
        members = _members(path)
        if classes:
            there = sorted(
                {named[1] for member in members if (named := idx.EMNIST.match(member.name.rpartition("/")[2]))}
            )
            check_classes(classes, there, path)
            members = [
                member
                for member in members
                if (named := idx.EMNIST.match(member.name.rpartition("/")[2])) and named[1] in classes
            ]
        blocks, names = PACKED[form](members, path)
        named = {split_of(block.name.rpartition("/")[2]) or "train" for block in blocks}
        if split != "all" and len(named) > 1:
            blocks = [block for block in blocks if (split_of(block.name.rpartition("/")[2]) or "train") == split]
        return blocks, names

    files = [path / member.name for member in packed_files.of_folder(path)] if path.is_dir() else [path, *_near(path)]
    return Blocks(form, path, files, find, look, count, split, classes)


def _near(path: Path) -> list[Path]:
    """The files of labels beside a single file, which its key depends on too."""
    try:
        return sorted(
            p for p in path.parent.iterdir() if p != path and numpy_files.LABELS.search(p.name) and p.is_file()
        )
    except OSError:
        return []
