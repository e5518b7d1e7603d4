"""What a kind of dataset must offer, so that the cache, the checks and the progress can be the same for all.

A reader says what determines its pixels (`key`), how many items it will try (`total`), and cuts the work into tasks:
small pieces in a fixed order, each a function that any process can call with arguments that can be pickled.
"""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from ..errors import UserError
from ..sizes import sides
from .decoders import VERSIONS

CHUNK = 64  # items in one task


class DataError(UserError):
    """A dataset that cannot be opened as asked; one sentence, `where: argument: need this, got that`."""


@contextmanager
def as_flags(command: str, **flags: str):
    """Errors of open_dataset in the words of a command: `open_dataset: source: …` is `train: --data: …` with
    source="--data"."""
    try:
        yield
    except DataError as error:
        where, _, rest = str(error).partition(": ")
        argument, _, rest = rest.partition(": ")
        if where != "open_dataset" or not rest:
            raise
        flag = flags.get(argument) or (argument if argument == "cache" else f"--{argument.replace('_', '-')}")
        raise DataError(f"{command}: {flag}: {rest}") from None


class Unreadable(Exception):
    """An image that has to be skipped; the message is the reason."""


@dataclass(frozen=True)
class Look:
    """How images come out: `size` px high and wide, or (height, width); 1 (grey) or 3 channels; `crop`: the short side
    of what is cut from the middle first, in the shape of the images."""

    size: int | tuple[int, int]
    channels: int
    crop: int | None = None

    @property
    def sides(self) -> tuple[int, int]:
        """(height, width) of one image."""
        return sides(self.size)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of one image."""
        return *self.sides, self.channels


@dataclass
class Batch:
    """Some images in a row, and what is known of them.

    Shapes: images uint8 [n, H, W, C]; each of attributes [n, ...].   `skipped`: (name, reason) of what gave no image.
    `damage`: what is wrong with the container, as far as this piece of it can tell, or nothing.
    """

    images: np.ndarray
    attributes: dict[str, np.ndarray] = field(default_factory=dict)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    damage: str = ""


@dataclass(frozen=True)
class Task:
    """The items up to `stop` that no earlier task has: function(*arguments) gives their Batch."""

    stop: int
    function: Callable[..., Batch]
    arguments: tuple


class Reader(Protocol):
    """A kind of dataset. `key` must be cheap: it is asked at every start. `total` and what follows may list the whole
    source."""

    format: str  # one of formats.FORMATS, or "faces"; begins the names of cache files
    source: str  # what the user gave, made unambiguous
    look: Look
    count: int | None  # only the first so many readable images
    total: int  # items that tasks() tries
    classes: tuple[str, ...]  # names of the labels, where the source has names
    skipped: list[tuple[str, str]]  # what the listing already gave up, with the reason
    damage: str  # what the listing found wrong with the container, or nothing

    def key(self) -> dict:
        """Everything that determines the pixels, as JSON can hold it."""

    def tasks(self, start: int) -> Iterator[Task]:
        """The work from item `start` on; a start is always the stop of an earlier task."""


def span(start: int, total: int) -> Iterator[tuple[int, int]]:
    """(start, stop) of the pieces of CHUNK items from `start` to `total`."""
    for first in range(start, total, CHUNK):
        yield first, min(first + CHUNK, total)


def tasks_in(items: int) -> int:
    """How many pieces that makes, about: a source in several parts has some more."""
    return -(-items // CHUNK)


def code_version(*paths: str) -> str:
    """A hash of modules' texts, and the decoders' versions: when the code that makes the pixels changes, so does the
    key."""
    text = b"".join(Path(path).read_bytes() for path in paths)
    return f"{hashlib.blake2b(text, digest_size=8).hexdigest()}, {VERSIONS}"
