"""Conditional runs: the classes of a dataset and their names, and grids with a row for each."""

from dataclasses import replace

import numpy as np

from ..errors import UserError

ROWS, COLUMNS = 32, 8  # of a run's sample grid: the first so many classes, and latent vectors
LISTED = 12  # names of classes in a message


def labels_of(dataset) -> np.ndarray:
    """int32 [n], one class an image.   Raises: UserError if the data have none."""
    labels = dataset.attributes.get("label")
    if labels is None or labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise UserError(f"train: --conditional: need data with labels, one class an image, got {dataset.name} without")
    least, most = int(labels.min()), int(labels.max())
    if least < 0 or most >= 1 << 16:
        raise UserError(
            f"train: --conditional: need labels from 0 to {(1 << 16) - 1}, got {least} to {most} in {dataset.name}"
        )
    return labels.astype(np.int32)


def with_classes(config, dataset):
    """The config with the number of classes: what was asked for, or what the data have.   Raises: UserError."""
    there = max(len(dataset.classes), int(labels_of(dataset).max()) + 1)
    if there < 2:
        raise UserError(f"train: --conditional: need data of 2 classes or more, got {there} in {dataset.name}")
    if config.n_classes is not None and config.n_classes < there:
        raise UserError(f"train: --n-classes: need the {there} of {dataset.name} or more, got {config.n_classes}")
    return config if config.n_classes else replace(config, n_classes=there)


def names_of(dataset, count: int) -> list[str]:
    """A name for each class: the data's own, else its number."""
    return [*dataset.classes, *map(str, range(len(dataset.classes), count))][:count]


def number_of(where: str, text: str, count: int | None, names: tuple[str, ...], source: str) -> int:
    """The class that is meant by a name or a number.   count: classes of the network.   Raises: UserError."""
    if count is None:
        raise UserError(f"{where}: need a conditional network (train --conditional) for it, got {source}")
    if text in names:
        return names.index(text)
    if text.isascii() and text.isdecimal() and len(text) < 7 and int(text) < count:
        return int(text)
    numbers = tuple(map(str, range(count)))
    known = f"one of {listed(names)}, or " if names not in ((), numbers) else ""
    raise UserError(f"{where}: need {known}a number from 0 to {count - 1}, got {text[:80]!r}")


def listed(names) -> str:
    """The first few."""
    more = f" … ({len(names)} in all)" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more


def shown(trainer, count: int) -> tuple:
    """(z, labels, columns) of a run's sample grid on the device.

    A conditional run: a row for each class, the same z down each column; any other: so many z, no labels.
    """
    if not trainer.config.n_classes:
        return trainer.fixed_z(count), None, None
    rows, dev = min(trainer.config.n_classes, ROWS), trainer.device
    z = np.tile(dev.numpy(trainer.fixed_z(COLUMNS)), (rows, 1, 1, 1))
    return dev.array(z), dev.array(np.repeat(np.arange(rows, dtype=np.int32), COLUMNS)), COLUMNS


def pictures(config, count: int) -> int:
    """How many images that are."""
    return min(config.n_classes, ROWS) * COLUMNS if config.n_classes else count


def real(images: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """The first images of each class in a grid like shown()'s, white where there are no more."""
    made = np.full((min(classes, ROWS) * COLUMNS, *images.shape[1:]), 255, np.uint8)
    for row in range(min(classes, ROWS)):
        found = np.flatnonzero(labels == row)[:COLUMNS]
        made[row * COLUMNS : row * COLUMNS + len(found)] = images[found]
    return made


def rows(images: np.ndarray, classes: int) -> tuple[np.ndarray, int]:
    """(images, columns): images whose classes are 0, 1, 2 … again and again, so that each row is one class."""
    kinds = min(classes, len(images))
    columns = -(-len(images) // kinds)
    blank = np.full((columns * kinds - len(images), *images.shape[1:]), 255, np.uint8)
    whole = np.concatenate([images, blank]).reshape(columns, kinds, *images.shape[1:])
    return whole.swapaxes(0, 1).reshape(-1, *images.shape[1:]), columns
