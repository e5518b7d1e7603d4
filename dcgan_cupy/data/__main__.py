"""python -m dcgan_cupy.data: what a dataset is, made ready before training, looked at, and the cache's size.

info [SOURCE]     what it is, how many images, which labels, what was skipped; without a source: what the cache holds
prepare SOURCE    decodes it into the cache, which training would do otherwise
grid SOURCE       a picture of some of its images, as training sees them
clear [SOURCE]    deletes its images from the cache, or all of them
fetch NAME …      mnist, fashion-mnist, cifar10, svhn; how to get celeba, lsun, imagenet
"""

import argparse
import sys
import time
from collections import Counter
from contextlib import contextmanager

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ..cache import why_not_read
from ..choices import DEVICES
from ..command import write_in_any_terminal
from ..config import Config
from ..errors import UserError, printable
from ..machine import counted, in_bytes
from ..runs.pictures import grid
from ..sizes import named, shown, sides
from . import FORMATS, ON_BAD, SPLITS, as_flags, make_reader, open_dataset
from .fetch import CONSENT, fetch
from .left_out import others
from .store import entry as store

SHOWN = 20  # skipped files, classes


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        raise UserError(f"data: {message} (see --help)")


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line. Raises: UserError."""
    parser = _Parser(
        prog="python -m dcgan_cupy.data",
        description=__doc__.split("\n\n")[0].partition(": ")[2],
        epilog=__doc__.split("\n\n")[1],
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "command", choices=("info", "prepare", "grid", "clear", "fetch"), metavar="info|prepare|grid|clear|fetch"
    )
    parser.add_argument("source", nargs="*", help="a path, or faces, mnist, fashion-mnist, cifar10, svhn")
    parser.add_argument(
        "--image-size", type=_size, help="height and width, px: 64, or 48x80 (default: as training takes here)"
    )
    parser.add_argument("--device", default="auto", choices=DEVICES, help="the one to train on, which decides the size")
    parser.add_argument("--channels", type=int, default=Config.channels, choices=(1, 3))
    parser.add_argument("--crop", type=int, help="short side of what is cut from the middle first, px")
    parser.add_argument("--format", choices=FORMATS, help="what the data are (default: what their content shows)")
    parser.add_argument("--split", default="train", choices=SPLITS)
    parser.add_argument("--classes", help="only these, with commas: class folders, LSUN's categories, EMNIST's sets")
    parser.add_argument(
        "--on-bad", choices=ON_BAD, help="images that cannot be read (default: skip up to 1 %%, then fail)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the faces, and of the images in the grid")
    parser.add_argument("--count", type=int, help="only the first so many images")
    parser.add_argument("--out", default="grid.png", help="the picture (default: grid.png)")
    given = parser.parse_args(arguments)
    most = {"info": 1, "clear": 1, "prepare": 1, "grid": 1}.get(given.command, 99)
    least = 0 if given.command in ("info", "clear") else 1
    if not least <= len(given.source) <= most:
        raise UserError(
            f"data: {given.command}: need {'one source' if most == 1 else 'a name'}{'' if least else ' or none'}, "
            f"got {len(given.source)}"
        )
    return given


def _size(text: str) -> int | str:
    if sides(text) is None:
        raise argparse.ArgumentTypeError(f"need px such as 64, or height x width such as 48x80, got {text!r}")
    return named(text)


def size_of(given) -> int | str:
    """The image size that was asked for, or the one that training takes on this machine: what is prepared is then
    used."""
    if given.image_size is not None:
        return given.image_size
    kind = given.device
    if kind == "auto":
        from ..device import gpu  # looks for CuPy, which takes a while

        kind = "cpu" if gpu.why_not() else "gpu"
    return Config().resolved(kind).image_size


def _reader(given):
    return make_reader(
        given.source[0],
        given.image_size,
        given.channels,
        seed=given.seed,
        count=given.count,
        crop=given.crop,
        format=given.format,
        split=given.split,
        classes=_classes(given),
    )


def _classes(given) -> tuple[str, ...]:
    return tuple(filter(None, given.classes.split(","))) if given.classes else ()


def _open(given, console):
    with _bar(console, f"reading {given.source[0]}") as update:
        return open_dataset(
            given.source[0],
            given.image_size,
            given.channels,
            seed=given.seed,
            count=given.count,
            crop=given.crop,
            format=given.format,
            split=given.split,
            classes=_classes(given),
            on_bad=given.on_bad,
            progress=update,
        )


@contextmanager
def _bar(console, text: str):
    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    ) as progress:
        task = progress.add_task(printable(text), total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def _say(console, name: str, text) -> None:
    console.print(f"{name:<9} {printable(text)}", markup=False, highlight=False, soft_wrap=True)


def info(given, console) -> None:
    """What a dataset is, without decoding it; or what the cache holds."""
    folder = store.data_folder()
    if not given.source:
        total = 0
        if folder.is_dir() and (reason := why_not_read(folder, folder.parent)):
            _say(console, "unused", reason)
        for entry, key, size in store.entries(folder):
            note = f"{key.get('image_size')} px, {counted(key.get('channels'), 'channel')}" if key else "not finished"
            _say(console, in_bytes(size), f"{entry.name} ({note}{', ' + key['path'] if 'path' in key else ''})")
            total += size
        _say(console, "cache", f"{folder}: {in_bytes(total)}")
        return
    reader = _reader(given)
    key, entry = store.place(reader, folder)
    _say(console, "source", reader.source)
    _say(console, "format", reader.format)
    _say(console, "images", f"{reader.total:,}" + (f", the first {reader.count:,} of them" if reader.count else ""))
    if reader.classes:
        more = f" … and {len(reader.classes) - SHOWN} more" if len(reader.classes) > SHOWN else ""
        _say(console, "classes", f"{len(reader.classes)}: {', '.join(reader.classes[:SHOWN])}{more}")
    found = store.load(entry, key)
    _say(
        console,
        "as",
        f"{shown(given.image_size)} px, {counted(given.channels, 'channel')}: "
        f"{in_bytes(reader.total * int(np.prod(reader.look.shape)))}",
    )
    _say(console, "cache", entry.with_suffix(".npy") if found else "not prepared yet")
    if found:
        _attributes(console, found.attributes)
    if damage := found.damage if found else reader.damage:
        _say(console, "damaged", damage)
    for note in found.notes if found else ():
        _say(console, "note", note)
    _skipped(console, found.skipped if found else reader.skipped, reader)


def _attributes(console, attributes) -> None:
    for name, values in attributes.items():
        _say(console, name, f"{values.dtype} {list(values.shape)}")


def _skipped(console, skipped, reader) -> None:
    for reason, count in Counter(reason for _, reason in skipped).most_common(5):
        _say(console, "skipped", f"{count:,}: {reason}")
    for path, reason in skipped[:SHOWN]:
        _say(console, "", f"{path}: {reason}")
    if len(skipped) > SHOWN:
        _say(console, "", f"… and {len(skipped) - SHOWN:,} more")
    if rest := others(reader):
        _say(console, "left out", rest)


def prepare(given, console) -> None:
    """Decodes a dataset into the cache."""
    begun = time.perf_counter()
    dataset = _open(given, console)
    seconds = time.perf_counter() - begun
    _say(
        console,
        "images",
        f"{len(dataset):,} of {shown(given.image_size)} px ({in_bytes(dataset.images.nbytes)}) "
        f"from {dataset.source}, {dataset.format}",
    )
    _say(console, "time", f"{seconds:.1f} s, {len(dataset) / seconds:,.0f} images/s")
    if isinstance(dataset.images, np.memmap):
        _say(console, "cache", dataset.images.filename)
    _attributes(console, dataset.attributes)
    for note in dataset.notes:
        _say(console, "note", note)
    _skipped(console, dataset.skipped, _reader(given))


def picture(given, console) -> None:
    """64 images of a dataset, in the order of a shuffle."""
    dataset = _open(given, console)
    chosen = np.sort(np.random.default_rng(given.seed).permutation(len(dataset))[:64])
    try:
        grid(dataset.images[chosen]).save(given.out)
    except (OSError, ValueError) as error:
        raise UserError(
            f"data: --out: need a picture's file that can be written, got {given.out!r} "
            f"({getattr(error, 'strerror', None) or error})"
        ) from None
    _say(console, "grid", f"{given.out}: {len(chosen)} of {counted(len(dataset), 'image')}")


def clear(given, console) -> None:
    """Deletes images from the cache."""
    folder = store.data_folder()
    chosen = store.entries(folder)
    if given.source:
        name = store.place(_reader(given), folder)[1].name
        chosen = [row for row in chosen if row[0].name == name]
    for entry, _, _ in chosen:
        store.remove(entry)
    size = in_bytes(sum(size for _, _, size in chosen))
    _say(console, "cleared", f"{size} of {counted(len(chosen), 'dataset')} in {folder}")


def fetching(given, console) -> None:
    """Fetches datasets, or tells how to get them."""
    for name in given.source:
        if name in CONSENT:
            _say(console, name, CONSENT[name])
            continue
        with _bar(console, f"fetching {name}") as update:
            folder = fetch(name, lambda file, done, total, update=update: update(done, total))
        _say(console, name, folder)


COMMANDS = {"info": info, "prepare": prepare, "grid": picture, "clear": clear, "fetch": fetching}


def main(arguments: list[str] | None = None) -> int:
    """The command. Exit codes: 0 done, 1 failed while running, 2 wrong use, 130 interrupted."""
    write_in_any_terminal()
    console = Console()
    try:
        given = parse(sys.argv[1:] if arguments is None else arguments)
        if given.source and given.command != "fetch":
            given.image_size = size_of(given)
        with as_flags("data", source="SOURCE"):
            COMMANDS[given.command](given, console)
    except UserError as error:
        print(printable(error), file=sys.stderr)
        return 2
    except OSError as error:
        print(
            f"data: {error.filename or 'files'}: need to read and write, got: {error.strerror or error}",
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:
        print("interrupted; the next run goes on from here", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
