"""What names of files say: training or test images, and classes."""

import re
from collections.abc import Sequence

import numpy as np

SPLITS = ("train", "test", "all")
TRAIN = re.compile(r"(?:^|[^a-z])train(?:ing)?(?:$|[^a-z])", re.IGNORECASE)
TEST = re.compile(r"(?:^|[^a-z])(?:test(?:ing)?|t10k|val(?:id(?:ation)?)?)(?:$|[^a-z])", re.IGNORECASE)


def split_of(name: str) -> str | None:
    """train or test (which validation images count as), by a word of the name; None if it says neither."""
    return "test" if TEST.search(name) else "train" if TRAIN.search(name) else None


def choose_split(names: list[str], split: str) -> list[str]:
    """The names of one split, if the folders that they lie in are a split each; all of them otherwise."""
    depth = _common_depth(names)
    parts = [name.split("/") for name in names]
    tops = {p[depth] for p in parts if len(p) > depth + 1}
    if split == "all" or len(tops) < 2 or any(len(p) <= depth + 1 for p in parts) or None in map(split_of, tops):
        return names
    wanted = {top for top in tops if split_of(top) == split} or tops
    return [name for name, p in zip(names, parts, strict=True) if p[depth] in wanted]


def class_labels(names: Sequence[str]) -> tuple[tuple[str, ...], np.ndarray | None]:
    """(classes, a label for each name), if all lie in two or more folders of one level; ((), None) otherwise."""
    depth = _common_depth(names)
    parts = [name.split("/") for name in names]
    if not names or any(len(p) <= depth + 1 for p in parts):
        return (), None
    classes = tuple(sorted({p[depth] for p in parts}))
    number = {name: i for i, name in enumerate(classes)}
    return classes, np.array([number[p[depth]] for p in parts], np.int32)


def _common_depth(names: Sequence[str]) -> int:
    """How many leading folders all names share."""
    folders = {name.rpartition("/")[0] for name in names}
    depth = 0
    for level in zip(*(folder.split("/") if folder else [] for folder in folders)):
        if len(set(level)) > 1:
            break
        depth += 1
    return depth
