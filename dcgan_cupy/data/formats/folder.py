"""Image files in a folder and below. The first-level folders are the classes, as in ImageNet's tree."""

import hashlib
import os
import stat
from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

import numpy as np

from .. import picture, splits
from ..picture import BYTE_LIMIT, HEAD, POINTER, SUFFIXES, kind_of
from ..reader import Batch, Look, Task, Unreadable, code_version, span
from ..splits import choose_classes, choose_split, class_labels

LARGEST = 1 << 60  # bytes of a file whose beginning is looked at
ListedFile = tuple[str, int, int, int, int]  # name, bytes, mtime in ns, ctime in ns, mode


class Folder:
    """The reader of a folder, in the order of the files' names."""

    format = "folder"
    damage = ""

    def __init__(
        self, path: Path, look: Look, count: int | None = None, split: str = "train", wanted: tuple[str, ...] = ()
    ):
        self.wanted = wanted  # classes; empty: all
        self.path, self.look, self.count, self.split = path.resolve(), look, count, split
        self.source = str(self.path)

    @cached_property
    def _listing(self) -> tuple[list[ListedFile], list[tuple[str, str]], Counter[str]]:
        return find_images(self.path)

    @property
    def left_out(self) -> Counter[str]:
        """Files of other kinds, by what they are."""
        return self._listing[2]

    @cached_property
    def names(self) -> list[str]:
        """The files that are read: of one split, where the folder has several."""
        names = choose_split([name for name, *_ in self._listing[0]], self.split)
        return choose_classes(names, self.wanted, self.path) if self.wanted else names

    @property
    def skipped(self) -> list[tuple[str, str]]:
        return self._listing[1]

    @property
    def total(self) -> int:
        return len(self.names)

    @cached_property
    def _classes(self) -> tuple[tuple[str, ...], np.ndarray | None]:
        return class_labels(self.names)

    @property
    def classes(self) -> tuple[str, ...]:
        return self._classes[0]

    def key(self) -> dict:
        listing = hashlib.blake2b(digest_size=16)
        for rows in self._listing[:2]:
            for first in range(0, len(rows) + 1, 1000):
                listing.update(repr(rows[first : first + 1000]).encode("utf-8", "surrogateescape"))
        return {
            "reader": "folder",
            "code": code_version(__file__, picture.__file__, splits.__file__),
            "path": self.source,
            "listing": listing.hexdigest(),
            "split": self.split,
            **({"classes": list(self.wanted)} if self.wanted else {}),
        }

    def tasks(self, start: int) -> Iterator[Task]:
        labels = self._classes[1]
        for first, stop in span(start, self.total):
            known = {} if labels is None else {"label": labels[first:stop]}
            yield Task(stop, decode_files, (self.source, self.names[first:stop], self.look, known))


def decode_files(folder: str, names: list[str], look: Look, attributes: dict[str, np.ndarray]) -> Batch:
    """Some of a folder's files."""
    return picture.decode_each(names, lambda i: read_regular(os.path.join(folder, names[i])), look, attributes)


def find_images(folder: Path) -> tuple[list[ListedFile], list[tuple[str, str]], Counter[str]]:
    """(files, [(name, reason)], other files by kind): images by their suffix, others by their first bytes; sorted by
    name.

    A name is relative to the folder, with "/" between its parts. Hidden files and folders are left out. Links are
    followed,
    but no folder is read twice, and none that holds the whole folder.
    """
    listing, skipped, others, places, links = [], [], Counter(), [""], []
    seen = set(_above(folder))
    while places or links:
        place = places.pop() if places else links.pop(0)  # "" or a relative name that ends in "/"; links come last
        whole = os.path.join(folder, place)
        try:
            info = os.stat(whole)
            if place and (info.st_dev, info.st_ino) in seen:
                if os.path.islink(whole[:-1]):
                    skipped.append((place[:-1], "a link to a folder that is read already, or that holds this one"))
                continue
            seen.add((info.st_dev, info.st_ino))
            with os.scandir(whole) as entries:
                for entry in entries:
                    if not entry.name.startswith("."):
                        _list_one(entry, place + entry.name, listing, skipped, others, places, links)
        except OSError as error:
            skipped.append((place[:-1] or ".", f"cannot be listed: {picture.reason(error)}"))
        links.sort()
    return sorted(listing), sorted(skipped), others


def _above(folder: Path) -> Iterator[tuple[int, int]]:
    """The folders that a folder lies in."""
    for parent in folder.resolve().parents:
        info = parent.stat()
        yield info.st_dev, info.st_ino


def _list_one(entry: os.DirEntry, name: str, listing, skipped, others: Counter, places: list, links: list) -> None:
    """Puts what an entry is where it belongs."""
    image = name.lower().endswith(SUFFIXES)
    try:
        if entry.is_dir(follow_symlinks=False):
            places.append(name + "/")
            return
        if not image and entry.is_file() and not _is_image(entry.path, name, others):
            return
        info = entry.stat()
    except OSError as error:
        dead = entry.is_symlink() and isinstance(error, FileNotFoundError)
        if image:
            skipped.append((name, "a link to nowhere" if dead else picture.reason(error)))
        else:  # nobody can say what it was
            others[f"{name!r}, a link to nowhere" if dead and len(others) < 8 else "unreadable"] += 1
        return
    if stat.S_ISDIR(info.st_mode):
        links.append(name + "/")
    elif stat.S_ISREG(info.st_mode):
        listing.append((name, info.st_size, info.st_mtime_ns, info.st_ctime_ns, info.st_mode))
    elif image:
        skipped.append((name, "not a regular file"))


def _is_image(path: str, name: str, others: Counter) -> bool:
    """Whether a file with another suffix begins as an image does; if not, it is counted."""
    try:
        with open_regular(path, LARGEST, buffering=0) as file:
            head = file.read(HEAD)
    except Unreadable:  # an empty file
        head = b""
    if kind_of(head):
        return True
    suffix = os.path.splitext(name)[1].lower()[1:13]
    others["Git LFS pointer" if head.startswith(POINTER) else suffix or "no suffix"] += 1
    return False


def read_regular(path: str) -> bytes:
    """A file's bytes, at once: decoders ask for them in very small pieces."""
    with open_regular(path, buffering=0) as file:
        return file.read()


def open_regular(path: str | Path, limit: int = BYTE_LIMIT, buffering: int = -1) -> BinaryIO:
    """Open a file for reading, without waiting for a writer should it have become a pipe since it was listed."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    file = os.fdopen(descriptor, "rb", buffering)
    info = os.fstat(descriptor)
    if stat.S_ISREG(info.st_mode) and 0 < info.st_size <= limit:
        return file
    file.close()
    if not stat.S_ISREG(info.st_mode):
        raise Unreadable("not a regular file")
    raise Unreadable(f"{info.st_size:,} bytes, more than {limit:,}" if info.st_size else "an empty file")
