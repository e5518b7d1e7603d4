"""Several sources of one kind, read one after the other: LSUN's categories, a folder of archives."""

from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import numpy as np

from ..reader import Look, Task, code_version
from ..splits import class_labels
from .archive import Packed


class Several:
    """The reader of some archives or LMDBs. `categories`: the class of each; without them the folders inside them are
    classes."""

    def __init__(self, path: Path, parts: list[Packed], look: Look, count: int | None, categories: list[str]):
        self.path, self.parts, self.look, self.count, self.categories = path, parts, look, count, categories
        self.source, self.format = str(path.resolve()), parts[0].format

    @cached_property
    def _labels(self) -> tuple[tuple[str, ...], list[np.ndarray] | None]:
        """(classes, the labels of each part)"""
        if len(set(self.categories)) > 1:
            classes = tuple(sorted(set(self.categories)))
            pairs = zip(self.categories, self.parts, strict=True)
            return classes, [np.full(part.total, classes.index(category), np.int32) for category, part in pairs]
        if self.categories:
            return (), None
        names = [name for part in self.parts for name, _ in part.members]
        classes, labels = class_labels(names)
        if labels is None:
            return (), None
        return classes, np.split(labels, np.cumsum([part.total for part in self.parts])[:-1])

    @property
    def classes(self) -> tuple[str, ...]:
        return self._labels[0]

    @property
    def total(self) -> int:
        return sum(part.total for part in self.parts)

    @property
    def skipped(self) -> list[tuple[str, str]]:
        return [(f"{part.path.name}/{name}", reason) for part in self.parts for name, reason in part.skipped]

    @property
    def left_out(self) -> Counter[str]:
        return sum((part.left_out for part in self.parts), Counter())

    @property
    def damage(self) -> str:
        self.total  # noqa: B018  the listing finds it
        return next((f"in {part.path.name} {part.damage}" for part in self.parts if part.damage), "")

    def key(self) -> dict:
        keys = [part.key() for part in self.parts]
        return {"reader": self.format, "code": code_version(__file__), "parts": keys, "categories": self.categories}

    def tasks(self, start: int) -> Iterator[Task]:
        base, labels = 0, self._labels[1]
        for i, part in enumerate(self.parts):
            part.given_labels = None if labels is None else labels[i]  # a part alone may see other classes
            if start < base + part.total:
                for task in part.tasks(max(0, start - base)):
                    yield Task(base + task.stop, task.function, task.arguments)
            base += part.total
