"""What names of files say: training or test images, and classes."""

import re
from collections.abc import Sequence

import numpy as np

from .reader import DataError

TRAIN = re.compile(r"(?:^|[^a-z])train(?:ing)?(?:$|[^a-z])", re.IGNORECASE)
TEST = re.compile(r"(?:^|[^a-z])(?:test(?:ing)?|t10k|val(?:id(?:ation)?)?)(?:$|[^a-z])", re.IGNORECASE)


def split_of(name: str) -> str | None:
    """train or test (which validation images count as), by a word of the name; None if it says neither."""
    return "test" if TEST.search(name) else "train" if TRAIN.search(name) else None


def choose_split(names: list[str], split: str) -> list[str]:
    """The names of one split, if the folders that they lie in are a split each; all of them otherwise."""
    tops = _folders(names)
    found = set(tops.values())
    if split == "all" or len(found) < 2 or None in found or None in map(split_of, found):
        return names
    wanted = {top for top in found if split_of(top) == split} or found
    return [name for name in names if tops[name.rpartition("/")[0]] in wanted]


def category(name: str) -> str:
    """A class as it may be asked for: bedroom for bedroom_train and bedroom_train_lmdb, as LSUN's folders are
    called."""
    return re.sub(r"_(?:train|val|test)$", "", name.removesuffix("_lmdb"), flags=re.IGNORECASE)


def check_classes(wanted: Sequence[str], there: Sequence[str], source) -> None:
    """Raises: DataError if a class that is asked for is not there."""
    for one in wanted:
        if one not in there:
            need = f"some of {', '.join(there[:20])}" if there else "a source with class folders"
            raise DataError(f"open_dataset: classes: need {need}, got {one!r} for {str(source)!r}")


def choose_classes(names: list[str], wanted: Sequence[str], source) -> list[str]:
    """The names that lie in folders of the wanted classes. Raises: DataError if a class has no folder."""
    tops = _folders(names)
    check_classes(wanted, sorted({top for top in tops.values() if top}), source)
    return [name for name in names if tops[name.rpartition("/")[0]] in wanted]


def class_labels(names: Sequence[str]) -> tuple[tuple[str, ...], np.ndarray | None]:
    """(classes, a label for each name), if all lie in two or more folders of one level; ((), None) otherwise."""
    tops = _folders(names)
    if not names or None in tops.values():
        return (), None
    classes = tuple(sorted(set(tops.values())))
    number = {name: i for i, name in enumerate(classes)}
    label = {folder: number[top] for folder, top in tops.items()}
    return classes, np.array([label[name.rpartition("/")[0]] for name in names], np.int32)


def _folders(names: Sequence[str]) -> dict[str, str | None]:
    """For each folder that has one of the names: the first part of it that not all share, None if there is no such
    part."""
    parts = {folder: folder.split("/") if folder else [] for folder in {name.rpartition("/")[0] for name in names}}
    depth = 0
    for level in zip(*parts.values()):
        if len(set(level)) > 1:
            break
        depth += 1
    return {folder: p[depth] if len(p) > depth else None for folder, p in parts.items()}
