"""Datasets that come as arrays of pixels: rows of images in a few files, each a block."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from .. import picture
from ..fingerprint import fingerprint
from ..reader import Batch, DataError, Look, Task, code_version, span

ROWS = 1 << 26  # bytes of pixels that are held at a time


@dataclass
class Block:
    """Images of one file: `count` are promised, `room` is how many there can be at most (default: as many).

    `read(start, stop)` gives them as uint8 [n, H, W] or [n, H, W, C], fewer where the file ends early, or the reason
    why there are none.
    `row`: bytes of one image, as far as they are known.   `end()`, asked after the last of them: where the file is
    damaged, by its own checksum, or nothing.
    """

    name: str
    count: int
    read: Callable[[int, int], np.ndarray | str]
    attributes: dict[str, np.ndarray] = field(default_factory=dict)
    room: int = 1 << 62
    end: Callable[[], str] = str
    row: int = 1

    def labelled(self, start: int, stop: int) -> dict[str, np.ndarray]:
        """The attributes of some images."""
        return {name: values[start:stop] for name, values in self.attributes.items()}


class Blocks:
    """The reader of blocks."""

    skipped: tuple = ()
    damage = ""

    def __init__(
        self,
        form: str,
        path: Path,
        files: list[Path],
        find: Callable[[], tuple[list[Block], tuple[str, ...]]],
        look: Look,
        count: int | None,
        split: str,
        wanted: tuple[str, ...] = (),
    ):
        self.wanted = wanted  # sets, where there are several; empty: all
        self.format, self.path, self.files, self.find, self.look, self.count, self.split = (
            form,
            path,
            files,
            find,
            look,
            count,
            split,
        )
        self.source = str(path.resolve())

    @cached_property
    def _found(self) -> tuple[list[Block], tuple[str, ...]]:
        """Labels that only some of the blocks have are none: an image could get another's."""
        blocks, classes = self.find()
        shared = set.intersection(*(set(block.attributes) for block in blocks)) if blocks else set()
        for block in blocks:
            if any(len(values) != block.count for values in block.attributes.values()):
                raise DataError(
                    f"open_dataset: source: need a label for each image of {block.name!r}, got "
                    f"{', '.join(str(len(values)) for values in block.attributes.values())} for {block.count}"
                )
            block.attributes = {name: values for name, values in block.attributes.items() if name in shared}
        return blocks, classes if "label" in shared else ()

    @property
    def blocks(self) -> list[Block]:
        return self._found[0]

    @property
    def classes(self) -> tuple[str, ...]:
        return self._found[1]

    @property
    def total(self) -> int:
        return sum(block.count for block in self.blocks)

    @property
    def room(self) -> int:
        """Images that can be there at most, whatever the files promise."""
        return sum(min(block.count, block.room) for block in self.blocks)

    def key(self) -> dict:
        content = hashlib.blake2b(digest_size=16)
        for file in self.files:
            content.update(f"{file.name} ".encode("utf-8", "surrogateescape"))
            with suppress(OSError):
                content.update(fingerprint(file).encode())
        code = code_version(picture.__file__, *map(str, sorted(Path(__file__).parent.glob("*.py"))))
        key = {"reader": self.format, "code": code, "content": content.hexdigest(), "split": self.split}
        return {**key, "classes": list(self.wanted)} if self.wanted else key

    def tasks(self, start: int) -> Iterator[Task]:
        base = 0
        for block in self.blocks:
            for first, stop in _pieces(max(0, start - base), block):
                rows, missing = block.read(first, stop), "the file ends before they do"
                if isinstance(rows, str):
                    rows, missing = np.empty((0, 1, 1), np.uint8), rows or missing
                end, damage, gone = first + len(rows), "", []
                if end < stop:  # and nothing of the file is left
                    gone, stop = [(f"{block.name}[{end} to {block.count - 1}]", missing)], block.count
                elif stop == block.count:
                    damage = block.end()
                names = [f"{block.name}[{i}]" for i in range(first, end)]
                yield Task(
                    base + stop, fit_and_note, (names, rows, self.look, block.labelled(first, end), gone, damage)
                )
                if gone:
                    break
            base += block.count


def _pieces(start: int, block: Block) -> Iterator[tuple[int, int]]:
    """(first, stop) of as many images as are read at a time: no more than ROWS bytes, unless one alone is larger."""
    most = max(1, ROWS // max(1, block.row))
    for first, stop in span(start, block.count):
        for at in range(first, stop, most):
            yield at, min(at + most, stop)


def fit_and_note(
    names: list[str],
    rows: np.ndarray,
    look: Look,
    attributes: dict[str, np.ndarray],
    gone: list[tuple[str, str]],
    damage: str,
) -> Batch:
    """Some images of a file, a note of those behind them that are gone, and what the file's end says of them all."""
    batch = picture.fit_each(names, rows, look, attributes)
    batch.skipped.extend(gone)
    batch.damage = damage
    return batch
